"""Names that stand on the slides of a channel, for the recognizer's prompt.

The reader of the screen makes mistakes, and slides write many words with a capital letter. A name
is therefore taken only if

- each of its one to three words has a capital letter, then small ones, and no digit;
- none of them is written in lower case on the slides or in the transcripts of the channel;
- it stands in two different lines (a line that comes back with the same mistake counts once), or
  in one, and is said with a capital letter within a sentence of the same item;
- a single word does not begin its line, and its language does not capitalize every noun.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import regex  # type: ignore[import-untyped]

from kb.errors import KBError
from kb.library import Library, LibraryEntry
from kb.library.extras import Extras
from kb.pipeline import stages
from kb.pipeline.screen_text import KIND, screen_text
from kb.pipeline.sentences import split_sentences
from kb.types import Segment

MOST_NAMES = 30
MOST_ITEMS = 50  # the newest ones of a channel that have a result
LONGEST = 80  # characters of a name
_MOST_KEPT = 200  # items whose words are kept in memory
_MOST_WORDS = 3
_NOUNS = ("de", "lb")  # languages that write every noun with a capital letter

_NAME = regex.compile(r"\p{Lu}[\p{Ll}\p{M}'’]{2,}(?:-\p{Lu}?[\p{Ll}\p{M}'’]+|\p{Lu}\p{Ll}+)*")
_BORDER = regex.compile(r"[,·•/&+<>=–—]|\s-\s")

log = logging.getLogger(__name__)

_Stamp = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Seen:
    """The words of one item: its lines, and what its transcript writes small and capital."""

    lines: tuple[str, ...]
    small: frozenset[str]
    spoken: frozenset[str]
    has_capital_nouns: bool


_lock = threading.Lock()
_kept: dict[str, tuple[_Stamp, _Seen]] = {}


def names_on_screens(library: Library, entries: Iterable[LibraryEntry]) -> tuple[str, ...]:
    """Return names on the slides of these items, those in most lines first."""
    found: list[_Seen] = []
    for entry in entries:
        seen = _read(library, entry)
        if seen is not None:
            found.append(seen)
        if len(found) == MOST_ITEMS:
            break
    return _names(found)


def _names(items: Sequence[_Seen]) -> tuple[str, ...]:
    small = frozenset().union(*(item.small for item in items))
    lines: dict[str, set[str]] = defaultdict(set)
    confirmed: set[str] = set()
    for item in items:
        for line in item.lines:
            for name in _runs(line, small, nouns=item.has_capital_nouns):
                lines[name].add("".join(line.split()).casefold())
                if all(word in item.spoken for word in name.split()):
                    confirmed.add(name)
    taken = [name for name in lines if len(lines[name]) > 1 or name in confirmed]
    taken.sort(key=lambda name: (-len(lines[name]), name))
    return tuple(name for name in taken if len(name) <= LONGEST)[:MOST_NAMES]


def _runs(line: str, small: frozenset[str], *, nouns: bool) -> Iterable[str]:
    """Yield the names that a line may have."""
    for words in split_sentences(_BORDER.sub(" | ", line)):
        start = 0
        for place, word in enumerate((*words, "")):
            if _NAME.fullmatch(word) and word.lower() not in small:
                continue
            run, begin = words[start:place], start
            start = place + 1
            if 2 <= len(run) <= _MOST_WORDS or (
                len(run) == 1 and not nouns and _stands_alone(words, begin)
            ):
                yield " ".join(run)


def _stands_alone(words: Sequence[str], place: int) -> bool:
    """Return True for a word within a sentence that is no part of a longer heading."""
    before, after = words[place - 1 : place], words[place + 1 : place + 2]
    in_heading = (place > 1 and before[0][0].isupper()) or bool(after and after[0][0].isupper())
    return place > 0 and not in_heading


def _read(library: Library, entry: LibraryEntry) -> _Seen | None:
    """Return the words of an item, None without text on its screen."""
    path = Extras(library).path(entry.stem, KIND)
    if entry.transcript_path is None:
        return None
    try:
        stamp = (path.stat().st_mtime_ns, entry.transcript_path.stat().st_mtime_ns)
    except OSError:
        return None
    with _lock:
        kept = _kept.get(str(path))
    if kept is not None and kept[0] == stamp:
        return kept[1]
    try:
        transcript = stages.read_transcript(library, entry)
        text = screen_text(library, entry, transcript)
    except KBError as error:  # `kb verify` names it
        log.warning("%s: %s", entry.item.id, error.message)
        return None
    lines = [line.text for page in (text.pages if text else ()) for line in page.lines]
    seen = seen_words(lines, transcript.segments, transcript.language)
    with _lock:
        _kept[str(path)] = (stamp, seen)
        for old in list(_kept)[:-_MOST_KEPT]:
            del _kept[old]
    return seen


def seen_words(lines: Sequence[str], segments: Iterable[Segment], language: str) -> _Seen:
    """Return the words of an item from its lines and from what is said in it."""
    shown = [words for line in lines for words in split_sentences(line)]
    said = [words for segment in segments for words in split_sentences(segment.text)]
    return _Seen(
        tuple(dict.fromkeys(lines)),
        frozenset(word for words in (*shown, *said) for word in words if word[0].islower()),
        frozenset(word for words in said for word in words[1:] if word[0].isupper()),
        language[:2] in _NOUNS,
    )
