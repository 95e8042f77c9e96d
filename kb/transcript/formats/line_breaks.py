"""Places at which a subtitle line may end, and the width of a line in columns.

Japanese and Chinese have no spaces, and some letters must not begin a line (kinsoku, JIS X 4051).
In Thai and Lao a vowel before its consonant (เ แ โ ใ ไ) always begins a syllable, so that a cut
there never parts one; vowels and marks behind a consonant stay with it.
"""

from __future__ import annotations

import unicodedata

import regex  # type: ignore[import-untyped]

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
_WITHOUT_SPACES = regex.compile(r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")


def columns(text: str) -> int:
    """Return the width of a text in columns: a full-width character takes two."""
    return len(text) + sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)


def is_break(before: str, after: str) -> bool:
    """Return True if a line may end between two texts without parting what belongs together."""
    if not before or not after:
        return True
    last, first = before[-1], after[0]
    if first in _NO_START or last in _NO_END or unicodedata.category(first) in ("Mn", "Mc", "Me"):
        return False
    if _WITHOUT_SPACES.match(last) and _WITHOUT_SPACES.match(first):
        return first in _LEADING_VOWELS or last in "ๆฯໆຯ"
    return not (_is_of_word(last) and _is_of_word(first))


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
