"""Looks at followed folders and pages: every entry is compared, and the newest N are the newest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from kb.sources.listing.filters import VideoFilters
from kb.sources.listing.listing import Listing, ListingReport
from kb.types import MediaItem
from tests.support.items import item


def entry(number: int, day: str) -> MediaItem:
    return replace(item(number), published=day)


DATED = [entry(n, f"2026-11-{n + 1:02d}") for n in (4, 0, 3, 9, 1)]
UNDATED = [entry(n, "") for n in (4, 0, 3, 9, 1)]


def look(
    entries: list[MediaItem], known: set[int], *, limit: int = 0, followed: bool = True
) -> list[int]:
    """Return the numbers of the wanted entries."""

    def produce(listing: Listing) -> Iterator[MediaItem]:
        yield from entries

    listing = Listing(
        ListingReport("folder", "file"), produce, VideoFilters(new=True, limit=limit),
        {item(n).id for n in known}, followed=followed,
    )  # fmt: skip
    numbers = {item(n).id: n for n in range(20)}
    return [numbers[each.id] for each in listing]


@pytest.mark.parametrize(
    ("entries", "known", "limit", "followed", "found"),
    [
        (DATED, set(), 0, True, [4, 0, 3, 9, 1]),
        (DATED, {4, 0, 3, 9}, 0, True, [1]),
        (DATED, set(), 2, True, [9, 4]),
        (DATED, {9, 4}, 2, True, []),  # nothing older at the next look
        (DATED, {4}, 2, True, [9]),
        (DATED, {9, 4}, 2, False, [0, 3]),  # kb ingest --new --limit: so many new ones
        (UNDATED, set(), 2, True, [4, 0]),
        (UNDATED, {4, 0}, 2, True, []),
        ([*DATED, entry(12, "2026-11-30")], {9, 4}, 2, True, [12]),
        (DATED, set(), 99, True, [9, 4, 3, 1, 0]),
    ],
)
def test_the_wanted_entries_of_a_place(
    entries: list[MediaItem], known: set[int], limit: int, followed: bool, found: list[int]
) -> None:
    assert look(entries, known, limit=limit, followed=followed) == found
