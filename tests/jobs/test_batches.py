"""Batches of a listing: what was found before an error is queued."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kb.errors import Cancelled, LibraryError, MediaUnavailable, QuotaExhausted
from kb.jobs.queue.source_factory import batches
from kb.types import MediaItem
from tests.support.items import item


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (None, 7),
        (QuotaExhausted("quota"), 7),
        (MediaUnavailable("page 2 refused"), 7),
        (LibraryError("locked"), 7),
        (ConnectionResetError("reset"), 7),
        (Cancelled("stopped"), 5),
    ],
)
def test_what_was_found_before_an_error_is_yielded(error: Exception | None, kept: int) -> None:
    def listing() -> Iterator[MediaItem]:
        yield from map(item, range(7))
        if error is not None:
            raise error

    found: list[MediaItem] = []

    def read() -> None:
        for part in batches(listing(), size=5):
            found.extend(part)

    if error is None:
        read()
    else:
        with pytest.raises(type(error)):
            read()
    assert found == [item(number) for number in range(kept)]
