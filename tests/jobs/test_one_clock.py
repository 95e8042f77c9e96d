"""The database's clock is the one of a library on a server: a machine's own may be wrong.

Here the database's clock differs from that of the process; a file has no clock of its own, so it
stands for a server.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest
import sqlalchemy as sa

from kb.database import Database
from kb.database.future_times import future_times
from kb.errors import LanePaused, MediaUnavailable, QuotaExhausted, RetryLater
from kb.jobs.queue import failed_items
from kb.jobs.queue.item_states import ItemRow
from kb.jobs.queue.order import SOURCE
from kb.jobs.worker import chores, item_attempt, source_terms
from kb.jobs.worker.caption_steps import CaptionSteps
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.item_attempt import ItemAttempt
from kb.jobs.worker.retry_policy import MAX_ATTEMPTS
from kb.library.clock_leaps import FACT
from kb.library.trash import KEEP_S
from kb.settings import Settings
from kb.sources.keys.key_ring import ApiKey, KeyRing, next_reset, pacific_day
from kb.sources.listing.known_list import KnownList
from kb.sources.looks import Looks
from kb.sources.rate_limit.download_lane import DownloadRateLimiter
from kb.sources.subscriptions import Subscriptions
from kb.sources.youtube.page_cache import Page, PageStore
from kb.sources.ytdlp.download import Downloader
from kb.types import Availability
from tests.support.items import item
from tests.support.queue_store import ME, Queue

HOUR_S, DAY_S = 3600.0, 86_400.0


@pytest.fixture(params=[-30 * DAY_S, -2 * HOUR_S, 0.0, 2 * HOUR_S, 30 * DAY_S])
def wrong_s(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds by which the machine's clock is ahead of the database's."""
    ahead = float(request.param)
    monkeypatch.setattr(Database, "time", lambda self, connection=None: time.time() - ahead)
    return ahead


def near(moment: float | None, wanted: float) -> bool:
    return moment is not None and abs(moment - wanted) < 60


def test_a_series_of_failures(
    context: WorkerContext, wrong_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_attempt, "installed_version", lambda: "2026.01.01")
    store, media = context.items, item(1)
    store.submit([media], {}, Queue())
    began = store.database.time()
    serial, since = 1, None
    for _ in range(2):
        row = store.claim(media.id, serial, ME)
        assert row is not None
        error = MediaUnavailable("download.failed", "No network.", retryable=True)
        attempt = ItemAttempt(context, media.id, serial)
        attempt._fail(type(row)(**{**_fields(row), "attempts": MAX_ATTEMPTS}), error)
        failed = store.read(media.id)
        assert failed is not None and failed.state == "failed"
        assert near(failed.failing_since, began) and failed.wait_until is not None
        assert since is None or near(failed.failing_since, since)
        assert began < failed.wait_until < began + 2 * DAY_S
        since = failed.failing_since
        assert failed_items.due_ids(store, began + 1, "2026.01.01") == []
        store.retry([media.id], Queue(), states=("failed",), fresh=False)
        serial += 1


def _fields(row: object) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}  # type: ignore[attr-defined]


def test_removed_items_stay_a_week(
    context: WorkerContext, wrong_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    removal, now = context.removal, context.now()
    media = item(1)
    context.items.submit([media], {}, Queue())
    context.items.stop([media.id])
    removed = removal.remove(media.id, title="x")
    assert near(removed.at, now)
    assert near(float(str(removal.trash.marks()[media.id]["at"])), now)
    chores.empty_trash(context)
    assert removal.empty() == [] and [each.id for each in removal.trash.items()] == [media.id]
    assert near(context.library.read_facts()[FACT]["last"], now)
    assert removal.empty(now + KEEP_S + 60) == [media.id]


def test_follows_and_looks(context: WorkerContext, wrong_s: float) -> None:
    follows, now = context.subscriptions, context.now()
    made = follows.follow("@talks")
    assert near(made.created_at, now) and near(made.next_at, now)
    started: list[str] = []
    assert follows.poll(lambda each: started.append(each.key)) == 1
    assert follows.poll(lambda each: started.append(each.key)) == 0
    (after,) = follows.list()
    assert near(after.next_at, now + after.every_s)
    look = context.looks.begin(made.key, ME)
    assert look is not None
    (found,) = Looks(context.items.database).history(made.key)
    assert near(found.started_at, now)
    assert Subscriptions(context.items.database).poll(lambda _: None) == 0
    wrong = {each.table for each in future_times(context.items.database)}
    assert not wrong & {"kb_subscriptions", "kb_looks"}


# Times that machines read of each other: each case is a machine whose clock is wrong, and the
# database has the right time.


def quota_is_used_up_until_midnight(context: WorkerContext) -> None:
    key, now = ApiKey.of("A" * 39), context.now()
    ring = KeyRing([key], context.items.database)
    ring.record_usage(key, 300)
    ring.mark_exhausted(key, "used up")
    (status,) = ring.statuses()
    assert (status.state, status.units_today) == ("exhausted", 300)
    assert status.until == next_reset(now) and pacific_day(now) == pacific_day(status.until - 1)
    with pytest.raises(QuotaExhausted) as caught:
        ring.current()
    assert caught.value.until == status.until


def downloads_rest_after_a_refusal(context: WorkerContext) -> None:
    database, now = context.items.database, context.now()
    at_once = Settings(KB_HOME=context.settings.home, KB_DOWNLOAD_PAUSE_S=0)
    lane = DownloadRateLimiter(database, at_once)
    paused = lane.report_throttled("too many requests")
    cooldown_s = context.settings.download_cooldown_s
    assert near(paused.until, now + cooldown_s)
    with pytest.raises(LanePaused) as caught:
        lane.acquire()
    assert caught.value.until == paused.until
    row = "UPDATE kb_lanes SET paused_until = :at, updated_at = :at WHERE name = 'download'"
    with database.begin() as connection:
        connection.execute(sa.text(row), {"at": now - 1})
    lane.acquire()


def a_source_has_its_hours(context: WorkerContext) -> None:
    now = context.now()
    open_now, closed = (
        f"{datetime.fromtimestamp(now + start):%H:%M}-{datetime.fromtimestamp(now + end):%H:%M}"
        for start, end in ((-600, 600), (3600, 4200))
    )
    row = followed(context, window=open_now)
    source_terms.require_turn(context.items.database, context.subscriptions, row)
    followed(context, window=closed)
    with pytest.raises(RetryLater) as caught:
        source_terms.require_turn(context.items.database, context.subscriptions, row)
    assert near(caught.value.until, now + 3600)


def a_source_has_its_pace(context: WorkerContext) -> None:
    now, row = context.now(), followed(context, per_hour=4)
    source_terms.require_turn(context.items.database, context.subscriptions, row)
    for minutes in (15, 30):
        with pytest.raises(RetryLater) as caught:
            source_terms.require_turn(context.items.database, context.subscriptions, row)
        assert near(caught.value.until, now + 60 * minutes)


def captions_are_postponed(context: WorkerContext) -> None:
    now, row = context.now(), followed(context, per_hour=4)
    source_terms.require_turn(context.items.database, context.subscriptions, row)
    assert CaptionSteps(context, row.id).run() == "later"
    with context.items.database.begin() as connection:
        query = sa.text("SELECT delay_until_epoch_ms FROM workflow_status WHERE status = 'DELAYED'")
        (until_ms,) = connection.scalars(query)
    assert near(until_ms / 1000, now + 900)


def a_premiere_is_waited_for(context: WorkerContext) -> None:
    downloader = Downloader(context.settings, context.items.database)
    for ahead_s in (3600.0, 30.0):
        starts = context.now() + ahead_s
        soon = replace(item(1), availability=Availability("upcoming", starts_at=starts))
        with pytest.raises(RetryLater) as caught:
            downloader._check_available(soon)
        assert caught.value.until == starts


def a_known_list_keeps_its_times(context: WorkerContext) -> None:
    known, now = KnownList(context.items.database, "UU1"), context.now()
    number = known.begin_look()
    known.add_page([item(1).id], number)
    known.record([item(1)])
    known.end_whole_walk(number, extent="", reported=1, missing=0, is_complete=True)
    assert near(known.state().whole_at, now)
    assert known.stale(5, available_s=HOUR_S, unavailable_s=HOUR_S) == []
    assert known.stale(5, available_s=-60.0, unavailable_s=HOUR_S) == [item(1).id]


def stored_pages_are_used_again(context: WorkerContext) -> None:
    pages = PageStore(context.items.database, "UU1", reuse_s=HOUR_S)
    fetched: list[str] = []

    def fetch(token: str) -> tuple[Page, str]:
        fetched.append(token)
        return Page((item(1),), 0), ""

    for _ in range(2):
        assert len(list(pages.pages(fetch))) == 1
    assert fetched == [""]


def a_machine_s_trouble_has_an_end(context: WorkerContext) -> None:
    now = context.now()
    context.pause_lane(now + 60, MediaUnavailable("download.failed", "No network."))
    assert context.lane_is_paused()
    pause = context.find_lane_pause()
    assert pause is not None and pause.until == now + 60


def followed(context: WorkerContext, **terms: object) -> ItemRow:
    """Follow a channel with these terms; return a queued item of it."""
    key = context.subscriptions.follow("@talks", options=terms).key
    media = replace(item(1), id="youtube:1")
    context.items.submit([media], {SOURCE: key, "sinks": ["local"]}, Queue())
    row = context.items.read(media.id)
    assert row is not None
    return row


SHARED_TIMES: list[Callable[[WorkerContext], None]] = [
    quota_is_used_up_until_midnight,
    downloads_rest_after_a_refusal,
    a_source_has_its_hours,
    a_source_has_its_pace,
    captions_are_postponed,
    a_premiere_is_waited_for,
    a_known_list_keeps_its_times,
    stored_pages_are_used_again,
    a_machine_s_trouble_has_an_end,
]


@pytest.mark.parametrize("case", SHARED_TIMES, ids=lambda case: case.__name__)
def test_times_that_machines_share(
    context: WorkerContext, wrong_s: float, case: Callable[[WorkerContext], None]
) -> None:
    case(context)
    wrong = {each.table for each in future_times(context.items.database)}
    assert wrong <= {"kb_schema", "kb_workers"}  # before the test, by the file's own clock
