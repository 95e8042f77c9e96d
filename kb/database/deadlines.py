"""Deadlines of connections to PostgreSQL: no statement may wait for ever.

Four things can be silent, and each has its own deadline: a server that does not accept the
connection, a lock that another session holds, a statement that takes long, and a network that
passes nothing on (only the client can notice this one). A session that is left in a transaction is
ended by the server, so that a frozen machine holds no locks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Deadlines in seconds; 0 is none.

    `answer_s` is the client's own: from the request to the end of the answer. `again_s` takes its
    place, and that of `connect_s`, for `SILENCE_S` after the server was silent: a command has
    several requests, and answers in the time of one. `pool` and `overflow`: connections that stay
    open, and those that are opened while they are needed.
    """

    connect_s: int
    lock_s: float
    statement_s: float
    idle_s: float
    answer_s: float
    pool: int
    overflow: int
    again_s: int = 0

    def settings(self) -> dict[str, str]:
        """Return the server's settings for a session, by name, in milliseconds."""
        return {
            "lock_timeout": _milliseconds(self.lock_s),
            "statement_timeout": _milliseconds(self.statement_s),
            "idle_in_transaction_session_timeout": _milliseconds(self.idle_s),
        }


SILENCE_S = 10.0
# A command or a page: an old connection that is silent (9 s) and two more requests (2 s each) stay
# below 15 s.
FACE = Deadlines(
    connect_s=5, lock_s=5, statement_s=8, idle_s=15, answer_s=9, pool=2, overflow=5, again_s=2
)
# The work of a worker may wait longer; other machines wait for its locks at most 15 s. Its
# transactions are short, so that dozens of items share a few connections.
WORKER = Deadlines(
    connect_s=5, lock_s=10, statement_s=25, idle_s=15, answer_s=30, pool=3, overflow=4
)
# The heartbeat and the search for dead workers, each with one connection of its own.
BEAT = Deadlines(connect_s=3, lock_s=2, statement_s=4, idle_s=5, answer_s=5, pool=1, overflow=0)
REAPER = replace(WORKER, pool=1, overflow=1)
# Changes of the schema, and moving a whole queue: a large table takes minutes. `SLOW_S` after a
# request they say that they wait.
LONG = Deadlines(
    connect_s=5, lock_s=10, statement_s=600, idle_s=0, answer_s=610, pool=2, overflow=2
)
# The first tables of an empty database are made at once. The transaction that holds the lock is
# idle while another connection of the same process makes them.
FIRST = replace(FACE, lock_s=8, idle_s=0)
SLOW_S = 10.0


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
