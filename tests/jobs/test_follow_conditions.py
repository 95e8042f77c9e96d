"""The condition of a followed source, the numbers of what is known, and the look under way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from kb.database import items, list_entries, lists, looks, subscriptions
from kb.errors import KBError, UsageError
from kb.jobs.queue.follow_states import FollowState, follow_states
from kb.jobs.queue.known_numbers import CLASSES
from kb.jobs.queue.listing_jobs import subscription_listing
from kb.library.left_out import LeftOut, Mark, Why
from kb.service import Service
from kb.settings import Settings
from kb.sources.channel_identity import list_ids
from kb.sources.listing.filters import VideoFilters
from kb.sources.listing.known_list import KnownList
from kb.sources.looks import LookOutcome, Looks
from kb.types import Availability, AvailabilityState, MediaItem

CHANNEL = f"UC{'c' * 22}"
UPLOADS = f"UU{'c' * 22}"
NOW = 1.7e9
UNAVAILABLE = AvailabilityState.UNAVAILABLE
GONE_NAME = UsageError(
    "youtube.name_gone", "{name} leads to no channel.", hint="It may be {handle}.",
    name="@talks", title="Talks", id=CHANNEL, handle="@newname",
)  # fmt: skip
MOVED = UsageError(
    "youtube.name_moved", "{name} leads to {other_id}; {id} is listed.", hint="Else: {other_id}",
    name="@talks", other="Other", other_id=f"UC{'o' * 22}", title="Talks", id=CHANNEL,
)  # fmt: skip
CLOSED = UsageError("youtube.channel_deleted", "It was closed.", hint="Unfollow it.")
NETWORK = UsageError("download.failed", "No answer.", hint="Check the network.")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    opened = Service(Settings(home=tmp_path_factory.mktemp("home")))
    opened.library.prepare()
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def empty(service: Service) -> None:
    with service.queue.database.begin() as connection:
        for table in (items, subscriptions, list_entries, lists, looks):
            connection.execute(sa.delete(table))
    LeftOut(service.library).unmark(LeftOut(service.library).own_marks())
    service.library.write_facts({"removed": None})


def follow(service: Service, filters: VideoFilters | None = None, reference: str = "@talks") -> str:
    key = service.subscriptions.follow(reference, filters=filters, channel_id=CHANNEL).key
    with service.queue.database.begin() as connection:
        connection.execute(sa.update(subscriptions).values(last_at=NOW, next_at=4e9))
    return key


def look(
    service: Service, key: str, outcome: LookOutcome, error: KBError | None = None, **facts: int
) -> None:
    made = Looks(service.queue.database).begin(key, "one")
    made.note(**facts)
    if outcome == LookOutcome.RUNNING:
        made.save()
        return
    made.end(outcome, error=error, next_at=4e9 if outcome == LookOutcome.WAITING else None)
    if outcome in (LookOutcome.SUCCEEDED, LookOutcome.FAILED, LookOutcome.WAITING):
        message = error.message if error else ""
        problem = error.problem if error else None
        service.subscriptions.record_result(key, error=message, problem=problem)


def video(number: int, **more: Any) -> MediaItem:
    return MediaItem(
        f"youtube:v{number:010}", "youtube", "https://y.example", f"Talk {number}", "2026-01-01",
        extra={"channel_id": CHANNEL}, **more,
    )  # fmt: skip


def add(service: Service, item: MediaItem, state: str, **more: Any) -> None:
    service.queue.items.submit([item], {}, lambda *_: None)
    with service.queue.database.begin() as connection:
        own = sa.update(items).where(items.c.id == item.id)
        connection.execute(own.values(state=state, **more))


def queue_look(service: Service, key: str, state: str, executor: str = "") -> None:
    followed = service.subscriptions.find(key)
    assert followed is not None
    service.queue.items.submit([subscription_listing(followed)], {}, lambda *_: None)
    with service.queue.database.begin() as connection:
        own = sa.update(items).where(items.c.source == "listing")
        connection.execute(own.values(state=state, executor=executor, enqueued_at=NOW + 5))


def state_of(service: Service, live: Sequence[str] | None = None) -> FollowState:
    (found,) = follow_states(
        service.queue.database, service.library, service.subscriptions.list(), live
    )
    return found


R, S, F, W, INT, C = (
    LookOutcome.RUNNING, LookOutcome.SUCCEEDED, LookOutcome.FAILED, LookOutcome.WAITING,
    LookOutcome.INTERRUPTED, LookOutcome.CANCELLED,
)  # fmt: skip


@pytest.mark.parametrize(
    ("outcomes", "condition", "last"),
    [
        ([], "new", None),
        ([R], "new", None),  # the first look is under way
        ([INT], "new", None),
        ([S], "well", S),
        ([F], "error", F),
        ([W], "waiting", W),
        ([S, R], "well", S),
        ([F, R], "error", F),  # tried again now, and not well before it ends
        ([W, R], "waiting", W),
        ([W, INT, INT], "waiting", W),
        ([F, INT], "error", F),
        ([F, C], "error", F),
        ([S, INT], "well", S),
        ([S, F], "error", F),
        ([F, S], "well", S),
        ([W, S, R], "well", S),
        ([S, W, INT, R], "waiting", W),
    ],
    ids=lambda value: (
        "-".join(each or "running" for each in value) if isinstance(value, list) else None
    ),
)
def test_a_source_is_well_only_after_a_look_that_ended_well(
    service: Service, outcomes: list[LookOutcome], condition: str, last: LookOutcome | None
) -> None:
    key = follow(service)
    for number, outcome in enumerate(outcomes, 1):
        error = NETWORK if outcome in (F, W) else None
        look(service, key, outcome, error, listed=number, reported=100)
    found = state_of(service)
    assert found.condition == condition
    assert (found.last.outcome if found.last else None) == last
    if last is not None:  # its own figures, and not those of another look
        assert found.last is not None
        assert found.last.listed == len(outcomes) - outcomes[::-1].index(last)


@pytest.mark.parametrize(
    ("row", "executor", "live", "shown", "since"),
    [
        ("queued", "", ["one"], "queued", NOW + 5),
        ("running", "one", ["one"], "running", None),  # None: the start of the open look
        ("running", "one", [], "queued", NOW + 5),  # its worker is gone
        ("running", "one", None, "running", None),
        ("paused", "", ["one"], "paused", NOW + 5),
        ("done", "", ["one"], None, None),
        ("failed", "", ["one"], None, None),
        ("waiting", "", ["one"], None, None),
        ("cancelled", "", ["one"], None, None),
    ],
)
def test_a_look_under_way_is_shown_beside_the_last_one(
    service: Service, row: str, executor: str, live: list[str] | None, shown: str | None,
    since: float | None,
) -> None:  # fmt: skip
    key = follow(service)
    look(service, key, S, listed=7, reported=9)
    queue_look(service, key, row, executor)
    if row == "running":
        look(service, key, R)
        (open_look,) = Looks(service.queue.database).open().values()
        since = since or open_look.started_at
    found = state_of(service, live)
    assert (found.looking.state if found.looking else None) == shown
    assert (found.looking.since if found.looking else None) == since
    assert found.last is not None
    assert (found.last.listed, found.last.reported) == (7, 9)
    document = found.as_dict()
    assert document["last_look"]["listed"] == 7
    assert (document["looking"] or {}).get("state") == shown


@pytest.mark.parametrize(
    ("live", "condition"), [([], "overdue"), (["one"], "well"), (None, "well")]
)
def test_a_look_that_waits_for_a_worker_makes_its_source_overdue(
    service: Service, live: list[str] | None, condition: str
) -> None:
    key = follow(service)
    look(service, key, S)
    queue_look(service, key, "queued")
    assert state_of(service, live).condition == condition


@pytest.mark.slow
@pytest.mark.parametrize(
    ("state", "serial", "condition", "missing"),
    [
        ("done", 1, "well", 0),
        ("done", 2, "well", 0),
        ("failed", 1, "missing", 1),
        ("waiting", 1, "missing", 1),
        ("paused", 1, "missing", 1),
        ("held", 1, "missing", 1),
        ("queued", 1, "coming", 0),  # new
        ("running", 1, "coming", 0),
        ("queued", 2, "coming", 1),  # it had failed, and is tried again
        ("running", 2, "coming", 1),
        ("dismissed", 1, "well", 0),
        ("cancelled", 1, "well", 0),
    ],
)
def test_a_source_is_well_only_when_its_items_are_done(
    service: Service, state: str, serial: int, condition: str, missing: int
) -> None:
    look(service, follow(service), S)
    add(service, video(1), "done")
    add(service, video(2), state, serial=serial, executor="one")
    found = state_of(service, ["one"])
    assert (found.condition, len(found.missing)) == (condition, missing)
    assert found.known == 2


@pytest.mark.parametrize("state", ["failed", "waiting", "held", "done", "queued"])
def test_an_item_of_the_list_without_a_channel_is_counted_and_named(
    service: Service, state: str
) -> None:
    look(service, follow(service), S)
    item = replace(video(1), extra={})
    KnownList(service.queue.database, UPLOADS).add_page([item.id], 1)
    add(service, item, state)
    found = state_of(service)
    is_missing = state in ("failed", "waiting", "held")
    assert found.counts == {state: 1}
    assert [each.id for each in found.missing] == [item.id] * is_missing


def test_an_item_that_is_retried_by_hand_is_not_well_before_it_is_done(service: Service) -> None:
    look(service, follow(service), S)
    add(service, video(1), "failed", error="No.")
    assert state_of(service).condition == "missing"
    assert service.queue.retry_failed() == [video(1).id]
    found = state_of(service)
    assert (found.condition, [each.state for each in found.missing]) == ("coming", ["queued"])


@pytest.mark.parametrize(
    ("error", "outcome", "condition", "rank", "name", "is_gone"),
    [
        (GONE_NAME, S, "noted", 1, "@newname", False),
        (MOVED, S, "noted", 1, f"youtube.com/channel/{CHANNEL}", False),
        (CLOSED, F, "error", 0, "", True),
        (NETWORK, F, "error", 0, "", False),
        (NETWORK, W, "waiting", 0, "", False),
    ],
    ids=lambda value: value.code if isinstance(value, KBError) else None,
)
def test_an_error_of_a_look_has_its_step(
    service: Service, error: KBError, outcome: LookOutcome, condition: str, rank: int, name: str,
    is_gone: bool,
) -> None:  # fmt: skip
    look(service, follow(service), outcome, error)
    found = state_of(service)
    assert (found.condition, found.rank) == (condition, rank)
    assert (found.better_name, found.is_gone) == (name, is_gone)


@pytest.mark.parametrize(
    ("error", "condition"), [(None, "new"), (GONE_NAME, "noted"), (MOVED, "noted"),
                             (CLOSED, "error"), (NETWORK, "error")],
    ids=lambda value: value.code if isinstance(value, KBError) else None,
)  # fmt: skip
def test_without_a_recorded_look_a_source_is_never_well(
    service: Service, error: KBError | None, condition: str
) -> None:
    key = follow(service)
    if error is not None:
        service.subscriptions.record_result(key, error=error.message, problem=error.problem)
    assert state_of(service).condition == condition


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("https://www.youtube.com/@talks/shorts", "https://www.youtube.com/@newname/shorts"),
        ("https://www.youtube.com/@talks/streams", "https://www.youtube.com/@newname/streams"),
        ("https://www.youtube.com/@talks/videos", "@newname"),
    ],
)
def test_a_tab_of_a_channel_keeps_its_tab_under_the_new_name(
    service: Service, reference: str, name: str
) -> None:
    look(service, follow(service, reference=reference), S, GONE_NAME)
    assert state_of(service).better_name == name


LISTED: list[tuple[str, dict[str, Any], Mapping[str, int]]] = [
    ("nothing is listed", {}, {}),
    ("all is done", {"done": 3}, {"done": 3}),
    ("one failed", {"done": 80, "failed": 1, "closed": 1}, {"done": 80, "failed": 1, "closed": 1}),
    ("filters", {"done": 2, "plain": 5, "filters": True}, {"done": 2, "filtered": 5}),
    ("no filters", {"done": 2, "plain": 5}, {"done": 2, "to come": 5}),
    ("unread", {"unread": 4, "filters": True}, {"unread": 4}),
    ("left out", {"done": 1, "removed": 2, "files gone": 1}, {"done": 1, "removed": 2,
                                                               "files gone": 1}),
    ("left out under filters", {"removed": 2, "plain": 1, "filters": True},
     {"removed": 2, "filtered": 1}),
    ("by a person", {"cancelled": 4, "dismissed": 1, "done": 2},
     {"cancelled": 4, "dismissed": 1, "done": 2}),
    ("gone from the list", {"done": 2, "gone": 3}, {"done": 2}),
    ("every class", {"done": 2, "failed": 1, "held": 1, "waiting": 1, "queued": 1, "removed": 1,
                     "closed": 1, "unread": 1, "plain": 2, "filters": True},
     {"done": 2, "failed": 1, "held": 1, "waiting": 1, "queued": 1, "removed": 1, "closed": 1,
      "unread": 1, "filtered": 2}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "expected"), [each[1:] for each in LISTED], ids=[each[0] for each in LISTED]
)
def test_the_numbers_sum_to_the_known_list(
    service: Service, given: dict[str, Any], expected: Mapping[str, int]
) -> None:
    given = dict(given)
    has_filters = given.pop("filters", False)
    look(service, follow(service, VideoFilters(title="Talk") if has_filters else None), S)
    known = KnownList(service.queue.database, UPLOADS)
    removed, gone_files, present, number = [], {}, 0, 0
    for name, count in given.items():
        for _ in range(count):
            number += 1
            item = video(number)
            known.add_page([item.id], 1)
            present += name != "gone"
            if name != "unread":
                state = UNAVAILABLE if name == "closed" else AvailabilityState.AVAILABLE
                known.record([video(number, availability=Availability(state))])
            if name == "removed":
                removed.append(item.id)
            elif name == "files gone":
                gone_files[item.id] = Mark(Why.FILES_GONE, NOW)
            elif name in CLASSES and name not in ("closed", "unread"):
                add(service, item, name)
            if name == "gone":
                with service.queue.database.begin() as connection:
                    own = list_entries.c.item_id == item.id
                    connection.execute(sa.update(list_entries).where(own).values(gone=True))
    LeftOut(service.library).mark(gone_files)
    service.library.write_facts({"removed": {each: {"at": NOW} for each in removed}})
    found = state_of(service)
    assert found.counts == expected
    assert found.known == present == sum(found.counts.values())
    assert found.as_dict()["known"] == present
    assert [*found.counts] == [name for name in CLASSES if name in found.counts]


@pytest.mark.parametrize(
    ("reference", "channel_id", "expected"),
    [
        ("@talks", CHANNEL, {UPLOADS}),
        ("@talks", "", set()),
        (CHANNEL, "", {UPLOADS}),
        (f"https://www.youtube.com/channel/{CHANNEL}", CHANNEL, {UPLOADS}),
        (f"https://www.youtube.com/playlist?list={UPLOADS}", "", {UPLOADS}),
        (f"https://www.youtube.com/playlist?list=PL{'p' * 32}", "", {f"PL{'p' * 32}"}),
        ("https://www.youtube.com/@talks/shorts", CHANNEL,
         {f"UUSH{'c' * 22}", "youtube:handle:@talks:shorts:shorts"}),
        ("https://www.youtube.com/@talks/streams", CHANNEL,
         {f"UULV{'c' * 22}", "youtube:handle:@talks:live:live"}),
        ("https://talks.example/all", "", set()),
        ("/talks", "", set()),
    ],
)  # fmt: skip
def test_the_known_lists_of_a_reference(
    reference: str, channel_id: str, expected: set[str]
) -> None:
    assert list_ids(reference, channel_id) == expected
