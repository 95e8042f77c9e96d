"""A list of rows with keys, selection, a menu for each row, colours, links and touch.

The list is virtual: it is as long as `total`, and the script sends the rows of one window, from
`offset` on. When a person scrolls to other rows, the browser asks for their window, and the script
runs again. A page uses it as follows (inside a fragment, so that only the fragment runs):

    found = RowList("items")
    rows = read(offset=found.offset, limit=found.limit)
    found.draw(columns, rows, total=10_000, label="Items", menu={"open": "Open"}, on_act=act)

`found.selected` has the selected ids over all windows, in the order of their selection. `on_act` is
called with the name of an action and the ids it applies to, as a callback before the next run: with
"open" and one id when a row is opened (click on the title, or Enter), and with the name of an entry
of the menu. `on_sort` is called with the name of a column whose heading was clicked.

Keys: arrows, Page Up and Down, Home and End move; Space selects, with Shift the rows between;
Ctrl+A selects the rows of the window; Enter opens; the menu key (Shift+F10) or `.` opens the menu;
Escape clears the selection. In a list narrower than 700 pixels a row has two lines.

`rows.js` has the behaviour in the browser, `rows.css` the style.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from kb.types.safe_text import web_address
from kb.ui.i18n import text
from kb.ui.widgets.scripts import read_script, sent

WINDOW = 100  # rows sent at once
ROWS_SHOWN = 14

Tone = Literal["", "good", "bad", "warn", "live", "quiet"]
"""The colour of a cell or row: done, failed, held, at work, or of little interest."""

_HTML = '<div class="kb"></div>'
_HERE = Path(__file__).parent
_JS = read_script("rows.js")
_CSS = (_HERE / "rows.css").read_text(encoding="utf-8")

_mount = st.components.v2.component("kb_rows", html=_HTML, css=_CSS, js=_JS)

ActListener = Callable[[str, list[str]], None]


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `width` is a track of a CSS grid; the first column is the title of the row.

    `sort`: its heading is a button. `end`: aligned to the right, for numbers. `minor`: left out
    where the list is narrow.
    """

    name: str
    label: str
    width: str = "minmax(5rem, 1fr)"
    sort: bool = False
    end: bool = False
    minor: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: `link` is the address of a page that opens beside this one, `share` 0..1 a bar.

    `note` is shown when the pointer rests on the cell.
    """

    text: str = ""
    tone: Tone = ""
    note: str = ""
    link: str = ""
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its cells by the column's name, the names of its actions, and a picture's address.

    `opens`: the title is a button, which calls the action "open".
    """

    id: str
    cells: Mapping[str, str | Cell]
    tone: Tone = ""
    menu: Sequence[str] = ()
    picture: str = ""
    opens: bool = True


@dataclass
class RowList:
    """One list of the page, and what this visitor has selected in it, under a name of its own."""

    name: str
    window: int = WINDOW
    _state: dict[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._state = st.session_state.setdefault(
            f"rows_{self.name}", {"offset": 0, "selected": {}, "turn": 0, "top": 0}
        )

    @property
    def offset(self) -> int:
        """The first row of the window to be sent."""
        return int(self._state["offset"])

    @property
    def limit(self) -> int:
        """The number of rows of a window."""
        return self.window

    @property
    def selected(self) -> list[str]:
        """The ids of the selected rows, those of other windows included."""
        return list(self._state["selected"])

    def select(self, ids: Iterable[str]) -> None:
        """Select these rows and no others."""
        self._state["selected"] = dict.fromkeys(ids, True)

    def to_top(self) -> None:
        """Show the list from its first row on: other rows are listed now."""
        self._state["offset"] = 0
        self._state["top"] += 1

    def draw(
        self,
        columns: Sequence[Column],
        rows: Sequence[Row],
        total: int,
        *,
        label: str,
        menu: Mapping[str, str] | None = None,
        on_act: ActListener | None = None,
        on_sort: Callable[[str], None] | None = None,
        sorted_by: str = "",
        descending: bool = False,
        selectable: bool = True,
        shown: int = ROWS_SHOWN,
    ) -> None:
        """Draw the rows of the window; `menu` has the labels of all actions by name.

        `label` names the list for screen readers. At most `shown` rows are in view at once.
        """
        key = f"rows-{self.name}"
        own = {row.id for row in rows}
        data = {
            "label": label,
            "columns": [asdict(column) for column in columns],
            "rows": [_row(row, columns) for row in rows],
            "offset": self.offset,
            "total": total,
            "window": self.window,
            "selected": [item_id for item_id in self._state["selected"] if item_id in own],
            "selectable": selectable,
            "turn": self._state["turn"],
            "top": self._state["top"],
            "menu": dict(menu or {}),
            "sorted": sorted_by,
            "descending": descending,
            "shown": shown,
            "texts": {
                "select": text("rows_select"),
                "select_all": text("rows_select_all"),
                "menu": text("rows_menu"),
                "loading": text("rows_loading"),
            },
        }
        _mount(
            key=key,
            data=sent(data),
            on_select_change=partial(self._on_select, key),
            on_window_change=partial(self._on_window, key),
            on_act_change=partial(_on_act, key, on_act),
            on_sort_change=partial(_on_sort, key, on_sort),
        )

    def _on_select(self, key: str) -> None:
        event = _event(key, "select")
        if event is None:
            return
        chosen: dict[str, bool] = self._state["selected"]
        if event.get("clear"):
            chosen.clear()
        # The state of all rows of the window: of two quick events, only the last one may arrive.
        now = _ids(event.get("chosen"))
        for item_id in set(_ids(event.get("own"))) - set(now):
            chosen.pop(item_id, None)
        chosen.update(dict.fromkeys(now, True))
        self._state["turn"] = event.get("turn", 0)

    def _on_window(self, key: str) -> None:
        event = _event(key, "window")
        offset = event.get("offset") if event else None
        if isinstance(offset, int | float) and not isinstance(offset, bool):
            self._state["offset"] = max(0, int(offset))


def _on_act(key: str, on_act: ActListener | None) -> None:
    event = _event(key, "act")
    name = event.get("name") if event else None
    if event and on_act is not None and isinstance(name, str):
        on_act(name, _ids(event.get("ids")))


def _on_sort(key: str, on_sort: Callable[[str], None] | None) -> None:
    event = _event(key, "sort")
    column = event.get("column") if event else None
    if on_sort is not None and isinstance(column, str):
        on_sort(column)


def _event(key: str, name: str) -> Mapping[str, Any] | None:
    """Return what the browser sent; None if it is nothing of this list."""
    state = st.session_state.get(key)
    value = state.get(name) if isinstance(state, Mapping) else getattr(state, name, None)
    return value if isinstance(value, Mapping) else None


def _ids(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _row(row: Row, columns: Sequence[Column]) -> dict[str, Any]:
    """Return a row as the component's JSON: cells in the order of the columns."""
    return {
        "id": row.id,
        "tone": row.tone,
        "menu": list(row.menu),
        "picture": row.picture,
        "opens": row.opens,
        "cells": [_cell(row.cells.get(column.name, "")) for column in columns],
    }


def _cell(cell: str | Cell) -> dict[str, Any]:
    shown = Cell(cell) if isinstance(cell, str) else cell
    values: dict[str, Any] = {"text": shown.text}
    if shown.tone:
        values["tone"] = shown.tone
    if shown.note:
        values["note"] = shown.note
    if shown.link and (address := web_address(shown.link)):
        values["link"] = address
    if shown.share is not None:
        values["share"] = min(1.0, max(0.0, shown.share))
    return values
