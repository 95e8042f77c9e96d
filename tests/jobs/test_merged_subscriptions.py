"""Items of a subscription that was merged with another one of the same channel."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from kb.errors import RetryLater
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.order import SOURCE
from kb.jobs.worker.source_terms import require_turn
from kb.sources.listing.filters import VideoFilters
from kb.sources.subscriptions import Subscriptions
from tests.support.items import item
from tests.support.queue_store import Queue

UC = f"UC{'t' * 22}"
NAMES = ("@talks", "https://www.youtube.com/user/thetalks")


def merged(store: ItemStore, first: dict[str, Any], second: dict[str, Any]) -> tuple[str, str]:
    """Follow a channel under two names, find that it is one; return the keys before."""
    made = Subscriptions(store.database)
    one = made.follow(NAMES[0], **first).key
    other = made.follow(NAMES[1], **second).key
    assert one != other
    for key in (one, other):
        made.record_channel(key, UC)
    return one, other


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    ("terms", "waits"), [({"per_hour": 1}, True), ({"window": "0-24"}, False), ({}, False)]
)
def test_the_terms_of_the_kept_one_hold_for_the_items_of_both(
    store: ItemStore, number: int, terms: dict[str, Any], waits: bool
) -> None:
    keys = merged(store, {}, {"options": terms})
    made = Subscriptions(store.database)
    (kept,) = made.list()
    assert made.find_of_item(keys[number]) == kept
    codes = []
    for n in range(2):
        found = replace(item(n), id=f"youtube:{n}")
        store.submit([found], {SOURCE: keys[number], "preset": "max"}, Queue())
        row = store.read(found.id)
        assert row is not None and row.options["preset"] == "max"
        try:
            require_turn(store.database, made, row)
        except RetryLater as error:
            codes.append(error.code)
    assert codes == (["source.pace"] if waits else [])


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"filters": VideoFilters(title="rivers")}, {}, "--title rivers"),
        ({"options": {"preset": "max", "language": "de"}}, {"options": {"preset": "max"}},
         "dropped of @talks: language=de"),
        ({"every_s": 7200.0}, {"every_s": 3600.0}, "every 2 h"),
        ({"options": {"per_hour": 4}}, {"options": {"per_hour": 6}}, "per_hour=4"),
        ({}, {"options": {"per_hour": 6}}, ""),
        ({"options": {"preset": None}}, {}, ""),
        ({"filters": VideoFilters(limit=3)}, {"filters": VideoFilters(limit=3)}, ""),
    ],
)  # fmt: skip
def test_the_merge_says_what_it_drops(
    store: ItemStore,
    caplog: pytest.LogCaptureFixture,
    first: dict[str, Any],
    second: dict[str, Any],
    said: str,
) -> None:
    caplog.set_level(logging.WARNING)
    merged(store, first, second)
    (text,) = [each.getMessage() for each in caplog.records if "are the same" in each.getMessage()]
    assert all(name in text for name in NAMES)
    assert said in text
    assert ("dropped" in text) == bool(said)


def test_an_ended_subscription_leaves_its_items_no_terms(store: ItemStore) -> None:
    made = Subscriptions(store.database)
    key = made.follow("@talks", options={"per_hour": 1}).key
    made.follow("@rivers", options={"per_hour": 1})
    made.unfollow("@talks")
    assert made.find_of_item(key) is None
