"""The story of followed channels over weeks: their events, a person's acts, the wanted videos.

Each function that `build` calls plays one fault of a followed channel. A run of the story lets the
time pass in steps, and compares the library at the end with `wanted`: exactly these videos, once
each.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kb.service import Service
from kb.service.notation import VideoFilters
from tests.fakes.living_channel import LivingChannel, State, World

DAY = 86_400.0
HOUR = 3600.0

Act = Callable[[Service], object]
Wish = Callable[[LivingChannel, int], bool]


@dataclass
class Story:
    """Channels, events and acts over `days`; times are days since the start.

    `wishes` has a predicate of channel and number for each followed channel: True if the video
    must be in the library at the end. `refused` are ids that a person turned away; `may_stay` are
    ids that may be there or not.
    """

    world: World
    days: float
    seed: int = 1
    scale: float = 1.0
    every_h: float = 24.0
    acts: list[tuple[float, str, Act]] = field(default_factory=list)
    wishes: list[tuple[LivingChannel, Wish]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    may_stay: set[str] = field(default_factory=set)
    jumps: list[tuple[float, float, float]] = field(default_factory=list)  # begin, end, seconds
    sleeps: list[tuple[float, float]] = field(default_factory=list)  # begin, days
    asked_versions: dict[str, int] = field(default_factory=dict)  # ids with more than one medium
    replaced: set[str] = field(default_factory=set)  # ids whose earlier version must be kept

    def __post_init__(self) -> None:
        """Remember the start, and prepare the random numbers."""
        self.start = self.world.clock()
        self._random = random.Random(self.seed)
        self._letters = iter("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

    def day(self, number: float) -> float:
        """Return the epoch seconds of a day of the story."""
        return self.start + number * DAY

    def act(self, at: float, name: str, act: Act) -> None:
        """Let the person do something at a day."""
        self.acts.append((self.day(at), name, act))

    # Channels

    def channel(self, name: str, backlog: int, during: int, **facts: object) -> LivingChannel:
        """Add a channel with videos from before the story and `during` it, at random times."""
        letter = next(self._letters)
        made = self.world.add(LivingChannel(f"UC{letter * 22}", f"@{name}", **facts))  # type: ignore[arg-type]
        for number in range(round(backlog * self.scale)):
            made.upload(self.day(-1 - number * 1.3), duration_s=self._random.randint(1, 3))
        # No video in the last days, so that the last looks find all of them.
        for moment in sorted(
            self._random.uniform(0.2, self.days - 4) for _ in range(round(during * self.scale))
        ):
            made.upload(self.day(moment), duration_s=self._random.randint(1, 3))
        return made

    def follow(
        self,
        channel: LivingChannel,
        *,
        at: float = 0.0,
        every_h: float = 0.0,
        filters: VideoFilters | None = None,
        reference: str = "",
        wish: Wish | None = None,
    ) -> None:
        """Let the person follow a channel; `wish` says which of its videos are wanted."""
        name = reference or channel.handle
        every_s = (every_h or self.every_h) * HOUR

        def act(service: Service) -> None:
            service.subscriptions.follow(name, every_s=every_s, filters=filters)

        self.act(at, f"follow {name}", act)
        self.wishes.append((channel, wish or (lambda _channel, _number: True)))

    def wanted(self) -> set[str]:
        """Return the ids of the videos that must be in the library at the end."""
        found: set[str] = set()
        for channel, wish in self.wishes:
            for number, each in enumerate(channel.all):
                open_now = each.state == State.PUBLIC and each.id not in channel.hidden
                if each.at <= self.world.clock() and open_now and wish(channel, number):
                    found.add(f"youtube:{each.id}")
        return found - self.refused

    def old(self, channel: LivingChannel, place: int) -> str:
        """Return the id of the video at a place of the present list, 0 for the newest."""
        return channel.all[channel.numbers()[place]].id

    def during(self, channel: LivingChannel, fraction: float) -> str:
        """Return the id of the video that appears nearest to a part of the story (0 to 1)."""
        moment = self.day(self.days * fraction)
        return min(channel.all, key=lambda each: abs(each.at - moment)).id


def build(
    world: World, days: float, *, scale: float = 1.0, every_h: float = 24.0, seed: int = 1
) -> Story:
    """Return the story with every fault; its events are spread over `days`.

    `scale` multiplies the numbers of videos, `every_h` is the interval of the looks in hours.
    """
    story = Story(world, days, seed, scale, every_h)
    for part in (
        steady_channels, closed_videos, late_video, names, live_videos, changed_media, filtered,
        broken_listings, ends_of_channels, turned_away, days_of_trouble,
    ):  # fmt: skip
        part(story)
    return story


def steady_channels(story: Story) -> None:
    """Channels where nothing happens but uploads; a short story has four of them."""
    numbers = [(30, 60), (60, 120), (5, 200), (0, 40), *[(40, 130)] * 6, (100, 10), (10, 30)]
    for number, (backlog, during) in enumerate(numbers if story.days > 60 else numbers[:4]):
        story.follow(story.channel(f"steady{number}", backlog, during))


def closed_videos(story: Story) -> None:
    """Videos that are closed at first and open some days later."""
    channel = story.channel("closed", 20, 60)
    story.follow(channel)
    states = (State.MEMBERS, State.AGE, State.REGION, State.PRIVATE)
    closed = [each for each in channel.all if each.at > story.start][::4]
    for number, each in enumerate(closed):
        channel.change(each.id, state=states[number % len(states)])
        opens = min(each.at + (2 + 7 * (number % 3)) * DAY, story.day(story.days - 8))
        story.world.at(opens, _change(channel, each.id, state=State.PUBLIC))
    for state in (State.MEMBERS, State.PRIVATE):  # these stay closed
        channel.upload(story.day(story.days * 0.4), state=state)


def late_video(story: Story) -> None:
    """An unlisted video that becomes public behind a hundred newer ones."""
    places = 118 if story.scale >= 1 else 58
    channel = story.channel("late", round(places / story.scale), 5)
    video_id = channel.upload(story.day(-140), state=State.UNLISTED)
    story.world.at(story.day(story.days * 0.3), _change(channel, video_id, state=State.PUBLIC))
    story.follow(channel)


def names(story: Story) -> None:
    """Handles that change, pass to a stranger, and lead to one channel in five ways."""
    renamed = story.channel("renamed", 10, 40)
    story.follow(renamed)
    story.world.at(story.day(story.days * 0.4), lambda: setattr(renamed, "handle", "@newname"))

    owner = story.channel("wanted", 10, 40)
    story.follow(owner)
    stranger = story.channel("stranger", 5, 10)
    story.world.at(story.day(story.days * 0.3), lambda: setattr(owner, "handle", "@wantedtv"))
    story.world.at(story.day(story.days * 0.35), lambda: setattr(stranger, "handle", "@wanted"))
    # The person reads the error and names the channel by its id.
    story.act(
        story.days * 0.6,
        "follow the owner by id",
        lambda service: service.subscriptions.follow(
            f"https://www.youtube.com/channel/{owner.id}", every_s=story.every_h * HOUR
        ),
    )

    five = story.channel("five", 10, 40, user="fiveuser")
    story.follow(five)
    for number, reference in enumerate(
        [
            f"https://www.youtube.com/channel/{five.id}",
            "https://www.youtube.com/user/fiveuser",
            "https://www.youtube.com/c/five",
            "https://www.youtube.com/@FIVE/videos",
        ]
    ):
        story.act(
            0.1 + number * 0.1,
            f"follow {reference}",
            lambda service, reference=reference: service.subscriptions.follow(  # type: ignore[misc]
                reference, every_s=story.every_h * HOUR
            ),
        )


def live_videos(story: Story) -> None:
    """Premieres and live streams that are listed before they can be fetched."""
    channel = story.channel("live", 10, 30)
    story.follow(channel)
    coming = [each for each in channel.all if each.at > story.start][::3]
    for number, each in enumerate(coming):
        channel.change(each.id, state=State.UPCOMING, title=f"Soon: {each.title}")
        begins, ends = each.at + DAY, each.at + DAY + 3 * HOUR
        if number % 2:
            story.world.at(begins, _change(channel, each.id, state=State.LIVE))
        title = each.title
        story.world.at(ends, _change(channel, each.id, state=State.PUBLIC, title=title))


def changed_media(story: Story) -> None:
    """Media that are trimmed between listing and fetch, and replaced afterwards."""
    channel = story.channel("trimmed", 10, 30)
    story.follow(channel)
    new = [each for each in channel.all if each.at > story.start]
    for each in new[::5]:  # the list has the old length for two days
        channel.change(each.id, duration_s=9, media_s=3)
        story.world.at(each.at + 2 * DAY, _change(channel, each.id, duration_s=3))
        # A file of another length than declared is fetched again, to be sure that it is whole.
        story.asked_versions[f"youtube:{each.id}"] = 2
    for each in new[1::7]:  # another medium under the same address
        later = each.at + 5 * DAY
        story.world.at(later, _change(channel, each.id, duration_s=12, media_s=12))
        item_id = f"youtube:{each.id}"
        story.asked_versions[item_id] = story.asked_versions.get(item_id, 1) + 1
        if later < story.day(story.days - 10):  # a look at the whole list comes after it
            story.replaced.add(item_id)


def filtered(story: Story) -> None:
    """Filters over channels with many videos."""
    large = story.channel("large", 600, 100)
    for each in large.all[::9]:
        large.change(each.id, title=f"Harbour report {each.id}")
    story.follow(
        large,
        filters=VideoFilters(title="harbour"),
        wish=lambda channel, number: "Harbour" in channel.all[number].title,
    )
    shorts = story.channel("shorts", 200, 100)
    for each in shorts.all[::3]:
        shorts.change(each.id, short=True)
    story.follow(
        shorts,
        filters=VideoFilters(no_shorts=True),
        wish=lambda channel, number: not channel.all[number].short,
    )
    long = story.channel("long", 200, 60)
    story.follow(
        long,
        filters=VideoFilters(min_duration_s=2.0),
        wish=lambda channel, number: channel.all[number].duration_s >= 2,
    )
    since = story.channel("since", 100, 40)
    first = datetime.fromtimestamp(story.day(-20), UTC).date()
    # The day at the border depends on the zone: no video is there.
    for each in since.all:
        if abs(each.at - story.day(-20)) < 2 * DAY:
            since.change(each.id, at=story.day(-25))
    story.follow(
        since,
        filters=VideoFilters(after=first.isoformat()),
        wish=lambda channel, number: channel.all[number].at >= story.day(-20),
    )


def broken_listings(story: Story) -> None:
    """Lists whose later pages are refused, and lists with holes."""
    refused = story.channel("refused", 70, 0)
    for number in range(60):
        refused.upload(story.day(story.days * 0.25 + number * 0.01))
    story.follow(refused)
    begin, end = story.day(story.days * 0.25), story.day(story.days * 0.35)
    story.world.at(begin, lambda: story.world.refused_pages.add(refused.uploads))
    story.world.at(end, lambda: story.world.refused_pages.discard(refused.uploads))

    holes = story.channel("holes", 40, 60)
    story.follow(holes)
    for part in (0.2, 0.5, 0.7):
        hidden = [
            each.id for each in holes.all if abs(each.at - story.day(story.days * part)) < DAY
        ]
        story.world.at(story.day(story.days * part - 1), _hide(holes, *hidden))
        story.world.at(story.day(story.days * part + 5), _hide(holes))


def ends_of_channels(story: Story) -> None:
    """Channels that are closed, and those that the person leaves, for a time or for good."""
    closed = story.channel("terminated", 20, 20)
    end = story.days * 0.5
    for each in closed.all:
        if each.at > story.day(end - 2):
            closed.change(each.id, at=story.day(end - 2.5))
    story.follow(closed)
    story.world.at(story.day(end), lambda: setattr(closed, "terminated", True))

    left = story.channel("left", 10, 40)
    leave = story.days * 0.4
    _keep_away(left, story.day(leave), 1.5 * DAY)
    story.follow(left, wish=lambda channel, number: channel.all[number].at < story.day(leave))
    story.act(leave, "unfollow @left", lambda service: service.subscriptions.unfollow("@left"))

    again = story.channel("again", 10, 40)
    story.follow(again)
    story.act(story.days * 0.3, "leave", lambda service: service.subscriptions.unfollow("@again"))
    story.act(
        story.days * 0.6,
        "follow @again again",
        lambda service: service.subscriptions.follow("@again", every_s=story.every_h * HOUR),
    )

    other = story.channel("refiltered", 10, 60)
    for each in other.all[::2]:
        other.change(each.id, title=f"Harbour {each.id}")
    for each in other.all[1::4]:
        other.change(each.id, title=f"Market {each.id}")
    change = story.days * 0.5
    _keep_away(other, story.day(change), 1.5 * DAY)
    story.follow(
        other,
        filters=VideoFilters(title="harbour"),
        wish=lambda channel, number: (
            "Market" in channel.all[number].title
            or (
                "Harbour" in channel.all[number].title
                and channel.all[number].at < story.day(change)
            )
        ),
    )
    story.act(
        change,
        "another filter",
        lambda service: service.subscriptions.follow(
            "@refiltered", every_s=story.every_h * HOUR, filters=VideoFilters(title="market")
        ),
    )


def turned_away(story: Story) -> None:
    """Items that the person removes, cancels and dismisses."""
    channel = story.channel("chosen", 30, 60)
    story.follow(channel)
    new = [each for each in channel.all if each.at > story.start]
    removed = [each.id for each in channel.all if each.at < story.start][:6]
    story.refused |= {f"youtube:{video_id}" for video_id in removed}
    story.act(
        2.0, "remove", lambda service: service.removals.remove([f"youtube:{i}" for i in removed])
    )
    # They wait for their premiere when the person cancels them.
    waiting = [each for each in new if each.at > story.day(3)][:4]
    for each in waiting:
        channel.change(each.id, state=State.UPCOMING, at=story.day(story.days * 0.2))
        story.world.at(
            story.day(story.days * 0.2 + 6), _change(channel, each.id, state=State.PUBLIC)
        )
    story.refused |= {f"youtube:{each.id}" for each in waiting}
    story.act(
        story.days * 0.2 + 3,
        "cancel",
        lambda service: service.queue.cancel([f"youtube:{each.id}" for each in waiting]),
    )
    # Retrying what failed must not bring back what was left or turned away.
    for part in (0.45, 0.8):
        story.act(story.days * part, "retry", lambda service: service.queue.retry_failed())


def days_of_trouble(story: Story) -> None:
    """Days on which a service or this machine's clock is out of order."""
    world = story.world
    world.set_at(story.day(5.2), story.day(6.3), "api_down", True, False)
    world.set_at(story.day(8.1), story.day(9.2), "pages_broken", True, False)
    world.set_at(story.day(11), story.day(12), "feeds_down", True, False)
    story.jumps.append((13.0, 13.5, 400 * DAY))
    story.jumps.append((15.0, 16.0, -2 * HOUR))
    story.jumps.append((17.0, 18.0, -20 * 365 * DAY))
    story.sleeps.append((19.0, 3.0))


def _change(channel: LivingChannel, video_id: str, **facts: object) -> Callable[[], None]:
    return lambda: channel.change(video_id, **facts)


def _hide(channel: LivingChannel, *ids: str) -> Callable[[], None]:
    return lambda: channel.hide(*ids)


def _keep_away(channel: LivingChannel, moment: float, distance_s: float) -> None:
    """Move the videos that appear shortly before a time to an earlier one.

    A look must have found them before the person changes something.
    """
    for each in channel.all:
        if moment - distance_s < each.at < moment + HOUR:
            channel.change(each.id, at=each.at - distance_s - HOUR)


def ids_of(channels: Iterable[LivingChannel]) -> set[str]:
    """Return the item ids of all videos of these channels."""
    return {f"youtube:{each.id}" for channel in channels for each in channel.all}
