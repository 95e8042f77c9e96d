"""File names and forms by which a transcript of another program is known in the media folder.

A transcript beside its medium is named `STEM.srt`, or with a language, as media servers write it:
`STEM.en.srt`, `STEM.eng.forced.srt`, `STEM.German.vtt`.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path

from kb.library.languages import language_code

SUBTITLE_SUFFIXES = (
    ".srt", ".vtt", ".ass", ".ssa", ".ttml", ".dfxp", ".sbv", ".lrc", ".tsv", ".json3",
)  # fmt: skip
"""Endings of files that hold nothing but words with times: one makes an item without a medium."""
DOCUMENT_SUFFIXES = (
    ".textgrid", ".csv", ".xlsx", ".html", ".htm", ".docx", ".md", ".edl",
)  # fmt: skip
"""Endings of files that may be something else: they belong to an item that is there already."""
TRANSCRIPT_SUFFIXES = frozenset({*SUBTITLE_SUFFIXES, *DOCUMENT_SUFFIXES, ".json", ".txt"})
"""Endings of all files that may hold a transcript; a medium has none of them."""

# Marks that media servers write behind the language, and exports of several files of one ending.
# `hi` (hearing impaired) is Hindi alone.
_MARKS = frozenset({
    "auto", "forced", "sdh", "cc", "hi", "default", "foreign",
    "plain", "verbose", "labels", "markers",
})  # fmt: skip
# Exports under an item's name that have no transcript, by the last part of their stem.
_OTHERS = {"chapters": None, "notes": (".md", ".json"), "screen": (".md",)}  # None: with any ending
_TOKEN = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")
# Lists in the JSON of recognizers; metadata of a medium has none of them.
_LISTS = (
    "segments", "transcription", "chunks", "utterances", "events", "words", "word_segments",
    "monologues", "phrases",
)  # fmt: skip
_TEXTS = ("text", "transcript")
_OF_A_MEDIUM = frozenset({"title", "uploader", "channel", "webpage_url"})


@dataclass(frozen=True, slots=True)
class TranscriptName:
    """A file name in its parts: the item's stem, and the code of the language (empty if none)."""

    stem: str
    language: str = ""


def may_hold_transcript(name: str) -> bool:
    """Return False for a file under an item's name that is known to be something else."""
    path = Path(name)
    part = path.stem.rpartition(".")[2].lower()
    endings = _OTHERS.get(part, ())
    return endings is not None and path.suffix.lower() not in endings


def split_name(name: str) -> TranscriptName:
    """Return the parts of a transcript's file name.

    The name of a language that is not known is part of the stem, except one of the form of a code.
    """
    stem = Path(name).stem
    parts = stem.split(".")
    place = len(parts)
    while place > 1 and parts[place - 1].lower() in _MARKS:
        place -= 1
    if place > 1:
        word = parts[place - 1]
        language = language_code(word) if word.isascii() else ""
        if language or _TOKEN.fullmatch(word):
            return TranscriptName(".".join(parts[: place - 1]), language)
    if place < len(parts) and parts[place].lower() == "hi":
        return TranscriptName(".".join(parts[:place]), "hi")
    return TranscriptName(".".join(parts[:place]))


def owner_of(stem: str, owners: Container[str]) -> str:
    """Return the item that a file belongs to whose name has more parts: STEM.large-v3.json.

    It is the longest of `owners` that the stem begins with, up to a point; empty if there is none.
    """
    while "." in stem:
        stem = stem.rpartition(".")[0]
        if stem in owners:
            return stem
    return ""


def is_transcript(document: object) -> bool:
    """Return True if a JSON value has the form of a recognizer's transcript, empty or not.

    Metadata of a medium, which may have a field `text` too, gives False.
    """
    if isinstance(document, list):
        return True  # metadata is an object
    if not isinstance(document, Mapping):
        return False
    if any(isinstance(document.get(name), list) for name in _LISTS):
        return True
    results = document.get("results")
    if isinstance(results, Mapping) and {"transcripts", "channels", "items"} & results.keys():
        return True
    if isinstance(results, list) and any(isinstance(each, Mapping) for each in results):
        return True
    has_text = any(isinstance(document.get(name), str) for name in _TEXTS)
    return has_text and not _OF_A_MEDIUM & document.keys()
