"""Looks at followed references: one record for each attempt, and the last hundred are kept.

A record is written before the first request, so that a look that was killed has one too: it stays
open until the next start of a worker closes it as interrupted. Looks that have ended are copied to
the library's files (`kb.sources.saved_looks`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from kb.database import Database, looks
from kb.database.repeating import repeated
from kb.errors import KBError, StoredProblem
from kb.library import Library
from kb.sources import saved_looks
from kb.sources.listing.listing import Listing

KEPT = 100  # looks at one subscription
# Younger ones are kept, too: a weekly digest counts those of the last whole week, and an hourly
# look is made 168 times in it.
COUNTED_S = 14 * 86_400.0
_AT_ONCE = 20_000  # numbers in one statement; SQLite allows 32,766 parameters


class LookKind(StrEnum):
    """The part of the source that a look reads."""

    QUICK = "quick"  # the newest entries
    WHOLE = "whole"  # every entry


class LookOutcome(StrEnum):
    """The end of a look; the values are stored."""

    RUNNING = ""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    WAITING = "waiting"  # tried again by itself at `next_at`
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"  # its worker was killed or stopped


ENDED = (LookOutcome.SUCCEEDED, LookOutcome.FAILED, LookOutcome.WAITING)


@dataclass(frozen=True, slots=True)
class Look:
    """One look; times in epoch seconds, `units` in units of the service's quota.

    `listed` is the number of entries read: `found` of them are new, `known` were there before,
    `filtered` are left out by the filters, `unavailable` cannot be fetched. `queued` items were put
    on the queue for the first time, `retried` ones again. `reported` is the service's own count,
    None if it gives none. `next_at` is the time of the next try, None if there is none.
    """

    id: int
    subscription: str
    kind: str
    executor: str
    started_at: float
    ended_at: float | None
    outcome: str
    via: str
    reported: int | None
    listed: int
    units: int
    found: int
    known: int
    filtered: int
    unavailable: int
    queued: int
    retried: int
    error: str
    hint: str
    problem: StoredProblem | None
    next_at: float | None


class OpenLook:
    """The record of a look that runs; facts are collected and written by `save` and `end`."""

    def __init__(
        self,
        database: Database,
        look_id: int,
        clock: Callable[[], float],
        on_end: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.id = look_id
        self._database = database
        self._clock = clock
        self._on_end = on_end
        self._facts: dict[str, Any] = {}

    def note(self, **facts: Any) -> None:
        """Collect facts: columns of the table and their values."""
        self._facts |= facts

    def count(self, **numbers: int) -> None:
        """Add to the collected numbers, such as `queued`."""
        for name, number in numbers.items():
            self._facts[name] = self._facts.get(name, 0) + number

    def note_listing(self, listing: Listing) -> None:
        """Collect the state of a listing."""
        report = listing.report
        self.note(
            kind=LookKind.WHOLE if report.complete else LookKind.QUICK,
            via=report.via,
            reported=report.reported,
            listed=report.listed,
            units=report.units,
            known=listing.skipped,
            filtered=listing.rejected,
            unavailable=report.unavailable,
        )

    def save(self) -> None:
        """Write the collected facts. Raises LibraryError."""
        if self._facts:
            self._write(self._facts)

    def end(
        self, outcome: LookOutcome, *, error: KBError | None = None, next_at: float | None = None
    ) -> None:
        """Write the facts and the end; `error` is the cause of a look that did not succeed.

        A successful look may have an error to report, such as a name that leads elsewhere.
        Raises LibraryError.
        """
        cause = error.record() if error is not None else {}
        if self._write(
            {
                **self._facts,
                **cause,
                "outcome": outcome,
                "next_at": next_at,
                "ended_at": self._clock(),
            }
        ):
            self._on_end(self.id)

    @repeated
    def _write(self, values: Mapping[str, Any]) -> bool:
        """Write facts; return False if the look was closed meanwhile."""
        with self._database.begin() as connection:
            change = sa.update(looks).where(looks.c.id == self.id, looks.c.ended_at.is_(None))
            return bool(connection.execute(change.values(**values)).rowcount)


class Looks:
    """The looks of one library. Methods raise LibraryError when the database cannot be used.

    With a `library`, looks that end are copied to its files. `clock` returns epoch seconds;
    without one the database's clock counts.
    """

    def __init__(
        self,
        database: Database,
        library: Library | None = None,
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._database = database
        self._library = library
        self._clock = clock or database.time

    def begin(
        self, subscription: str, executor: str = "", kind: LookKind = LookKind.QUICK
    ) -> OpenLook:
        """Record the start of a look; `subscription` is a key, `executor` the worker's name.

        An open record of the same subscription is closed: its worker did not end it.
        """
        made, interrupted = self._begin(subscription, executor, kind)
        self._save(interrupted)
        return OpenLook(self._database, made, self._clock, lambda number: self._save([number]))

    @repeated
    def _begin(self, subscription: str, executor: str, kind: LookKind) -> tuple[int, Sequence[int]]:
        now = self._clock()
        with self._database.begin() as connection:
            closed = self._interrupt(connection, looks.c.subscription == subscription, now)
            made = connection.execute(
                sa.insert(looks)
                .values(subscription=subscription, executor=executor, kind=kind, started_at=now)
                .returning(looks.c.id)
            ).scalar_one()
            own = sa.select(looks.c.id).where(looks.c.subscription == subscription)
            oldest_kept = own.order_by(looks.c.id.desc()).limit(1).offset(KEPT - 1)
            if (least := connection.scalar(oldest_kept)) is not None:
                connection.execute(
                    sa.delete(looks).where(
                        looks.c.subscription == subscription,
                        looks.c.id < least,
                        sa.not_(looks.c.started_at.between(now - COUNTED_S, now)),
                    )
                )
        return int(made), closed

    def close_open(self, executor: str) -> int:
        """Close the open looks of a worker that is gone as interrupted; return their number."""
        closed = self._close_open(executor)
        self._save(closed)
        return len(closed)

    @repeated
    def _close_open(self, executor: str) -> Sequence[int]:
        now = self._clock()
        with self._database.begin() as connection:
            return self._interrupt(connection, looks.c.executor == executor, now)

    def _interrupt(
        self, connection: sa.Connection, where: sa.ColumnElement[bool], now: float
    ) -> Sequence[int]:
        """Close open looks; return their numbers."""
        change = sa.update(looks).where(where, looks.c.ended_at.is_(None))
        ended = change.values(ended_at=now, outcome=LookOutcome.INTERRUPTED)
        return [int(number) for number in connection.scalars(ended.returning(looks.c.id))]

    def _save(self, numbers: Sequence[int]) -> None:
        """Copy looks that have ended to the library's files."""
        if self._library is not None and numbers:
            saved_looks.append(self._library, map(_columns, self.numbered(numbers)))

    @repeated
    def history(self, subscription: str, limit: int = KEPT) -> tuple[Look, ...]:
        """Return the looks at a subscription (its key), the newest first."""
        query = (
            sa.select(looks)
            .where(looks.c.subscription == subscription)
            .order_by(looks.c.id.desc())
            .limit(limit)
        )
        with self._database.begin() as connection:
            return tuple(Look(**row) for row in connection.execute(query).mappings())

    @repeated
    def since(self, moment: float) -> tuple[Look, ...]:
        """Return all looks that began at this time (epoch seconds) or later, the oldest first."""
        query = sa.select(looks).where(looks.c.started_at >= moment).order_by(looks.c.id)
        with self._database.begin() as connection:
            return tuple(Look(**row) for row in connection.execute(query).mappings())

    @repeated
    def times(self) -> list[tuple[int, float]]:
        """Return number and start (epoch seconds) of all looks, in the order of their numbers."""
        query = sa.select(looks.c.id, looks.c.started_at).order_by(looks.c.id)
        with self._database.begin() as connection:
            return [(int(number), float(at)) for number, at in connection.execute(query)]

    @repeated
    def numbered(self, numbers: Collection[int]) -> list[Look]:
        """Return the looks with these numbers, the oldest first."""
        with self._database.begin() as connection:
            return [
                Look(**row)
                for part in _parts(sorted(numbers))
                for row in connection.execute(
                    sa.select(looks).where(looks.c.id.in_(part)).order_by(looks.c.id)
                ).mappings()
            ]

    def ended(self) -> dict[str, Look]:
        """Return the newest look at each subscription that came to an end, by key.

        One that was interrupted did not: it goes on with the next start of a worker. Nor did one
        that was cancelled.
        """
        ended = sa.and_(looks.c.ended_at.is_not(None), looks.c.outcome.in_(ENDED))
        newest = sa.select(sa.func.max(looks.c.id)).where(ended).group_by(looks.c.subscription)
        return self._by_key(newest)

    def open(self) -> dict[str, Look]:
        """Return the look at each subscription that has not ended, by key."""
        return self._by_key(sa.select(looks.c.id).where(looks.c.ended_at.is_(None)))

    @repeated
    def _by_key(self, ids: sa.Select[Any]) -> dict[str, Look]:
        with self._database.begin() as connection:
            rows = connection.execute(sa.select(looks).where(looks.c.id.in_(ids))).mappings()
            return {str(row["subscription"]): Look(**row) for row in rows}


def _columns(look: Look) -> dict[str, Any]:
    return {each.name: getattr(look, each.name) for each in fields(look)}


def _parts(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), _AT_ONCE):
        yield numbers[start : start + _AT_ONCE]
