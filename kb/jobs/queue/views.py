"""Views of the queue for user interfaces: pages of rows, running items first, and figures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from kb.database import Database, items, run_items
from kb.database.repeating import repeated
from kb.errors import StoredProblem
from kb.jobs.queue.item_states import (
    DONE,
    HELD,
    NORMAL,
    PAUSED,
    QUEUED,
    RUNNING,
    STATES,
    WAITING,
    effective_state,
    is_recording,
    is_shown_listing,
    next_try_at,
    shown_until,
)
from kb.jobs.queue.progress import overall
from kb.jobs.queue.workflow_ids import LISTING
from kb.types.clock import SLACK_S

PENDING = (QUEUED, WAITING, PAUSED)
TURN = "turn"  # of a page alone: a running item that only waits for its turn to be downloaded
READ_STAGES = ("write", "publish")  # the stages after transcription


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One row of a page; times in seconds since the epoch, `progress` of the stage 0..1."""

    id: str
    title: str
    source: str
    reference: str
    state: str
    stage: str
    progress: float
    duration_s: float | None
    error: str
    hint: str
    attempts: int
    priority: int
    wait_until: float | None
    enqueued_at: float
    updated_at: float
    ended_at: float | None
    problem: StoredProblem | None = None
    executor: str = ""  # the worker that has it, or had it last
    failing_since: float | None = None  # the first failure of a series, in epoch seconds
    channel: str = ""

    @property
    def waits_its_turn(self) -> bool:
        """True if it is running, and nothing of its medium has arrived: downloads take turns."""
        waits = self.stage == "fetch" and not self.progress
        return self.state == RUNNING and waits and self.source not in ("file", LISTING)

    @property
    def machine(self) -> str:
        """The name of the worker that processes the item now; empty if none does."""
        return self.executor if self.state == RUNNING else ""

    @property
    def share(self) -> float:
        """Share of the item that is done over all its stages, 0..1."""
        return overall(self.id, self.state, self.stage, self.progress)

    @property
    def is_ahead(self) -> bool:
        """True if the item was moved to the front and has not started."""
        return self.priority < NORMAL and self.state in PENDING


@dataclass(frozen=True, slots=True)
class QueuePage:
    """The rows from `offset` on; `total` is the number of all rows that match."""

    rows: tuple[QueueRow, ...]
    total: int


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """The figures of the queue: of its items, which are recordings.

    `listings` are the numbers of looks and other listings by state. `done_since` counts the items
    finished since the given time. `remaining_s` is the sound that still has to be transcribed, in
    seconds, over items of known length; `unmeasured` counts the others. `transcribed_s` is all
    sound transcribed so far, parts of running items included: its growth over time is the speed.
    `waiting_turn` counts the running items that only wait for their turn to be downloaded.
    """

    counts: Mapping[str, int]
    listings: Mapping[str, int]
    done_since: int
    remaining_s: float
    unmeasured: int
    transcribed_s: float
    waiting_turn: int = 0

    @property
    def pending(self) -> int:
        """Number of items that wait: for their turn, for a time, or for a person."""
        return sum(self.counts[state] for state in PENDING)


@repeated
def page(
    database: Database,
    live_workers: Collection[str],
    *,
    states: Sequence[str] = (),
    words: str = "",
    ids: Sequence[str] | None = None,
    listings: bool = False,
    run: str = "",
    offset: int = 0,
    limit: int = 100,
) -> QueuePage:
    """Return running items, then pending ones by priority, then ended ones, newest first.

    `states`, `words` (in title, channel, id or address), `ids` and `run` filter the rows; of the
    running items, those that wait for their turn have the state `turn` there. With `listings`, the
    rows are looks and other listings instead of recordings; `ids` may name both.
    `live_workers`: the workers that are alive; items of any other worker are shown as queued.
    Raises LibraryError.
    """
    state = effective_state(live_workers)
    c = items.c
    conditions: list[sa.ColumnElement[bool]] = []
    if states:
        shown = sa.case((_waits_its_turn(state), TURN), else_=state)
        conditions.append(shown.in_(list(states)))
    if ids is not None:
        conditions.append(c.id.in_(list(ids)))
    else:
        conditions.append(is_shown_listing(state) if listings else is_recording())
    if run:
        conditions.append(c.id.in_(sa.select(run_items.c.item_id).where(run_items.c.run == run)))
    channel = sa.func.coalesce(c.item["channel"].as_string(), "")
    for word in words.split():
        columns = (c.title, c.id, c.reference, channel)
        conditions.append(sa.or_(*(column.icontains(word, autoescape=True) for column in columns)))
    ended = sa.func.coalesce(c.ended_at, c.updated_at)
    # What ended while the clock was ahead must not stay at the top until that day comes.
    newest = sa.case((ended > database.time() + SLACK_S, 0.0), else_=-ended)
    rank = sa.case((state == RUNNING, 0), (state.in_(PENDING), 1), else_=2)
    query = (
        sa.select(
            c.id, c.title, c.source, c.reference, state, c.stage, c.progress, c.duration_s,
            c.error, c.hint, c.attempts, c.priority, next_try_at(database.time()), c.enqueued_at,
            c.updated_at, c.ended_at, c.problem, c.executor, c.failing_since, channel,
        )
        .where(*conditions)
        .order_by(
            rank,
            sa.case((rank == 1, c.priority), else_=0),
            sa.case((rank == 2, newest), else_=c.enqueued_at),
            c.id,
        )
        .limit(limit)
        .offset(offset)
    )  # fmt: skip
    count = sa.select(sa.func.count()).select_from(items).where(*conditions)
    with database.begin() as connection:
        found = (QueueRow(*row) for row in connection.execute(query))
        rows = tuple(
            replace(row, wait_until=shown_until(row.wait_until, row.problem)) for row in found
        )
        return QueuePage(rows, int(connection.scalar(count) or 0))


@repeated
def figures(database: Database, live_workers: Collection[str], since: float) -> QueueFigures:
    """Return the figures of the queue; `since` is a time in seconds since the epoch.

    Times in the future are unknown. Raises LibraryError.
    """
    c = items.c
    state = effective_state(live_workers)
    length = sa.func.coalesce(c.duration_s, 0.0)
    unfinished = state.in_((RUNNING, *PENDING))
    done_part: sa.ColumnElement[Any] = sa.case(
        (c.stage.in_(READ_STAGES), 1.0), (c.stage == "transcribe", c.progress), else_=0.0
    )
    part = sa.case((state == RUNNING, done_part), else_=0.0)
    ended = sa.and_(state.in_((DONE, HELD)), c.ended_at.is_not(None))
    lately = sa.and_(ended, c.ended_at >= since, c.ended_at <= database.time() + SLACK_S)
    turn = _waits_its_turn(state)
    query = (
        sa.select(
            state,
            sa.func.count(),
            sa.func.sum(sa.case((lately, 1), else_=0)),
            sa.func.sum(sa.case((unfinished, length * (1.0 - part)), else_=0.0)),
            sa.func.sum(sa.case((sa.and_(unfinished, c.duration_s.is_(None)), 1), else_=0)),
            sa.func.sum(sa.case((ended, length), (state == RUNNING, length * part), else_=0.0)),
            sa.func.sum(sa.case((turn, 1), else_=0)),
        )
        .where(is_recording())
        .group_by(state)
    )
    others = sa.select(state, sa.func.count()).where(is_shown_listing(state)).group_by(state)
    with database.begin() as connection:
        found = connection.execute(query).all()
        listings = {str(name): int(count) for name, count in connection.execute(others)}
    counts = dict.fromkeys(STATES, 0) | {str(row[0]): int(row[1]) for row in found}
    return QueueFigures(
        counts=counts,
        listings=dict.fromkeys(STATES, 0) | listings,
        done_since=sum(int(row[2]) for row in found),
        remaining_s=sum(float(row[3]) for row in found),
        unmeasured=sum(int(row[4]) for row in found),
        transcribed_s=sum(float(row[5]) for row in found),
        waiting_turn=sum(int(row[6]) for row in found),
    )


def _waits_its_turn(state: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Return the condition of `QueueRow.waits_its_turn`."""
    c = items.c
    own = c.source.in_(("file", LISTING))
    return sa.and_(state == RUNNING, c.stage == "fetch", c.progress == 0.0, ~own)
