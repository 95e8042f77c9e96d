"""Search over the local index, and rebuilding the index from the library's files."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from kb.errors import KBError, LibraryError
from kb.jobs.published_content import PublishedContent
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.fences import Fences
from kb.jobs.queue.item_states import ACTIVE, DONE, HELD
from kb.jobs.queue.outbox_states import SYNCED
from kb.library import Library, LibraryEntry
from kb.pipeline import captions, meaning, publish_record, recurring, stages
from kb.pipeline.same_sound import index_of
from kb.pipeline.screen_text import indexed_passages
from kb.pipeline.speakers import speakers_at
from kb.service.removal import complete_removals
from kb.service.results import ReindexReport, SearchResult
from kb.service.revisions import Revisions
from kb.service.subscriptions import Subscriptions
from kb.settings import Settings
from kb.sinks.base import SearchMode, content_sha256
from kb.sinks.local.vectors import TextVectors
from kb.types import Hit, MediaItem, Published, UnknownWord

_MOST_LOOKED_AT = 4000  # passages of a search that leaves out what recurs, or many items
_MOST_IN_INDEX = 500  # items to which the index itself limits a search
MOST_NAMED = 3  # words of a query by meaning of which those that are nowhere are named


class LocalSearch:
    """A search of the local index, by words where one by meaning cannot be carried out."""

    def __init__(self, settings: Settings) -> None:
        from kb.sinks.local.sink import LocalSink

        self.index = LocalSink(settings)

    def problem(self) -> KBError | None:
        """Return the error of what a search by meaning lacks, None if it can be carried out."""
        try:
            self.index.require_meaning()
        except KBError as error:
            return error
        return None

    def search(
        self, query: str, mode: SearchMode, limit: int, ids: Collection[str] | None = None
    ) -> tuple[list[Hit], SearchMode, KBError | None]:
        """Return the hits, the mode that was carried out, and why it is not the one asked for.

        Of many items in `ids`, the hits of others are left out afterwards: a list of thousands of
        ids takes the index longer than the ranking of all passages.
        """
        inside = ids if ids is not None and len(ids) <= _MOST_IN_INDEX else None
        asked = limit
        while True:
            hits, done, problem = self._search(query, mode, asked, inside)
            if ids is None or inside is not None:
                return hits, done, problem
            kept = [hit for hit in hits if hit.item_id in ids][:limit]
            if len(kept) == limit or len(hits) < asked or asked >= _MOST_LOOKED_AT:
                return kept, done, problem
            asked = min(4 * asked, max(_MOST_LOOKED_AT, limit))

    def _search(
        self, query: str, mode: SearchMode, limit: int, ids: Collection[str] | None
    ) -> tuple[list[Hit], SearchMode, KBError | None]:
        problem = None
        if mode in ("semantic", "hybrid"):
            try:
                return self.index.search(query, mode, limit, ids), mode, None
            except KBError as error:
                if not is_of_meaning(error):
                    raise
                problem = error
                mode = "keyword"
        return self.index.search(query, mode, limit, ids), mode, problem


def is_of_meaning(error: KBError) -> bool:
    """Return True for an error of the model or of its vectors, not of the query or the index."""
    return error.code.partition(".")[0] in ("meaning", "embedding")


@dataclass
class Search:
    """The local index of one library."""

    settings: Settings
    library: Library
    queue: JobQueue
    subscriptions: Subscriptions
    revisions: Revisions

    @cached_property
    def _local(self) -> LocalSearch:
        """The index, whose table stays open from one search to the next."""
        return LocalSearch(self.settings)

    def run(
        self,
        query: str,
        mode: SearchMode = "hybrid",
        limit: int = 20,
        *,
        speakers: bool = True,
        leave_out_recurring: bool | None = None,
        only: Callable[[MediaItem], bool] | None = None,
        ids: Collection[str] | None = None,
    ) -> SearchResult:
        """Return at most `limit` passages that match a query, best first.

        A search by meaning that cannot be carried out is one by words, and the result says why.
        Without `speakers`, those of the hits are left open: each item's result is a file to read.
        With `leave_out_recurring` (None takes the setting) passages are left out whose words recur
        in their channel. With `only`, those of items for which it returns True.
        `ids` are the items to search; None: all.
        Raises UsageError or KnowledgeBaseError.
        """
        sink = self._local
        started_at = time.perf_counter()
        leave_out = self.settings.leave_out_recurring
        if leave_out_recurring is not None:
            leave_out = leave_out_recurring
        hits, done, words_alone, dropped = self._hits(
            sink, query, mode, limit + 1, leave_out, only, ids
        )
        if words_alone is not None and words_alone.code == "meaning.off" and mode == "hybrid":
            words_alone = None  # the user's own setting
        unknown: Sequence[UnknownWord] = ()
        # The words of a question need not occur anywhere.
        by_words = done == "keyword" or (done == "hybrid" and len(query.split()) <= MOST_NAMED)
        if by_words and all(hit.missing or hit.by_meaning for hit in hits):
            by_word = [set(hit.missing) for hit in hits if not hit.by_meaning]
            # A word that one of the hits has need not be looked for.
            unknown = sink.index.unknown_words(
                query, set.intersection(*by_word) if by_word else None
            )
        found = self.with_speakers(hits[:limit]) if speakers else hits[:limit]
        elapsed_ms = round((time.perf_counter() - started_at) * 1000, 1)
        return SearchResult(
            query,
            done,
            elapsed_ms,
            tuple(found),
            len(hits) > limit,
            tuple(unknown),
            words_alone,
            0 if done == "keyword" else sink.index.lacking_count(),
            dropped,
        )

    def _hits(
        self,
        sink: LocalSearch,
        query: str,
        mode: SearchMode,
        wanted: int,
        leave_out: bool,
        only: Callable[[MediaItem], bool] | None,
        ids: Collection[str] | None,
    ) -> tuple[list[Hit], SearchMode, KBError | None, int]:
        """Return hits, mode and error as `LocalSearch.search`, and how many hits were left out.

        Where an intro or an item that is not asked for takes the first places, further ones are
        looked at.
        """
        asked = wanted
        while True:
            hits, done, problem = sink.search(query, mode, asked, ids)
            if not leave_out and only is None:
                return hits, done, problem, 0
            found = self._of_items(hits, only) if only else hits
            kept = found
            if leave_out:
                kept = [hit for hit in recurring.tagged(self.library, found) if not hit.recurring]
            if len(kept) >= wanted or len(hits) < asked or asked >= _MOST_LOOKED_AT:
                return kept[:wanted], done, problem, len(found) - len(kept)
            asked = min(4 * asked, max(_MOST_LOOKED_AT, wanted))

    def _of_items(self, hits: list[Hit], only: Callable[[MediaItem], bool]) -> list[Hit]:
        entries = self.library.find_all({hit.item_id for hit in hits})
        wanted = {entry.item.id for entry in entries if only(entry.item)}
        return [hit for hit in hits if hit.item_id in wanted]

    def items_with(self, query: str) -> frozenset[str]:
        """Return the ids of all items with a passage that has all words of a query.

        Raises UsageError or KnowledgeBaseError.
        """
        return self._local.index.items_with(query)

    def meaning_problem(self) -> KBError | None:
        """Return the error of what a search by meaning lacks, None if it can be carried out."""
        return self._local.problem()

    def with_speakers(self, hits: Sequence[Hit]) -> list[Hit]:
        """Return hits with who speaks at their second, and the tag of those that recur."""
        ids = {hit.item_id for hit in hits if not hit.origin}
        by_item = {each: [hit.at_s for hit in hits if hit.item_id == each] for each in ids}
        found: dict[tuple[str, float], str] = {}
        for entry in self.library.find_all(ids):
            seconds = by_item[entry.item.id]
            for at_s, who in zip(seconds, speakers_at(self.library, entry, seconds), strict=True):
                found[entry.item.id, at_s] = who
        found_hits = [
            hit if hit.origin else replace(hit, speaker=found.get((hit.item_id, hit.at_s), ""))
            for hit in hits
        ]
        return recurring.tagged(self.library, found_hits)

    def reindex(
        self, *, judge: bool = True, progress: Callable[[float], None] = lambda share: None
    ) -> ReindexReport:
        """Adopt files that the user put into the folder, and rebuild the index.

        Transcripts of an earlier version get their expected errors, from the probabilities of
        their words; without `judge` no transcript is written. `progress` gets the share of the
        items that are read.

        Raises LibraryError if the folder of all files is missing though there are items.
        """
        from kb.pipeline import adoption  # with the readers of all forms
        from kb.sinks.local.sink import LocalSink

        folder = self.library.media_folder
        if not folder.is_dir() and DONE in self.queue.items.states().values():
            raise LibraryError(  # a disk that is not connected has lost nothing
                "library.folder_missing",
                "The folder of all files is missing: {folder}. The index was not changed.",
                hint="Connect its disk, or bring it back: kb restore FILE",
                folder=folder,
            )
        self.queue.tie.adopt()
        fingerprints = index_of(self.library)
        fingerprints.clear()
        self.library.prepare()
        self.library.sweep_temporary()
        complete_removals(self.settings, self.library, self.queue)
        adopted = self.library.adopt()
        busy = {i for i, state in self.queue.unfinished().items() if state in ACTIVE}
        found = adoption.adopt_transcripts(
            self.library, self.library.entries(), busy, Fences(self.queue.database).by_hand
        )
        listing = self.library.scan()
        problems = [p.message for p in (*adopted.problems, *listing.problems)]
        problems += [f"{error.message} {error.hint}".strip() for error in found.broken.values()]
        count = judged = 0
        indexed: dict[str, str] = {}  # the hash of each item's passages
        by_id = {entry.item.id: entry for entry in listing.entries}

        def vectors(item_id: str) -> TextVectors | None:
            return meaning.vectors_of(self.library, by_id[item_id]) if item_id in indexed else None

        def ready() -> Iterator[tuple[MediaItem, Sequence[Any]]]:
            nonlocal count, judged
            for number, entry in enumerate(listing.entries):
                progress(number / len(listing.entries))
                if entry.transcript_path is None:
                    if shown := self._interim_passages(entry, problems):
                        yield entry.item, shown
                    continue
                if entry.item.id in found.broken:
                    continue
                try:
                    transcript = stages.read_transcript(self.library, entry)
                except KBError as error:
                    problems.append(error.message)
                    continue
                if judge and entry.item.id not in busy:
                    try:
                        present = self.revisions.judge_again(entry, transcript)
                    except KBError as error:  # a folder that cannot be written is still indexed
                        problems.append(error.message)
                    else:
                        judged += present is not transcript
                        transcript = present
                count += 1
                found_passages = indexed_passages(self.library, entry, transcript)
                indexed[entry.item.id] = content_sha256(found_passages)
                yield entry.item, found_passages

        total = LocalSink(self.settings).rebuild(ready(), vectors)
        self.queue.adopt_folder(found.broken)
        self._follow_changes(listing.entries, indexed, busy)
        try:
            fingerprints.update()
        except LibraryError as error:  # the words are indexed all the same
            problems.append(error.message)
        self.subscriptions.restore()
        taken_in = tuple((each.entry.item.id, each.source) for each in found.taken_in)
        said = tuple(dict.fromkeys(problems))
        return ReindexReport(count, total, len(adopted.entries), said, taken_in, judged)

    def _follow_changes(
        self, entries: Sequence[LibraryEntry], indexed: Mapping[str, str], busy: Container[str]
    ) -> None:
        """Record what the index has now; queue what other knowledge bases have another text of."""
        content = PublishedContent(self.settings, self.library, self.queue.database)
        rows = self.queue.outbox.for_items(list(indexed))
        for entry in entries:
            item_id = entry.item.id
            sha256 = indexed.get(item_id)
            if sha256 is None or item_id in busy:
                continue
            known = entry.published.get("local")
            if isinstance(known, dict) and known.get("content_sha256") != sha256:
                held = Published("local", item_id, sha256, SYNCED)
                publish_record.record_published(self.library, entry.item, held)
            changed = [
                row.sink
                for row in rows.get(item_id, ())
                if row.sink != "local"
                and row.status == SYNCED
                and entry.state != HELD
                and content.needs_sending(entry, row.sink)
            ]
            self.queue.send(item_id, changed)

    def _interim_passages(self, entry: LibraryEntry, problems: list[str]) -> Sequence[Any]:
        try:
            return captions.interim_passages(self.library, entry)
        except KBError as error:
            problems.append(error.message)
            return ()
