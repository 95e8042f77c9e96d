"""Transcripts as files: several formats of an item, and many items as one ZIP.

A ZIP is written document by document, so that its memory does not grow with the number of items.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from gpu.presets import load_presets
from kb.errors import KBError
from kb.library import LibraryEntry
from kb.pipeline import enrichment, translations
from kb.service.export_request import ExportedDocument, ExportProblem, ExportRequest
from kb.service.items import Items
from kb.storage import Target
from kb.storage.user_files import NAME_BYTES, numbered
from kb.transcript import (
    FORMATS,
    Format,
    format_named,
    render_document,
    unavailable,
)
from kb.transcript.time_order import check_times
from kb.types import Coverage, MediaItem, MediaRef, Segment, Timing, Transcript, table_form

NOT_EXPORTED = "NOT EXPORTED.txt"
"""File in a ZIP that names what is missing in it, and why."""

_STORED_RIGHTS = 0o644 << 16  # of a file in a ZIP, for systems that have such rights
_ISO_CODES = {"jw": "jv"}  # where Whisper's code is not that of ISO 639
_UNDETERMINED = "und"  # of ISO 639
_PLAIN_GROUPS = ("reading", "subtitles")
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # that a ZIP can name
_LATEST_S = 4_354_732_800.0  # the last day of 2107, the latest year that a ZIP can name


_NOTHING = Transcript(MediaRef("", "", 0.0), (), "", "", "", "", Coverage(0.0, 0.0), Timing())
_SPOKEN = replace(_NOTHING, segments=(Segment(0.0, 1.0, "", (), speaker="Speaker 1"),))


@dataclass
class Exports:
    """The exports of one library."""

    items: Items

    def documents(
        self, item_id: str, request: ExportRequest, problems: list[ExportProblem]
    ) -> Iterator[ExportedDocument]:
        """Yield the documents of an item; what cannot be exported is added to `problems`."""
        try:
            entry = self.items.entry(item_id)
            transcript = self.in_language(entry, request.language)
        except KBError as error:
            problems.append(ExportProblem(item_id, "", error))
            return
        changed_at = _changed_at(entry.transcript_path)
        for name in self.formats_of(request, transcript, entry.item):
            try:
                document = self.document(
                    transcript, name, request, stem=entry.stem, item=entry.item,
                    source=str(entry.transcript_path),
                )  # fmt: skip
                yield replace(document, changed_at=changed_at)
            except KBError as error:
                _add(problems, ExportProblem(entry.item.id, name, error))

    def in_language(self, entry: LibraryEntry, language: str) -> Transcript:
        """Return an item's transcript, or its translation into another language.

        Raises UsageError without a translation, or if it is of earlier words.
        """
        library = self.items.library
        found = enrichment.read_with_results(library, entry)
        if language in ("", found.language):
            return found
        translation = translations.translated(library, entry, found, language)
        return enrichment.with_results(library, entry, translation)

    def document(
        self,
        transcript: Transcript,
        format: str,
        request: ExportRequest,
        *,
        stem: str,
        item: MediaItem | None = None,
        source: str = "",
    ) -> ExportedDocument:
        """Return a transcript in one format as a file.

        Raises UsageError, and TranscriptionError for a time that no medium has, which names
        `source`: the transcript's file, by default the medium.
        """
        if format != "json":  # the exact document has the times as they are
            check_times(transcript, source)
        asked = self._as_asked(transcript, format, request)
        rendered = render_document(asked, format, item=item)
        named = request.language_in_name or request.language
        language = transcript.language if named else ""
        return ExportedDocument(
            format,
            self.file_name(stem, format, language),
            rendered,
            has_words=bool(transcript.text.strip()),
        )

    def _as_asked(self, transcript: Transcript, format: str, request: ExportRequest) -> Transcript:
        """Return the transcript with the looks of a request.

        Texts for people and subtitles have a time for each word only where the request or the run
        asked for it; a preset that is chosen for its speed asks for nothing. Tables and documents
        for programs follow the transcript.
        """
        timestamps = request.timestamps or transcript.timestamps
        plain = format_named(format).group in _PLAIN_GROUPS
        if plain and request.timestamps is None and self._is_presets_own(transcript):
            timestamps = "segment"
        return replace(
            transcript,
            timestamps=timestamps,
            times_each_word=timestamps == "word",
            layout=request.layout or transcript.layout,
            frame_rate=request.frame_rate or transcript.frame_rate,
            table_form=table_form(request.csv),
        )

    def _is_presets_own(self, transcript: Transcript) -> bool:
        """Return True if word timestamps are those of the transcript's preset."""
        if transcript.timestamps != "word":
            return False
        with suppress(KBError):
            preset = load_presets(self.items.settings.presets_path).get(transcript.preset)
            return preset is not None and preset.timestamps == "word"
        return False

    def file_name(self, stem: str, format: str, language: str = "") -> str:
        """Return the name of a document: `STEM.srt`, with a language `STEM.en.srt`.

        The stem is cut where the name would be longer than file systems allow. Text that is no code
        of a language is left out.
        """
        code = _ISO_CODES.get(language, language)
        tail = f".{code}" if re.fullmatch(r"[a-z]{2,3}", code) else ""
        tail += f".{format_named(format).suffix}"
        while stem and len(os.fsencode(stem + tail)) > NAME_BYTES:
            stem = stem[:-1]
        return stem + tail

    def formats_of(
        self, request: ExportRequest, transcript: Transcript, item: MediaItem | None
    ) -> tuple[str, ...]:
        """Return the wanted formats; `all` are those that the transcript has something for."""
        return self.available(transcript, item) if request.wants_all else request.formats

    def available(self, transcript: Transcript, item: MediaItem | None) -> tuple[str, ...]:
        """Return the formats that the transcript and its item have something for."""
        return tuple(name for name in FORMATS if unavailable(transcript, name, item=item) is None)

    def file_names(
        self, stem: str, request: ExportRequest, language: str | None
    ) -> tuple[str, ...]:
        """Return the names of the documents of a file that is to be transcribed.

        A language that is not known yet is undetermined (`und`).
        """
        names = self.formats_of(request, _NOTHING, None)
        code = (language or _UNDETERMINED) if request.language_in_name else ""
        return tuple(self.file_name(stem, name, code) for name in names)

    def check_without_item(self, request: ExportRequest, *, speakers: bool = False) -> None:
        """Raise UsageError for a wanted format that a file outside the library has nothing for.

        Called before a transcription, whose transcript has no chapters, and speakers only if they
        are looked for (`speakers`).
        """
        expected = _SPOKEN if speakers else _NOTHING
        for name in () if request.wants_all else request.formats:
            problem = unavailable(expected, name)
            if problem is not None:
                raise problem

    def format(self, name: str) -> Format:
        """Return a format with its file suffix, media type and group. Raises UsageError."""
        return format_named(name)

    def transcribed_ids(self) -> list[str]:
        """Return the ids of all items with a transcript, newest first. Raises LibraryError."""
        entries = self.items.listing().entries
        return [entry.item.id for entry in entries if entry.transcript_path]

    def write_zip_file(
        self,
        target: Path,
        item_ids: Sequence[str],
        request: ExportRequest,
        progress: Callable[[int], None] = lambda _done: None,
        *,
        overwrite: bool = False,
    ) -> tuple[Path, tuple[ExportProblem, ...]]:
        """Write a ZIP outside the library; return its path and what is not in it.

        A ZIP that this program wrote there for the same library is replaced. Raises UsageError for
        any other file in the way unless `overwrite`, and LibraryError.
        """
        named = Target(
            target, f"exports of {self.items.settings.home}", overwrite=overwrite, chosen=True
        )
        self.items.files.check(named)  # before the documents of a whole library are made
        with self.items.files.draft(named) as draft, draft.path.open("xb") as file:
            problems = self.write_zip(file, item_ids, request, progress)
        return draft.target, problems

    def write_zip(
        self,
        file: IO[bytes],
        item_ids: Sequence[str],
        request: ExportRequest,
        progress: Callable[[int], None] = lambda _done: None,
    ) -> tuple[ExportProblem, ...]:
        """Write the documents of items to a file; return what is not in it.

        `progress` gets the number of items that are done. An item or a document that cannot be
        exported stops nothing; the ZIP names it.
        """
        problems: list[ExportProblem] = []
        with ZipFile(file, "w", ZIP_DEFLATED) as archive:
            for done in self._fill(archive, item_ids, request, problems):
                progress(done)
        return tuple(problems)

    def zip_parts(self, item_ids: Sequence[str], request: ExportRequest) -> Iterator[bytes]:
        """Yield the bytes of the ZIP that `write_zip` writes, while it is made."""
        outlet = _Outlet()
        with ZipFile(outlet, "w", ZIP_DEFLATED) as archive:
            for _ in self._fill(archive, item_ids, request, []):
                yield outlet.take()
        yield outlet.take()

    def _fill(
        self,
        archive: ZipFile,
        item_ids: Sequence[str],
        request: ExportRequest,
        problems: list[ExportProblem],
    ) -> Iterator[int]:
        """Write the documents; yield the number of done items after each document."""
        names: set[str] = set()
        latest = 0.0
        for done, item_id in enumerate(item_ids):
            for each in self.documents(item_id, request, problems):
                name = _free_name(each.file_name, names)
                archive.writestr(_entry(name, each.changed_at), each.content)
                latest = max(latest, each.changed_at)
                yield done
            yield done + 1
        if problems:
            archive.writestr(_entry(_free_name(NOT_EXPORTED, names), latest), _list_of(problems))


def _add(problems: list[ExportProblem], problem: ExportProblem) -> None:
    """Add a problem; one that stops several formats of an item alike is one problem."""
    last = problems[-1] if problems else None
    if last and last.item_id == problem.item_id and last.error.message == problem.error.message:
        problems[-1] = replace(last, format=f"{last.format}, {problem.format}")
    else:
        problems.append(problem)


def _changed_at(path: Path | None) -> float:
    try:
        return path.stat().st_mtime if path else 0.0
    except OSError:  # removed since it was read
        return 0.0


class _Outlet:
    """A file that is read while it is written; a ZIP on it needs no seeking."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def _entry(name: str, changed_at: float) -> ZipInfo:
    """Return an entry dated by its transcript: a ZIP of the same transcripts has the same bytes."""
    moment = time.localtime(min(max(changed_at, 0.0), _LATEST_S))[:6]
    entry = ZipInfo(name, max(_EARLIEST, moment))
    entry.compress_type = ZIP_DEFLATED
    entry.external_attr = _STORED_RIGHTS
    return entry


def _free_name(name: str, names: set[str]) -> str:
    """Return the name, with a number if it is taken; some systems ignore the case of letters."""
    number, free = 1, name
    while free.casefold() in names:
        number += 1
        free = numbered(name, number)
    names.add(free.casefold())
    return free


def _list_of(problems: Sequence[ExportProblem]) -> str:
    return "".join(
        f"{problem.item_id}{f' ({problem.format})' if problem.format else ''}: "
        f"{problem.error.message} {problem.error.hint}\n"
        for problem in problems
    )
