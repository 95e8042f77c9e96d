"""Checks of a translated text: its length, its language, its place among the others.

They look for evidence and are careful with what may stay as it is: names, numbers, single words,
and languages that share whole sentences.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from rapidfuzz import fuzz

from kb.enrich.llm.answers import MARKUP_SIGNS, shown_text
from kb.types.translation import FAILED, LENGTH, MARKUP, UNTRANSLATED
from kb.types.words import UNSPACED

_WORD = re.compile(r"\w+")
_ADDRESS = re.compile(r"(?:https?://|www\.)[\w./?=&%#~:+-]+", re.IGNORECASE)
_MAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w+")
_NUMBER = re.compile(r"\d+")
_CHARS_OF_UNSPACED = 2.5  # letters of an alphabet that say as much as one such character
# A text may become so many times longer, or shorter, with some letters for short ones.
_LONGER, _LONGER_FREE, _SHORTER, _SHORTER_FREE = 3.0, 40.0, 0.2, 2.0
_FEWEST_PLAIN = 3  # words beside names and numbers, from which on the same text is no translation
_FEWEST_PLAIN_RELATED = 12
_LIKE_ITSELF = 80.0  # similarity of the first words to those of a line
_RELATED = [
    set(group.split())
    for group in (
        "da no nn sv fo", "hr sr bs sl mk bg", "cs sk pl", "es pt gl ca it oc", "id ms jw su",
        "de nl af lb", "ru uk be", "hi ur ne mr", "zh yue ja", "az tr tk",
    )
]  # fmt: skip


def shown(text: str, source: str) -> str | None:
    """Return a translation as one line of plain text, "" for none, None if it has markup.

    A bare address that the original shows, sign for sign, may be in its translation; one of its own
    may not, nor one of mail, of which readers of Markdown make a link.
    """
    line = shown_text(text)
    if set(_MAIL.findall(line)) - set(_MAIL.findall(source)):
        return None
    said = {each for each in source.split() if _ADDRESS.fullmatch(each)}
    others = [each if each not in said else "-" for each in line.split()]
    return None if MARKUP_SIGNS.search(" ".join(others)) else line


def problem(
    text: str | None, source: str, languages: tuple[str, str], names: AbstractSet[str]
) -> str:
    """Return the mark of a translation that is none, "" for one that may be one.

    `text` is what `shown` returned, `languages` are the codes of source and target, `names` the
    words of known names in small letters.
    """
    if text is None:
        return MARKUP
    if not any(each.isalnum() for each in text):
        return FAILED if any(each.isalnum() for each in source) else ""
    said, length = _length(source), _length(text)
    if length > _LONGER * said + _LONGER_FREE or length < _SHORTER * said - _SHORTER_FREE:
        return LENGTH
    if _is_same(text, source, languages, names):
        return UNTRANSLATED
    return ""


def _length(text: str) -> float:
    unspaced = len(UNSPACED.findall(text))
    return sum(not each.isspace() for each in text) + (_CHARS_OF_UNSPACED - 1) * unspaced


def _is_same(text: str, source: str, languages: tuple[str, str], names: AbstractSet[str]) -> bool:
    words = _WORD.findall(source)
    if [each.casefold() for each in words] != [each.casefold() for each in _WORD.findall(text)]:
        return False
    # The first word has a capital for the sentence's sake, the others for that of a name.
    plain = [
        word
        for number, word in enumerate(words)
        if not any(each.isdigit() for each in word)
        and word.casefold() not in names
        and (number == 0 or not word[0].isupper())
    ]
    unspaced = len(UNSPACED.findall(source))
    related = any(set(languages) <= group for group in _RELATED)
    return len(plain) + unspaced // 2 >= (_FEWEST_PLAIN_RELATED if related else _FEWEST_PLAIN)


def swapped(
    sources: Sequence[str], firsts: Sequence[str], texts: Sequence[str], names: AbstractSet[str]
) -> set[int]:
    """Return the places whose answer seems to be that of another line.

    `firsts` are the words with which a line begins, as the answer repeats them. There is evidence
    where they begin another line, where a line got nothing, where two different lines got the same
    long answer, and where numbers or names of a line are in the answer of another one alone.
    """
    found = {
        number for number, text in enumerate(texts) if not _words(text) and _words(sources[number])
    }
    begins = [_words(each)[:6] for each in sources]
    for number, first in enumerate(firsts):
        start = _words(first)
        if start and not _begins(begins[number], start) and any(
            _begins(other, start) for place, other in enumerate(begins) if place != number
        ):  # fmt: skip
            found.add(number)
    seen: dict[str, int] = {}
    for number, text in enumerate(texts):
        key = " ".join(_words(text))
        if len(key) > 12 and key in seen and sources[seen[key]] != sources[number]:
            found |= {number, seen[key]}
        seen.setdefault(key, number)
    anchors = [_anchors(each, names) for each in sources]
    in_texts = [set(_words(each)) for each in texts]
    for number, own in enumerate(anchors):
        if not own or own & in_texts[number]:
            continue
        for place, other in enumerate(in_texts):
            if place != number and (own & other) - anchors[place]:
                found |= {number, place}
    return found


def _begins(line: Sequence[str], start: Sequence[str]) -> bool:
    size = min(len(start), 3)
    return fuzz.ratio(" ".join(line[:size]), " ".join(start[:size])) >= _LIKE_ITSELF


def _anchors(text: str, names: AbstractSet[str]) -> set[str]:
    """Return what stays the same in most languages: numbers of two digits and more, known names."""
    numbers = {each for each in _NUMBER.findall(text) if len(each) > 1}
    return numbers | {each for each in _words(text) if each in names}


def _words(text: str) -> list[str]:
    return [each.casefold() for each in _WORD.findall(text)]


def name_words(names: Sequence[str]) -> frozenset[str]:
    """Return the words of names in small letters."""
    return frozenset(word for name in names for word in _words(name) if len(word) > 2)


def named_in(text: str, names: Sequence[str]) -> list[str]:
    """Return the names that a text has, each once."""
    said = f" {' '.join(_words(text))} "
    return [
        name
        for name in dict.fromkeys(" ".join(each.split()) for each in names)
        if (key := " ".join(_words(name))) and f" {key} " in said
    ]
