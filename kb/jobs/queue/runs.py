"""Runs: what one request, or one look at a followed source, has queued, as one object.

The items of a run are linked to it in the transaction that queues them. While it goes on, a worker
measures it (`sample`), so that every reader sees the same time left, also after a reload and a
restart. A run has ended when none of its items waits or runs; items that failed and are tried again
by schedule count as ended. An item that is queued again belongs to its new run too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from kb.database import Database, items, run_items, runs
from kb.database.repeating import repeated
from kb.errors import StoredProblem
from kb.jobs.queue.item_states import (
    ACTIVE,
    DONE,
    ENDED,
    FAILED,
    HELD,
    QUEUED,
    RUNNING,
    STATES,
    Job,
    ListingJob,
    effective_state,
    is_recording,
)
from kb.jobs.queue.order import SOURCE
from kb.jobs.queue.run_forecast import (
    Forecast,
    Measured,
    TimeLeft,
    Work,
    measure,
    time_left,
)
from kb.jobs.queue.workflow_ids import LISTING
from kb.options import RUN

MEAN_S = 600.0  # length of an item, where no length of the run is known
SAMPLED_S = 1.5  # two workers do not measure a run within this time
FAILURES_READ = 2_000
_FETCH_STAGES = ("", "list", "fetch")
_READ_STAGES = ("model", "transcribe")
_WRITE_STAGES = ("write", "publish")


@dataclass(frozen=True, slots=True)
class Run:
    """A run with the states of its items now; times in seconds since the epoch.

    `title` is the name of its channel, folder or single item, empty for a mixed one. `followed` is
    the followed source whose look made it. `listing`: a list of it is still being read. `left` is
    the time that it still takes while it goes on, None while nothing can be said of that. `speed`
    is what was measured of it, in seconds of sound a second. `sound_s` is all sound, `read_s` what
    of it was read. `waiting_turn` counts the running items that only wait for their turn to be
    downloaded. `loading`: items wait for the recognizer, which is not ready yet.
    """

    id: str
    title: str
    who: str
    followed: str
    created_at: float
    ended_at: float | None
    counts: Mapping[str, int]
    listing: bool
    left: TimeLeft | None
    speed: float | None
    sound_s: float
    read_s: float
    started: bool
    waiting_turn: int = 0
    loading: bool = False

    @property
    def total(self) -> int:
        """Number of its items."""
        return sum(self.counts.values())

    @property
    def finished(self) -> int:
        """Number of its items that have ended."""
        return sum(self.counts[state] for state in ENDED)

    @property
    def ended(self) -> bool:
        """True if nothing of it waits or runs."""
        return self.finished == self.total and not self.listing

    @property
    def share(self) -> float:
        """The share of it that is done, 0..1: by sound, and by items where nothing is read."""
        if self.ended or not self.total:
            return 1.0
        by_items = self.finished / self.total
        by_sound = self.read_s / self.sound_s if self.sound_s else by_items
        return max(0.0, min(0.99, max(by_items, by_sound)))

    @property
    def took_s(self) -> float | None:
        """The time from its request to its end in seconds; None until it has ended."""
        return None if self.ended_at is None else max(0.0, self.ended_at - self.created_at)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why items of a run failed or are held: the cause, how many, and the id of the first one."""

    state: str
    error: str
    hint: str
    problem: StoredProblem | None
    count: int
    first_id: str


@dataclass(frozen=True, slots=True)
class _Totals:
    work: Work = field(default_factory=Work)
    counts: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    listing: bool = False
    waiting_turn: int = 0


def record(
    database: Database, connection: sa.Connection, jobs: Sequence[tuple[Job, Mapping[str, Any]]]
) -> None:
    """Link jobs that were queued to their runs, in the transaction that queues them."""
    by_run: dict[str, list[tuple[Job, Mapping[str, Any]]]] = {}
    for job, options in jobs:
        if run := options.get(RUN):
            by_run.setdefault(str(run), []).append((job, options))
    for run, queued in by_run.items():
        followed = str(queued[0][1].get(SOURCE) or "")
        database.insert_if_missing(
            connection, runs, id=run, title=_title([job for job, _ in queued]),
            followed=followed, created_at=database.time(connection),
        )  # fmt: skip
        # More of it was queued: it goes on.
        connection.execute(sa.update(runs).where(runs.c.id == run).values(ended_at=None))
        links = [{"run": run, "item_id": job.id} for job, _ in queued]
        database.insert_all_if_missing(connection, run_items, links)


def _title(jobs: Sequence[Job]) -> str:
    """Return what the jobs have in common: a single title, a channel, or a folder."""
    if len(jobs) == 1:
        only = jobs[0]
        return only.reference if isinstance(only, ListingJob) else only.title
    channels = {"" if isinstance(job, ListingJob) else job.channel for job in jobs}
    return channels.pop() if len(channels) == 1 else ""


class RunStore:
    """Reads runs, and measures them. Every method raises LibraryError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @repeated
    def plan(self, run: str, forecast: Forecast, who: str = "") -> None:
        """Record what is expected of a run, and who asked for it."""
        change = sa.update(runs).where(runs.c.id == run)
        with self._database.begin() as connection:
            connection.execute(change.values(forecast=asdict(forecast), who=who))

    @repeated
    def newest(
        self, live_workers: Collection[str] | None, *, limit: int = 20, going: bool = False
    ) -> list[Run]:
        """Return runs: those that go on first, then the newest; `going`: no others.

        A dead worker's items count as queued. A run whose items were all removed is left out.
        """
        c = runs.c
        query = sa.select(runs).order_by(c.ended_at.is_not(None), c.created_at.desc(), c.id)
        if going:
            query = query.where(c.ended_at.is_(None))
        with self._database.begin() as connection:
            rows = connection.execute(query.limit(limit)).mappings().all()
            totals = _totals(connection, [row["id"] for row in rows], live_workers)
            known, now = _last_speed(connection), self._database.time(connection)
        found = [_run(row, totals.get(row["id"], _Totals()), known, now) for row in rows]
        return [run for run in found if run.total or run.listing]

    @repeated
    def get(self, run: str, live_workers: Collection[str] | None) -> Run | None:
        """Return a run by its id; None if there is none."""
        with self._database.begin() as connection:
            row = connection.execute(sa.select(runs).where(runs.c.id == run)).mappings().first()
            if row is None:
                return None
            totals = _totals(connection, [run], live_workers)
            known, now = _last_speed(connection), self._database.time(connection)
            return _run(row, totals.get(run, _Totals()), known, now)

    @repeated
    def item_ids(self, run: str, states: Sequence[str] = STATES) -> list[str]:
        """Return the ids of a run's items in these states."""
        query = (
            sa.select(items.c.id)
            .join(run_items, run_items.c.item_id == items.c.id)
            .where(run_items.c.run == run, items.c.state.in_(list(states)), is_recording())
            .order_by(items.c.id)
        )
        with self._database.begin() as connection:
            return [str(item_id) for item_id in connection.scalars(query)]

    @repeated
    def failures(self, run: str, states: Sequence[str] = (FAILED, HELD)) -> list[Failure]:
        """Return why items of a run failed or are held, the most frequent cause first."""
        c = items.c
        query = (
            sa.select(c.id, c.state, c.error, c.hint, c.problem)
            .join(run_items, run_items.c.item_id == c.id)
            .where(run_items.c.run == run, c.state.in_(list(states)), is_recording())
            .order_by(c.id)
            .limit(FAILURES_READ)
        )
        with self._database.begin() as connection:
            rows = connection.execute(query).all()
        groups: dict[tuple[str, str], list[Any]] = {}
        for row in rows:
            cause = (row.problem or {}).get("code") or row.error
            groups.setdefault((row.state, str(cause)), []).append(row)
        found = [
            Failure(same[0].state, same[0].error, same[0].hint, same[0].problem, len(same),
                    same[0].id)
            for same in groups.values()
        ]  # fmt: skip
        return sorted(found, key=lambda each: (each.state != FAILED, -each.count, each.first_id))

    @repeated
    def sample(self) -> list[str]:
        """Measure the runs that go on; return the ids of those that have ended since.

        For workers: of several, one measures a run at a time.
        """
        c = runs.c
        ended: list[str] = []
        with self._database.begin() as connection:
            open_runs = connection.execute(sa.select(runs).where(c.ended_at.is_(None))).mappings()
            rows = list(open_runs)
            if not rows:
                return []
            now = self._database.time(connection)
            totals = _totals(connection, [row["id"] for row in rows], None)
            for row in rows:
                found = totals.get(row["id"], _Totals())
                before = Measured.from_dict(row["measured"])
                if before is not None and 0.0 <= now - before.at < SAMPLED_S:
                    continue
                values: dict[str, Any] = {"measured": measure(before, found.work, now).as_dict()}
                if not found.work.unfinished and not found.listing:
                    values["ended_at"] = now
                mine = sa.update(runs).where(c.id == row["id"], c.ended_at.is_(None))
                if connection.execute(mine.values(**values)).rowcount and "ended_at" in values:
                    ended.append(str(row["id"]))
        return ended

    @repeated
    def claim_unreported(self, older_than: float) -> list[str]:
        """Return the ended runs that were not reported yet, each to one caller only.

        Those that ended before `older_than` (epoch seconds) are marked and left out.
        """
        c, found = runs.c, []
        with self._database.begin() as connection:
            unreported = sa.select(c.id, c.ended_at).where(
                c.ended_at.is_not(None), c.reported_at.is_(None)
            )
            for row in connection.execute(unreported).all():
                mine = sa.update(runs).where(c.id == row.id, c.reported_at.is_(None))
                change = mine.values(reported_at=self._database.time(connection))
                if connection.execute(change).rowcount and row.ended_at >= older_than:
                    found.append(str(row.id))
        return found

    @repeated
    def delete_older(self, before: float) -> None:
        """Delete the runs that ended before a time in epoch seconds; their items stay."""
        old = sa.select(runs.c.id).where(runs.c.ended_at < before)
        with self._database.begin() as connection:
            connection.execute(sa.delete(run_items).where(run_items.c.run.in_(old)))
            connection.execute(sa.delete(runs).where(runs.c.ended_at < before))


def _run(row: Mapping[Any, Any], totals: _Totals, known_speed: float | None, now: float) -> Run:
    work = totals.work
    # A worker measures less often than the page looks: the work since then counts too.
    stored = Measured.from_dict(row["measured"])
    measured = measure(stored, work, now) if stored else None
    forecast = Forecast(**row["forecast"]) if row["forecast"] else Forecast()
    if forecast.speed is None and known_speed is not None:
        forecast = Forecast(known_speed, forecast.fetch_s, forecast.lead_s, forecast.write_s)
    speed = measured.reading.rate if measured else None
    return Run(
        id=str(row["id"]), title=str(row["title"]), who=str(row["who"]),
        followed=str(row["followed"]), created_at=float(row["created_at"]),
        ended_at=row["ended_at"], counts=totals.counts, listing=totals.listing,
        left=time_left(forecast, measured, work), speed=speed,
        sound_s=work.sound_s, read_s=work.sound_s - work.sound_left_s,
        started=bool(measured and measured.active_s), waiting_turn=totals.waiting_turn,
        loading=bool(work.reading) and work.sound_left_s >= work.sound_s,
    )  # fmt: skip


def _last_speed(connection: sa.Connection) -> float | None:
    """Return the speed of the last run that was measured; None without one."""
    query = (
        sa.select(runs.c.measured)
        .where(runs.c.ended_at.is_not(None), runs.c.measured.is_not(None))
        .order_by(runs.c.ended_at.desc())
        .limit(5)
    )
    for stored in connection.scalars(query):
        measured = Measured.from_dict(stored)
        if measured is not None and measured.reading.reported_s > 1.0 and measured.reading.rate:
            return measured.reading.rate
    return None


def _totals(
    connection: sa.Connection, ids: Sequence[str], live_workers: Collection[str] | None
) -> dict[str, _Totals]:
    """Return the work and the numbers of items by state of these runs, by id."""
    c = items.c
    state = effective_state(live_workers)
    recording = is_recording()
    unfinished = sa.and_(recording, state.in_(ACTIVE))
    running = sa.and_(recording, state == RUNNING)
    unknown = c.duration_s.is_(None)
    length = sa.func.coalesce(c.duration_s, 0.0)
    part: sa.ColumnElement[Any] = sa.case(
        (c.stage.in_(_WRITE_STAGES), 1.0), (c.stage == "transcribe", c.progress), else_=0.0
    )
    left = sa.case((state.in_((RUNNING, QUEUED)), 1.0 - part), else_=1.0)

    def count(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
        return sa.func.sum(sa.case((sa.and_(*conditions), 1), else_=0))

    def total(value: sa.ColumnElement[Any], *where: sa.ColumnElement[bool]) -> Any:
        return sa.func.sum(sa.case((sa.and_(*where), value), else_=0.0))

    columns = {
        "items": count(recording),
        "unfinished": count(unfinished),
        "to_fetch": count(unfinished, c.stage.in_(_FETCH_STAGES)),
        "known_s": total(length, recording),
        "left_s": total(length * left, unfinished),
        "read_s": total(length, recording, state.in_((DONE, HELD))),
        "read_now_s": total(length * part, running),
        "unknown": count(recording, unknown),
        "unknown_left": total(left, unfinished, unknown),
        "fetching": count(running, c.stage.in_(_FETCH_STAGES)),
        "reading": count(running, c.stage.in_(_READ_STAGES)),
        "writing": count(running, c.stage.in_(_WRITE_STAGES)),
        "turn": count(running, c.stage == "fetch", c.progress == 0.0, c.source != "file"),
        "listing": count(c.source == LISTING, state.in_(ACTIVE)),
        **{f"state_{name}": count(recording, state == name) for name in STATES},
    }
    query = (
        sa.select(run_items.c.run, *(value.label(name) for name, value in columns.items()))
        .join(items, items.c.id == run_items.c.item_id)
        .where(run_items.c.run.in_(list(ids)))
        .group_by(run_items.c.run)
    )
    return {str(row["run"]): _of(row) for row in connection.execute(query).mappings()}


def _of(row: Mapping[Any, Any]) -> _Totals:
    known = int(row["items"]) - int(row["unknown"])
    mean = float(row["known_s"]) / known if known and row["known_s"] else MEAN_S
    work = Work(
        items=int(row["items"]), unfinished=int(row["unfinished"]),
        to_fetch=int(row["to_fetch"]),
        sound_s=float(row["known_s"]) + int(row["unknown"]) * mean,
        sound_left_s=float(row["left_s"]) + float(row["unknown_left"]) * mean,
        sound_read_s=float(row["read_s"]) + float(row["read_now_s"]),
        fetching=int(row["fetching"]), reading=int(row["reading"]), writing=int(row["writing"]),
    )  # fmt: skip
    counts = {name: int(row[f"state_{name}"]) for name in STATES}
    return _Totals(work, counts, bool(row["listing"]), int(row["turn"]))
