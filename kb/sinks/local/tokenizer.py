"""The tokenizer of the index, with the same folding for passages, queries and snippets.

This module splits text into words and folds them; the index stores these words and splits only
at spaces, so that passages, queries and marks always agree. There is no stemming and there are
no stop words: both belong to one language, and both break phrases.

Folding: compatibility forms are unified (NFKD), case is folded, and accents, points and
harakat (combining class 10 and up) are removed; vowel signs and viramas of Indic scripts
stay. Scripts written without spaces give one word per character; a run of such characters in a
query is a phrase, and so a substring search. All other characters are punctuation: they separate
words and have no meaning in a query, except quotation marks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

MAX_TERMS = 48
"""A long query is cut to this many different words; more cost time and add nothing."""

SNIPPET_CHARS = 180

_QUOTES = '"“”„‟«»‹›「」『』＂'
_QUOTED = re.compile(f"[{_QUOTES}]([^{_QUOTES}]*)[{_QUOTES}]")

# Letters that Unicode does not decompose, although users type them without the stroke.
_STROKED = str.maketrans(
    {"ø": "o", "đ": "d", "ð": "d", "ł": "l", "ħ": "h", "ŧ": "t", "ı": "i"}
    | {"æ": "ae", "œ": "oe", "þ": "th"}
)

# Hangul is in the list although it is written with spaces: particles are attached to the noun.
_ONE_WORD_PER_CHARACTER = (
    (0x0E01, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3041, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana extensions
    (0x3400, 0x9FFF),  # Han
    (0xAC00, 0xD7A3),  # Hangul syllables
    (0xF900, 0xFAFF),  # Han compatibility
    (0x20000, 0x3FFFF),  # Han extensions
)

_LAST_KEPT_MARK_CLASS = 9  # 7 nukta, 8 kana voicing, 9 virama: part of the letter


def _fold(char: str) -> str:
    if unicodedata.category(char) == "Cf":  # soft hyphens and joiners, which occur inside words
        return ""
    kept: list[str] = []
    for part in unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold()):
        kind = unicodedata.category(part)
        if kind[0] == "M":
            if unicodedata.combining(part) <= _LAST_KEPT_MARK_CLASS:
                kept.append(part)
        elif kind == "Nd":
            kept.append(str(unicodedata.decimal(part)))
        elif kind[0] in "LN":
            kept.append(part.translate(_STROKED))
        else:
            kept.append(" ")
    folded = unicodedata.normalize("NFC", "".join(kept))
    return "".join(f" {part} " if _is_single_character_word(part) else part for part in folded)


def _is_single_character_word(char: str) -> bool:
    return any(first <= ord(char) <= last for first, last in _ONE_WORD_PER_CHARACTER)


class _FoldTable(dict[int, str]):
    """A map from code points to folded text, filled on use, so that folding is one C loop."""

    def __missing__(self, code: int) -> str:
        self[code] = _fold(chr(code))
        return self[code]


_FOLDED = _FoldTable()


def tokens(text: str) -> list[str]:
    """Return the folded words of a text, in order."""
    return unicodedata.normalize("NFC", text).translate(_FOLDED).split()


@dataclass(frozen=True, slots=True)
class Term:
    """One unit of a query: a word, or several that must be adjacent.

    `required` terms (quoted ones) must occur even when too few passages are found.
    """

    tokens: tuple[str, ...]
    required: bool = False


def parse_query(query: str) -> tuple[Term, ...]:
    """Return the terms of a query, in order, each once; none if it has no letter or digit.

    Text in quotation marks of any style is a phrase; an unmatched mark is punctuation.
    A word that folds to several (`e-mail`, a run of Han) is a phrase too. Never raises.
    """
    phrases = [Term(tuple(tokens(found)), required=True) for found in _QUOTED.findall(query)]
    rest = _QUOTED.sub(" ", query)
    words = [Term(tuple(tokens(word))) for word in rest.split()]
    unique = dict.fromkeys(term for term in (*phrases, *words) if term.tokens)
    return tuple(unique)[:MAX_TERMS]


def snippet(text: str, terms: Sequence[Term], length: int = SNIPPET_CHARS) -> str:
    """Return about `length` characters around the densest hit, with hit words in `**`.

    Asterisks of the text become U+2217, so that every `**` is a mark. Cut ends have an
    ellipsis. The snippet of a text without a hit (semantic search) is the start of the text.
    """
    text = " ".join(unicodedata.normalize("NFC", text).split()).replace("*", "∗")
    hits = _hits(text, terms)
    start, end = _window(text, hits, length)
    pieces: list[str] = ["… " if start else ""]
    position = start
    for first, last, _ in hits:
        # A hit that overlaps the previous one, or is cut by the window, is not marked.
        if first < position or last > end:
            continue
        pieces += [text[position:first], "**", text[first:last], "**"]
        position = last
    pieces += [text[position:end], " …" if end < len(text) else ""]
    return "".join(pieces)


def first_word(text: str, terms: Sequence[Term]) -> int:
    """Return the index of the space-separated word with the first hit; 0 without a hit."""
    hits = _hits(text, terms)
    if not hits:
        return 0
    # The count includes the word with the hit, so one is subtracted.
    return max(0, len(text[: hits[0][0] + 1].split()) - 1)


def _spans(text: str) -> list[tuple[str, int, int]]:
    """Return every token with the slice of the text it came from."""
    found: list[tuple[str, int, int]] = []
    word, start, end = "", 0, 0
    for offset, char in enumerate(text):
        for part in _FOLDED[ord(char)]:
            if part != " ":
                start = start if word else offset
                word, end = word + part, offset + 1
            elif word:
                found.append((word, start, end))
                word = ""
        if word and not _FOLDED[ord(char)]:
            end = offset + 1  # an accent or joiner belongs to the word around it
    if word:
        found.append((word, start, end))
    return found


def _hits(text: str, terms: Sequence[Term]) -> list[tuple[int, int, int]]:
    """Return (start, end, number of the term) of every hit, by start, then the longest first."""
    spans = _spans(text)
    words = [word for word, _, _ in spans]
    hits: list[tuple[int, int, int]] = []
    for number, term in enumerate(terms):
        size = len(term.tokens)
        for at, word in enumerate(words):
            if word == term.tokens[0] and tuple(words[at : at + size]) == term.tokens:
                hits.append((spans[at][1], spans[at + size - 1][2], number))
    return sorted(hits, key=lambda hit: (hit[0], -hit[1]))


def _window(text: str, hits: Sequence[tuple[int, int, int]], length: int) -> tuple[int, int]:
    """Return the slice to show: the one with the most different terms, moved to word borders."""
    if len(text) <= length + 20:  # a cut of about three words has no benefit
        return 0, len(text)
    best = (0, 0, 0)  # (different terms, start, end)
    for first, _, _ in hits:
        inside = [hit for hit in hits if first <= hit[0] and hit[1] <= first + length]
        different = len({number for _, _, number in inside})
        if different > best[0]:
            best = (different, first, max(hit[1] for hit in inside))
    start = max(0, min((best[1] + best[2] - length) // 2, len(text) - length))
    start = max(0, min(start, best[1]))
    end = min(len(text), start + length)
    if start > 0:
        border = text.find(" ", start - 1, start + 20)
        start = border + 1 if 0 <= border < best[1] else start
    if end < len(text):
        border = text.rfind(" ", max(best[2], end - 20), end + 1)
        end = border if border > 0 else end
    return start, end
