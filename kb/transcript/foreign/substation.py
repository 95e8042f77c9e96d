"""SubStation Alpha (ass, ssa) as rows, read by pysubs2; karaoke lengths become words."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import replace

import pysubs2

from kb.transcript.foreign.rows import Found, Row, grouped, unjoined
from kb.transcript.foreign.subtitles import joined_lines
from kb.types import Word

_BLOCK = re.compile(r"(\{[^{}]*\})")
_LENGTH = re.compile(r"\\[kK][fot]?\s*(\d+)")
# What stands behind `\\p1` is drawn, up to `\\p0`.
_DRAWING = re.compile(r"\{[^{}]*\\p[1-9][^{}]*\}.*?(?=\{[^{}]*\\p0|$)", re.DOTALL)
_BREAK = re.compile(r"\\[Nn]")


def rows(text: str) -> Found | None:
    """Return the dialogues; None if there are none. Raises ValueError for a damaged file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about fields that are of no use here
            events = pysubs2.SSAFile.from_string(text, format_="ass").events
    except (pysubs2.Pysubs2Error, ValueError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"it is damaged: {str(error)[:200]}") from error
    found = tuple(
        replace(
            _row(event.text, event.start / 1000, event.end / 1000, f"event {number}"),
            speaker=" ".join(event.name.split()) or None,
        )
        for number, event in enumerate(events, 1)
        if not event.is_comment
    )
    if not any(row.text for row in found):
        return None
    return grouped(Found(found))


def _row(text: str, start_s: float, end_s: float, place: str) -> Row:
    text = _DRAWING.sub("", text)
    plain = unjoined(_shown(_BLOCK.sub("", text)))
    words = tuple(_words(text, start_s))
    return Row(joined_lines(plain.split("\n")), start_s, end_s, words, place=place)


def _shown(text: str) -> str:
    return _BREAK.sub("\n", text).replace(r"\h", " ")


def _words(text: str, start_s: float) -> Iterator[Word]:
    """Yield the words of the syllables; none where the text has no lengths before its words."""
    if not _LENGTH.search(text):
        return
    at_s = until_s = start_s
    for part in _BLOCK.split(text):
        if part.startswith("{") and part.endswith("}"):
            for length in _LENGTH.findall(part):
                at_s, until_s = until_s, until_s + int(length) / 100
            continue
        for word in unjoined(_shown(part)).split():
            yield Word(at_s, until_s, word, 1.0)
