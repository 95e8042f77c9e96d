"""Cues in which the word that is being spoken is marked, for subtitle formats without word times.

As openai-whisper's `--highlight_words`: the cue is repeated for each of its words, at the word's
time, with that word underlined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kb.transcript.formats.subtitle_cues import Cue

_OPEN, _CLOSE = "<u>", "</u>"


def highlighted(cue: Cue, escape: Callable[[str], str]) -> Iterator[tuple[int, int, str]]:
    """Yield start and end in milliseconds, and the cue's text with one word underlined.

    Together they last as long as the cue. Words of one instant share one of them. `escape` makes a
    word safe in the format.
    """
    marks = _marks(cue)
    for place, (start_ms, first) in enumerate(marks):
        following = marks[place + 1] if place + 1 < len(marks) else (cue.end_ms, None)
        yield start_ms, following[0], _text(cue, first, following[1], escape)


def _marks(cue: Cue) -> list[tuple[int, int]]:
    """Return the times at which the mark moves, and the number of the word to which it moves."""
    marks = [(cue.start_ms, 0)]
    pieces = [piece for line in cue.lines for piece in line]
    for number, piece in enumerate(pieces[1:], 1):
        at_ms = round(piece.start_s * 1000)
        if marks[-1][0] < at_ms < cue.end_ms:
            marks.append((at_ms, number))
    return marks


def _text(cue: Cue, first: int, after: int | None, escape: Callable[[str], str]) -> str:
    """Return the text with the words from `first` to the one before `after` underlined."""
    lines: list[str] = []
    number = 0
    for line in cue.lines:
        text = ""
        for place, piece in enumerate(line):
            marked = first <= number and (after is None or number < after)
            word = escape(piece.text)
            text += " " if place and not piece.glued else ""
            text += f"{_OPEN}{word}{_CLOSE}" if marked else word
            number += 1
        lines.append(text)
    return "\n".join(lines)
