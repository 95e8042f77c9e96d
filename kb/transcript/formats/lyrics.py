"""Lyrics (lrc) for music players: one line per cue at its time, and the words' times on request.

Lines have no end; an empty line clears the display where nothing follows for a while. Word times
(`<mm:ss.xx>`) are those of the enhanced form. A text that begins like a time (`[1:05] he said`)
gets an invisible word joiner, so that no player reads it as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise

from kb.transcript.chunks import Piece, collapse_whitespace, join
from kb.transcript.formats.markup import lyrics
from kb.transcript.formats.subtitle_cues import Cue, phrase_cues
from kb.types import MediaItem, Transcript

GROUP = "subtitles"

CLEAR_AFTER_MS = 2000  # a pause that is shown as an empty line


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return title, artist and length as far as they are known, then the lines."""
    by_word = transcript.times_each_word or transcript.layout.highlight_words
    cues = _in_turn(phrase_cues(transcript))
    lines = _head(transcript, item)
    for place, cue in enumerate(cues):
        lines.append(f"[{_time(cue.start_ms)}]{_words(cue) if by_word else _plain(cue)}\n")
        following = cues[place + 1].start_ms if place + 1 < len(cues) else None
        if following is None or following - cue.end_ms >= CLEAR_AFTER_MS:
            lines.append(f"[{_time(cue.end_ms)}]\n")
    return "".join(lines)


def _in_turn(cues: Sequence[Cue]) -> Sequence[Cue]:
    """Return cues that do not overlap: of people who speak at once, each word has its turn.

    A line lasts until the next one, so that a cue goes on behind the words of another one as a line
    of its own.
    """
    if all(cue.end_ms <= following.start_ms for cue, following in pairwise(cues)):
        return cues
    words: list[tuple[int, int, Piece]] = []
    for number, cue in enumerate(cues):
        latest = cue.start_ms
        for piece in (piece for line in cue.lines for piece in line):
            latest = max(latest, round(piece.start_s * 1000))
            words.append((latest, number, piece))
    words.sort(key=lambda word: word[0])  # words of one cue keep their order
    turns = [list(turn) for _, turn in groupby(words, key=lambda word: word[1])]
    ends = [turn[0][0] for turn in turns[1:]]
    last_turn = {turn[0][1]: place for place, turn in enumerate(turns)}
    found: list[Cue] = []
    for place, turn in enumerate(turns):
        start_ms, number, _ = turn[0]
        end_ms = cues[number].end_ms if last_turn[number] == place else ends[place]
        found.append(Cue(start_ms, end_ms, (tuple(piece for _, _, piece in turn),)))
    return found


def _head(transcript: Transcript, item: MediaItem | None) -> list[str]:
    length = int(transcript.media.duration_s)
    tags = {
        "ti": item.title if item else "",
        "ar": item.channel if item else "",
        "length": f"{length // 60:02d}:{length % 60:02d}" if length else "",
    }
    return [
        f"[{name}:{collapse_whitespace(value).translate(_ROUND)}]\n"
        for name, value in tags.items()
        if value.strip()
    ]


_ROUND = str.maketrans("[]", "()")  # a tag ends with the first bracket


def _plain(cue: Cue) -> str:
    return lyrics(join(piece for line in cue.lines for piece in line))


def _words(cue: Cue) -> str:
    text, latest = "", cue.start_ms
    for piece in (piece for line in cue.lines for piece in line):
        latest = max(latest, round(piece.start_s * 1000))
        space = " " if text and not piece.glued else ""
        text += f"{space}<{_time(latest)}>{lyrics(piece.text)}"
    return text


def _time(milliseconds: int) -> str:
    hundredths = (milliseconds + 5) // 10
    return f"{hundredths // 6000:02d}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"
