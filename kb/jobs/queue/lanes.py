"""The lanes table: the paused lanes of work, with the end and the reason of each pause.

The items have a lane that all workers share, and one for each worker: trouble of one machine (its
folder is read-only, its disk is full) keeps only this machine from taking items.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from kb.database import Database, lanes
from kb.database.repeating import repeated
from kb.errors import StoredProblem
from kb.jobs.queue.workflow_ids import FOREVER
from kb.types.clock import SLACK_S, is_future


class LanePause(NamedTuple):
    """A pause: its end (epoch seconds) and its reason, in English and as code and values.

    `problem` has the next step of the reason too, as `hint`, if the pause was made with one.
    """

    until: float
    reason: str
    problem: StoredProblem | None = None

    @property
    def is_by_hand(self) -> bool:
        """True if it lasts until a person ends it."""
        return self.until >= FOREVER

    @property
    def hint(self) -> str:
        """The next step of the reason; empty if it is not known."""
        return str((self.problem or {}).get("hint", ""))


class LaneStore:
    """Reads and changes pauses. Every method raises LibraryError when the database fails."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @repeated
    def find_pause(self, lane: str, now: float) -> LanePause | None:
        """Return the end and the reason of a lane's pause; None if the lane is open."""
        with self.database.begin() as connection:
            row = connection.execute(sa.select(lanes).where(lanes.c.name == lane)).first()
        return None if row is None else _present_pause(row, now)

    @repeated
    def longest_pause(self, lanes_of_work: Sequence[str], now: float) -> LanePause | None:
        """Return the pause of several lanes that ends last; None if all are open."""
        with self.database.begin() as connection:
            query = sa.select(lanes).where(lanes.c.name.in_(lanes_of_work))
            rows = connection.execute(query).all()
        found = [pause for row in rows if (pause := _present_pause(row, now)) is not None]
        return max(found, key=lambda pause: pause.until, default=None)

    @repeated
    def pauses(self, now: float) -> list[tuple[str, LanePause]]:
        """Return name, end and reason of every paused lane."""
        c = lanes.c
        query = sa.select(c.name, c.paused_until, c.reason, c.problem).where(
            c.paused_until > now,
            sa.or_(c.paused_until >= FOREVER, c.updated_at <= now + SLACK_S),
        )
        with self.database.begin() as connection:
            return [
                (str(name), LanePause(float(until), str(reason), problem))
                for name, until, reason, problem in connection.execute(query.order_by(lanes.c.name))
            ]

    def pause(
        self,
        lane: str,
        until: float,
        reason: str,
        problem: StoredProblem | None = None,
        hint: str = "",
    ) -> None:
        """Pause a lane until a time, unless its present pause ends later.

        `hint` is the next step of the reason. A pause that was written in the future is unknown.
        """
        if problem and hint:
            problem = {**problem, "hint": hint}
        c = lanes.c
        unknown = sa.and_(c.paused_until < FOREVER, c.updated_at > self.database.time() + SLACK_S)
        ends_earlier = sa.or_(c.paused_until.is_(None), c.paused_until < until)
        self._write(lane, until, reason, problem, sa.or_(ends_earlier, unknown))

    def open(self, lane: str) -> None:
        """End the pause of a lane."""
        self._write(lane, None, "", None, sa.true())

    @repeated
    def _write(
        self,
        lane: str,
        until: float | None,
        reason: str,
        problem: StoredProblem | None,
        condition: sa.ColumnElement[bool],
    ) -> None:
        values = {
            "paused_until": until, "reason": reason, "problem": problem,
            "updated_at": self.database.time(),
        }  # fmt: skip
        change = sa.update(lanes).where(lanes.c.name == lane, condition)
        with self.database.begin() as connection:
            self.database.insert_if_missing(connection, lanes, name=lane)
            connection.execute(change.values(**values))


def _present_pause(row: sa.Row[Any], now: float) -> LanePause | None:
    if row.paused_until is None or row.paused_until <= now:
        return None
    if row.paused_until < FOREVER and is_future(row.updated_at, now):
        return None
    return LanePause(float(row.paused_until), str(row.reason), row.problem)
