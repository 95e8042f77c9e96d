"""One passage of a recording to be heard: its sound, its words, and the decision, with keys.

The browser sends one decision: `accept`, `fix` with the lines that were changed, `next`, `back` or
`accept_all`. Keys act while no field has the focus. `passage.js` has the behaviour in the
browser, `passage.css` the style.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from kb.service.confidence import text_words, unsure_words
from kb.service.review_inbox import Line, Passage
from kb.service.revisions import LineEdit
from kb.ui.i18n import text
from kb.ui.widgets.player import format_timestamp, tints
from kb.ui.widgets.scripts import read_script, sent

_HERE = Path(__file__).parent
_JS = read_script("passage.js")
_CSS = (_HERE / "passage.css").read_text(encoding="utf-8")

_mount = st.components.v2.component("kb_passage", html='<div class="kb"></div>', css=_CSS, js=_JS)

DECISIONS = ("accept", "fix", "next", "back", "accept_all")


@dataclass(frozen=True, slots=True)
class PassageState:
    """The contents: `source` is the medium's address, "" if there is none.

    Without a `passage` the item as a whole is to be decided. `offset_s` is the container's start.
    """

    item_id: str
    revision: str
    title: str
    source: str
    has_video: bool
    duration_s: float
    offset_s: float
    passage: Passage | None
    lines: Sequence[Line]
    back: bool


@dataclass(frozen=True, slots=True)
class PassageDecision:
    """A decision of the browser about a passage; `edits` and `inserted` belong to `fix`.

    `revision` is that of the data for which it was made.
    """

    kind: str
    item_id: str
    start_s: float
    end_s: float
    edits: tuple[LineEdit, ...] = ()
    inserted: str = ""
    revision: str = ""


def passage(state: PassageState, *, key: str, on_decide: Callable[[], None]) -> None:
    """Draw the passage; `on_decide` is called after a decision."""
    _mount(key=key, data=sent(as_data(state)), on_decide_change=on_decide)


def parse_decision(value: object) -> PassageDecision | None:
    """Return the decision that the browser sent; None if the value is none."""
    if not isinstance(value, Mapping):
        return None
    kind, item = value.get("kind"), value.get("item")
    start_s, end_s = _number(value.get("start")), _number(value.get("end"))
    if kind not in DECISIONS or not isinstance(item, str) or start_s is None or end_s is None:
        return None
    edits = []
    lines = value.get("lines")
    for line in lines if isinstance(lines, list) else ():
        if not isinstance(line, Mapping):
            return None
        number, was, now = (line.get(name) for name in ("line", "was", "text"))
        index = _number(number)
        if index is None or not (isinstance(was, str) and isinstance(now, str)):
            return None
        edits.append(LineEdit(int(index), " ".join(now.split()), was))
    inserted = value.get("inserted")
    words = " ".join(inserted.split()) if isinstance(inserted, str) else ""
    revision = value.get("rev")
    return PassageDecision(
        str(kind), item, start_s, end_s, tuple(edits), words,
        revision if isinstance(revision, str) else "",
    )  # fmt: skip


def _number(value: object) -> float | None:
    """Return a number of the browser that is not negative; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        return None
    return float(value)


def as_data(state: PassageState) -> dict[str, Any]:
    """Return the state as the component's JSON."""
    found = state.passage
    return {
        "item": state.item_id,
        "rev": f"{state.revision}|{text('passage_accept')}",
        "src": state.source,
        "picture": state.has_video,
        "duration": state.duration_s,
        "offset": state.offset_s,
        "start": found.start_s if found else 0.0,
        "end": found.end_s if found else 0.0,
        "whole": found is None,
        "checked": bool(found and found.checked),
        "back": state.back,
        "label": text("player_alt", title=state.title),
        "region": text("passage_region"),
        "lines": [_line(line, found) for line in state.lines],
        "texts": {
            name: text(f"passage_{name}")
            for name in (
                *("accept", "fix", "next", "back", "accept_all", "play", "pause", "around"),
                *("save", "cancel", "lines", "insert", "edit_line", "speed", "keys", "keys_edit"),
                "absent",
            )
        },
    }


def _line(line: Line, found: Passage | None) -> dict[str, Any]:
    segment = line.segment
    shown = " ".join(segment.text.split())
    within = [
        word
        for word in (text_words(segment) if found and line.inside else ())
        if found and found.start_s <= (word.start_s + word.end_s) / 2 < found.end_s
    ]
    return {
        "index": line.index,
        "clock": format_timestamp(segment.start_s),
        "who": segment.speaker or "",
        "text": shown,
        "inside": line.inside,
        "before": found is not None and segment.start_s < found.start_s,
        "within": [within[0].first, within[-1].end] if within else None,
        "tint": tints(unsure_words(segment)),
    }
