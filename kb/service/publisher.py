"""Access of the user interfaces to remote knowledge bases: directly, or through the queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kb.errors import UsageError
from kb.jobs import publisher
from kb.jobs.published_content import PublishedContent
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.outbox_states import CHANGED, SYNCED, OutboxEntry
from kb.library import Library, LibraryEntry
from kb.settings import Settings
from kb.sinks import REMOTE, check_sink
from kb.sinks.markdown_folder import FolderSink
from kb.sinks.odin.client import FILE_LIMIT_BYTES
from kb.sinks.odin.file_upload import FileResult, files_in, upload_files
from kb.sources.files import is_allowed_path


def check_publishable(sink: str, *, overwrite: bool = False) -> None:
    """Raise UsageError for an unknown knowledge base, and for the local index.

    `overwrite` is refused for a knowledge base without files.
    """
    check_sink(sink)
    if overwrite and sink != FolderSink.name:
        raise UsageError(
            "publish.overwrite",
            "--overwrite is for files in a folder; {sink} has none.",
            hint="Leave it out, or: kb publish --to folder --overwrite",
            sink=sink,
        )
    if sink == "local":
        raise UsageError(
            "publish.local",
            "The local index follows the library by itself.",
            hint="Rebuild it with: kb reindex",
        )


def check_comparable(sink: str) -> None:
    """Raise UsageError for a knowledge base that cannot be compared with the library."""
    check_sink(sink)
    if sink != REMOTE:
        raise UsageError(
            "sync.unsupported",
            "{sink!r} cannot be compared with the library.",
            hint="It is brought into step by: kb publish --all --to {sink}",
            sink=sink,
        )


class Publisher(publisher.Publisher):
    """The publisher of one library, connected to its queue."""

    file_limit_bytes = FILE_LIMIT_BYTES

    def __init__(self, settings: Settings, library: Library, queue: JobQueue) -> None:
        super().__init__(settings, library, queue.database)
        self._queue = queue
        self._limits = settings

    def send(self, item_id: str) -> None:
        """Queue an item for the remote knowledge base. Raises LibraryError."""
        self._queue.send(item_id, [REMOTE])

    def states(self, entries: Sequence[LibraryEntry]) -> dict[str, OutboxEntry]:
        """Return the states of items in the remote knowledge base, by id. Raises LibraryError.

        Items that were never queued for it are absent. An item whose text is another than the one
        that was sent is `changed`.
        """
        known = {entry.item.id: entry for entry in entries}
        content = PublishedContent(self._limits, self.library, self._queue.database)
        rows = self._queue.outbox.for_items(list(known))
        return {
            row.item_id: replace(row, status=CHANGED)
            if row.status == SYNCED
            and content.differs_since(known[row.item_id], row.sink, row.updated_at)
            else row
            for found in rows.values()
            for row in found
            if row.sink == REMOTE
        }

    def last_change(self) -> float:
        """Return when a delivery to the remote knowledge base last changed, in epoch seconds."""
        return self._queue.outbox.last_change(REMOTE)

    def may_read(self, path: Path) -> bool:
        """Return whether files of a path may be sent: see `KB_SHARED`."""
        return is_allowed_path(path, self._limits)

    def files_in(self, path: Path) -> list[Path]:
        """Return the file itself, or the files of a folder that can be uploaded."""
        return files_in(path) if path.is_dir() else [path]

    def upload(
        self,
        files: Sequence[Path],
        metadata: Mapping[str, str] | None = None,
        on_result: Callable[[FileResult], None] | None = None,
    ) -> list[FileResult]:
        """Send files to the remote knowledge base unchanged.

        `on_result` is called after each file. Raises CredentialsRefused and LibraryError.
        """
        self._queue.prepare()
        return upload_files(self.odin, files, metadata, on_result)
