"""Search over the local index, and rebuilding the index from the library's files."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kb.errors import KBError
from kb.jobs.queue.client import JobQueue
from kb.library import Library, LibraryEntry
from kb.pipeline import captions, stages
from kb.service.results import ReindexReport, SearchResult
from kb.service.subscriptions import Subscriptions
from kb.settings import Settings
from kb.sinks import open_search
from kb.sinks.base import SearchMode
from kb.transcript.passages import passages
from kb.types import MediaItem


@dataclass
class Search:
    """The local index of one library."""

    settings: Settings
    library: Library
    queue: JobQueue
    subscriptions: Subscriptions

    def run(self, query: str, mode: SearchMode = "keyword", limit: int = 20) -> SearchResult:
        """Return the passages that match a query, best first.

        Raises UsageError or KnowledgeBaseError.
        """
        sink = open_search("local", self.settings)
        started_at = time.perf_counter()
        hits = sink.search(query, mode=mode, limit=limit)
        return SearchResult(
            query, mode, round((time.perf_counter() - started_at) * 1000, 1), tuple(hits)
        )

    def reindex(self) -> ReindexReport:
        """Adopt files that the user put into the folder, and rebuild the index."""
        from kb.sinks.local.sink import LocalSink

        self.library.prepare()
        self.library.sweep_temporary()
        adopted = self.library.adopt()
        listing = self.library.scan()
        problems = [p.message for p in (*adopted.problems, *listing.problems)]
        count = 0

        def ready() -> Iterator[tuple[MediaItem, Sequence[Any]]]:
            nonlocal count
            for entry in listing.entries:
                if entry.transcript_path is None:
                    if shown := self._interim_passages(entry, problems):
                        yield entry.item, shown
                    continue
                try:
                    transcript = stages.read_transcript(self.library, entry)
                except KBError as error:
                    problems.append(error.message)
                    continue
                path = f"media/{entry.media_path.name}" if entry.media_path else ""
                count += 1
                yield entry.item, passages(transcript, entry.item, path=path)

        total = LocalSink(self.settings).rebuild(ready())
        self.queue.adopt_folder()
        self.subscriptions.restore()
        return ReindexReport(count, total, len(adopted.entries), tuple(problems))

    def _interim_passages(self, entry: LibraryEntry, problems: list[str]) -> Sequence[Any]:
        try:
            return captions.interim_passages(self.library, entry)
        except KBError as error:
            problems.append(error.message)
            return ()
