"""Checks of object storage: the buckets of this library answer."""

from __future__ import annotations

from collections.abc import Iterator

from kb.errors import KBError
from kb.jobs.queue.item_states import DONE
from kb.library import Library
from kb.pipeline.stored_media import StoredMedia
from kb.settings import Settings
from kb.types.sentences import counted


def check_storage(settings: Settings) -> Iterator[str | KBError]:
    """Yield a line for each bucket that answers, and the error of one that does not."""
    if settings.media_url:
        library = Library(settings.home)
        media = StoredMedia.of(library, settings)
        try:
            media.store.check(settings.media_url)
            entries = library.entries()
        except KBError as error:
            yield error
        else:
            stored = sum(bool(entry.stored) for entry in entries)
            waiting = sum(entry.state == DONE and not entry.stored for entry in entries)
            yield (
                f"{settings.media_url}: {counted(stored, 'medium', 'media')} stored, "
                f"{waiting} of ended items not yet"
            )
    if settings.index_url:
        from kb.sinks.local.sink import LocalSink

        try:
            yield f"{settings.index_url}: {counted(LocalSink(settings).count(), 'passage')}"
        except KBError as error:
            yield error
