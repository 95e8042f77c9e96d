"""The picture of a product: that of the medium, a fetched one, a still, or a wave of the sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kb.errors import KBError, MediaUnavailable
from kb.library import Library, LibraryEntry
from kb.library.scratch import scratch_folder
from kb.media.probe import probe
from kb.pipeline.fetched_picture import LOCAL, SHARE, Fetch, arrival
from kb.pipeline.product_order import Order
from kb.video.joined import join_picture

# In the record of a product.
KEPT, FETCHED, STILL, WAVE = "kept", "fetched", "still", "wave"

Progress = Callable[[float], None]


def needs_picture(entry: LibraryEntry, order: Order, medium: Path) -> bool:
    """Return True if a picture that is not kept can be asked for at the item's source."""
    may_be_there = entry.item.source != LOCAL and not order.picture
    return may_be_there and not probe(medium).has_video


@contextmanager
def seen(
    library: Library,
    entry: LibraryEntry,
    order: Order,
    medium: Path,
    progress: Progress,
    fetch: Fetch | None,
) -> Iterator[tuple[Path, str, Progress]]:
    """Yield the medium with its picture, where that is from, and the progress of the rest.

    A fetched picture is deleted at the end.
    """
    if order.picture:
        yield medium, STILL, progress
    elif probe(medium).has_video:
        yield medium, KEPT, progress
    elif fetch is None or not order.fetch:
        yield medium, WAVE, progress
    else:
        with scratch_folder(library.home) as folder:
            try:
                picture = fetch(entry.item, folder, arrival(progress))
            except MediaUnavailable as error:
                raise _not_fetched(entry, error) from error
            if picture is None:  # its source has none
                yield medium, WAVE, progress
                return
            joined = folder / "joined.mkv"
            join_picture(picture, medium, joined, progress=lambda _: progress(SHARE))
            picture.unlink()
            yield joined, FETCHED, lambda share: progress(SHARE + (1 - SHARE) * share)


def _not_fetched(entry: LibraryEntry, cause: KBError) -> MediaUnavailable:
    return MediaUnavailable(
        "video.not_fetched",
        "The picture of {title!r} cannot be fetched: {reason}",
        hint="Without --fetch the words are drawn over a wave of the sound.",
        retryable=cause.retryable,
        title=entry.item.title,
        reason=cause,
    )
