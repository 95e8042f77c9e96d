"""Threads of a worker that do not wait for each other: heartbeat, search for dead workers, work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from kb.errors import KBError

log = logging.getLogger(__name__)


class Repeated:
    """A thread that calls an action at an interval until the stop; an error is reported.

    The action has its own connection to the database, so that work that waits for a lock or for
    the network does not delay it.
    """

    def __init__(
        self,
        name: str,
        every_s: float,
        action: Callable[[], object],
        stop: threading.Event,
        report: Callable[[KBError], None],
    ) -> None:
        self._every_s = every_s
        self._action = action
        self._stop = stop
        self._report = report
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; the first call is made at once."""
        self._thread.start()

    def _run(self) -> None:
        while True:
            attempt(self._action, self._report)
            if self._stop.wait(self._every_s):
                return


def attempt(action: Callable[[], object], report: Callable[[KBError], None]) -> None:
    """Call an action; an error is reported and never ends the worker."""
    try:
        action()
    except KBError as error:
        # A locked database or a full disk is temporary; items wait as the retry policy decides.
        report(error)
    except Exception:
        log.exception("a chore of the worker failed")


class Background:
    """A function in a thread whose error is raised where its end is awaited."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._error = error

    def ended(self, within_s: float) -> bool:
        """Wait for the end; return False if it has not come. Raises the error of the function."""
        self._thread.join(within_s)
        if self._thread.is_alive():
            return False
        if self._error is not None:
            raise self._error
        return True
