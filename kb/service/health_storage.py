"""Checks of object storage: the buckets of this library answer."""

from __future__ import annotations

from collections.abc import Iterator

from kb.errors import KBError
from kb.settings import Settings
from kb.types.sentences import counted


def check_storage(settings: Settings) -> Iterator[str | KBError]:
    """Yield a line for each bucket that answers, and the error of one that does not."""
    if settings.index_url:
        from kb.sinks.local.sink import LocalSink

        try:
            yield f"{settings.index_url}: {counted(LocalSink(settings).count(), 'passage')}"
        except KBError as error:
            yield error
