"""Unfinished items and publications, grouped by the reason for which they wait or failed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from kb.database import Database, deliveries, items, list_entries
from kb.database.repeating import repeated
from kb.errors import StoredProblem
from kb.jobs.queue.item_states import (
    DONE,
    FAILED,
    HELD,
    PAUSED,
    QUEUED,
    RUNNING,
    WAITING,
    effective_state,
    is_look,
    next_try_at,
)
from kb.jobs.queue.order import SOURCE
from kb.jobs.queue.workflow_ids import LISTING

MISSING = (FAILED, WAITING, PAUSED, HELD)


@dataclass(frozen=True, slots=True)
class Reason:
    """Items in one state for one reason: `error` and `hint` are those of the `example` title.

    `next_at` is the earliest next try in epoch seconds, None if there is none.
    """

    state: str
    count: int
    example: str
    error: str
    hint: str
    problem: StoredProblem | None
    next_at: float | None


@dataclass(frozen=True, slots=True)
class MissingItem:
    """An item of a followed reference without a transcript, or held, and the cause.

    `attempts` is the number of tries, `failing_since` the time of the first failure.
    """

    id: str
    title: str
    state: str
    error: str
    hint: str
    problem: StoredProblem | None
    next_at: float | None
    attempts: int = 0
    failing_since: float | None = None


@repeated
def item_reasons(database: Database, live_workers: Collection[str] | None) -> list[Reason]:
    """Return the reasons of items that wait, failed, are paused or held, the largest first.

    Items whose errors have the same code have the same reason. The state of a listing is `listing
    failed` and so on, because it is no item. Looks at followed references are left out: they have a
    state of their own. Raises LibraryError.
    """
    c = items.c
    state = effective_state(live_workers)
    named = sa.case((c.source == LISTING, sa.literal("listing ").concat(state)), else_=state)
    query = sa.select(
        named, c.title, c.error, c.hint, c.problem, next_try_at(database.time())
    ).where(state.in_(MISSING), sa.not_(is_look()))
    with database.begin() as connection:
        return _grouped(connection.execute(query.order_by(c.updated_at.desc())).all())


@repeated
def publication_reasons(database: Database, local: Collection[str] = ("local",)) -> list[Reason]:
    """Return the reasons of publications that failed or wait; `state` is `odin failed`."""
    c = deliveries.c
    query = (
        sa.select(
            c.sink.concat(" ").concat(c.status), items.c.title, c.error, c.hint, c.problem, c.due_at
        )
        .join_from(deliveries, items, items.c.id == c.item_id, isouter=True)
        .where(c.status.in_((FAILED, WAITING)), c.sink.not_in(list(local)), c.error != "")
    )
    with database.begin() as connection:
        return _grouped(connection.execute(query).all())


def _grouped(rows: Iterable[Any]) -> list[Reason]:
    """Group rows of state, title, error, hint, problem and time of the next try."""
    groups: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        code = (row[4] or {}).get("code") or row[2]
        groups.setdefault((str(row[0]), str(code)), []).append(row)
    found = [
        Reason(
            state=state,
            count=len(rows),
            example=rows[0][1] or "",
            error=rows[0][2],
            hint=rows[0][3],
            problem=rows[0][4],
            next_at=min((row[5] for row in rows if row[5] is not None), default=None),
        )
        for (state, _), rows in groups.items()
    ]
    return sorted(found, key=lambda each: -each.count)


Live = Collection[str] | None
"""The names of the live workers; the running items of others count as queued."""


@repeated
def counts_by_channel(database: Database, live_workers: Live = None) -> dict[str, dict[str, int]]:
    """Return the numbers of items in each state, by the lasting id of their channel.

    Items of a channel's list whose own metadata has no channel are among them.
    """
    channel = items.c.item["extra"]["channel_id"].as_string()
    state = effective_state(live_workers).label("shown")
    by_item = (
        sa.select(channel.label("channel_id"), state, sa.func.count())
        .where(items.c.source != LISTING, channel.is_not(None))
        # By its label: PostgreSQL takes the same expression with other parameters for another one.
        .group_by("channel_id", "shown")
    )
    e = list_entries.c
    by_list = (
        sa.select(e.list_id, state, sa.func.count())
        .join_from(list_entries, items, items.c.id == e.item_id)
        .where(e.gone.is_(False), e.list_id.startswith("UU"), channel.is_(None))
        .group_by(e.list_id, "shown")
    )
    found: dict[str, dict[str, int]] = {}
    with database.begin() as connection:
        rows = [*connection.execute(by_item)]
        rows += [(f"UC{name[2:]}", *more) for name, *more in connection.execute(by_list)]
    for channel_id, shown, count in rows:
        own = found.setdefault(str(channel_id), {})
        own[str(shown)] = own.get(str(shown), 0) + int(count)
    return found


@repeated
def missing_by_channel(
    database: Database, live_workers: Live = None
) -> dict[str, list[MissingItem]]:
    """Return the items that wait, failed, are held or tried again, by the id of their channel.

    Items of a channel's list whose own metadata has no channel are among them.
    """
    c, e = items.c, list_entries.c
    channel = c.item["extra"]["channel_id"].as_string()
    by_item = (
        sa.select(channel, *_missing_columns(live_workers, database.time()))
        .where(c.source != LISTING, _is_missing(live_workers), channel.is_not(None))
        .order_by(c.published.desc(), c.id)
    )
    by_list = (
        sa.select(e.list_id, *_missing_columns(live_workers, database.time()))
        .join_from(list_entries, items, c.id == e.item_id)
        .where(e.gone.is_(False), e.list_id.startswith("UU"), channel.is_(None))
        .where(_is_missing(live_workers))
        .order_by(c.published.desc(), c.id)
    )
    with database.begin() as connection:
        rows = [*connection.execute(by_item)]
        rows += [(f"UC{name[2:]}", *more) for name, *more in connection.execute(by_list)]
    found: dict[str, list[MissingItem]] = {}
    for channel_id, *values in rows:
        found.setdefault(str(channel_id), []).append(MissingItem(*values))
    return found


def _missing_columns(live_workers: Live, now: float) -> tuple[sa.ColumnElement[Any], ...]:
    c = items.c
    shown = effective_state(live_workers)
    return (
        c.id, c.title, shown, c.error, c.hint, c.problem, next_try_at(now), c.attempts,
        c.failing_since,
    )  # fmt: skip


def _is_missing(live_workers: Live) -> sa.ColumnElement[bool]:
    """Return the condition of items that wait, failed, are paused or held, or are tried again."""
    again = sa.and_(items.c.state.in_((QUEUED, RUNNING)), items.c.serial > 1)
    return sa.or_(effective_state(live_workers).in_(MISSING), again)


def below(place: str) -> sa.ColumnElement[bool]:
    """Return the condition of items that are files below a folder."""
    c = items.c
    named = (c.reference.startswith(place.rstrip("/\\") + mark, autoescape=True) for mark in "/\\")
    return sa.and_(c.source == "file", sa.or_(c.reference == place, *named))


def asked_by(keys: Collection[str], lists: Collection[str] = ()) -> sa.ColumnElement[bool]:
    """Return the condition of items that a subscription with one of these keys asked for.

    The items of its known lists are among them, also those that another one asked for.
    """
    listed = sa.select(list_entries.c.item_id).where(list_entries.c.list_id.in_(sorted(lists)))
    asked = items.c.options[SOURCE].as_string().in_(sorted(keys))
    return sa.and_(items.c.source != LISTING, sa.or_(asked, items.c.id.in_(listed)))


@repeated
def counts_of(
    database: Database, condition: sa.ColumnElement[bool], live_workers: Live = None
) -> dict[str, int]:
    """Return the numbers of items in each state that meet a condition."""
    state = effective_state(live_workers).label("shown")
    query = sa.select(state, sa.func.count()).where(condition).group_by("shown")
    with database.begin() as connection:
        return {str(state): int(count) for state, count in connection.execute(query)}


@repeated
def missing_of(
    database: Database, condition: sa.ColumnElement[bool], live_workers: Live = None
) -> list[MissingItem]:
    """Return the items that wait, failed, are held or tried again, and meet a condition."""
    c = items.c
    query = (
        sa.select(*_missing_columns(live_workers, database.time()))
        .where(_is_missing(live_workers), condition)
        .order_by(c.published.desc(), c.id)
    )
    with database.begin() as connection:
        return [MissingItem(*row) for row in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class EndedItem:
    """An item that ended with a transcript; `channel` is its channel's title or its source.

    `is_renewed`: it was transcribed again, by hand or because its source has another medium.
    """

    id: str
    title: str
    channel: str
    duration_s: float | None
    state: str
    is_renewed: bool = False


@repeated
def ended_between(database: Database, begin: float, end: float) -> list[EndedItem]:
    """Return the items that were done or held between two times (epoch seconds), in order."""
    c = items.c
    channel = sa.func.coalesce(sa.func.nullif(c.item["channel"].as_string(), ""), c.source)
    query = (
        sa.select(c.id, c.title, channel, c.duration_s, c.state, c.run > 1)
        .where(
            c.source != LISTING, c.state.in_((DONE, HELD)), c.ended_at >= begin, c.ended_at < end
        )
        .order_by(c.ended_at)
    )
    with database.begin() as connection:
        return [EndedItem(*row) for row in connection.execute(query)]


@repeated
def ended_times(database: Database, most: int = 5000) -> list[tuple[str, float]]:
    """Return id and time of the end of the last items that were done or held.

    They are in the order of their attempts; a wrong clock has no influence on it.
    """
    c = items.c
    query = (
        sa.select(c.id, c.ended_at)
        .where(c.source != LISTING, c.state.in_((DONE, HELD)), c.ended_at.is_not(None))
        # Those of a lost database have no attempt of this one; they ended earlier.
        .order_by(c.fencing_token.desc(), c.ended_at.desc())
        .limit(most)
    )
    with database.begin() as connection:
        return [(str(item_id), float(at)) for item_id, at in connection.execute(query)][::-1]
