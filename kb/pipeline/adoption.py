"""Takes in transcripts that lie in the library folder and that this project did not write.

A file of another program (text, subtitles, JSON) becomes the item's exact transcript, and only then
is the item done. The same files are the second source for an exact transcript that is damaged. One
of which only times are impossible stays: it has more than any of these files.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kb.errors import KBError, LibraryError, TranscriptionError
from kb.library import Library, LibraryEntry
from kb.library.directory import list_directory
from kb.library.fencing import Fence
from kb.library.languages import language_code
from kb.library.metadata import ORIGINAL_SUFFIX, TEXT_SUFFIX, TRANSCRIPT_SUFFIX
from kb.library.originals import original_name
from kb.library.transcript_names import (
    SUBTITLE_SUFFIXES,
    TranscriptName,
    may_hold_transcript,
    owner_of,
    split_name,
)
from kb.pipeline import captions
from kb.pipeline.transcript_files import BROUGHT, damage
from kb.transcript import render
from kb.transcript.foreign import reader
from kb.transcript.foreign.suffixes import SUFFIXES, UNREAD_SUFFIXES
from kb.transcript.formats import json_document
from kb.transcript.time_order import check_times
from kb.types import LocalMedia, MediaRef, Transcript

_ORDER = (*SUFFIXES, *UNREAD_SUFFIXES)
_BESIDE = frozenset(_ORDER) - {".json"}  # files of an item by their names, besides its JSON
_EXACT = frozenset({".json", *SUBTITLE_SUFFIXES})  # what can be nothing but a transcript
DAMAGED_SUFFIX = f"{TRANSCRIPT_SUFFIX}.damaged"


@dataclass(frozen=True, slots=True)
class TakenIn:
    """An item whose transcript was made from another file; `repaired`: the exact one was damaged.

    `source` is the name of that file.
    """

    entry: LibraryEntry
    source: str
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Adoption:
    """The transcripts taken in, and the error of each item that has none that can be read.

    `broken` has only items with a transcript file of some kind.
    """

    taken_in: tuple[TakenIn, ...]
    broken: dict[str, KBError]


def adopt_transcripts(
    library: Library,
    entries: Iterable[LibraryEntry],
    busy: Container[str] = (),
    fence_of: Callable[[str], Fence] | None = None,
) -> Adoption:
    """Make an exact transcript for each entry that lacks one that can be read.

    `busy` has the ids of items that a worker may be writing: they are not changed. `fence_of`
    returns the fence of a change by hand of an item. Raises LibraryError if the folder cannot be
    read or written, and what `fence_of` raises.
    """
    entries = tuple(entries)
    by_stem = _candidates(library, {entry.stem for entry in entries})
    taken_in: list[TakenIn] = []
    broken: dict[str, KBError] = {}
    for entry in entries:
        if entry.item.id in busy:
            continue
        problem: KBError | None = damage(entry)
        if entry.transcript_path is not None and problem is None:
            continue
        if (
            problem is not None
            and entry.transcript_path
            and not _is_replaced(entry.transcript_path)
        ):
            broken[entry.item.id] = problem
            continue
        files = _usable(entry, by_stem.get(entry.stem, ()))
        for path in files:
            try:
                transcript = reader.read(path, _media_of(entry))
                check_times(transcript, str(path))
            except (LibraryError, TranscriptionError) as error:
                problem = problem or error
                continue
            own = library.fenced(fence_of(entry.item.id)) if fence_of else library
            amended = _write(own, entry, transcript, path, repaired=problem is not None)
            repaired = entry.transcript_path is not None
            taken_in.append(TakenIn(amended, path.name, repaired))
            break
        else:
            if problem is not None:
                broken[entry.item.id] = problem
    return Adoption(tuple(taken_in), broken)


def brought_transcript(library: Library, media: LocalMedia) -> Transcript | None:
    """Return the transcript that was named with a medium; None if none was.

    Raises LibraryError, that of the most exact file, if none of them can be read.
    """
    names = media.item.extra.get(BROUGHT)
    problem: LibraryError | None = None
    reference = MediaRef(f"media/{media.path.name}", media.sha256, _length_s(media))
    for name in names if isinstance(names, list) else ():
        try:
            return reader.read(library.media_folder / Path(str(name)).name, reference)
        except LibraryError as error:
            problem = problem or error
    if problem is not None:
        raise problem
    return None


def _length_s(media: LocalMedia) -> float:
    return media.duration_s or media.item.duration_s or _measured_s(media.path)


def _is_replaced(damaged: Path) -> bool:
    """Return False for what stays: a folder or a pipe, and a transcript whose times are wrong."""
    return damaged.is_file() and not json_document.has_whole_text(damaged)


def _candidates(library: Library, stems: Container[str]) -> dict[str, list[tuple[str, Path]]]:
    """Return the files that may hold a transcript, each with the language of its name, by stem.

    `stems` are those of items. Files with the best times are first.
    """
    found: dict[str, list[tuple[str, Path]]] = {}
    for name in sorted(list_directory(library.media_folder)):
        parts = _parts(name)
        if parts is not None:
            stem = parts.stem
            if stem not in stems and Path(name).suffix.lower() in _EXACT:
                stem = owner_of(stem, stems)  # STEM.large-v3.json
            files = found.setdefault(stem, [])
            files.append((parts.language, library.media_folder / name))
    for files in found.values():
        files.sort(key=lambda file: _ORDER.index(file[1].suffix.lower()))
    return found


def _parts(name: str) -> TranscriptName | None:
    """Return stem and language of a file that may hold a transcript; None for any other file."""
    if name.endswith(TRANSCRIPT_SUFFIX):
        return TranscriptName(name.removesuffix(TRANSCRIPT_SUFFIX))
    if name.endswith(ORIGINAL_SUFFIX):
        return original_name(name)
    if Path(name).suffix.lower() not in _BESIDE or not may_hold_transcript(name):
        return None
    return split_name(name)


def _usable(entry: LibraryEntry, files: Sequence[tuple[str, Path]]) -> list[Path]:
    """Return the files that are no captions of the item: captions are not its transcript.

    A file in another language than the item's is a translation: it comes last.
    """
    names = captions.names_of(entry)
    spoken = language_code(entry.item.language or "")
    usable = [file for file in files if file[1].name not in names]
    usable.sort(key=lambda file: bool(spoken and file[0] and file[0] != spoken))
    return [path for _, path in usable]


def _media_of(entry: LibraryEntry) -> MediaRef:
    length_s = entry.duration_s or entry.item.duration_s or 0.0
    if not length_s and entry.media_path is not None:
        length_s = _measured_s(entry.media_path)
    path = f"media/{entry.media_path.name}" if entry.media_path else ""
    return MediaRef(path, entry.sha256, length_s)


def _measured_s(path: Path) -> float:
    from kb.media.probe import probe

    with contextlib.suppress(KBError):  # times of a text without times are less exact then
        return probe(path).duration_s or 0.0
    return 0.0


def _write(
    library: Library, entry: LibraryEntry, transcript: Transcript, source: Path, *, repaired: bool
) -> LibraryEntry:
    target = library.path(entry, TRANSCRIPT_SUFFIX)
    if entry.transcript_path is not None:
        kept = library.path(entry, DAMAGED_SUFFIX)
        library.put_file(entry.item.id, entry.transcript_path, kept, link=False)
    if not library.path(entry, TEXT_SUFFIX).exists():
        library.write_text(entry, TEXT_SUFFIX, render(transcript, "txt", item=entry.item))
    library.write_text(entry, target.name.removeprefix(entry.stem), render(transcript, "json"))
    transcribed = {
        **entry.transcribed,
        "run": entry.transcribed.get("run", 1),
        "engine": transcript.engine,
        "model": transcript.model,
        "preset": transcript.preset,
        "language": transcript.language,
        "words": transcript.word_count,
        "coverage": json_document.to_document(transcript)["coverage"],
        "expected_errors": None,
        "warnings": list(transcript.warnings),
        "imported_from": source.name,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    # An item that is held for review stays held: its text is not better than before.
    held = repaired and entry.state == "held"
    released = {} if held else {"state": "done", "error": None, "hint": None, "problem": None}
    changes = {"transcribed": transcribed, **released, **captions.captions_retired(entry)}
    return library.amend(entry.item.id, changes) or entry
