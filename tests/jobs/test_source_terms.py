"""Hours of the day and pace of a followed source, by the clock of this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from kb.database import items
from kb.errors import KBError, RetryLater
from kb.jobs.queue import workflow_ids
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.order import SOURCE
from kb.jobs.worker import source_terms
from kb.jobs.worker.caption_steps import CaptionSteps
from kb.jobs.worker.context import WorkerContext
from kb.options import RunOptions, SourceOptions, as_typed, chosen
from kb.service import Service
from kb.settings import Settings
from kb.sources.listing.filters import VideoFilters
from kb.sources.subscriptions import Subscriptions
from kb.types.hours import Hours, with_zone
from tests.support.items import item
from tests.support.postgres import new_database, server
from tests.support.queue_store import Queue

__all__ = ["server"]

NIGHT = "22:00-06:00"


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the zone of this process to one whose clock changes twice a year."""
    if not hasattr(time, "tzset"):
        pytest.skip("no zone can be set on this system")
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def local(text: str, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(fold=fold).timestamp()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("hours", "now", "opens"),
    [
        (NIGHT, "2026-05-04T21:59", "2026-05-04T22:00"),
        (NIGHT, "2026-05-04T22:00", "2026-05-04T22:00"),
        (NIGHT, "2026-05-04T23:59", "2026-05-04T23:59"),
        (NIGHT, "2026-05-05T00:00", "2026-05-05T00:00"),
        (NIGHT, "2026-05-05T05:59", "2026-05-05T05:59"),
        (NIGHT, "2026-05-05T06:00", "2026-05-05T22:00"),
        ("9-17", "2026-05-05T08:30", "2026-05-05T09:00"),
        ("9-17", "2026-05-05T17:00", "2026-05-06T09:00"),
        ("0-24", "2026-05-05T17:00", "2026-05-05T17:00"),
        ("20-24", "2026-05-05T17:00", "2026-05-05T20:00"),
        ("20-0", "2026-05-05T23:59", "2026-05-05T23:59"),
        ("7-9, 12:30-13", "2026-05-05T10:00", "2026-05-05T12:30"),
        ("7-9, 12:30-13", "2026-05-05T13:00", "2026-05-06T07:00"),
        ("23-7", "2026-12-31T22:00", "2026-12-31T23:00"),
        # On 29 March 2026 the clock goes from 2:00 to 3:00, on 25 October from 3:00 to 2:00.
        (NIGHT, "2026-03-29T01:59", "2026-03-29T01:59"),
        (NIGHT, "2026-03-29T06:00", "2026-03-29T22:00"),
        ("2:15-2:45", "2026-03-28T12:00", "2026-03-30T02:15"),
        ("2:30-4", "2026-03-28T12:00", "2026-03-29T03:30"),
        ("4-5", "2026-03-29T01:00", "2026-03-29T04:00"),
        (NIGHT, "2026-10-24T21:00", "2026-10-24T22:00"),
        ("4-5", "2026-10-25T01:00", "2026-10-25T04:00"),
    ],
)
def test_the_next_opening(hours: str, now: str, opens: str) -> None:
    assert Hours.parse(hours).next_open(local(now)) == local(opens)


@pytest.mark.usefixtures("berlin")
def test_an_hour_that_the_clock_repeats_is_open_twice() -> None:
    hours = Hours.parse("2:00-2:30")
    between = local("2026-10-25T02:40")
    assert hours.next_open(between) == local("2026-10-25T02:00", fold=1)
    assert hours.contains(local("2026-10-25T02:10", fold=1))
    assert hours.next_open(local("2026-10-25T02:40", fold=1)) == local("2026-10-26T02:00")


@pytest.mark.parametrize("machine", ["Europe/Berlin", "America/New_York", "Asia/Tokyo", "UTC"])
@pytest.mark.parametrize(
    ("hours", "now", "opens"),
    [
        (f"{NIGHT}@Europe/Berlin", "2026-05-04T12:00+02:00", "2026-05-04T22:00+02:00"),
        (f"{NIGHT}@Europe/Berlin", "2026-05-05T05:59+02:00", "2026-05-05T05:59+02:00"),
        (f"{NIGHT}@Europe/Berlin", "2026-01-05T06:00+01:00", "2026-01-05T22:00+01:00"),
        ("2:15-2:45@Europe/Berlin", "2026-03-28T12:00+01:00", "2026-03-30T02:15+02:00"),
        ("4-5@Europe/Berlin", "2026-10-25T01:00+02:00", "2026-10-25T04:00+01:00"),
        (f"{NIGHT}@Asia/Tokyo", "2026-05-04T21:59+09:00", "2026-05-04T22:00+09:00"),
        ("7-9, 12:30-13@+0530", "2026-05-05T10:00+05:30", "2026-05-05T12:30+05:30"),
        ("9-17@-03:00", "2026-05-05T17:00-03:00", "2026-05-06T09:00-03:00"),
    ],
)
def test_hours_with_a_zone_are_the_same_on_every_machine(
    monkeypatch: pytest.MonkeyPatch, machine: str, hours: str, now: str, opens: str
) -> None:
    if not hasattr(time, "tzset"):
        pytest.skip("no zone can be set on this system")
    with monkeypatch.context() as patch:
        patch.setenv("TZ", machine)
        time.tzset()
        found = Hours.parse(hours).next_open(datetime.fromisoformat(now).timestamp())
        assert with_zone(hours) == hours
        assert with_zone(NIGHT) == f"{NIGHT}@{machine}"
        named = Hours.parse(with_zone(NIGHT))
        moment = datetime.fromisoformat(now).timestamp()
        assert named.next_open(moment) == Hours.parse(NIGHT).next_open(moment)
    time.tzset()
    assert found == datetime.fromisoformat(opens).timestamp()


@pytest.mark.parametrize("several", [False, True])
def test_hours_of_a_team_get_the_zone_of_who_sets_them(
    server: str, tmp_path: Path, berlin: None, several: bool
) -> None:
    url = new_database(server) if several else ""
    (tmp_path / "talks").mkdir()
    (tmp_path / "talks" / "one.mp3").write_bytes(b"sound")
    desk = Service(Settings(KB_HOME=str(tmp_path / "home"), KB_DATABASE_URL=url))
    followed = desk.subscriptions.change(str(tmp_path / "talks"), terms=SourceOptions(window=NIGHT))
    assert followed.options["window"] == (f"{NIGHT}@Europe/Berlin" if several else NIGHT)
    assert SourceOptions.from_dict(followed.options).window == followed.options["window"]
    kept = desk.subscriptions.change(str(tmp_path / "talks"), terms=SourceOptions(per_hour=3))
    assert kept.options["window"] == followed.options["window"]
    desk.close()


@pytest.mark.parametrize(
    "text",
    [
        "9-17@",
        "9-17@Nowhere/City",
        "9-17@localtime",
        "9-17@Factory",
        "9-17@+25",
        "@UTC",
        "9-17@../../etc/passwd",
        "",
        "22",
        "22:00",
        "22:00-22:00",
        "25-6",
        "24-6",
        "22-25",
        "22:60-6",
        "a-b",
        "1-2,",
    ],
)
def test_no_hours(text: str) -> None:
    with pytest.raises(ValueError):
        Hours.parse(text)
    with pytest.raises(KBError) as caught:
        SourceOptions(window=text).checked()
    assert caught.value.code == "options.hours"
    assert SourceOptions.from_dict({"window": text}) == SourceOptions()


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"per_hour": 0}, "options.source_number"),
        ({"keep_days": -1}, "options.source_number"),
        ({"keep_newest": 0}, "options.source_number"),
        ({"keep_gb": 0.0}, "options.source_number"),
        ({"per_hour": 6, "window": NIGHT, "keep_days": 90}, ""),
        ({}, ""),
    ],
)
def test_numbers_of_a_source(values: dict[str, Any], code: str) -> None:
    options = SourceOptions(**values)
    try:
        assert options.checked() is options
    except KBError as error:
        assert error.code == code
    else:
        assert not code
        assert SourceOptions.from_dict({"preset": "max", **options.as_dict()}) == options
    assert options.has_retention == any(name.startswith("keep") for name in values)


@pytest.mark.parametrize(
    ("options", "typed"),
    [
        ({}, ""),
        (RunOptions().as_dict(), ""),
        ({"preset": "max", "sinks": ["local", "odin"], "window": NIGHT},
         "--preset max --to local,odin --window 22:00-06:00"),
        ({"captions_first": False, "detect_speech": False}, "--no-vad --no-captions-first"),
        ({"captions_first": True, "metadata": {"team": "a", "b": "c"}},
         "--meta team=a --meta b=c --captions-first"),
        ({"shared": True, "priority": "urgent"}, "--priority urgent"),
    ],
)  # fmt: skip
def test_stored_options_as_typed(options: dict[str, Any], typed: str) -> None:
    assert as_typed(options) == typed


class Desk:
    """A queue with one followed source."""

    def __init__(self, store: ItemStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = store
        self.subscriptions = Subscriptions(store.database)
        self.now = local("2026-05-05T12:00")
        monkeypatch.setattr("time.time", lambda: self.now)

    def follow(self, **options: object) -> str:
        return self.subscriptions.follow("@talks", options=options).key

    def queue(self, number: int, key: str) -> str:
        found = replace(item(number), id=f"youtube:{number}")
        self.store.submit([found], {SOURCE: key} if key else {}, Queue())
        return found.id

    def attempt(self, item_id: str) -> RetryLater | None:
        row = self.store.read(item_id)
        assert row is not None
        try:
            source_terms.require_turn(self.store.database, self.subscriptions, row)
        except RetryLater as error:
            return error
        return None


@pytest.fixture
def desk(store: ItemStore, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(store, monkeypatch)


def test_a_source_is_fetched_in_its_hours_only(desk: Desk) -> None:
    key = desk.follow(window=NIGHT)
    its, other = desk.queue(1, key), desk.queue(2, "")
    refused = desk.attempt(its)
    assert refused is not None and refused.code == "source.outside_hours"
    assert refused.until == local("2026-05-05T22:00")
    assert desk.attempt(other) is None
    desk.now = refused.until
    assert desk.attempt(its) is None
    # Other hours are in force at once, and an unfollowed source has none.
    desk.follow(window="9-11")
    assert desk.attempt(its) is not None
    desk.subscriptions.unfollow("@talks")
    assert desk.attempt(its) is None


def test_a_pace_gives_the_waiting_items_times_one_after_the_other(desk: Desk) -> None:
    key = desk.follow(per_hour=6)  # one in ten minutes
    ids = [desk.queue(n, key) for n in range(4)]
    start = desk.now
    assert desk.attempt(ids[0]) is None
    waits = [desk.attempt(each) for each in ids[1:]]
    assert [each.until - start for each in waits if each and each.until] == [600, 1200, 1800]
    assert all(each is not None and each.code == "source.pace" for each in waits)
    desk.now = start + 600
    assert desk.attempt(ids[1]) is None
    refused = desk.attempt(ids[0])
    assert refused is not None and refused.until is not None and refused.until > desk.now
    # A clock that was set back a year stops nothing for a year.
    desk.now = start - 365 * 86_400
    assert desk.attempt(ids[2]) is None


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("terms", "waits_s"),
    [
        (None, []),
        ({}, []),
        ({"window": "11-13"}, []),
        ({"window": NIGHT}, [3600, 3600]),  # at most an hour: the terms may change
        ({"window": "12:10-13"}, [600, 600]),
        ({"per_hour": 6}, [600]),
        ({"per_hour": 1}, [3600]),
        ({"per_hour": 6, "window": NIGHT}, [3600, 3600]),
    ],
)
def test_captions_alone_are_fetched_by_the_same_terms(
    context: WorkerContext,
    monkeypatch: pytest.MonkeyPatch,
    terms: dict[str, Any] | None,
    waits_s: list[float],
) -> None:
    desk = Desk(context.items, monkeypatch)
    key = "" if terms is None else desk.follow(**terms)
    ids = [desk.queue(number, key) for number in range(2)]
    # Its source has no captions: "none" says that it was asked.
    results = [CaptionSteps(context, each).run() for each in ids]
    assert results == ["none"] * (2 - len(waits_s)) + ["later"] * len(waits_s)
    with context.items.database.begin() as connection:
        query = sa.text("SELECT workflow_uuid, delay_until_epoch_ms FROM workflow_status")
        rows = dict(connection.execute(query).tuples().all())
    assert [round(until / 1000 - desk.now) for until in rows.values()] == waits_s
    assert all(workflow_ids.queue_of(each) == workflow_ids.CAPTIONS_QUEUE for each in rows)
    if terms and terms.get("per_hour") and "none" in results:
        refused = desk.attempt(ids[0])  # the captions count as a fetch
        assert refused is not None and refused.code == "source.pace"


def test_captions_postponed_again_are_another_workflow(context: WorkerContext) -> None:
    for delay_s in (600.0, 1200.0):
        context.client.enqueue_captions("youtube:1", 1, 5, delay_s)
    with context.items.database.begin() as connection:
        rows = connection.execute(sa.text("SELECT status FROM workflow_status")).all()
    assert [each.status for each in rows] == ["DELAYED", "DELAYED"]


def test_a_day_at_a_pace_has_that_many_starts(desk: Desk) -> None:
    key = desk.follow(per_hour=4)
    ids = [desk.queue(n, key) for n in range(100)]
    due: dict[str, float] = dict.fromkeys(ids, desk.now)
    end, started = desk.now + 6 * 3600, 0
    while due and min(due.values()) < end:
        item_id = min(due, key=due.__getitem__)
        desk.now = max(desk.now, due[item_id])
        refused = desk.attempt(item_id)
        if refused is None:
            started += 1
            del due[item_id]
        else:
            assert refused.until is not None
            due[item_id] = refused.until
    assert started == 24


def test_following_again_changes_what_is_given(
    home: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service()
    follow = service.subscriptions.change
    first = follow(
        "@talks", every_s=7200, filters=VideoFilters(title="rivers"),
        options=RunOptions(preset="max", language="de"), terms=SourceOptions(window=NIGHT),
    )  # fmt: skip
    assert as_typed(first.options) == "--preset max --language de --window 22:00-06:00"
    second = follow(
        "https://www.youtube.com/@talks", filters=VideoFilters(no_shorts=True),
        options=RunOptions(language="en", captions_first=True), terms=SourceOptions(keep_days=30),
    )  # fmt: skip
    assert second.every_s == 7200
    assert (second.filters.title, second.filters.no_shorts) == ("rivers", True)
    assert as_typed(second.options) == (
        "--preset max --language en --captions-first --window 22:00-06:00 --keep-days 30"
    )
    third = follow("@talks", reset=True, options=RunOptions(preset="stabil"))
    assert (as_typed(third.options), third.filters) == ("--preset stabil", VideoFilters())
    assert chosen(RunOptions()) == {}
    service.close()


def test_another_priority_moves_what_is_queued(home: object) -> None:
    service = Service()
    queue, store = service.queue, service.queue.items
    key = service.subscriptions.change("@talks").key
    its = [replace(item(n), id=f"youtube:{n}", channel="a") for n in range(3)]
    others = [replace(item(n), id=f"youtube:other{n}", channel="b") for n in range(3)]
    store.submit(others, {}, Queue())
    store.submit(its, {SOURCE: key}, Queue())

    def order() -> str:
        query = sa.select(items.c.id).order_by(items.c.priority, items.c.enqueued_at, items.c.id)
        with store.database.begin() as connection:
            return "".join("b" if "other" in each else "a" for each in connection.scalars(query))

    assert order() == "bababa"
    service.subscriptions.change("@talks", terms=SourceOptions(per_hour=5))
    assert order() == "bababa"
    service.subscriptions.change("@talks", options=RunOptions(priority="urgent"))
    assert order() == "aaabbb"
    service.subscriptions.change("@talks", options=RunOptions(priority="backlog"))
    assert order() == "bbbaaa"
    # As `kb ingest --priority urgent` does with an item that is queued already.
    _, skipped = queue.submit([its[2]], RunOptions(priority="urgent"))
    assert [each.id for each in skipped] == ["youtube:2"] and order() == "abbbaa"
    service.close()


@pytest.mark.parametrize("state", ["waiting", "paused"])
def test_another_priority_holds_for_what_waits(home: object, state: str) -> None:
    service = Service()
    store = service.queue.items
    key = service.subscriptions.change("@talks", terms=SourceOptions(window=NIGHT)).key
    own, other = replace(item(1), id="youtube:1"), replace(item(2), id="youtube:2", channel="b")
    store.submit([own], {SOURCE: key}, Queue())
    if state == "waiting":
        assert store.claim(own.id, 1, "worker") is not None
        error = RetryLater("source.outside_hours", "{n}", n=1)
        store.finish(own.id, 1, "worker", "waiting", **error.record(), wait_until=4e9)
    else:
        service.queue.pause([own.id])
    store.submit([other], {}, Queue())
    service.subscriptions.change("@talks", options=RunOptions(priority="urgent"))
    if state == "waiting":  # the hours are over
        service.subscriptions.change("@talks", terms=SourceOptions(window="0-24"))
    else:
        service.queue.resume([own.id])
    first, second = (store.read(each.id) for each in (own, other))
    assert first is not None and second is not None
    assert (first.state, second.state) == ("queued", "queued")
    assert first.priority < second.priority
    service.close()


def test_other_hours_wake_the_items_that_wait_for_them(home: object) -> None:
    service = Service()
    key = service.subscriptions.change("@talks", terms=SourceOptions(window=NIGHT)).key
    store = service.queue.items
    found = [replace(item(n), id=f"youtube:{n}") for n in range(2)]
    store.submit(found, {SOURCE: key}, Queue())
    codes = ("source.outside_hours", "download.scheduled")
    for each, code in zip(found, codes, strict=True):
        assert store.claim(each.id, 1, "worker") is not None
        error = RetryLater(code, "{n}", n=1)
        store.finish(each.id, 1, "worker", "waiting", **error.record(), wait_until=4e9)
    service.subscriptions.change("@talks", terms=SourceOptions(window="0-24"))
    with store.database.begin() as connection:
        states = dict(connection.execute(sa.select(items.c.id, items.c.state)).tuples().all())
    assert states == {"youtube:0": "queued", "youtube:1": "waiting"}
    service.close()
