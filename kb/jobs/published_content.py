"""Compares what a knowledge base was sent with what would be sent now, by the hash of the content.

A publication stays `synced` in the table until something is sent again. The text in the library may
change meanwhile, by this program or on disk: such a publication is `changed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kb.database import Database
from kb.errors import KBError
from kb.jobs.publisher import build_sync_item
from kb.library import Library, LibraryEntry
from kb.pipeline import stages
from kb.pipeline.screen_text import indexed_passages
from kb.settings import Settings
from kb.sinks import REMOTE, is_local_sink
from kb.sinks.base import content_sha256
from kb.sinks.odin.documents import make_documents
from kb.sinks.odin.publish_state import PublishStateStore
from kb.sinks.odin.sync import SyncItem
from kb.types import Passage
from kb.types.clock import SLACK_S


@dataclass
class PublishedContent:
    """The comparison for one library."""

    settings: Settings
    library: Library
    database: Database

    def differs(self, entry: LibraryEntry, sink: str) -> bool:
        """Return True if a knowledge base was sent another content than the library has now.

        False too if nothing is known to have been sent, and if the item has no transcript that
        can be read.
        """
        sent, extra = self._sent(entry, sink)
        if not sent or entry.transcript_path is None:
            return False
        try:
            source = build_sync_item(self.library, entry)
            if sink != REMOTE:
                # The local index has none: a hit's speaker is looked up when it is found.
                facts = None if is_local_sink(sink) else source.facts
                speakers = facts.speakers if facts else ""
                return sent != content_sha256(self._passages(entry, sink, source), speakers)
            limit = self.settings.odin_document_bytes
            documents = make_documents(
                source.item, source.passages, source.facts, extra, limit=limit
            )
        except KBError:
            return False  # the item's own error is shown with the item
        return sent != documents.sha256

    def differs_since(self, entry: LibraryEntry, sink: str, since: float) -> bool:
        """As `differs`; without reading the text if no file has changed since a time.

        `since` is in seconds since the epoch, by the database's clock; that of the files may be
        another machine's.
        """
        since -= 1.0 if self.database.is_sqlite else SLACK_S
        metadata = self.library.path(entry, ".json")
        files = [path for path in (entry.transcript_path, metadata) if path is not None]
        return any(_changed_at(path) >= since for path in files) and self.differs(entry, sink)

    def _passages(self, entry: LibraryEntry, sink: str, source: SyncItem) -> Sequence[Passage]:
        if not is_local_sink(sink):
            return source.passages
        transcript = stages.read_transcript(self.library, entry)
        return indexed_passages(self.library, entry, transcript)

    def _sent(self, entry: LibraryEntry, sink: str) -> tuple[str, Mapping[str, str]]:
        """Return the hash of the content that was sent last, and the user's own metadata in it."""
        record = entry.published.get(sink)
        if sink == REMOTE:
            store = PublishStateStore(self.database, sink, self.settings.odin_project_id)
            state = store.find(entry.item.id)
            if state is not None:
                return state.content_sha256, state.extra
        value = record.get("content_sha256") if isinstance(record, Mapping) else None
        return (value if isinstance(value, str) else ""), {}


def _changed_at(path: Path) -> float:
    """Return the time of a file's last change, that of its name and place included."""
    try:
        status = path.stat()
    except OSError:
        return 0.0
    return max(status.st_mtime, status.st_ctime)
