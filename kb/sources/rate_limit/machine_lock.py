"""One gate for the downloads of all libraries on this machine.

The lane's moments (`kb.sources.rate_limit.download_lane`) lie in a library's database. Two
libraries of one analyst would begin twice as many downloads from one address, so the latest moment
is also noted in a small file that all of them share.
"""

from __future__ import annotations

import getpass
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)

LOCK_WAIT_S = 10.0


class MachineWideLock:
    """When the next download on this machine may begin, in epoch seconds.

    A temporary folder that cannot be used closes nothing: each library then keeps its own pace.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = (folder or Path(tempfile.gettempdir())) / f"kb-ingest-{_user()}.pace"

    @contextmanager
    def acquire(self) -> Iterator[None]:
        """Nobody else looks or takes meanwhile."""
        lock = FileLock(f"{self._file}.lock", timeout=LOCK_WAIT_S)
        try:
            lock.acquire()
        except (OSError, Timeout, NotImplementedError) as error:
            log.debug("no gate for the machine's downloads: %s", error)
            yield
            return
        try:
            yield
        finally:
            lock.release()

    def next_at(self) -> float:
        """The next free moment; 0.0 when none was taken yet."""
        try:
            return float(self._file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0.0

    def set_next_at(self, until: float) -> None:
        """The next one has to wait until then."""
        try:
            self._file.write_text(repr(until), encoding="ascii")
        except OSError as error:
            log.debug("the machine's pace cannot be noted: %s", error)


def _user() -> str:
    try:
        return "".join(c for c in getpass.getuser() if c.isalnum()) or "user"
    except (OSError, KeyError):  # an account without a name, as in some containers
        return "user"
