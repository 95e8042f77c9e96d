"""The picture of an item whose sound alone is kept: fetched for a step, read and deleted again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from kb.enrich import StepInput
from kb.errors import KBError, MediaUnavailable
from kb.library import Library, LibraryEntry
from kb.library.scratch import scratch_folder
from kb.settings import Settings
from kb.types import MediaItem

OPTION = "fetch_picture"  # of a request
FETCHED = "picture_fetched"  # key of a result: the source was asked for a picture
LOCAL = "file"  # the source whose media have no other place
SHARE = 0.3  # of the progress of a step, for the download

Fetch = Callable[[MediaItem, Path, Callable[[int, int], None]], Path | None]
"""Saves the picture of an item in a folder; returns None if its source has no picture.

The function it gets is called with the bytes that have arrived and all of them (0 if unknown).
"""


def arrival(progress: Callable[[float], None]) -> Callable[[int, int], None]:
    """Return what reports the bytes of a download as its part of the progress, 0 to SHARE."""

    def arrived(done: int, total: int) -> None:
        progress(SHARE * done / total if total else 0.0)

    return arrived


def is_wanted(options: Mapping[str, Any] | None, settings: Settings) -> bool:
    """Return True if a request, or else the setting, wants pictures to be fetched."""
    return bool((options or {}).get(OPTION, settings.fetch_picture))


def is_lacking(
    entry: LibraryEntry,
    document: Mapping[str, Any] | None,
    options: Mapping[str, Any] | None,
    settings: Settings,
) -> bool:
    """Return True if a result is without picture and a picture can be asked for."""
    return (
        document is not None
        and document.get("picture") is False
        and not document.get(FETCHED)
        and entry.item.source != LOCAL
        and is_wanted(options, settings)
    )


@contextmanager
def with_picture(
    library: Library,
    entry: LibraryEntry,
    given: StepInput,
    fetch: Fetch | None,
    progress: Callable[[float], None],
) -> Iterator[tuple[StepInput, bool, Callable[[float], None]]]:
    """Yield the input of a step with the picture as its medium; the picture is deleted at the end.

    The other two values are True if the source was asked, and the progress of the step itself. A
    medium that has a picture stays, and so does one whose source has none. Raises
    MediaUnavailable if the source gives none any more, and what `fetch` raises.
    """
    if fetch is None or entry.item.source == LOCAL or _has_picture(given):
        yield given, False, progress
        return

    with scratch_folder(library.home) as folder:
        try:
            path = fetch(entry.item, folder, arrival(progress))
        except MediaUnavailable as error:
            raise _gone(entry, error) from error
        if path is None:
            yield given, True, progress
        else:
            yield (
                replace(given, medium=path),
                True,
                lambda share: progress(SHARE + (1 - SHARE) * share),
            )


def _has_picture(given: StepInput) -> bool:
    # Imported here, because loading the codecs takes longer than a step that has its result.
    from kb.media.probe import probe

    return given.medium is None or probe(given.medium).has_video


def _gone(entry: LibraryEntry, cause: KBError) -> MediaUnavailable:
    return MediaUnavailable(
        "step.no_picture",
        "The picture of {title!r} cannot be fetched: {reason}",
        hint="The text on its screen is not read. Again: kb enrich {item_id} --steps screen",
        retryable=cause.retryable,
        title=entry.item.title,
        reason=cause,
        item_id=entry.item.id,
    )
