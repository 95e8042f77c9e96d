"""A connection of psycopg that does not wait for ever for an answer.

A network that passes nothing on (a half-open connection, a firewall that forgot it) gives no error:
the other side's system may go on confirming data while the server is out of reach. Loaded only
where a server is used.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import psycopg

from kb.database.deadlines import SILENCE_S, SLOW_S

log = logging.getLogger(__name__)


@dataclass
class Silence:
    """The last time at which a server was silent, for all connections to it."""

    at: float = -SILENCE_S  # of the monotonic clock

    def note(self) -> None:
        """Record that the server is silent now."""
        self.at = time.monotonic()

    @property
    def is_recent(self) -> bool:
        """True for some seconds after the last silence."""
        return time.monotonic() - self.at < SILENCE_S


class DeadlineConnection(psycopg.Connection[Any]):
    """A connection whose requests end after `answer_s` seconds; 0 waits for ever.

    `again_s`, if it is not 0, takes its place for some seconds after a silence.
    """

    answer_s: float = 0.0
    again_s: float = 0.0
    silence: Silence | None = None

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        """Wait for an answer. Raises OperationalError and closes the connection at the deadline."""
        if not self.answer_s:
            return super().wait(gen, *args, **kwargs)
        is_again = self.again_s and self.silence is not None and self.silence.is_recent
        limit_s = min(self.answer_s, self.again_s) if is_again else self.answer_s
        # A request that had less time than usual says nothing about the server: else one whose
        # requests take longer than that would be refused for as long as it is asked.
        silence = None if is_again else self.silence
        return super().wait(self._limited(gen, limit_s, silence), *args, **kwargs)

    def _limited(
        self, gen: Generator[Any, Any, Any], answer_s: float, silence: Silence | None
    ) -> Generator[Any, Any, Any]:
        began, is_told = time.monotonic(), False
        try:
            wanted = next(gen)
            while True:
                # psycopg resumes a waiting generator several times a second with no event.
                ready = yield wanted
                waited_s = time.monotonic() - began
                if not ready and waited_s >= SLOW_S and not is_told:
                    is_told = True
                    log.warning(
                        "The database server has not answered for %.0f s; waiting for it, %.0f s "
                        "at most.", waited_s, answer_s,
                    )  # fmt: skip
                if not ready and waited_s >= answer_s:
                    self.pgconn.finish()
                    if silence is not None:
                        silence.note()
                    raise psycopg.OperationalError(
                        f"the server closed the connection unexpectedly or is out of reach: "
                        f"no answer in {answer_s:g} s"
                    )
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value
