"""The facts of known items, refreshed from a listing: in the queue's table and in the library."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.source_facts import refresh_known, with_facts
from kb.library import Library
from kb.types import Availability, AvailabilityState, Chapter, MediaItem
from tests.support.queue_store import Queue

KNOWN = MediaItem(
    "youtube:abcdefghijk", "youtube", "https://www.youtube.com/watch?v=abcdefghijk", "Rivers",
    "2026-03-01", 600.0, "Talks", "0:00 Start\n1:30 Rivers\n4:00 Lakes", ("water",),
    (Chapter(0.0, "Start"), Chapter(90.0, "Rivers"), Chapter(240.0, "Lakes")), "en",
    {"published_at": "2026-03-01T09:00:00Z", "captions": False, "channel_id": "UC1"},
)  # fmt: skip
PREMIERE = replace(
    KNOWN, title="Premiere: Rivers", published="2026-02-20", duration_s=None,
    availability=Availability(AvailabilityState.UPCOMING, starts_at=1e9),
)  # fmt: skip
BARE = MediaItem(KNOWN.id, "youtube", KNOWN.url, "Rivers", "", None, extra={})
UNKNOWN_DAY = {"published_approximate": True}


@pytest.mark.parametrize(
    ("known", "found", "expected"),
    [
        (KNOWN, replace(KNOWN, title="Rivers and lakes"), {"title": "Rivers and lakes"}),
        (KNOWN, replace(KNOWN, description="New.", chapters=()),
         {"description": "New.", "chapters": ()}),
        (KNOWN, replace(KNOWN, description="", chapters=()), {"description": "", "chapters": ()}),
        (KNOWN, replace(KNOWN, tags=()), {"tags": ()}),
        (KNOWN, replace(KNOWN, published="2026-03-02"), {"published": "2026-03-02"}),
        (KNOWN, replace(KNOWN, channel="Talks TV"), {"channel": "Talks TV"}),
        (KNOWN, replace(KNOWN, duration_s=480.0), {"duration_s": 480.0}),
        (KNOWN, replace(KNOWN, extra={**KNOWN.extra, "captions": True}),
         {"extra": {**KNOWN.extra, "captions": True}}),
        # A site divides a video that names no chapters.
        (replace(KNOWN, description="Same."), replace(KNOWN, description="Same.", chapters=()), {}),
        (PREMIERE, KNOWN, {"title": "Rivers", "published": "2026-03-01", "duration_s": 600.0,
                           "availability": Availability()}),
        # What a listing without a key does not say is kept.
        (KNOWN, BARE, {}),
        (KNOWN, replace(BARE, title="abcdefghijk"), {}),
        (KNOWN, replace(BARE, published="2026-02-01", extra=UNKNOWN_DAY), {}),
        (replace(BARE, published="2026-02-01", extra=UNKNOWN_DAY),
         replace(BARE, published="2026-03-01"), {"published": "2026-03-01", "extra": {}}),
        (BARE, replace(BARE, published="2026-02-01", extra=UNKNOWN_DAY),
         {"published": "2026-02-01", "extra": UNKNOWN_DAY}),
        (KNOWN, replace(KNOWN, duration_s=None), {}),
        # Facts of this program are kept.
        (replace(KNOWN, extra={**KNOWN.extra, "place": 2}), KNOWN, {}),
    ],
)  # fmt: skip
def test_facts_of_a_known_item(
    known: MediaItem, found: MediaItem, expected: dict[str, object]
) -> None:
    assert with_facts(known, found) == replace(known, **expected)  # type: ignore[arg-type]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    made = Library(tmp_path / "home")
    made.prepare()
    return made


def refreshed(store: ItemStore, library: Library, found: MediaItem) -> tuple[MediaItem, MediaItem]:
    """Return the item of the table and that of the library after a look found `found`."""
    refresh_known(store, library, [found])
    row, entry = store.read(KNOWN.id), library.find(KNOWN.id)
    assert row is not None and entry is not None
    return row.item, entry.item


def test_a_change_reaches_the_table_and_the_library(store: ItemStore, library: Library) -> None:
    store.submit([PREMIERE], {}, Queue())
    assert refresh_known(store, library, [PREMIERE]) == []
    library.write_metadata(PREMIERE, {"state": "done"})
    fresh = replace(KNOWN, title="Rivers", extra={**KNOWN.extra, "captions": True})
    assert refreshed(store, library, fresh) == (fresh, fresh)
    assert store.summaries()[0].title == "Rivers"
    entry = library.find(KNOWN.id)
    assert entry is not None and entry.record["state"] == "done"
    written = library.path(entry, ".json").stat().st_mtime_ns
    assert refresh_known(store, library, [fresh]) == []
    assert library.path(entry, ".json").stat().st_mtime_ns == written


def test_a_change_by_hand_is_kept(store: ItemStore, library: Library) -> None:
    store.submit([KNOWN], {}, Queue())
    library.write_metadata(replace(KNOWN, title="My own title"), {"state": "done"})
    fresh = replace(KNOWN, title="Lakes", description="New.", chapters=())
    row, entry = refreshed(store, library, fresh)
    assert (row.title, entry.title, entry.description) == ("Lakes", "My own title", "New.")


@pytest.mark.parametrize(
    "found",
    [
        replace(KNOWN, id="youtube:unknown0001", title="Other"),
        replace(KNOWN, title="Private video",
                availability=Availability(AvailabilityState.UNAVAILABLE, "private")),
        replace(KNOWN, source="file", title="Other"),
    ],
)  # fmt: skip
def test_nothing_to_refresh(store: ItemStore, library: Library, found: MediaItem) -> None:
    store.submit([KNOWN], {}, Queue())
    library.write_metadata(KNOWN)
    assert refreshed(store, library, found) == (KNOWN, KNOWN)


def test_a_running_item_is_left_to_a_later_look(store: ItemStore, library: Library) -> None:
    store.submit([KNOWN], {}, Queue())
    library.write_metadata(KNOWN)
    assert store.claim(KNOWN.id, 1, "worker") is not None
    fresh = replace(KNOWN, title="Lakes")
    assert refreshed(store, library, fresh) == (KNOWN, KNOWN)
    store.finish(KNOWN.id, 1, "worker", "done")
    assert refreshed(store, library, fresh) == (fresh, fresh)
