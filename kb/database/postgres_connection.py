"""A connection of psycopg that does not wait for ever for an answer.

A network that passes nothing on (a half-open connection, a firewall that forgot it) gives no error:
the other side's system may go on confirming data while the server is out of reach. Loaded only
where a server is used.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import psycopg


class DeadlineConnection(psycopg.Connection[Any]):
    """A connection whose requests end after `answer_s` seconds; 0 waits for ever."""

    answer_s: float = 0.0

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        """Wait for an answer. Raises OperationalError and closes the connection at the deadline."""
        if not self.answer_s:
            return super().wait(gen, *args, **kwargs)
        return super().wait(self._limited(gen, self.answer_s), *args, **kwargs)

    def _limited(self, gen: Generator[Any, Any, Any], answer_s: float) -> Generator[Any, Any, Any]:
        ends_at = time.monotonic() + answer_s
        try:
            wanted = next(gen)
            while True:
                # psycopg resumes a waiting generator several times a second with no event.
                ready = yield wanted
                if not ready and time.monotonic() >= ends_at:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(
                        f"the server closed the connection unexpectedly or is out of reach: "
                        f"no answer in {answer_s:g} s"
                    )
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value
