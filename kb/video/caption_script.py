"""Words as Advanced SubStation Alpha for one picture: captions, or karaoke from the words' times.

Unlike the export (`kb/transcript/formats/substation.py`), which players draw in their own way, this
text is drawn here: at the size of the picture, in fonts that were checked to have its letters, with
the animation of a style. Written by hand as that one is: pysubs2 writes no time after 9:59:59.99.

Sources: the specification (`ass-specs`), libass. `\\kf` fills a word with colour from left to right
in its time, `\\k` waits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from kb.transcript.chunks import Piece
from kb.transcript.formats.markup import JOINER
from kb.transcript.formats.subtitle_cues import Cue, phrase_cues
from kb.types import SubtitleLayout, Transcript
from kb.video.caption_style import CaptionStyle
from kb.video.font_choice import FontChoice
from kb.video.glyphs import FontFile

_SIDE_PERCENT = 6  # space at both sides of the picture that captions leave
_COLUMN_EM = 0.57  # mean width of a letter, in the font's size between lines
_LINE_EM = 1.36  # height of a line of Noto Sans; the format gives sizes as such heights
_TITLE_SIZE = 1.3  # of the captions' size
_TITLE_FADE_MS = 300
_ALIGNMENTS = {"bottom": 2, "middle": 5, "top": 8}

_COMMAND = re.compile(r"\\(?=[Nnh{}\\]|$)")
_BRACE = re.compile(r"([{}])")

_HEAD = """[Script Info]
ScriptType: v4.00+
PlayResX: {width}
PlayResY: {height}
WrapStyle: 0
ScaledBorderAndShadow: yes

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, \
Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,{font},{size:g},{primary},{secondary},{outline},{back},{bold},0,0,0,100,100,0,0,\
{border},{outline_width:g},{shadow:g},{alignment},{side},{side},{margin},1
Style: Title,{font},{title_size:g},{secondary},{secondary},{outline},{back},-1,0,0,0,100,100,0,0,\
{border},{outline_width:g},{shadow:g},{title_alignment},{side},{side},{margin},1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a picture as it is shown, in pixels."""

    width: int
    height: int

    @property
    def shorter(self) -> int:
        return min(self.width, self.height)


@dataclass(frozen=True, slots=True)
class Title:
    """A title over the picture, with its times in seconds."""

    start_s: float
    end_s: float
    text: str


def caption_cues(
    transcript: Transcript,
    style: CaptionStyle,
    size: Size,
    *,
    karaoke: bool,
    end_s: float | None = None,
) -> tuple[Cue, ...]:
    """Return the words in cues that fit the picture; none is shown after `end_s`."""
    layout = _layout(transcript, style, size)
    if karaoke:
        layout = replace(layout, gap_s=0.0)  # the last word of a line is filled to its end
    cues = phrase_cues(replace(transcript, layout=layout))
    if end_s is None:
        return cues
    end_ms = round(end_s * 1000)
    return tuple(replace(c, end_ms=min(c.end_ms, end_ms)) for c in cues if c.start_ms < end_ms)


def caption_script(
    cues: Sequence[Cue],
    style: CaptionStyle,
    fonts: FontChoice,
    size: Size,
    *,
    karaoke: bool,
    titles: Sequence[Title] = (),
) -> str:
    """Return the document; only its head if there are no words and no titles.

    `karaoke`: each word is filled with the style's `sung` colour in its time. Titles are at the
    other end of the picture than the words.
    """
    crowded = _crowded(cues)
    lines = [_head(style, fonts.main, size, karaoke=karaoke)]
    for cue, alone in zip(cues, crowded, strict=True):
        text = _karaoke(cue, fonts) if karaoke else _lines(cue, fonts)
        effect = _animation(style, size, moves=not alone)
        times = f"{_time(cue.start_ms)},{_time(cue.end_ms)}"
        lines.append(f"Dialogue: 0,{times},Default,,0,0,0,,{effect}{text}\n")
    for title in titles:
        times = f"{_time(round(title.start_s * 1000))},{_time(round(title.end_s * 1000))}"
        fade = rf"{{\fad({_TITLE_FADE_MS},{_TITLE_FADE_MS})}}"
        text = _in_fonts(" ".join(title.text.split()), fonts)
        lines.append(f"Dialogue: 1,{times},Title,,0,0,0,,{fade}{text}\n")
    return "".join(lines)


def shown_text(transcript: Transcript) -> str:
    """Return all the text that may be drawn, for the choice of fonts."""
    spoken = "".join(word.text for segment in transcript.segments for word in segment.words)
    return transcript.text + spoken


def _head(style: CaptionStyle, font: FontFile, size: Size, *, karaoke: bool) -> str:
    before, after = _colour(style.colour), _colour(style.sung)
    unit = size.shorter / 100
    back = _colour(style.box, 1 - style.box_opacity) if style.box else "&H80000000"
    return _HEAD.format(
        width=size.width,
        height=size.height,
        font=font.family,
        size=style.size * unit,
        primary=after if karaoke else before,
        secondary=before,
        outline=back if style.box else _colour(style.outline),
        back=back,
        bold=-1 if style.bold else 0,
        border=3 if style.box else 1,
        outline_width=style.outline_width * unit,
        shadow=style.shadow * unit,
        alignment=_ALIGNMENTS[style.place],
        title_size=style.size * unit * _TITLE_SIZE,
        title_alignment=_ALIGNMENTS["bottom" if style.place == "top" else "top"],
        side=round(size.width * _SIDE_PERCENT / 100),
        margin=round(style.margin * unit),
    )


def _layout(transcript: Transcript, style: CaptionStyle, size: Size) -> SubtitleLayout:
    """Return the transcript's layout with lines that fit the picture."""
    layout = transcript.layout
    em = style.size * size.shorter / 100 / _LINE_EM
    room = size.width * (100 - 2 * _SIDE_PERCENT) / 100
    columns = max(4, int(room / (em * _COLUMN_EM)))
    return replace(
        layout,
        line_columns=min(layout.line_columns, columns),
        chinese_columns=min(layout.chinese_columns, columns),
        japanese_columns=min(layout.japanese_columns, columns),
        lines=style.lines,
        words_per_line=style.words_per_line or layout.words_per_line,
    )


def _crowded(cues: Sequence[Cue]) -> list[bool]:
    """Return for each cue whether another one is shown at the same time."""
    found = [False] * len(cues)
    latest, number_of_latest = -1, 0
    for number, cue in enumerate(cues):
        if cue.start_ms < latest:
            found[number] = found[number_of_latest] = True
        if cue.end_ms > latest:
            latest, number_of_latest = cue.end_ms, number
    return found


def _lines(cue: Cue, fonts: FontChoice) -> str:
    return r"\N".join(
        "".join(
            (" " if place and not piece.glued else "") + _in_fonts(piece.text, fonts)
            for place, piece in enumerate(line)
        )
        for line in cue.lines
    )


def _karaoke(cue: Cue, fonts: FontChoice) -> str:
    """Return the text with pauses (`\\k`) and words (`\\kf`) in hundredths of a second.

    The ends are rounded, not the lengths, so that errors do not add up.
    """
    at = _hundredths(cue.start_ms)
    last = _hundredths(cue.end_ms)
    parts: list[str] = []
    for number, line in enumerate(cue.lines):
        if number:
            parts.append(r"\N")
        for place, piece in enumerate(line):
            start, end = _times(piece, at, last)
            wait = rf"{{\k{start - at}}}" if start > at else ""
            space = " " if place and not piece.glued else ""
            parts.append(rf"{space}{wait}{{\kf{end - start}}}{_in_fonts(piece.text, fonts)}")
            at = end
    return "".join(parts)


def _times(piece: Piece, at: int, last: int) -> tuple[int, int]:
    start = min(max(_hundredths(piece.start_s * 1000), at), last)
    return start, min(max(_hundredths(piece.end_s * 1000), start), last)


def _in_fonts(text: str, fonts: FontChoice) -> str:
    """Return a word as the format takes it, with changes of the font where it lacks letters."""
    if not fonts.others and not fonts.left_out:
        return _escaped(text)
    return "".join(_runs(text, fonts))


def _escaped(text: str) -> str:
    """Return text in which libass, which draws it, finds no command; it knows `\\{` and `\\}`."""
    return _BRACE.sub(r"\\\1", _COMMAND.sub(rf"\\{JOINER}", text))


def _runs(text: str, fonts: FontChoice) -> Iterator[str]:
    kept = [char for char in text if char not in fonts.left_out]
    for font, run in groupby(kept, key=fonts.others.get):
        letters = _escaped("".join(run))
        yield letters if font is None else rf"{{\fn{font.family}}}{letters}{{\fn}}"


def _animation(style: CaptionStyle, size: Size, *, moves: bool) -> str:
    """Return the commands of the style's animation; a caption beside another one does not slide."""
    length = round(style.animation_s * 1000)
    if not length or style.animation == "none":
        return ""
    if style.animation == "pop":
        return rf"{{\fscx70\fscy70\t(0,{length},\fscx100\fscy100)}}"
    if style.animation == "slide" and moves:
        unit = size.shorter / 100
        x = round(size.width / 2)
        y = {
            "bottom": round(size.height - style.margin * unit),
            "middle": round(size.height / 2),
            "top": round(style.margin * unit),
        }[style.place]
        step = round(style.size * unit)
        return rf"{{\move({x},{y + step},{x},{y},0,{length})\fad({length},0)}}"
    return rf"{{\fad({length},{length})}}"


def _colour(value: str, transparency: float = 0.0) -> str:
    """Return `#RRGGBB` as the format writes it: `&HAABBGGRR`, 00 is opaque."""
    red, green, blue = value[1:3], value[3:5], value[5:7]
    return f"&H{round(transparency * 255):02X}{blue}{green}{red}".upper()


def _hundredths(milliseconds: float) -> int:
    return int(max(0.0, milliseconds) + 5) // 10


def _time(milliseconds: int) -> str:
    seconds, rest = divmod(_hundredths(milliseconds), 100)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:02d}"
