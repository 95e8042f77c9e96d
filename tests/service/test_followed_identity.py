"""A subscription is a channel and not a name; what ends or changes one holds at once, for good."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from kb.database import subscriptions as table
from kb.errors import KBError, MediaUnavailable
from kb.jobs.queue.item_states import CANCELLED, FAILED, QUEUED
from kb.jobs.queue.listing_jobs import (
    LookOutdated,
    enqueue_listing,
    run_listing,
    subscription_listing,
)
from kb.jobs.queue.recovery import follow_acts
from kb.options import SourceOptions
from kb.service import Service
from kb.settings import Settings
from kb.sources.channel_identity import identity
from kb.sources.listing import filters
from kb.sources.listing.filters import VideoFilters
from kb.sources.subscriptions import Subscription
from tests.fakes.youtube import BACKEND, NEWEST, Channel, FakeYouTube
from tests.support.keys import fake_key

UC, OTHER = f"UC{'t' * 22}", f"UC{'o' * 22}"
Y = "https://www.youtube.com"
NAMES = [
    "@talks",
    "@Talks",
    f"{Y}/@talks",
    "youtube.com/@talks/videos?view=0",
    f"{Y}/c/talks",
    f"{Y}/user/talks",
    f"{Y}/talks",
    UC,
    f"{Y}/channel/{UC}/featured",
    f"{Y}/feeds/videos.xml?channel_id={UC}",
    f"UU{UC[2:]}",
    f"{Y}/playlist?list=UU{UC[2:]}",
]


@dataclass
class World:
    """A service whose YouTube is a fake with one channel of four videos."""

    service: Service
    fake: FakeYouTube
    channel: Channel
    settings: Settings

    @property
    def followed(self) -> tuple[Subscription, ...]:
        return self.service.subscriptions.list()

    def look(self, each: Subscription, check: Callable[[], None] = lambda: None) -> KBError | None:
        queue = self.service.queue
        return run_listing(
            subscription_listing(each), each.options, queue.source_factory, queue.items,
            self.service.library, lambda *_: None, check, self.service.subscriptions,
        )  # fmt: skip

    def wait(self, each: Subscription) -> str:
        """Queue the look at a source; return its id."""
        job = subscription_listing(each)
        enqueue_listing(self.service.queue.items, job, each.options, lambda *_: None)
        return job.id

    def queued(self) -> set[str]:
        return {i for i in self.service.queue.items.states() if i.startswith("youtube:")}

    def lose_database(self) -> None:
        self.service.close()
        for path in self.settings.home.glob("kb.sqlite*"):
            path.unlink()
        self.service = Service(self.settings)

    def double(self, name: str, key: str, **values: Any) -> None:
        """Add a subscription as the version before wrote it."""
        terms = {"every_s": 3600.0, "filters": {}, "options": {}, "error": "", "next_at": 0.0}
        row = {"key": key, "reference": name, **terms, **values}
        with self.service.queue.database.begin() as connection:
            connection.execute(sa.insert(table).values(**row))


@pytest.fixture(scope="module")
def shared() -> Iterator[FakeYouTube]:
    with FakeYouTube([], {fake_key("a"): 1_000_000}) as fake:
        yield fake


@pytest.fixture
def world(tmp_path: Path, shared: FakeYouTube) -> Iterator[World]:
    channel = Channel(UC, "@talks", 4, user="talks")
    shared.channels[:] = [channel]
    settings = Settings(
        KB_HOME=tmp_path / "home",
        YT_API_ENDPOINT=shared.url,
        YT_API_KEYS=fake_key("a"),
        YT_API_KEYS_FILE=str(tmp_path / "none.txt"),
    )
    made = World(Service(settings), shared, channel, settings)
    made.service.library.prepare()
    yield made
    made.service.close()


def test_a_channel_under_any_name_is_one_subscription(world: World) -> None:
    for number, name in enumerate(NAMES, start=1):
        world.service.subscriptions.follow(name, every_s=3600.0 + number)
        (only,) = world.followed
        assert (only.reference, only.every_s, only.channel_id or UC) == (name, 3600.0 + number, UC)
    assert len(only.names or ()) == len(NAMES) - 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("followed_as", ["@talks", UC])
def test_a_channel_is_unfollowed_by_any_name(world: World, followed_as: str, name: str) -> None:
    world.service.subscriptions.follow(followed_as)
    world.service.subscriptions.follow(f"{Y}/playlist?list=PL12345678901234")
    assert world.service.subscriptions.unfollow(name)
    assert [each.reference[-4:] for each in world.followed] == ["1234"]
    assert not world.service.subscriptions.unfollow(name)


@pytest.mark.parametrize("name", ["talks", "./talks", "{here}/talks"])
def test_a_folder_is_followed_found_and_unfollowed_by_its_relative_path(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "talks").mkdir()
    (tmp_path / "talks" / "a.mp3").write_bytes(b"sound")
    monkeypatch.chdir(tmp_path)
    followed = world.service.subscriptions.change(name.format(here=tmp_path))
    assert Path(followed.reference).is_absolute()
    for other in ("talks", "./talks"):
        assert world.service.subscriptions.find_named(other) == (followed,)
    assert world.service.subscriptions.unfollow("talks")


@pytest.mark.parametrize("name", NAMES[:4])
def test_a_followed_channel_is_changed_while_its_service_is_away(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriptions = world.service.subscriptions
    first = subscriptions.change(name)
    away = replace(BACKEND, headers={"Retry-After": "0.01"})
    monkeypatch.setattr(world.fake, "refuse", lambda *_: away)
    changed = subscriptions.change(name, terms=SourceOptions(per_hour=5))
    assert (changed.key, changed.channel_id) == (first.key, first.channel_id)
    assert changed.options["per_hour"] == 5
    with pytest.raises(MediaUnavailable):  # nothing says what another name leads to
        subscriptions.change("@others")
    assert len(subscriptions.list()) == 1


def test_an_address_that_is_longer_than_a_file_name_is_followed(world: World) -> None:
    address = f"https://talks.example/{'x' * 300}"
    assert world.service.subscriptions.change(address).reference == address


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("@talks", "@talks/shorts", False),
        (f"UUSH{UC[2:]}", f"{Y}/channel/{UC}/shorts", True),
        (f"UULV{UC[2:]}", f"{Y}/channel/{UC}/streams", True),
        (f"UU{UC[2:]}", UC, True),
        (f"UULF{UC[2:]}", UC, False),
        (UC, OTHER, False),
        ("https://example.org/feed/", "http://www.example.org/feed", True),
        ("https://example.org/feed?a=1", "https://example.org/feed?a=2", False),
        ("https://example.org/Feed", "https://example.org/feed", False),
        ("/tmp/talks/", "/tmp/../tmp/talks", True),
        ("/tmp/talks", "/tmp/Talks", False),
    ],
)
def test_identities(one: str, other: str, same: bool) -> None:
    assert (identity(one, UC) == identity(other, UC)) == same
    assert identity("@talks") == identity("@talks", "not an id") == ""


def test_doubles_of_the_version_before_are_merged_at_their_first_looks(world: World) -> None:
    forms = ["@talks", f"{Y}/c/talks", f"{Y}/user/talks", UC, f"{Y}/talks"]
    for number, name in enumerate(forms):
        key = f"youtube:old:{number}"
        world.double(name, key, created_at=float(number), options={"preset": f"p{number}"})
    for each in world.followed:
        with suppress(LookOutdated):  # it is one with an earlier one
            world.look(each)
    (only,) = world.followed
    assert (only.key, only.created_at, only.reference) == ("youtube:old:0", 0.0, forms[-1])
    assert only.options == {"preset": "p4"} and set(only.names or ()) == set(forms[:-1])
    # The looks of the doubles ended; that of the one that is left is due.
    assert world.service.subscriptions.poll(lambda due: world.look(due) and None) == 1
    assert len(world.queued()) == 4


def test_doubles_with_known_ids_are_merged_before_the_next_look(world: World) -> None:
    for number, name in enumerate(["@talks", UC, "@talks/shorts"]):
        world.double(name, f"old:{number}", created_at=float(number), channel_id=UC)
    world.double("@more", "old:3", created_at=3.0, channel_id=UC, filters={"playlist": "One"})
    started: list[str] = []
    assert world.service.subscriptions.poll(lambda each: started.append(each.reference)) == 3
    assert started == [UC, "@talks/shorts", "@more"]


def test_names_are_refreshed_and_a_new_name_replaces_the_old_one(world: World) -> None:
    world.service.subscriptions.follow("@talks")
    assert world.look(world.followed[0]) is None
    world.channel.handle, world.channel.title = "@official", "Official talks"
    world.channel.user, world.channel.new_uploads = "", 1
    notice = world.look(world.followed[0])
    assert notice is not None and notice.code == "youtube.name_gone"
    (only,) = world.followed
    assert (only.title, only.handle) == ("Official talks", "@official")
    assert len(world.queued()) == 5
    world.service.subscriptions.follow("@official")
    (only,) = world.followed
    assert only.reference == "@official" and world.look(only) is None
    assert world.service.subscriptions.unfollow("@talks")


def test_a_name_taken_by_a_stranger_brings_none_of_its_videos(world: World) -> None:
    world.service.subscriptions.follow("@talks")
    # The first look breaks off; the name passes to a stranger before the second.
    world.channel.handle = world.channel.user = "@official"
    stranger = Channel(OTHER, "@talks", 3, title="Stranger")
    world.fake.channels.append(stranger)
    notice = world.look(world.followed[0])
    assert notice is not None and notice.code == "youtube.name_moved"
    own = {f"youtube:{world.channel.video_id(n)}" for n in range(4)}
    assert world.queued() == own
    # Who follows that name now means the stranger; the channel stays followed.
    world.service.subscriptions.follow("@talks")
    assert [each.channel_id for each in world.followed] == [UC, OTHER]
    by_key = world.followed[1].key
    assert world.service.subscriptions.unfollow(by_key) and len(world.followed) == 1


def unfollow(world: World) -> None:
    assert world.service.subscriptions.unfollow("@talks")


def change_filter(world: World) -> None:
    world.service.subscriptions.follow("@talks", filters=VideoFilters(title="none has this"))


def change_options(world: World) -> None:
    world.service.subscriptions.follow(UC, options={"preset": "max"})


@pytest.mark.parametrize("act", [unfollow, change_filter])
def test_a_look_that_runs_queues_nothing_after_the_act(
    world: World, act: Callable[[World], None]
) -> None:
    (each,) = [world.service.subscriptions.follow("@talks")]
    acted: list[bool] = []

    def check() -> None:
        if not acted:
            acted.append(True)
            act(world)

    with pytest.raises(LookOutdated):
        world.look(each, check)
    assert acted and world.queued() == set()


@pytest.mark.parametrize("act", [unfollow, change_filter, change_options])
@pytest.mark.parametrize("state", [QUEUED, FAILED])
def test_a_look_that_waits_or_failed_ends_with_the_act(
    world: World, act: Callable[[World], None], state: str
) -> None:
    each = world.service.subscriptions.follow("@talks")
    look = world.wait(each)
    store = world.service.queue.items
    store.end_as([look], state, [QUEUED])
    act(world)
    row = store.read(look)
    assert row is not None
    if act is unfollow:
        assert row.state == CANCELLED
        assert world.service.queue.retry([look]) == []
        assert world.service.queue.retry_failed() == world.service.queue.retry_cancelled() == []
        with pytest.raises(LookOutdated):
            world.look(each)
    else:
        assert row.state == (CANCELLED if state == QUEUED else FAILED)
        (now,) = world.followed
        look = world.wait(now)
        row = store.read(look)
        assert row is not None and row.state == QUEUED and row.options == now.options


def test_follows_survive_a_lost_database(world: World) -> None:
    subscriptions = world.service.subscriptions
    subscriptions.follow(
        "@talks", every_s=7200.0, filters=VideoFilters(no_shorts=True), options={"preset": "max"}
    )
    world.look(subscriptions.list()[0])
    subscriptions.follow(f"{Y}/c/talks", every_s=7200.0)
    subscriptions.follow("https://example.org/feed")
    before = subscriptions.list()
    world.lose_database()
    # The first thing that is done with the new database is another follow.
    world.service.subscriptions.follow("https://example.org/other")
    after = world.followed
    assert len(after) == 3
    for old, new in zip(before, after, strict=False):
        for name in ("key", "reference", "every_s", "filters", "options", "created_at",
                     "channel_id", "title", "handle", "names"):  # fmt: skip
            assert getattr(old, name) == getattr(new, name), name
    assert after[0].handle == "@talks"


def test_an_older_copy_of_the_database_does_not_bring_a_follow_back(world: World) -> None:
    world.service.subscriptions.follow("@talks")
    (each,) = world.followed
    unfollow(world)
    world.double("@talks", each.key, created_at=each.created_at, channel_id=UC)
    follow_acts(world.service.queue.database, world.service.library)
    assert world.followed == ()
    world.service.subscriptions.follow("@talks")
    world.service.subscriptions.restore()
    follow_acts(world.service.queue.database, world.service.library)
    assert len(world.followed) == 1
    assert "unfollowed" not in world.service.library.read_facts()


@pytest.mark.parametrize("file_is_older", [False, True])
def test_an_older_copy_of_the_database_gets_the_terms_of_the_files(
    world: World, file_is_older: bool
) -> None:
    """A source that was followed with other terms after the copy; what is newer stays."""
    first = world.service.subscriptions.follow("@talks", every_s=7200.0)
    facts = world.service.library.facts_path.read_text()
    with world.service.queue.database.begin() as connection:
        copy = dict(connection.execute(sa.select(table)).mappings().one())
    world.service.subscriptions.follow(
        "@talks", every_s=3600.0, filters=VideoFilters(no_shorts=True), options={"language": "de"}
    )
    other = world.service.subscriptions.follow("https://example.org/other")
    (second, _) = world.followed
    if file_is_older:  # the folder could not be written then
        world.service.library.facts_path.write_text(facts)
    else:
        with world.service.queue.database.begin() as connection:
            connection.execute(sa.delete(table))
            connection.execute(sa.insert(table).values(**copy))
    follow_acts(world.service.queue.database, world.service.library)
    found = {each.key: each for each in world.followed}
    assert found.keys() == {first.key, other.key}
    for name in ("every_s", "filters", "options", "followed_at"):
        assert getattr(found[first.key], name) == getattr(second, name), name
    assert found[first.key].options["asked"] == second.options["asked"]


@pytest.mark.parametrize(
    "entry",
    [
        3,
        None,
        {},
        {"reference": 7},
        {"reference": "  "},
        {"reference": "@x", "every_s": "often"},
        {"reference": "@x", "filters": {"limit": "many"}},
        {"reference": "@x", "options": 5},
    ],
)
def test_a_damaged_entry_does_not_hold_up_the_others(world: World, entry: Any) -> None:
    good = {"reference": "@talks", "every_s": 60.0, "filters": {}, "options": {}}
    path = world.service.library.facts_path
    path.write_text(json.dumps({"version": 1, "subscriptions": [entry, good]}))
    assert [each.reference for each in world.followed] == ["@talks"]


@pytest.mark.parametrize(
    ("first_day", "looks"),
    [
        # Days from the newest video to today at each look, and the videos that are queued by then.
        ("3d", [(0, 4), (1, 4)]),
        ("3d", [(2, 2), (3, 2)]),
        ("3d", [(9, 0), (1, 3)]),
        ("1w", [(7, 1), (6, 2), (4, 4)]),
        (NEWEST.date().isoformat(), [(0, 1), (9, 1)]),
    ],
)
def test_the_last_days_are_counted_at_each_look(
    world: World, monkeypatch: pytest.MonkeyPatch, first_day: str, looks: list[tuple[int, int]]
) -> None:
    each = world.service.subscriptions.change("@talks", filters=VideoFilters(after=first_day))
    assert each.filters.after == first_day
    for later, queued in looks:
        now = NEWEST.date() + timedelta(days=later)
        day = type("day", (date,), {"today": classmethod(lambda _, now=now: now)})
        monkeypatch.setattr(filters, "date", day)
        world.look(each)
        assert len(world.queued()) == queued, later


@pytest.mark.parametrize(
    ("typed", "stored"),
    [("30d", "30d"), (" 2W ", "2w"), ("2024", "2024-01-01"), ("2024-03-05", "2024-03-05")],
)
def test_only_a_time_before_today_is_kept_as_typed(typed: str, stored: str) -> None:
    assert filters.moving_day(typed) == stored
    assert VideoFilters(after=stored).checked().dated().after == filters.parse_day(typed)
    with pytest.raises(KBError):
        VideoFilters(after="1d", before="5d").checked()


@pytest.mark.parametrize(
    ("values", "typed"),
    [
        ({}, ""),
        ({"new": True}, ""),
        ({"after": "30d", "limit": 20}, "--after 30d --limit 20"),
        ({"before": "2024-01-01", "no_shorts": True}, "--before 2024-01-01 --no-shorts"),
        ({"title": "a b|it's", "playlist": "PL1"}, "--playlist PL1 --title 'a b|it'\"'\"'s'"),
        ({"min_duration_s": 0.0, "max_duration_s": 90.5}, "--min-duration 0s --max-duration 90.5s"),
    ],
)
def test_filters_are_shown_as_they_are_typed(values: dict[str, Any], typed: str) -> None:
    assert VideoFilters(**values).as_typed() == typed


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("@newname", ""),
        (f"youtube.com/channel/{UC}", ""),
        (f"{Y}/channel/{UC}", ""),
        (f"youtube.com/channel/{OTHER}", "follow.other_channel"),
        ("@foreign", "follow.other_channel"),
        ("@never", "youtube.channel_missing"),
        (f"{Y}/playlist?list=PL{'p' * 32}", "follow.other_channel"),
        (f"{Y}/@newname/shorts", "follow.other_channel"),  # a part of it
    ],
)
def test_a_subscription_gets_another_name_of_its_channel_and_keeps_its_terms(
    world: World, reference: str, code: str
) -> None:
    terms = VideoFilters(title="harbour")
    made = world.service.subscriptions.follow("@talks", every_s=7200.0, filters=terms)
    world.channel.handle = "@newname"
    world.fake.channels.append(Channel(OTHER, "@foreign", 2))
    if code:
        with pytest.raises(KBError) as caught:
            world.service.subscriptions.rename(made.key, reference)
        assert caught.value.code == code
    else:
        world.service.subscriptions.rename(made.key, reference)
    (found,) = world.followed
    assert found.reference == ("@talks" if code else reference)
    assert (found.key, found.every_s, found.filters) == (made.key, 7200.0, terms)
