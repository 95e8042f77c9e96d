"""Two transcripts of one recording beside each other: ours, and captions or an earlier version."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Literal

from kb.errors import UsageError
from kb.library import LibraryEntry
from kb.pipeline import captions
from kb.service.items import Items
from kb.transcript import caption_parser
from kb.transcript.editing import segment_words
from kb.types import MediaRef, Transcript, Word

ROW_S = 20.0  # length of a row at least; it ends in a pause of both
_PAUSE_S = 0.15  # seconds between two words at which a row may end
_LETTERS = re.compile(r"\W+")

PartKind = Literal["same", "other", "ours"]


@dataclass(frozen=True, slots=True)
class OtherTranscript:
    """Another transcript of an item: `key` finds it again.

    `kind`: `people` or `machine` for captions, `version` for an earlier version; `name` is a
    language or the day on which the version was replaced.
    """

    key: str
    kind: Literal["people", "machine", "version"]
    name: str


@dataclass(frozen=True, slots=True)
class ComparedPart:
    """Words of a row: `same` in both, or in one of the two alone."""

    kind: PartKind
    text: str


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """A stretch of the recording, from `start_s` on, with the words of both transcripts."""

    start_s: float
    parts: tuple[ComparedPart, ...]

    @property
    def differs(self) -> bool:
        return any(part.kind != "same" for part in self.parts)


@dataclass
class Comparisons:
    """The comparisons of one library. Methods raise UsageError and LibraryError."""

    items: Items

    def others(self, entry: LibraryEntry) -> list[OtherTranscript]:
        """Return the transcripts that an item's can be compared with."""
        found = [
            OtherTranscript(
                f"captions:{file.path.name}", "machine" if file.automatic else "people",
                file.language,
            )
            for file in captions.files_of(self.items.library, entry)
        ]  # fmt: skip
        found += [
            OtherTranscript(f"version:{each.number}", "version", each.replaced_at[:10])
            for each in self.items.versions(entry.item.id)
            if each.transcript_path is not None
        ]
        return found

    def compare(self, entry: LibraryEntry, transcript: Transcript, key: str) -> list[ComparedRow]:
        """Return the rows of the whole recording, compared with the transcript of this key."""
        return compare(transcript, self._read(entry, key))

    def _read(self, entry: LibraryEntry, key: str) -> Transcript:
        kind, _, name = key.partition(":")
        if kind == "version" and name.isdecimal():
            return self.items.version(entry.item.id, int(name))[1]
        for file in captions.files_of(self.items.library, entry):
            if kind == "captions" and file.path.name == name:
                return caption_parser.read(
                    file, MediaRef(file.path.name, entry.sha256, entry.duration_s or 0.0)
                )
        raise UsageError(
            "compare.unknown",
            "{item_id} has no other transcript {key!r}.",
            hint="See the earlier versions: kb show {item_id} --versions",
            item_id=entry.item.id,
            key=key,
        )


def compare(ours: Transcript, other: Transcript) -> list[ComparedRow]:
    """Return the words of two transcripts of the same sound in rows, in order of time.

    Words are the same if they differ in case and punctuation alone. Rows end where both have a
    pause, as far as there is one.
    """
    mine, theirs = _words(ours), _words(other)
    cuts = _cuts(mine, theirs)
    rows = []
    for start_s, own, foreign in zip(
        [0.0, *cuts], _divide(mine, cuts), _divide(theirs, cuts), strict=True
    ):
        if own or foreign:
            first = min(word.start_s for word in (*own[:1], *foreign[:1]))
            rows.append(ComparedRow(max(start_s, first), _parts(own, foreign)))
    return rows


def _words(transcript: Transcript) -> list[Word]:
    found = [word for segment in transcript.segments for word in segment_words(segment)]
    return sorted(found, key=lambda word: word.start_s)


def _cuts(mine: Sequence[Word], theirs: Sequence[Word]) -> list[float]:
    """Return the times at which rows end: middles of pauses, at least `ROW_S` apart."""
    cuts: list[float] = []
    latest = mine[0].start_s if mine else 0.0
    begins = [word.start_s for word in theirs]
    for before, word in pairwise(mine):
        if word.start_s - before.end_s < _PAUSE_S:
            continue
        at = (before.end_s + word.start_s) / 2
        number = bisect_right(begins, at) - 1
        if word.start_s - latest >= ROW_S and (number < 0 or theirs[number].end_s <= at + 0.05):
            cuts.append(at)
            latest = word.start_s
    return cuts


def _divide(words: Sequence[Word], cuts: Sequence[float]) -> list[list[Word]]:
    rows: list[list[Word]] = [[] for _ in range(len(cuts) + 1)]
    for word in words:
        rows[bisect_right(cuts, (word.start_s + word.end_s) / 2)].append(word)
    return rows


def _parts(own: Sequence[Word], foreign: Sequence[Word]) -> tuple[ComparedPart, ...]:
    matcher = SequenceMatcher(None, _plain(foreign), _plain(own), autojunk=False)
    parts: list[ComparedPart] = []
    for kind, first, last, start, end in matcher.get_opcodes():
        if kind == "equal":
            parts.append(ComparedPart("same", _text(own[start:end])))
            continue
        if last > first:
            parts.append(ComparedPart("other", _text(foreign[first:last])))
        if end > start:
            parts.append(ComparedPart("ours", _text(own[start:end])))
    return tuple(parts)


def _plain(words: Iterable[Word]) -> list[str]:
    return [_LETTERS.sub("", word.text).casefold() or word.text for word in words]


def _text(words: Iterable[Word]) -> str:
    return " ".join(word.text for word in words)
