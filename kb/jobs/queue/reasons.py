"""Unfinished items and publications, grouped by the reason for which they wait or failed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from kb.database import Database, deliveries, items, list_entries
from kb.errors import StoredProblem
from kb.jobs.queue.item_states import DONE, FAILED, HELD, PAUSED, WAITING, effective_state
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
    """An item of a followed reference without a transcript, or held, and the cause."""

    id: str
    title: str
    state: str
    error: str
    hint: str
    problem: StoredProblem | None
    next_at: float | None


def item_reasons(database: Database, live_workers: Collection[str] | None) -> list[Reason]:
    """Return the reasons of items that wait, failed, are paused or held, the largest first.

    Items whose errors have the same code have the same reason. Looks at followed references are
    left out: they have a state of their own. Raises LibraryError.
    """
    c = items.c
    state = effective_state(live_workers)
    followed = sa.func.coalesce(c.item["extra"]["followed"].as_string(), "")
    query = sa.select(state, c.title, c.error, c.hint, c.problem, c.wait_until).where(
        state.in_(MISSING), sa.or_(c.source != LISTING, followed == "")
    )
    with database.begin() as connection:
        return _grouped(connection.execute(query.order_by(c.updated_at.desc())).all())


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


def counts_by_channel(database: Database) -> dict[str, dict[str, int]]:
    """Return the numbers of items in each state, by the lasting id of their channel."""
    channel = items.c.item["extra"]["channel_id"].as_string()
    query = (
        sa.select(channel.label("channel_id"), items.c.state, sa.func.count())
        .where(items.c.source != LISTING, channel.is_not(None))
        # By its label: PostgreSQL takes the same expression with other parameters for another one.
        .group_by("channel_id", items.c.state)
    )
    found: dict[str, dict[str, int]] = {}
    with database.begin() as connection:
        for channel_id, state, count in connection.execute(query):
            found.setdefault(str(channel_id), {})[str(state)] = int(count)
    return found


def missing_by_channel(database: Database) -> dict[str, list[MissingItem]]:
    """Return the items that wait, failed, are paused or held, by the id of their channel."""
    c = items.c
    channel = c.item["extra"]["channel_id"].as_string()
    query = (
        sa.select(channel, c.id, c.title, c.state, c.error, c.hint, c.problem, c.wait_until)
        .where(c.source != LISTING, c.state.in_(MISSING), channel.is_not(None))
        .order_by(c.published.desc(), c.id)
    )
    found: dict[str, list[MissingItem]] = {}
    with database.begin() as connection:
        for channel_id, *values in connection.execute(query):
            found.setdefault(str(channel_id), []).append(MissingItem(*values))
    return found


def below(place: str) -> sa.ColumnElement[bool]:
    """Return the condition of items that are files below a folder."""
    c = items.c
    named = (c.reference.startswith(place.rstrip("/\\") + mark, autoescape=True) for mark in "/\\")
    return sa.and_(c.source == "file", sa.or_(c.reference == place, *named))


def asked_by(keys: Collection[str], playlist_id: str = "") -> sa.ColumnElement[bool]:
    """Return the condition of items that a subscription with one of these keys asked for.

    The items of its playlist are among them, also those that another one asked for.
    """
    listed = sa.select(list_entries.c.item_id).where(list_entries.c.list_id == playlist_id)
    asked = items.c.options[SOURCE].as_string().in_(sorted(keys))
    return sa.and_(items.c.source != LISTING, sa.or_(asked, items.c.id.in_(listed)))


def counts_of(database: Database, condition: sa.ColumnElement[bool]) -> dict[str, int]:
    """Return the numbers of items in each state that meet a condition."""
    c = items.c
    query = sa.select(c.state, sa.func.count()).where(condition).group_by(c.state)
    with database.begin() as connection:
        return {str(state): int(count) for state, count in connection.execute(query)}


def missing_of(database: Database, condition: sa.ColumnElement[bool]) -> list[MissingItem]:
    """Return the items that wait, failed, are paused or held, and meet a condition."""
    c = items.c
    query = (
        sa.select(c.id, c.title, c.state, c.error, c.hint, c.problem, c.wait_until)
        .where(c.state.in_(MISSING), condition)
        .order_by(c.published.desc(), c.id)
    )
    with database.begin() as connection:
        return [MissingItem(*row) for row in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class EndedItem:
    """An item that ended with a transcript; `channel` is its channel's title or its source."""

    id: str
    title: str
    channel: str
    duration_s: float | None
    state: str


def ended_between(database: Database, begin: float, end: float) -> list[EndedItem]:
    """Return the items that were done or held between two times (epoch seconds), in order."""
    c = items.c
    channel = sa.func.coalesce(sa.func.nullif(c.item["channel"].as_string(), ""), c.source)
    query = (
        sa.select(c.id, c.title, channel, c.duration_s, c.state)
        .where(
            c.source != LISTING, c.state.in_((DONE, HELD)), c.ended_at >= begin, c.ended_at < end
        )
        .order_by(c.ended_at)
    )
    with database.begin() as connection:
        return [EndedItem(*row) for row in connection.execute(query)]
