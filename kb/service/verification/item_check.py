"""The check of one item: its medium, its transcript, its text, its row and its passages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from kb import storage
from kb.errors import KBError, KnowledgeBaseError, LibraryError
from kb.jobs.queue.item_states import ACTIVE, DONE, HELD
from kb.jobs.queue.library_sync import library_row
from kb.library import LibraryEntry
from kb.library.metadata import TEXT_SUFFIX, TRANSCRIPT_SUFFIX
from kb.pipeline import captions, enrichment, stages
from kb.pipeline.screen_text import indexed_passages
from kb.pipeline.stored_media import StoredMedia
from kb.service.verification.check_run import CheckRun
from kb.sinks.base import content_sha256
from kb.transcript import render
from kb.types import Passage, Transcript
from kb.types.safe_text import command_argument


@dataclass
class ItemCheck:
    """The check of the items of one run."""

    run: CheckRun

    def check(self, entry: LibraryEntry) -> None:
        """Check the files of an item, its row and its passages."""
        self._check_medium(entry)
        state = self.run.states.get(entry.item.id)
        if self.run.rows_readable and state is None and entry.transcript_path is not None:
            added = self.run.mend and bool(self.run.queue.items.adopt([library_row(entry)]))
            absent = KBError(
                "finding.row_missing",
                "It is in the folder and not in the queue's table.",
                hint="Take it in: kb reindex",
            )
            self.run.add("row_missing", entry.item.id, absent, mended=added)
        for problem in enrichment.damaged_results(self.run.library, entry):
            self.run.add("result_damaged", entry.item.id, problem)
        transcript = self._check_transcript(entry, state)
        if transcript is not None:
            self._check_text(entry, transcript)
            self._check_index(entry, transcript)

    def _check_medium(self, entry: LibraryEntry) -> None:
        if entry.media_path is None or not entry.media_path.exists():  # a link may lead nowhere
            if entry.retention:
                self.run.report.deleted_by_retention += 1
            elif entry.stored:
                self._check_stored(entry)
            elif recorded := entry.medium_name:
                mended = self._fetch_again(entry, None)
                missing = KBError(
                    "finding.medium_missing",
                    "Its medium {file} is missing.",
                    hint="Put the file back, or fetch it again: {command}",
                    file=recorded,
                    command=_again(entry),
                )
                self.run.add("medium_missing", entry.item.id, missing, mended=mended)
            return
        actual = self.run.hash(entry.media_path)
        if entry.sha256 and actual != entry.sha256:
            mended = self._fetch_again(entry, entry.media_path)
            changed = KBError(
                "finding.medium_changed",
                "{file} differs from its recorded SHA-256: it is damaged, or was changed in place.",
                hint="Put the right file back (kb verify --repair takes it from its source), or "
                "move it away and fetch it again: {command}",
                file=entry.media_path.name,
                command=_again(entry),
            )
            self.run.add("medium_changed", entry.item.id, changed, mended=mended)

    def _check_stored(self, entry: LibraryEntry) -> None:
        """Ask object storage for the medium, whose local file was given up."""
        try:
            is_stored = StoredMedia.of(self.run.library, self.run.settings).is_stored(entry)
        except LibraryError as error:
            self.run.add("medium_unreachable", entry.item.id, error)
            return
        if not is_stored:
            lost = KBError(
                "finding.stored_missing",
                "Its medium {url} is missing or has another size or hash.",
                hint="Fetch it from its source again: {command}",
                url=entry.stored["url"],
                command=_again(entry),
            )
            self.run.add("medium_missing", entry.item.id, lost)

    def _fetch_again(self, entry: LibraryEntry, damaged: Path | None) -> bool:
        """Return True if the medium was replaced by its source file, which has the right hash."""
        if self.run.repair and entry.stored and damaged is not None:
            return self._bring_back(entry, damaged)
        source = _local_file(entry.item.url)
        if not self.run.repair or source is None or not entry.sha256:
            return False
        try:
            if source == damaged or self.run.hash(source, count=False) != entry.sha256:
                return False
        except OSError:
            return False
        library = self.run.by_hand(entry.item.id)
        if library is None:
            return False
        if damaged is not None:
            library.put_file(entry.item.id, damaged, _aside(damaged))
        # Not linked: the source may be changed in place again.
        library.add_media(entry.item, source, link=False, sha256=entry.sha256)
        return True

    def _bring_back(self, entry: LibraryEntry, damaged: Path) -> bool:
        """Return True if a damaged medium was replaced by the one in object storage."""
        library = self.run.by_hand(entry.item.id)
        if library is None:
            return False
        media = StoredMedia.of(library, self.run.settings)
        try:
            if not media.is_stored(entry):
                return False
            library.put_file(entry.item.id, damaged, _aside(damaged))
            storage.remove_file(damaged)
            return media.bring_back(replace(entry, media_path=None)).media_path is not None
        except (LibraryError, OSError):
            return False

    def _check_transcript(self, entry: LibraryEntry, state: str | None) -> Transcript | None:
        if entry.transcript_path is None:
            state = state or entry.state
            if (entry.transcribed or state in (DONE, HELD)) and state not in ACTIVE:
                missing = KBError(
                    "finding.transcript_missing",
                    "It is finished and has no exact transcript.",
                    hint="Transcribe it again: {command}; or: kb restore FILE",
                    command=_again(entry),
                )
                self.run.add("transcript_missing", entry.item.id, missing)
            else:
                self._check_captions(entry)
            return None
        self.run.count(entry.transcript_path)
        try:
            transcript = stages.read_transcript(self.run.library, entry)
        except KBError as error:
            damaged = KBError(
                "finding.transcript_damaged",
                "{cause}",
                hint="Transcribe it again: {command}; or: kb restore FILE",
                cause=error,
                command=_again(entry),
            )
            self.run.add("transcript_damaged", entry.item.id, damaged)
            return None
        wanted = _recorded(entry, TRANSCRIPT_SUFFIX)
        if wanted and self.run.hash(entry.transcript_path, count=False) != wanted:
            text = _read(entry.text_path)
            # Both files agree: changed by a process that was killed before it wrote the record.
            if text is None or text != render(transcript, "txt", item=entry.item).encode():
                changed = KBError(
                    "finding.transcript_changed",
                    "{file} differs from its recorded SHA-256: it is damaged, or was changed by "
                    "another program.",
                    hint="Transcribe it again: {command}; or: kb restore FILE",
                    file=entry.transcript_path.name,
                    command=_again(entry),
                )
                self.run.add("transcript_changed", entry.item.id, changed)
                return None  # nothing is made from a transcript that may be wrong
        return transcript

    def _check_text(self, entry: LibraryEntry, transcript: Transcript) -> None:
        data = _read(entry.text_path)
        text = render(transcript, "txt", item=entry.item)
        if data is None:
            library = self.run.by_hand(entry.item.id) if self.run.mend else None
            if library is not None:
                library.write_text(entry, TEXT_SUFFIX, text)
            missing = KBError(
                "finding.text_missing",
                "Its text is missing.",
                hint="Make it from the exact transcript: kb verify",
            )
            self.run.add("text_missing", entry.item.id, missing, mended=library is not None)
            return
        assert entry.text_path is not None
        self.run.count(entry.text_path)
        wanted = _recorded(entry, TEXT_SUFFIX)
        same = data == text.encode("utf-8", "backslashreplace")
        if same or (hashlib.sha256(data).hexdigest() == wanted if wanted else _is_text(data)):
            return
        library = self.run.by_hand(entry.item.id) if self.run.repair else None
        if library is not None:
            library.put_file(entry.item.id, entry.text_path, _aside(entry.text_path))
            library.write_text(entry, TEXT_SUFFIX, text)
        changed = KBError(
            "finding.text_changed",
            "{file} is damaged, or was changed by another program.",
            hint="Make it again from the exact transcript: kb verify --repair",
            file=entry.text_path.name,
        )
        self.run.add("text_changed", entry.item.id, changed, mended=library is not None)

    def _check_captions(self, entry: LibraryEntry) -> None:
        shown = captions.interim_passages(self.run.library, entry)
        if shown:
            self._compare(entry, shown, lambda: self.run.sink.publish(entry.item, shown))

    def _check_index(self, entry: LibraryEntry, transcript: Transcript) -> None:
        settings = self.run.settings
        wanted = "local" in entry.published or "local" in settings.sink_names
        if entry.item.id not in self.run.heads and not wanted:
            return  # published elsewhere by choice
        expected = indexed_passages(self.run.library, entry, transcript)
        self._compare(
            entry,
            expected,
            lambda: stages.publish(self.run.library, settings, entry, transcript, "local"),
        )

    def _compare(
        self, entry: LibraryEntry, expected: Sequence[Passage], publish: Callable[[], object]
    ) -> None:
        if self.run.rebuild:
            return
        item_id, sha256 = entry.item.id, content_sha256(expected)
        try:
            kept = self.run.sink.passages(item_id)
            if self.run.heads.get(item_id) == sha256 == content_sha256(kept):
                return
            if self.run.mend:
                # A head with the right hash over wrong passages would be taken for up to date.
                self.run.sink.delete(item_id)
                publish()
            if item_id in self.run.heads:
                differs = KBError(
                    "finding.index_differs",
                    "Its passages in the index are not those of its transcript and screen.",
                    hint="Index it again: kb verify",
                )
                self.run.add("index_differs", item_id, differs, mended=self.run.mend)
            else:
                missing = KBError(
                    "finding.index_missing",
                    "Its passages are not in the index.",
                    hint="Index it again: kb verify",
                )
                self.run.add("index_missing", item_id, missing, mended=self.run.mend)
        except KnowledgeBaseError as error:
            self.run.rebuild = True
            self.run.add("index_damaged", item_id, error, mended=self.run.can_rebuild)


def _read(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()


def _is_text(data: bytes) -> bool:
    """Return whether a text without a recorded hash looks whole: UTF-8 and not only zeros."""
    try:
        return "\0" not in data.decode("utf-8") and bool(data)
    except UnicodeDecodeError:
        return False


def _recorded(entry: LibraryEntry, suffix: str) -> str:
    hashes = entry.transcribed.get("sha256")
    value = hashes.get(suffix) if isinstance(hashes, dict) else None
    return value if isinstance(value, str) else ""


def _again(entry: LibraryEntry) -> str:
    """Return the command that fetches and transcribes an item again."""
    return f"kb ingest {command_argument(entry.item.url)} --again"


def _local_file(url: str) -> Path | None:
    """Return the path of a `file:` address of this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:  # a bracket without its pair
        return None
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        return None
    return Path(url2pathname(parts.path) or unquote(parts.path))


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")
