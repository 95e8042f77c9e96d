"""What one visitor has before him: his service, and which item he has open."""

from __future__ import annotations

import streamlit as st

from kb.service import Service
from kb.settings import get_settings
from kb.ui.texts import text

_SERVICE = "service"
_SEEKS = "seeks"
_MOVED = "moved"


def service() -> Service:
    """This visitor's service. It holds no model: recognition belongs to the runner."""
    known = st.session_state.get(_SERVICE)
    if known is None or known.settings is not get_settings():
        known = st.session_state[_SERVICE] = Service()
    return known  # type: ignore[no-any-return]


def open_item(item_id: str, start_s: float | None = None) -> None:
    """Show an item, from a second on. For callbacks: the page is drawn afterwards."""
    go_to("tab_library")
    st.query_params["item"] = item_id
    if start_s is None:
        st.query_params.pop("t", None)
    else:
        st.query_params["t"] = str(max(0, int(start_s)))
    # The same second asked for again is a new wish: the listener has moved on since.
    st.session_state[_SEEKS] = seeks() + 1


def close_item() -> None:
    """Show the list, or the answers of a search, again. For callbacks."""
    for name in ("item", "t"):
        st.query_params.pop(name, None)


def opened() -> tuple[str, float | None]:
    """Id of the open item ("" for none) and the second to start at, from the page's address."""
    start = st.query_params.get("t", "")
    try:
        second = float(start) if start else None
    except ValueError:
        second = None
    return st.query_params.get("item", ""), second


def seeks() -> int:
    """How often this visitor has asked for a place; tells one wish from the next."""
    return int(st.session_state.get(_SEEKS, 0))


def go_to(tab: str) -> None:
    """Show another tab, by the key of its label. For callbacks."""
    st.session_state["tab"] = text(tab)
    redraw()


def redraw() -> None:
    """Ask for the whole page. For callbacks: in a fragment, only that is drawn after them."""
    st.session_state[_MOVED] = True


def redraw_asked() -> bool:
    """Whether a callback asked for the whole page, and forgets it."""
    return bool(st.session_state.pop(_MOVED, False))
