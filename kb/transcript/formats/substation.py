"""Advanced SubStation Alpha (ass): subtitles with a style, and the time of each word on request.

With word timestamps each word has its length (`\\k`); with highlighted words the ones that are not
spoken yet are grey, as karaoke shows them. The field `Name` has the speaker, if one is known.

Written here because pysubs2, which reads it well, writes no time after 9:59:59.99: it puts all
later subtitles there. Sources: the format's specification (`ass-specs`) and libass, which takes
`{` for the start of a command and `\\N`, `\\n` and `\\h` for breaks and spaces.
"""

from __future__ import annotations

from itertools import pairwise

from kb.transcript.chunks import collapse_whitespace
from kb.transcript.formats.markup import substation
from kb.transcript.formats.subtitle_cues import Cue, phrase_cues
from kb.types import MediaItem, Transcript

MIME_TYPE = "text/x-ssa"
GROUP = "subtitles"

# Colours of a word from its time on, and before it (`\\k`): they differ only where that is asked.
_SPOKEN, _BEFORE = "&H00FFFFFF", "&H00A0A0A0"

# The picture that sizes are relative to; players scale it. The style is that of the specification
# with the size that players use for SubRip, an outline and a margin.
_HEAD = """[Script Info]
{title}ScriptType: v4.00+
PlayResX: 1280
PlayResY: 720
WrapStyle: 0
ScaledBorderAndShadow: yes

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, \
Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,50,&H00FFFFFF,{before},&H00000000,&H80000000,0,0,0,0,100,100,0,0,1,2.5,1,2,\
60,60,40,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return the subtitles; only the head if there are no words."""
    title = collapse_whitespace(item.title) if item else ""
    highlight = transcript.layout.highlight_words
    by_word = highlight or transcript.timestamps == "word"
    lines = [
        f"Dialogue: 0,{_time(cue.start_ms)},{_time(cue.end_ms)},Default,{_name(cue)},0,0,0,,"
        f"{_karaoke(cue) if by_word else substation(cue.text)}\n"
        for cue in phrase_cues(transcript)
    ]
    head = _HEAD.format(
        title=f"Title: {title}\n" if title else "", before=_BEFORE if highlight else _SPOKEN
    )
    return head + "".join(lines)


def _karaoke(cue: Cue) -> str:
    """Return the text with the length of each word in hundredths of a second (`\\k`)."""
    pieces = [piece for line in cue.lines for piece in line]
    first, last = _hundredths(cue.start_ms), _hundredths(cue.end_ms)
    starts = [first, *(_hundredths(piece.start_s * 1000) for piece in pieces[1:]), last]
    for place in range(1, len(starts)):
        starts[place] = min(max(starts[place], starts[place - 1]), last)
    lengths = iter(ended - started for started, ended in pairwise(starts))
    return r"\N".join(
        "".join(
            (" " if place and not piece.glued else "")
            + rf"{{\k{next(lengths)}}}{substation(piece.text)}"
            for place, piece in enumerate(line)
        )
        for line in cue.lines
    )


def _name(cue: Cue) -> str:
    """Return the speaker for the field of the name, which ends with a comma."""
    return collapse_whitespace((cue.speaker or "").replace(",", " "))


def _hundredths(milliseconds: float) -> int:
    return int(milliseconds + 5) // 10


def _time(milliseconds: int) -> str:
    seconds, rest = divmod(_hundredths(milliseconds), 100)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:02d}"
