"""Places at which a line of text may end, its width in columns, its characters.

Words of scripts with spaces, and addresses, stay whole. Chinese, Japanese and Thai are cut into
phrases by BudouX's models; other cuts follow the classes of the Unicode line breaking algorithm
(UAX #14) for pairs of characters, with the strict rules for Japanese (kinsoku, JIS X 4051). In Thai
and Lao a vowel before its consonant (เ แ โ ใ ไ) always begins a syllable, so that a cut there
never parts one; vowels and marks behind a consonant stay with it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Literal

import budoux
import regex  # type: ignore[import-untyped]
from wcwidth import wcswidth, wcwidth

Script = Literal["", "zh", "ja", "ko"]
"""The script by which a text is laid out: Chinese, Japanese, Korean, or empty for all others."""

# Characters a second by Netflix's Timed Text Style Guides.
READING_SPEED: dict[Script, float] = {"": 17.0, "zh": 9.0, "ja": 4.0, "ko": 12.0}

_LEADING_VOWELS = frozenset("เแโใไເແໂໃໄ")
# Signs that join the next consonant to the one before (Khmer coeng, Myanmar virama).
_JOINING = frozenset("\u17d2\u1039")
_NO_END = _LEADING_VOWELS | _JOINING | frozenset("([{（［｛「『【〈《〔〝‘“«¿¡")
_NO_START = frozenset(
    "ะาำๅๆฯະາຳໆຯ"
    "、。，．・：；？！ヽヾゝゞ々ー）］｝」』】〉》〕〟’”…‥»"
    "ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ"
    ",.;:?!)]}%"
)
# A line may not begin with these classes of UAX #14, nor end with those.
_CLOSES = regex.compile(
    r"[\p{lb=CL}\p{lb=CP}\p{lb=EX}\p{lb=IS}\p{lb=SY}\p{lb=NS}\p{lb=CJ}\p{lb=QU}\p{lb=GL}\p{lb=WJ}"
    r"\p{lb=ZWJ}\p{lb=CM}\p{lb=BA}\p{lb=HY}\p{lb=IN}\p{lb=PO}]"
)
_OPENS = regex.compile(r"[\p{lb=OP}\p{lb=GL}\p{lb=WJ}\p{lb=PR}\p{lb=BB}\p{lb=ZWJ}]")
_WITHOUT_SPACES = regex.compile(r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
_UNSPACED = regex.compile(
    r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Han}\p{Hiragana}\p{Katakana}\p{lb=ID}\p{lb=NS}"
    r"\p{lb=CJ}]"
)
_KANA = regex.compile(r"[\p{Hiragana}\p{Katakana}]")
_HAN = regex.compile(r"\p{Han}")
_EAST_ASIAN = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]")
_HANGUL = regex.compile(r"\p{Hangul}")
_THAI = regex.compile(r"\p{Thai}")
_HYPHEN = regex.compile(r"(?<=\w[-‐‒–—/])(?=\w)")
_ADDRESS = regex.compile(r"://|^www\.|@|^[\w-]+(\.[\w-]+)+/", regex.IGNORECASE)


def columns(text: str) -> int:
    """Return the width of a text in columns of a terminal: a full-width character takes two."""
    if text.isascii() and text.isprintable():
        return len(text)
    width = wcswidth(text)
    return width if width >= 0 else sum(max(0, wcwidth(letter)) for letter in text)


def script_of(text: str) -> Script:
    """Return the script by which a text is laid out: that of at least half of its columns.

    Japanese has kana, Korean has hangul; a text of Chinese characters alone may be Japanese.
    """
    if text.isascii():
        return ""
    wide = len(_EAST_ASIAN.findall(text))
    if 4 * wide < columns(text):
        return ""
    if _KANA.search(text):
        return "ja"
    return "ko" if _HANGUL.search(text) else "zh"


def characters(text: str, width: int) -> int:
    """Return the number of characters that are read in a text of so many columns.

    Marks without a width are not counted.
    """
    if text.isascii():
        return width
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return wide + max(0, width - 2 * wide)


def parts_syllables(text: str) -> bool:
    """Return True for a text with letters of Thai, Lao, Khmer or Burmese: it has no spaces."""
    return not text.isascii() and bool(_WITHOUT_SPACES.search(text))


def is_break(before: str, after: str) -> bool:
    """Return True if a line may end between two texts without parting what belongs together."""
    if not before or not after:
        return True
    last, first = before[-1], after[0]
    if first in _NO_START or last in _NO_END or unicodedata.category(first) in ("Mn", "Mc", "Me"):
        return False
    if _WITHOUT_SPACES.match(last) and _WITHOUT_SPACES.match(first):
        return first in _LEADING_VOWELS or last in "ๆฯໆຯ"
    if _CLOSES.match(first) or _OPENS.match(last):
        return False
    return not (_is_of_word(last) and _is_of_word(first))


def breaks(text: str, script: Script = "") -> list[int]:
    """Return the places inside a text without spaces at which a line may end, in order.

    A word of a script with spaces has none.
    """
    if text.isascii() or not _UNSPACED.search(text):
        return []
    ends = [found.end() for found in regex.finditer(r"\X", text)]
    model = _model(text, script)
    if model:
        phrases = _phrase_ends(text, model)
        return [end for end in ends[:-1] if end in phrases and _may_part(text, end)]
    return [end for end in ends[:-1] if is_break(text[end - 1], text[end])]


def _model(text: str, script: Script) -> str:
    """Return the name of BudouX's model for a text; empty if it has none for its letters."""
    if _THAI.search(text):
        return "th"
    if _KANA.search(text):
        return "ja"
    return ("ja" if script == "ja" else "zh") if _HAN.search(text) else ""


def _phrase_ends(text: str, language: str) -> set[int]:
    ends: set[int] = set()
    at = 0
    for phrase in _parser(language).parse(text):
        at += len(phrase)
        ends.add(at)
    return ends


def _may_part(text: str, end: int) -> bool:
    """Return True if a phrase may end here: unlike `is_break`, between two syllables of Thai."""
    last, first = text[end - 1], text[end]
    if _THAI.match(last) and _THAI.match(first):
        return first not in _NO_START and last not in _NO_END
    return is_break(last, first)


@cache
def _parser(language: str) -> budoux.Parser:
    if language == "ja":
        return budoux.load_default_japanese_parser()
    if language == "th":
        return budoux.load_default_thai_parser()
    return budoux.load_default_simplified_chinese_parser()


def lines_of_word(text: str, room: int, longest: int) -> Iterator[str]:
    """Yield a text without spaces that is wider than `room` columns in parts.

    A word of a script with spaces is cut after its hyphens; without one it stays whole up to
    `longest` columns, and an address always does. Other scripts are cut where a line may end.
    """
    if _UNSPACED.search(text) or _HANGUL.search(text):
        yield from _filled(text, room)
        return
    parts = [text] if _ADDRESS.search(text) else _HYPHEN.split(text)
    line = ""
    for part in parts:
        if line and columns(line) + columns(part) > room:
            yield from _filled(line, longest)
            line = ""
        line += part
    yield from _filled(line, longest)


def _filled(text: str, room: int) -> Iterator[str]:
    done = 0
    while done < len(text):
        part = fitting(text[done:], room)
        yield part
        done += len(part)


def fitting(text: str, room: int) -> str:
    """Return the longest beginning of a text that fits into so many columns and ends well.

    Without a good place after its first third it ends between two visible characters (grapheme
    clusters), inside one only where a single character is wider than the line.
    """
    width, end, good = 0, 0, 0
    for cluster in regex.finditer(r"\X", text):
        width += columns(cluster[0])
        if width > room:
            break
        end = cluster.end()
        if 3 * width >= room and is_break(text[:end][-1:], text[end : end + 1]):
            good = end
    if end == len(text):
        return text
    whole = end
    while not good and end > 1 and _parts_a_syllable(text, end):
        end = _cluster_before(text, end)
    if not good and end and _parts_a_syllable(text, end):
        end = whole  # a run of signs alone, such as brackets: no place is better than another
    return text[: good or end] or _raw(text, room)


def _raw(text: str, room: int) -> str:
    part = text[:room]
    while len(part) > 1 and columns(part) > room:
        part = part[:-1]
    return part


def _parts_a_syllable(text: str, end: int) -> bool:
    return text[end - 1] in _NO_END or text[end] in _NO_START


def _cluster_before(text: str, end: int) -> int:
    clusters = regex.findall(r"\X", text[max(0, end - 64) : end])
    return end - len(clusters[-1])


def _is_of_word(letter: str) -> bool:
    """Return True for a letter or digit of a script that parts words by spaces."""
    return letter.isalnum() and unicodedata.east_asian_width(letter) not in "WF"
