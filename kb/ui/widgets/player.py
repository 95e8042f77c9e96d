"""Player and transcript side by side; a click on a line seeks without a run of the script.

`player.js`, `player_tools.js` and `player_dock.js` have the behaviour in the browser, `player.css`
the style.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from kb.service.confidence import VERY_UNSURE, TextWord, unsure_words
from kb.types import Chapter, Segment, SpeechSpan
from kb.ui.i18n import format_number, text
from kb.ui.widgets.scripts import read_script, sent

_HTML = """
<div class="kb">
  <div class="stage">
    <div class="screen"></div>
    <div class="bar" aria-hidden="true" hidden><span class="head"></span></div>
    <div class="wave" aria-hidden="true" hidden><canvas></canvas><span class="head"></span></div>
    <div class="tools"></div>
    <div class="part clip" role="group" hidden></div>
    <ul class="keylist" hidden></ul>
    <div class="part gaps" hidden><h4></h4><ul class="chips"></ul></div>
    <div class="part doubts" hidden><h4></h4><ul class="chips"></ul></div>
    <div class="part chapters" hidden><h4></h4><ul class="chips"></ul></div>
  </div>
  <div class="words">
    <div class="find" role="search">
      <input type="search" autocomplete="off" spellcheck="false" />
      <output aria-live="polite"></output>
      <button type="button" class="before">↑</button>
      <button type="button" class="after">↓</button>
    </div>
    <ol class="lines"></ol>
  </div>
</div>
"""

_HERE = Path(__file__).parent
_JS = read_script("player.js", "player_tools.js", "player_clip.js", "player_dock.js")
_CSS = (_HERE / "player.css").read_text(encoding="utf-8")

_mount = st.components.v2.component("kb_player", html=_HTML, css=_CSS, js=_JS)


@dataclass(frozen=True, slots=True)
class Edit:
    """A line that the user has edited: its number, and its text before and after the edit."""

    item_id: str
    line: int
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class PlayerState:
    """The contents of the player: `source` is the medium's address, "" if there is none.

    `revision` identifies the lines: the lines are redrawn only when it changes. The player seeks
    to `start_s` once for each new `seek_id`; `marks` are words to highlight, in lower case.
    `offset_s` is the container's start, from which all times count; a browser counts from 0.
    `peaks` and `clip` are addresses: of the peaks of the sound, and of clips without their times.
    `uncertain_spans` are spans to listen to, each with its reason; `edited` are the numbers of
    segments that a user has changed.
    """

    item_id: str
    revision: str
    title: str
    source: str
    has_video: bool
    duration_s: float
    offset_s: float
    segments: Sequence[Segment]
    gaps: Sequence[SpeechSpan] = ()
    uncertain_spans: Sequence[tuple[SpeechSpan, str]] = ()
    chapters: Sequence[Chapter] = ()
    edited: frozenset[int] = field(default_factory=frozenset)
    editable: bool = False
    marks: Sequence[str] = ()
    start_s: float | None = None
    seek_id: int = 0
    peaks: str = ""
    clip: str = ""


def player(state: PlayerState, *, key: str, on_edit: Callable[[], None]) -> None:
    """Draw player and transcript; `on_edit` is called after an edit of a line."""
    _mount(key=key, data=sent(as_data(state)), on_edit_change=on_edit)


def parse_edit(value: object) -> Edit | None:
    """Return the edit that the browser sent; None if the value is not an edit."""
    if not isinstance(value, Mapping):
        return None
    item, line, was, now = (value.get(name) for name in ("item", "line", "was", "text"))
    if not (isinstance(item, str) and isinstance(was, str) and isinstance(now, str)):
        return None
    if isinstance(line, bool) or not isinstance(line, int | float) or line < 0:
        return None
    return Edit(item, int(line), was, " ".join(now.split()))


def as_data(state: PlayerState) -> dict[str, Any]:
    """Return the state as the component's JSON."""
    speakers = _speakers(state.segments)
    return {
        "item": state.item_id,
        "rev": "|".join((state.revision, text("player_lines"), *state.marks, _digest(speakers))),
        "wish": state.seek_id,
        "start": state.start_s,
        "src": state.source,
        "picture": state.has_video,
        "peaks": state.peaks,
        "clip": state.clip,
        "duration": state.duration_s,
        "offset": state.offset_s,
        "label": text("player_alt", title=state.title),
        "editable": state.editable,
        "lines": [
            [
                s.start_s,
                format_timestamp(s.start_s),
                s.text,
                _kind(state, number, s),
                who,
                _tint(s),
                s.end_s,
            ]
            for number, (s, who) in enumerate(zip(state.segments, speakers, strict=True))
        ],
        "gaps": [
            [g.start_s, g.end_s, _span(g), text("player_gap", start=format_timestamp(g.start_s))]
            for g in state.gaps
        ],
        "doubts": [
            [
                d.start_s,
                d.end_s,
                _span(d),
                f"{text('player_hear', start=format_timestamp(d.start_s))}: {why}",
            ]
            for d, why in state.uncertain_spans
        ],
        "chapters": [[c.start_s, format_timestamp(c.start_s), c.title] for c in state.chapters],
        "marks": list(state.marks),
        "texts": {
            name: text(f"player_{name}")
            for name in (
                *("absent", "lines", "gaps", "doubts", "chapters", "empty", "more", "find"),
                *("before", "after", "edit", "save", "cancel", "keys", "keys_title", "keys_list"),
                *("clip", "clip_from", "clip_to", "clip_here_from", "clip_here_to", "clip_get"),
                *("clip_hear", "clip_help", "clip_times", "clip_busy", "clip_done", "clip_failed"),
                *("speed", "back", "forward", "undock"),
            )
        },
    }


def _tint(segment: Segment) -> list[list[Any]]:
    """Return the words of which the recognizer was unsure, with their places in the text."""
    if segment.text != " ".join(segment.text.split()):
        return []  # the places are those of the text on one line
    return tints(unsure_words(segment))


def tints(words: Sequence[TextWord]) -> list[list[Any]]:
    """Return the words to be tinted: first character, end, strength (1 or 2) and the tooltip."""
    return [
        [
            word.first,
            word.end,
            2 if word.probability < VERY_UNSURE else 1,
            text("confidence", share=format_number(100 * word.probability)),
        ]
        for word in words
    ]


def _speakers(segments: Sequence[Segment]) -> list[str]:
    """Return the speaker above each line, "" where it is the one of the line before."""
    found, latest = [], ""
    for segment in segments:
        name = segment.speaker or ""
        found.append(name if name != latest else "")
        latest = name or latest
    return found


def _digest(speakers: Sequence[str]) -> str:
    return f"{zlib.crc32(repr(speakers).encode()):08x}" if any(speakers) else ""


def format_timestamp(seconds: float) -> str:
    """Return a time in a medium, rounded down to seconds, as `M:SS` or `H:MM:SS`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _span(span: SpeechSpan) -> str:
    """Return the start and the length of a span: `1:05 · 3.2 s`."""
    return f"{format_timestamp(span.start_s)} · {span.duration_s:.1f} s"


def _kind(state: PlayerState, number: int, segment: Segment) -> str:
    kinds = []
    if any(
        d.start_s < segment.end_s and segment.start_s < d.end_s for d, _ in state.uncertain_spans
    ):
        kinds.append("doubtful")
    if number in state.edited:
        kinds.append("edited")
    return " ".join(kinds)
