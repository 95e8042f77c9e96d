"""The one way to a model's files: complete ones on this machine, else a fetch."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from kb.errors import ModelUnavailable
from kb.hub import cache, fetch_state, records
from kb.hub.client import Deadlines, HubClient, HubFile, endpoint, is_offline
from kb.hub.conduct import Conduct
from kb.hub.errors import PassingTrouble
from kb.hub.fetch import Fetch
from kb.hub.fetch_progress import Report
from kb.hub.kind import ModelKind
from kb.hub.records import ReadyRecord, RecordedFile
from kb.storage.free_space import size_text

# One quick request: at the first use of a model that another program has fetched, and for the size
# of one that a run announces.
_QUICK = Deadlines(connect_s=3.0, answer_s=3.0, stall_s=3.0, listing_s=3.0)
_LISTED_WITHIN_S = 3.0
_ASK_AGAIN_S = 300.0  # after a hub that did not answer
_listed_sizes: dict[tuple[str, str], tuple[int, float]] = {}
_NAMED_BY_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def known_ready(repository: str) -> ReadyRecord | None:
    """Return the record of a complete model, without a request; None if it is not complete.

    Files with other times than recorded are compared by their digest.
    """
    place = cache.repository_folder(repository)
    record = records.read(place)
    if record is None:
        return None
    if records.is_current(record):
        return record
    if records.changed_files(record):
        return None
    with suppress(OSError):
        record = records.refreshed(record)
        records.write(place, record)
    return record


def ready(
    repository: str,
    kind: ModelKind,
    *,
    again: bool = False,
    report: Report = lambda state: None,
    cancelled: Callable[[], bool] = lambda: False,
    conduct: Conduct | None = None,
) -> ReadyRecord:
    """Return the record of a complete model; what is missing or damaged is fetched.

    With `again`, the hub's present files are compared with those here and fetched where they
    differ. Raises ModelUnavailable and Cancelled.
    """
    place = cache.repository_folder(repository)
    damaged: tuple[str, ...] = ()
    if not again:
        record = known_ready(repository) or adopt(repository, kind)
        if record is not None:
            return record
        damaged = _damaged(place)
    snapshot = cache.current_snapshot(repository)
    # The commit that is here, so that a newer one is not mixed into it.
    revision = snapshot.name if snapshot is not None and not again else "main"
    fetch = Fetch(
        repository,
        kind,
        revision=revision,
        report=report,
        cancelled=cancelled,
        conduct=conduct,
    )
    try:
        return fetch.run(lambda: None if again else known_ready(repository))
    except ModelUnavailable as error:
        if error.code == "model.not_on_hub" and revision != "main":
            return ready(repository, kind, again=True, report=report, cancelled=cancelled,
                         conduct=conduct)  # fmt: skip
        if damaged and error.retryable:
            raise _files_damaged(repository, damaged, error) from error
        raise


def adopt(repository: str, kind: ModelKind) -> ReadyRecord | None:
    """Verify a model that another program has fetched, and record it; None if it is not complete.

    A blob's name is its digest. The hub is asked once which files belong to the commit, if it can
    be reached within seconds.
    """
    snapshot = cache.current_snapshot(repository)
    if snapshot is None or kind.missing(snapshot):
        return None
    listed = _listed(repository, snapshot.name, kind)
    if listed is None:
        return None
    entries: dict[str, RecordedFile] = {}
    try:
        for file in listed:
            path = snapshot / file.name
            if not path.is_file() or (file.size >= 0 and path.stat().st_size != file.size):
                return None
            sha256 = cache.has_digest(path, file.digest) if file.digest else cache.digests(path)[0]
            if not sha256:
                return None
            entries[file.name] = records.recorded(path, file.digest, sha256)
    except OSError:
        return None
    record = ReadyRecord(repository, snapshot.name, snapshot, entries, time.time())
    records.write(cache.repository_folder(repository), record)
    return record


def listed_size(repository: str, kind: ModelKind) -> int:
    """Return the bytes that a fetch takes by the hub's list of files, 0 if that is unknown.

    The hub is asked once, for three seconds at most, and after a failure not for five minutes.
    """
    key = (endpoint(), repository)
    size, at = _listed_sizes.get(key, (0, -math.inf))
    if size or time.monotonic() - at < _ASK_AGAIN_S:
        return size
    found: list[int] = []

    def ask() -> None:
        client = HubClient(_QUICK)
        try:
            files = kind.choose(repository, client.listing(repository).files)
            found.append(sum(file.size for file in files))
        except (PassingTrouble, ModelUnavailable):
            pass
        finally:
            client.close()

    asking = threading.Thread(target=ask, daemon=True, name="listed-size")
    asking.start()
    asking.join(_LISTED_WITHIN_S)
    size = found[0] if found else 0
    _listed_sizes[key] = (size, time.monotonic())
    return size


def verify(
    repository: str, moved: Callable[[int, int], None] = lambda done, size: None
) -> tuple[ReadyRecord | None, tuple[str, ...]]:
    """Read all files of a recorded model; return its record and the damaged files.

    The record of a model with damaged files says so, and the next use fetches them.
    """
    place = cache.repository_folder(repository)
    record = records.read(place)
    if record is None:
        return None, ()
    done, size = 0, record.size

    def add(count: int) -> None:
        nonlocal done
        done += count
        moved(done, size)

    damaged = records.changed_files(record, every=True, moved=add)
    if damaged:
        records.write(place, records.with_damage(record, damaged))
    else:
        with suppress(OSError):
            record = records.refreshed(record)
            records.write(place, record)
    return record, damaged


@dataclass(frozen=True, slots=True)
class Removal:
    """The result of a removal, in bytes: `removed`, and `left` of other programs' files."""

    removed: int
    left: int


def remove(repository: str, *, shared: bool = False) -> Removal:
    """Remove a model, its parts and its record from this machine.

    Files that another program has fetched stay, unless `shared` says that they go, too. Raises
    ModelUnavailable for a model of another program without `shared`, and if its files cannot be
    removed.
    """
    place = cache.repository_folder(repository)
    fetch_state.request(place, "cancel")
    lock = fetch_state.fetch_lock(place)
    try:
        records.state_folder().mkdir(parents=True, exist_ok=True)
        with lock.acquire(timeout=10):
            record = records.read(place)
            if shared:
                found = Removal(cache.remove(repository), 0)
            elif record is not None and record.fetched:
                found = Removal(cache.remove_files(repository, record.commit, record.files), 0)
            elif cache.current_snapshot(repository) is not None:
                raise _of_others(repository, place)
            else:  # the parts of a fetch
                found = Removal(cache.discard_parts(repository), 0)
            cache.remove_empty(repository)
            records.forget(place)
            fetch_state.forget_state(place)
            found = replace(found, left=cache.size_of(repository))
    except OSError as error:  # filelock's Timeout is one
        raise ModelUnavailable(
            "model.not_removed",
            "Model {name} cannot be removed from {folder}: {cause}",
            hint="Stop the programs that use it, then try again.",
            name=repository,
            folder=place,
            cause=error.strerror or error,
        ) from error
    finally:
        fetch_state.request(place, "")
    return found


def _of_others(repository: str, place: Path) -> ModelUnavailable:
    return ModelUnavailable(
        "model.shared",
        "Model {name} in {folder} was fetched by another program, which may still use it ({size}).",
        hint="Remove it for all programs with: kb models remove {name} --shared",
        name=repository,
        folder=place,
        size=size_text(cache.size_of(repository)),
    )


def _listed(repository: str, commit: str, kind: ModelKind) -> list[HubFile] | None:
    """Return the files of a commit that is here, by the hub or else by the names of the blobs.

    None if the hub lists a file that is not here.
    """
    if not is_offline():
        client = HubClient(_QUICK)
        try:
            files = kind.choose(repository, client.listing(repository, commit).files)
        except (PassingTrouble, ModelUnavailable):
            pass
        else:
            folder = cache.repository_folder(repository) / "snapshots" / commit
            return files if all((folder / file.name).is_file() for file in files) else None
        finally:
            client.close()
    return kind.choose(repository, _by_blobs(repository, commit))


def _by_blobs(repository: str, commit: str) -> list[HubFile]:
    """Return the files of a snapshot; without a link, a file's digest is unknown and empty."""
    snapshot = cache.repository_folder(repository) / "snapshots" / commit
    found = []
    for path in sorted(snapshot.rglob("*")):
        if not path.is_file():
            continue
        blob = path.readlink().name if path.is_symlink() else ""
        digest = blob if _NAMED_BY_DIGEST.fullmatch(blob) else ""
        name = path.relative_to(snapshot).as_posix()
        found.append(HubFile(name, path.stat().st_size, digest))
    return found


def _damaged(place: Path) -> tuple[str, ...]:
    record = records.read(place)
    return records.changed_files(record) if record is not None else ()


def _files_damaged(
    repository: str, damaged: Sequence[str], cause: ModelUnavailable
) -> ModelUnavailable:
    error = ModelUnavailable(
        "model.files_damaged",
        "Model {name}: {files} on this machine is damaged, and cannot be fetched now: {cause}",
        hint="{cause.hint}",
        retryable=True,
        name=repository,
        files=", ".join(damaged),
        cause=cause,
    )
    error.until = cause.until
    return error
