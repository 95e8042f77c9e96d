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
from kb.jobs.documents import build_sync_item, build_words, document_sha256
from kb.library import Library, LibraryEntry
from kb.library.extras import Extras
from kb.pipeline import stages
from kb.pipeline.publish_record import WORDS_SHA256
from kb.pipeline.screen_text import indexed_passages
from kb.settings import Settings
from kb.sinks import REMOTE, is_local_sink
from kb.sinks.base import content_sha256
from kb.sinks.odin.publish_state import PublishStateStore
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
            return sent != self._sha256(entry, sink, extra)
        except KBError:
            return False  # the item's own error is shown with the item

    def differs_since(self, entry: LibraryEntry, sink: str, since: float) -> bool:
        """As `differs`; without reading the text if no file has changed since a time.

        `since` is in seconds since the epoch, by the database's clock; that of the files may be
        another machine's.
        """
        extras = Extras(self.library)
        names = (*extras.kinds(entry.stem), *extras.further(entry.stem))
        results = [extras.path(entry.stem, name) for name in names]
        return self._has_changed(entry, since, results) and self.differs(entry, sink)

    def needs_sending_since(self, entry: LibraryEntry, sink: str, since: float) -> bool:
        """As `needs_sending`; without reading the text if no file of it has changed since then."""
        return self._has_changed(entry, since) and self.needs_sending(entry, sink)

    def needs_sending(self, entry: LibraryEntry, sink: str) -> bool:
        """Return True if a knowledge base is to get an item again without being asked.

        Its words or its metadata have changed. Another result of a step is no reason, such as a
        new search for speakers in a thousand items: it is shown as changed.
        """
        if not self.differs(entry, sink) or is_local_sink(sink):
            return self.differs(entry, sink)
        sent, extra = self._sent(entry, sink)
        record = entry.published.get(sink)
        known = record.get(WORDS_SHA256) if isinstance(record, Mapping) else None
        words = build_words(self.library, entry)
        limit = self.settings.odin_document_bytes
        if known:
            return bool(known != document_sha256(words, sink, {}, limit))
        # Of the version before, whose documents had the words alone.
        return sent != document_sha256(words, sink, extra, limit)

    def words_of(self, entry: LibraryEntry, sink: str, sent: str) -> str:
        """Return the hash of the words that a document was made from, given its own hash.

        Empty if the library has another content by now, and for an item that cannot be read.
        """
        _, extra = self._sent(entry, sink)
        try:
            if is_local_sink(sink) or self._sha256(entry, sink, extra) != sent:
                return ""
            limit = self.settings.odin_document_bytes
            return document_sha256(build_words(self.library, entry), sink, {}, limit)
        except KBError:
            return ""

    def _sha256(self, entry: LibraryEntry, sink: str, extra: Mapping[str, str]) -> str:
        if is_local_sink(sink):
            # It has no speakers: a hit's speaker is looked up when it is found.
            transcript = stages.read_transcript(self.library, entry)
            return content_sha256(indexed_passages(self.library, entry, transcript))
        source = build_sync_item(
            self.library,
            entry,
            leave_out_recurring=self.settings.leave_out_recurring,
            languages=self.settings.published_languages,
        )
        return document_sha256(source, sink, extra, self.settings.odin_document_bytes)

    def _has_changed(self, entry: LibraryEntry, since: float, results: Sequence[Path] = ()) -> bool:
        since -= 1.0 if self.database.is_sqlite else SLACK_S
        metadata = self.library.path(entry, ".json")
        files = [path for path in (entry.transcript_path, metadata) if path is not None]
        return any(_changed_at(path) >= since for path in (*files, *results))

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
