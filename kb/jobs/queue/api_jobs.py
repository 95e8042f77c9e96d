"""Jobs of programs over HTTP: each is a request for one or many items of the queue."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from kb.database import Database, api_jobs, items, notices
from kb.database.repeating import repeated
from kb.jobs.queue.item_states import (
    CANCELLED,
    DISMISSED,
    DONE,
    FAILED,
    HELD,
    PAUSED,
    QUEUED,
    RUNNING,
    WAITING,
)

KEYS_KEPT_S = 86_400.0  # time for which an idempotency key stands for its job
GONE = "gone"  # every item of the job was removed
_UNDER_WAY = (RUNNING, QUEUED, WAITING, PAUSED)
_ROWS_AT_ONCE = 500
_ID = re.compile(r"job_[0-9a-f]{24}")


@dataclass(frozen=True, slots=True)
class ApiJob:
    """A job; see `kb.database.tables.api_jobs`. Times in seconds since the epoch."""

    id: str
    caller: str
    idempotency_key: str | None
    asked: str
    reference: str
    own: tuple[str, ...]
    known: tuple[str, ...]
    webhook: str | None
    created_at: float
    cancelled_at: float | None = None
    noticed_at: float | None = None
    charge_day: str | None = None
    charged_s: float | None = None
    settled_at: float | None = None

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The ids of all items of the job."""
        return tuple(dict.fromkeys((*self.own, *self.known)))

    def state(self, states: Collection[str]) -> str:
        """Return the state of the job whose items have these states.

        Of a cancelled job, what is still under way belongs to others.
        """
        found = job_state(states)
        return CANCELLED if self.cancelled_at is not None and is_under_way(found) else found


def job_state(states: Collection[str]) -> str:
    """Return the state of a job whose items have these states.

    It is under way until all have ended; then the worst end counts: failed, held, cancelled, done.
    """
    if not states:
        return GONE
    if RUNNING in states or (QUEUED in states and set(states) & {DONE, HELD, FAILED}):
        return RUNNING
    for state in (QUEUED, WAITING, PAUSED, FAILED, HELD):
        if state in states:
            return state
    return CANCELLED if set(states) & {CANCELLED, DISMISSED} else DONE


def is_under_way(state: str) -> bool:
    """Return True for the state of a job that has not ended."""
    return state in _UNDER_WAY


@dataclass(frozen=True, slots=True)
class ItemSound:
    """The length of an item, None if it is not known yet, and what became of it.

    A failed item whose cause can pass is `tried_again` later.
    """

    duration_s: float | None
    under_way: bool
    was_read: bool
    tried_again: bool


class ApiJobs:
    """The jobs in a database. Every method raises LibraryError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        caller: str,
        asked: str,
        reference: str,
        own: Sequence[str],
        known: Sequence[str],
        *,
        idempotency_key: str | None = None,
        webhook: str | None = None,
    ) -> ApiJob:
        """Record a job; if another request has taken the idempotency key meanwhile, return its."""
        values: dict[str, Any] = {
            "id": f"job_{secrets.token_hex(12)}",
            "caller": caller,
            "idempotency_key": idempotency_key,
            "asked": asked,
            "reference": reference,
            "own": list(own),
            "known": list(known),
            "webhook": webhook,
            "created_at": self._database.time(),
        }
        try:
            with self._database.begin() as connection:
                connection.execute(sa.insert(api_jobs).values(**values))
        except IntegrityError:
            found = self.with_key(caller, idempotency_key or "")
            if found is None:
                raise
            return found
        return _job(values)

    def get(self, caller: str, job_id: str) -> ApiJob | None:
        """Return a job of this caller; None if there is none, or the id has another form."""
        if not _ID.fullmatch(job_id):
            return None  # PostgreSQL takes no NUL
        return self._first(api_jobs.c.id == job_id, api_jobs.c.caller == caller)

    @repeated
    def with_key(self, caller: str, idempotency_key: str) -> ApiJob | None:
        """Return the job of an idempotency key; a key of yesterday is free again."""
        c = api_jobs.c
        mine = sa.and_(c.caller == caller, c.idempotency_key == idempotency_key)
        with self._database.begin() as connection:
            old = self._database.time(connection) - KEYS_KEPT_S
            expired = sa.update(api_jobs).where(mine, c.created_at < old)
            connection.execute(expired.values(idempotency_key=None))
            row = connection.execute(sa.select(api_jobs).where(mine)).mappings().first()
        return _job(row) if row is not None else None

    def same(self, caller: str, asked: str) -> ApiJob | None:
        """Return the newest job of the last day with an equal request that was not cancelled."""
        c = api_jobs.c
        since = self._database.time() - KEYS_KEPT_S
        return self._first(
            c.caller == caller, c.asked == asked, c.cancelled_at.is_(None), c.created_at >= since
        )

    @repeated
    def page(self, caller: str, limit: int, before: ApiJob | None = None) -> list[ApiJob]:
        """Return jobs of a caller, newest first, those before a job."""
        c = api_jobs.c
        query = sa.select(api_jobs).where(c.caller == caller)
        if before is not None:
            earlier = sa.and_(c.created_at == before.created_at, c.id < before.id)
            query = query.where(sa.or_(c.created_at < before.created_at, earlier))
        query = query.order_by(c.created_at.desc(), c.id.desc()).limit(limit)
        with self._database.begin() as connection:
            return [_job(row) for row in connection.execute(query).mappings()]

    @repeated
    def cancel(self, job: ApiJob) -> tuple[str, ...]:
        """Record the cancellation; return the job's own items that no other job waits for."""
        c = api_jobs.c
        with self._database.begin() as connection:
            now = self._database.time(connection)
            change = sa.update(api_jobs).where(c.id == job.id, c.cancelled_at.is_(None))
            connection.execute(change.values(cancelled_at=now))
            others = sa.select(c.own, c.known).where(
                c.cancelled_at.is_(None), c.noticed_at.is_(None), c.id != job.id
            )
            wanted = {each for own, known in connection.execute(others) for each in (*own, *known)}
        return tuple(each for each in job.own if each not in wanted)

    @repeated
    def without_notice(self) -> list[ApiJob]:
        """Return the jobs whose webhook has not been given a notice."""
        c = api_jobs.c
        query = sa.select(api_jobs).where(c.webhook.is_not(None), c.noticed_at.is_(None))
        with self._database.begin() as connection:
            return [_job(row) for row in connection.execute(query).mappings()]

    @repeated
    def states(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the states of items by id, without those that were removed."""
        found: dict[str, str] = {}
        with self._database.begin() as connection:
            for first in range(0, len(ids), _ROWS_AT_ONCE):
                part = ids[first : first + _ROWS_AT_ONCE]
                query = sa.select(items.c.id, items.c.state).where(items.c.id.in_(part))
                found |= {row.id: row.state for row in connection.execute(query)}
        return found

    @repeated
    def unsettled(self) -> list[ApiJob]:
        """Return the jobs whose sound is counted by its expected length."""
        c = api_jobs.c
        query = sa.select(api_jobs).where(c.charge_day.is_not(None), c.settled_at.is_(None))
        with self._database.begin() as connection:
            return [_job(row) for row in connection.execute(query).mappings()]

    @repeated
    def sounds(self, ids: Sequence[str]) -> dict[str, ItemSound]:
        """Return the sound of items by id, without those that were removed."""
        c = items.c
        columns = (c.id, c.state, c.duration_s, c.wait_until)
        found: dict[str, ItemSound] = {}
        with self._database.begin() as connection:
            for first in range(0, len(ids), _ROWS_AT_ONCE):
                query = sa.select(*columns).where(c.id.in_(ids[first : first + _ROWS_AT_ONCE]))
                for row in connection.execute(query):
                    found[row.id] = ItemSound(
                        row.duration_s,
                        under_way=row.state in _UNDER_WAY,
                        was_read=row.state in (DONE, HELD),
                        tried_again=row.state == FAILED and row.wait_until is not None,
                    )
        return found

    @repeated
    def delete_older(self, seconds: float) -> None:
        """Delete the jobs and notices that are older than this."""
        with self._database.begin() as connection:
            old = self._database.time(connection) - seconds
            for table in (api_jobs, notices):
                connection.execute(sa.delete(table).where(table.c.created_at < old))

    @repeated
    def _first(self, *conditions: sa.ColumnElement[bool]) -> ApiJob | None:
        query = sa.select(api_jobs).where(*conditions).order_by(api_jobs.c.created_at.desc())
        with self._database.begin() as connection:
            row = connection.execute(query.limit(1)).mappings().first()
        return _job(row) if row is not None else None


def _job(row: Any) -> ApiJob:
    values = dict(row)
    return ApiJob(**{**values, "own": tuple(values["own"]), "known": tuple(values["known"])})
