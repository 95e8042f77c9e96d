"""The order of the queue: three levels, channels in turn, and the turns of a worker's slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa

from kb.database import items
from kb.jobs.queue.item_states import FIRST
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.order import LEVELS, SINCE, SOURCE, level_of
from kb.jobs.worker.preparation import PreparationTurns
from kb.types import MediaItem
from tests.support.items import item
from tests.support.queue_store import Queue


def media(channel: str, count: int, first: int = 0) -> list[MediaItem]:
    return [
        replace(item(n), id=f"youtube:{channel}{n:03}", channel=channel, published="2026-03-01")
        for n in range(first, first + count)
    ]


def submit(store: ItemStore, found: Sequence[MediaItem], **options: object) -> None:
    queued, _ = store.submit(found, options, Queue())
    assert len(queued) == len(found)


def order(store: ItemStore) -> str:
    """Return the channels of the queued items in the order in which the queue runs them."""
    query = sa.select(items.c.item).where(items.c.state == "queued")
    with store.database.begin() as connection:
        rows = connection.scalars(query.order_by(items.c.priority, items.c.enqueued_at, items.c.id))
        return "".join(row["channel"] for row in rows)


def run(store: ItemStore, count: int) -> None:
    """End the first `count` items of the queue."""
    query = sa.select(items.c.id).where(items.c.state == "queued")
    query = query.order_by(items.c.priority, items.c.enqueued_at, items.c.id).limit(count)
    with store.database.begin() as connection:
        done = connection.scalars(query).all()
        connection.execute(sa.update(items).where(items.c.id.in_(done)).values(state="done"))


def test_channels_take_turns(store: ItemStore) -> None:
    submit(store, media("a", 6))
    submit(store, media("b", 3))
    submit(store, media("c", 1))
    assert order(store) == "abcabab" + "aaa"


def test_a_channel_that_comes_later_waits_for_no_long_queue(store: ItemStore) -> None:
    submit(store, media("a", 60))
    run(store, 30)
    submit(store, media("b", 3))
    assert order(store).startswith("ababab")
    # It has no claim for the time in which it had nothing to do, and gets no more than its turns.
    submit(store, media("a", 2, first=60))
    submit(store, media("b", 2, first=3))
    assert order(store).startswith("ababababab")
    assert order(store).count("a") == 32


def test_one_listing_in_several_parts_keeps_its_order(store: ItemStore) -> None:
    submit(store, media("a", 2))
    submit(store, media("a", 2, first=2))
    submit(store, media("b", 2))
    assert order(store) == "ababaa"


@pytest.mark.parametrize("times", [1, 3])
def test_urgent_before_followed_before_backlog(store: ItemStore, times: int) -> None:
    submit(store, media("old", 2), priority="backlog")
    submit(store, media("x", 60))
    submit(store, media("u", times), priority="urgent")
    store.submit([replace(item(9), id="youtube:first", channel="FIRST")], {}, Queue(), priority=1)
    found = order(store)
    assert found == "FIRST" + "u" * times + "x" * 60 + "old" * 2
    assert LEVELS["urgent"] > FIRST


@pytest.mark.parametrize(
    ("options", "published", "expected"),
    [
        ({}, "2020-01-01", "followed"),
        ({"priority": "urgent"}, "2026-03-01", "urgent"),
        ({"priority": "backlog"}, "2026-03-01", "backlog"),
        ({"priority": None}, "2026-03-01", "followed"),
        ({"priority": "soon"}, "2026-03-01", "followed"),
        ({SINCE: "2026-03-01"}, "2026-03-01", "followed"),
        ({SINCE: "2026-03-01"}, "2026-02-28", "backlog"),
        ({SINCE: "2026-03-01"}, "", "followed"),
        ({SINCE: "2026-03-01", "priority": "urgent"}, "2026-02-28", "urgent"),
        ({SINCE: "2026-03-01", "priority": "followed"}, "2026-02-28", "followed"),
    ],
)
def test_the_level_of_an_item(options: dict[str, object], published: str, expected: str) -> None:
    assert level_of(replace(item(1), published=published), options) == expected


def test_the_items_of_a_followed_source_share_its_turns(store: ItemStore) -> None:
    # A playlist has videos of many channels.
    for channel in "abc":
        submit(store, media(channel, 1), **{SOURCE: "playlist:PL1"})
    submit(store, media("z", 3))
    assert order(store) == "azbzcz"


def test_a_full_level_does_not_run_over_into_the_next(
    store: ItemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LEVELS, "urgent", LEVELS["followed"] - 5)
    submit(store, media("u", 20), priority="urgent")
    submit(store, media("a", 1))
    assert order(store) == "u" * 20 + "a"


def test_an_urgent_item_gets_the_next_slot_of_a_worker() -> None:
    turns = PreparationTurns()
    with turns.waiting(1005, ("a", 1)) as first:
        assert first()
        with turns.waiting(1003, ("b", 1)) as second, turns.waiting(100, ("u", 1)) as urgent:
            assert (first(), second(), urgent()) == (False, False, True)
        with turns.waiting(1005, ("c", 1)) as later:
            assert (first(), later()) == (True, False)
