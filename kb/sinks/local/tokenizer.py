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

_PART = re.compile("[^ ]+")
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


def spans(text: str) -> list[tuple[str, int, int]]:
    """Return every token with the slice of the text it came from.

    A search with several words reads hundreds of passages here.
    """
    if all(len(_FOLDED[ord(char)]) == 1 for char in set(text)):
        return _equal_spans(text, 0)
    found: list[tuple[str, int, int]] = []
    for part in _PART.finditer(text):  # no token has a space
        of_part = _equal_spans if part[0].isascii() else _other_spans
        found += of_part(part[0], part.start())
    return found


def _equal_spans(text: str, begin: int) -> list[tuple[str, int, int]]:
    """As `spans` from a place on, for a text of which each character is folded to one, as ASCII."""
    folded = text.translate(_FOLDED)
    return [
        (found[0], begin + found.start(), begin + found.end()) for found in _PART.finditer(folded)
    ]


def _other_spans(text: str, begin: int) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    word, start, end = "", 0, 0
    for offset, char in enumerate(text, begin):
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
