"""A clock that was wrong once blinds nothing: what it wrote is unknown when it is right again.

Each case writes a time while the clock is off, then asks with the right time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from kb.database import Database, items
from kb.database.future_times import future_times
from kb.errors import LanePaused
from kb.jobs.clock_check import clock_problem
from kb.jobs.queue import views
from kb.jobs.queue.item_states import DONE, WAITING
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.lanes import LaneStore
from kb.jobs.queue.outbox import Outbox
from kb.jobs.queue.outbox_states import SYNCING
from kb.jobs.worker.caption_steps import CaptionSteps
from kb.service.health import _workers
from kb.service.tasks import Task, _is_alive
from kb.settings import Settings
from kb.sinks.odin import publish_state
from kb.sources.files import _is_younger
from kb.sources.keys.key_ring import ApiKey, KeyRing, next_reset
from kb.sources.rate_limit.download_lane import DownloadRateLimiter
from kb.sources.subscriptions import Subscriptions
from kb.sources.youtube.page_cache import Page, PageStore, prune
from kb.types.clock import SLACK_S, age_s, has_come, is_future, is_younger, known_time
from tests.support.items import item
from tests.support.keys import fake_key

NOW = 1_790_000_000.0
MINUTE, HOUR, DAY, YEAR = 60.0, 3600.0, 86_400.0, 365 * 86_400.0
JUMPS = {
    "a second": 1.0, "a minute": MINUTE, "summer time": HOUR, "two hours": 2 * HOUR,
    "a time zone": 9 * HOUR, "a day": DAY, "a month": 30 * DAY, "400 days": 400 * DAY,
    "ten years": 10 * YEAR,
}  # fmt: skip
ALL = {
    **{f"{name} ahead": jump for name, jump in JUMPS.items()},
    **{f"{name} behind": -jump for name, jump in JUMPS.items()},
    "1970": -NOW,
}


@contextmanager
def clock_at(moment: float) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: moment)
        yield


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    opened = Database.open(Settings(KB_HOME=tmp_path_factory.mktemp("clock")))
    yield opened
    opened.close()


@pytest.fixture(params=ALL.values(), ids=ALL.keys())
def jump(request: pytest.FixtureRequest) -> float:
    return float(request.param)


def is_lost(jump: float) -> bool:
    """Return True for a jump after which the stored time is unknown."""
    return jump > SLACK_S


# Times of what has happened


def test_ages(jump: float) -> None:
    written = NOW + jump
    assert is_future(written, NOW) == (known_time(written, NOW) is None) == is_lost(jump)
    age = age_s(written, NOW)
    assert age is None if is_lost(jump) else age == max(0.0, -jump)
    assert is_younger(written, HOUR, NOW) == (-HOUR < jump <= SLACK_S)
    assert not is_younger(None, HOUR, NOW) and age_s(None, NOW) is None
    assert has_come(None, NOW) and has_come(NOW, NOW) and not has_come(NOW + HOUR, NOW)
    assert has_come(written + HOUR, NOW, written_at=written) == (is_lost(jump) or jump <= -HOUR)
    assert has_come(NOW + jump, NOW, longest_s=HOUR) == (jump <= 0 or jump > HOUR + SLACK_S)


def test_a_list_of_pages_is_read_again(database: Database, jump: float) -> None:
    moment = [NOW + jump]
    fetched: list[str] = []

    def fetch(token: str) -> tuple[Page, str]:
        fetched.append(token)
        return Page((item(1),)), ""

    store = PageStore(database, f"list {jump}", clock=lambda: moment[0], reuse_s=HOUR)
    list(store.pages(fetch))
    moment[0] = NOW
    list(store.pages(fetch))
    is_reused = -HOUR < jump <= SLACK_S
    assert len(fetched) == (1 if is_reused else 2)


def test_an_unfinished_list_of_the_future_is_deleted(database: Database, jump: float) -> None:
    store = PageStore(database, f"cut {jump}", clock=lambda: NOW + jump)
    pages = store.pages(lambda token: (Page((item(1),)), "next"))
    next(pages)
    prune(database, clock=lambda: NOW)
    continued = PageStore(database, store.id, clock=lambda: NOW, reuse_s=YEAR * 100)
    tokens: list[str] = []
    list(continued.pages(lambda token: (Page(()), tokens.append(token) or "")))
    keeps = -7 * DAY <= jump <= SLACK_S
    assert tokens == (["next"] if keeps else [""])


def test_a_file_counts_as_settled(tmp_path: Path, jump: float) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"")
    os.utime(path, (NOW + jump, NOW + jump))
    status = path.stat()
    with clock_at(NOW):
        young = _is_younger((status.st_size, status.st_mtime_ns), MINUTE)
    assert young == (-MINUTE < jump <= SLACK_S)


def test_a_process_elsewhere_is_gone(jump: float) -> None:
    task = Task("reindex", {}, "running", NOW + jump, NOW + jump, host="elsewhere")
    with clock_at(NOW):
        assert not (is_lost(jump) and _is_alive(task))
        assert not (is_lost(jump) and publish_state._is_alive("elsewhere|1|1.0", -jump))
        assert _is_alive(Task("reindex", {}, "running", NOW, NOW, host="elsewhere"))


# Times to come


def test_a_spent_key_comes_back_at_the_next_midnight(database: Database, jump: float) -> None:
    key = ApiKey.of(fake_key("k") + f"{jump:+.0f}")
    KeyRing([key], database, clock=lambda: NOW + jump).mark_exhausted(key, "quotaExceeded")
    KeyRing([key], database, clock=lambda: NOW + jump).record_usage(key, 7)
    (status,) = KeyRing([key], database, clock=lambda: NOW).statuses()
    assert status.until is None or NOW < status.until <= next_reset(NOW)
    assert not (is_lost(jump) and status.state == "exhausted")
    ring = KeyRing([key], database, clock=lambda: NOW)
    ring.record_usage(key, 3)
    (status,) = ring.statuses()
    same_day = next_reset(NOW + jump) == next_reset(NOW)
    assert status.units_today == (10 if same_day else 3)


@pytest.mark.parametrize("day", ["2026-03-08", "2026-11-01", "2026-07-01", "2026-12-31"])
@pytest.mark.parametrize("hour", [0, 1, 2, 3, 12, 23])
def test_quota_days_end_at_midnight_pacific_over_changes_of_the_clock(day: str, hour: int) -> None:
    zone = ZoneInfo("America/Los_Angeles")
    moment = datetime.fromisoformat(day).replace(hour=hour, minute=30, tzinfo=zone)
    found = datetime.fromtimestamp(next_reset(moment.timestamp()), zone)
    assert found.date() == moment.date() + timedelta(days=1)
    assert (found.hour, found.minute) == (0, 0)
    assert 0 < found.timestamp() - moment.astimezone(UTC).timestamp() <= 25 * HOUR


def test_a_pause_of_a_lane_ends_and_a_new_one_holds(database: Database, jump: float) -> None:
    lanes, name = LaneStore(database), f"lane {jump}"
    with clock_at(NOW + jump):
        lanes.pause(name, NOW + jump + HOUR, "busy")
    holds = -HOUR < jump <= SLACK_S
    assert (lanes.find_pause(name, NOW) is not None) == holds
    assert (name in dict(lanes.pauses(NOW))) == holds
    with clock_at(NOW):
        lanes.pause(name, NOW + 3 * HOUR, "busy again")
    pause = lanes.find_pause(name, NOW)
    assert pause is not None and pause.until == NOW + 3 * HOUR


def test_downloads_rest_no_longer(tmp_path: Path, database: Database, jump: float) -> None:
    moment = [NOW + jump]
    settings = Settings(KB_HOME=tmp_path, KB_DOWNLOAD_COOLDOWN_S=HOUR, KB_DOWNLOAD_PAUSE_S=0)
    lane = DownloadRateLimiter(database, settings, clock=lambda: moment[0], sleep=lambda _: None)
    lane.resume()
    lane.report_throttled("HTTP Error 429")
    moment[0] = NOW
    holds = -HOUR < jump <= SLACK_S
    assert (lane.status().paused_until is not None) == holds
    if holds:
        with pytest.raises(LanePaused):
            lane.acquire()
    else:
        lane.acquire()
        lane.report_throttled("HTTP Error 429")
        until = lane.status().paused_until
        assert until is not None and NOW < until <= NOW + 2 * HOUR
    lane.resume()


def test_a_waiting_item_goes_on(database: Database, jump: float) -> None:
    store, waits = ItemStore(database), item(int(abs(jump)) * 2 + (jump > 0))
    with clock_at(NOW + jump):
        store.submit([waits], {}, lambda *_: None)
        store.claim(waits.id, 1, "one")
        store.finish(waits.id, 1, "one", WAITING, wait_until=NOW + jump + HOUR)
    assert (waits.id in store.due(NOW)) == (is_lost(jump) or jump <= -HOUR)
    with clock_at(NOW):
        last = store.last_queued_at()
    assert last is None or last <= NOW + SLACK_S


def test_an_item_that_ended_in_the_future_is_neither_of_today_nor_the_newest(
    database: Database, jump: float
) -> None:
    store, now = ItemStore(database), NOW + 10 * YEAR
    one, right = item(10**12), item(2 * 10**12)
    for each, at in ((right, now - 0.5), (one, now + jump)):
        with clock_at(at):
            store.submit([each], {}, lambda *_: None)
            store.claim(each.id, 1, "one")
            store.finish(each.id, 1, "one", DONE)
    with clock_at(now):
        shown = [row.id for row in views.page(database, (), states=[DONE]).rows]
        counted = views.figures(database, (), now - HOUR).done_since
    with database.begin() as connection:
        ends = connection.scalars(sa.select(items.c.ended_at).where(items.c.state == DONE)).all()
    assert counted == sum(now - HOUR <= end <= now + SLACK_S for end in ends)
    assert (shown.index(one.id) < shown.index(right.id)) == (0 < jump <= SLACK_S)
    with database.begin() as connection:
        connection.execute(sa.delete(items).where(items.c.id.in_([one.id, right.id])))


def test_a_waiting_publication_goes_on(database: Database, jump: float) -> None:
    outbox, item_id = Outbox(database, "project"), f"file:{jump}"
    with clock_at(NOW + jump):
        outbox.record("odin", item_id, SYNCING, NOW + jump + HOUR)
    due = [found for _, found in outbox.claim_due(NOW, lambda *_: None)]
    assert (item_id in due) == (is_lost(jump) or jump <= -HOUR)


def test_the_next_look_is_within_an_interval(database: Database, jump: float) -> None:
    moment = [NOW + jump]
    followed = Subscriptions(database, None, clock=lambda: moment[0])
    address = f"https://example.org/{jump}"
    key = followed.follow(address, every_s=6 * HOUR).key
    followed.poll(lambda _: None)
    moment[0] = NOW
    found = followed.find(key)
    assert found is not None and (found.last_at is None) == is_lost(jump)
    looks: list[str] = []
    for _ in range(8):
        followed.poll(lambda due: looks.append(due.key))
        moment[0] += HOUR
    found = followed.find(key)
    assert found is not None and 1 <= looks.count(key) <= 3
    assert found.next_at <= moment[0] + 6 * HOUR
    assert found.last_at is not None and found.last_at <= moment[0]


# Elapsed time, and the report


def test_a_wait_ends_though_the_clock_is_set_back() -> None:
    steps = CaptionSteps.__new__(CaptionSteps)
    moments = iter([NOW, *[NOW - DAY] * 1000])
    steps._context = SimpleNamespace(  # type: ignore[assignment]
        stopping=threading.Event(), now=lambda: next(moments)
    )
    began = time.monotonic()
    steps._wait(NOW + 0.05)
    assert time.monotonic() - began < 5


def test_times_of_the_future_are_reported(tmp_path: Path) -> None:
    settings = Settings(KB_HOME=tmp_path)
    database = Database.open(settings)
    assert future_times(database) == []
    assert clock_problem(database) is None
    assert _workers(settings, []) == []
    with clock_at(time.time() + 400 * DAY):
        ItemStore(database).submit([item(1)], {}, lambda *_: None)
        LaneStore(database).pause("items", NOW * 2, "busy")
    found = future_times(database)
    assert {(each.table, each.column) for each in found} == {
        ("kb_items", "enqueued_at"),
        ("kb_items", "updated_at"),
        ("kb_lanes", "updated_at"),
    }
    problem = clock_problem(database)
    assert problem is not None and problem.values["count"] == 3
    (check,) = _workers(settings, [])
    assert check.state == "warn" and check.problem is not None
    assert check.problem["code"] == "clock.future_times"
    assert isinstance(check.problem["values"], dict) and check.problem["values"]["count"] == 3
    database.close()
