"""The state of a fetch, in a file that every process reads, and requests to stop it."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from kb.errors import LibraryError
from kb.hub.records import key_of, state_folder
from kb.storage import read_json, write_json, write_text
from kb.types.clock import is_younger

State = Literal["starting", "waiting", "fetching", "verifying", "paused", "stopped", "failed"]
Request = Literal["", "pause", "cancel"]

RUNNING = ("starting", "waiting", "fetching", "verifying")
STARTING_S = 30.0  # a process that has not started after this time does not start


@dataclass(frozen=True, slots=True)
class FetchState:
    """A fetch: `name` from `source` to `folder`, `done` of `size` bytes.

    `state`: `starting` (its process has been started), `waiting` (for the hub, the disk or another
    process; `next_try` is the time of the next attempt in epoch seconds), `fetching`, `verifying`,
    `paused` by a user, `stopped` (its process has ended; the next fetch continues it), `failed`
    (see `problem`, the record of an error). `kind`: the name of the kind of model (see
    `ModelKind`).
    """

    name: str
    source: str
    folder: str
    state: State
    size: int = 0
    done: int = 0
    bytes_per_s: float = 0.0
    next_try: float | None = None
    problem: dict[str, Any] = field(default_factory=dict)
    at: float = 0.0
    kind: str = "recognizer"

    @property
    def is_running(self) -> bool:
        """True if a process works on the fetch, or has been started for it."""
        return self.state in RUNNING

    @property
    def left_s(self) -> float | None:
        """The seconds that are left at the present speed, None if that is unknown."""
        if self.state != "fetching" or self.bytes_per_s <= 0 or not self.size:
            return None
        return max(0.0, (self.size - self.done) / self.bytes_per_s)

    @property
    def share(self) -> float:
        """The part that has arrived, 0 to 1."""
        return min(1.0, self.done / self.size) if self.size else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, the share and the seconds left."""
        return {**asdict(self), "share": round(self.share, 4), "left_s": self.left_s}


def state_path(place: Path) -> Path:
    """Return the path of the state of the fetch to `place`."""
    return state_folder() / f"{key_of(place)}.fetch.json"


def fetch_lock(place: Path) -> FileLock:
    """Return the lock that the one fetching process holds."""
    return FileLock(state_folder() / f"{key_of(place)}.lock", thread_local=False)


def write_state(place: Path, state: FetchState) -> None:
    """Write the state of a fetch; a state that cannot be written is not shown."""
    with suppress(LibraryError):
        write_json(state_path(place), asdict(state))


def read_state(place: Path) -> FetchState | None:
    """Return the state of the fetch to `place`; None if there is none."""
    return _read(state_path(place), fetch_lock(place))


def forget_state(place: Path) -> None:
    """Remove the state of a fetch that is complete or cancelled."""
    with suppress(OSError):
        state_path(place).unlink(missing_ok=True)


def all_states() -> list[FetchState]:
    """Return the fetches of this user, sorted by name."""
    found = []
    with suppress(OSError):
        for path in state_folder().glob("*.fetch.json"):
            lock = FileLock(path.with_name(path.name.replace(".fetch.json", ".lock")))
            state = _read(path, lock)
            if state is not None:
                found.append(state)
    return sorted(found, key=lambda state: state.name)


def last_state(place: Path) -> FetchState | None:
    """Return the state that the last fetch to `place` wrote, whether or not its process lives."""
    return _parse(state_path(place))


def _parse(path: Path) -> FetchState | None:
    if not path.is_file():
        return None
    try:
        values = read_json(path)
        known = {each.name for each in fields(FetchState)}
        return FetchState(**{name: value for name, value in values.items() if name in known})
    except (LibraryError, TypeError):
        return None


def _read(path: Path, lock: FileLock) -> FetchState | None:
    state = _parse(path)
    if state is None:
        return None
    if not state.is_running or _held(lock):
        return state
    if state.state == "starting" and is_younger(state.at, STARTING_S):
        return state
    return replace(state, state="stopped", bytes_per_s=0.0)


def _held(lock: FileLock) -> bool:
    """Return True if another process holds the lock."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def _request_path(place: Path) -> Path:
    return state_folder() / f"{key_of(place)}.stop"


def request(place: Path, what: Request) -> None:
    """Ask the fetching process to pause or to cancel; an empty request takes it back."""
    if not what:
        with suppress(OSError):
            _request_path(place).unlink(missing_ok=True)
        return
    write_text(_request_path(place), f"{what} {time.time()}")


def requested(place: Path) -> Request:
    """Return what a user asked the fetching process to do."""
    with suppress(OSError, ValueError):
        word = _request_path(place).read_text(encoding="ascii").split(" ")[0]
        if word == "pause":
            return "pause"
        if word == "cancel":
            return "cancel"
    return ""
