"""Checks of object storage: the buckets of this library answer."""

from __future__ import annotations

from collections.abc import Iterator

from kb.errors import KBError
from kb.jobs.queue.item_states import DONE
from kb.library import Library
from kb.pipeline.stored_media import StoredMedia
from kb.service.health_check import State
from kb.settings import Settings


def check_storage(settings: Settings) -> Iterator[tuple[State, KBError]]:
    """Yield the state of each bucket: its contents, or the error of one that does not answer."""
    if settings.media_url:
        library = Library(settings.home)
        media = StoredMedia.of(library, settings)
        try:
            media.store.check(settings.media_url)
            entries = library.entries()
        except KBError as error:
            yield "fail", error
        else:
            stored = sum(bool(entry.stored) for entry in entries)
            waiting = sum(entry.state == DONE and not entry.stored for entry in entries)
            yield (
                "ok",
                KBError(
                    "check.media_stored",
                    "{url}: {count:medium|media} stored, {waiting} of ended items not yet",
                    url=settings.media_url,
                    count=stored,
                    waiting=waiting,
                ),
            )
    if settings.index_url:
        from kb.sinks.local.sink import LocalSink

        try:
            count = LocalSink(settings).count()
        except KBError as error:
            yield "fail", error
        else:
            found = KBError(
                "check.index_stored",
                "{url}: {count:passage|passages}",
                url=settings.index_url,
                count=count,
            )
            yield "ok", found
