"""The state of one visitor: service, language, open tab and open item."""

from __future__ import annotations

import streamlit as st

from kb.service import Service
from kb.service.views import LibraryListing
from kb.settings import get_settings
from kb.ui import i18n

_SERVICE = "service"
_SEEK_COUNT = "seeks"
_REDRAW = "moved"
TAB = "tab"

# Key of the tab's label -> "module:function" that draws its body, in the order on the page; the
# page loads them. Links name a tab by its English label, whatever the language of the page: those
# in search results lead to `?tab=Library`.
TABS: dict[str, str] = {
    "tab_ingest": "kb.ui.tabs.ingest.tab:render",
    "tab_queue": "kb.ui.tabs.queue.tab:render",
    "tab_library": "kb.ui.tabs.library.tab:render",
    "tab_knowledge": "kb.ui.tabs.knowledge.tab:render",
    "tab_gpu": "kb.ui.tabs.gpu.tab:render",
    "tab_settings": "kb.ui.tabs.settings.tab:render",
}


def service() -> Service:
    """This visitor's service. It holds no model: recognition belongs to the worker."""
    known = st.session_state.get(_SERVICE)
    if known is None or known.settings is not get_settings():
        known = st.session_state[_SERVICE] = Service()
    return known  # type: ignore[no-any-return]


def library_listing() -> LibraryListing:
    """Return all items of the library folder, read again when something in it has changed.

    Raises LibraryError.
    """
    return service().items.listing()


# The open tab


def init_from_url() -> None:
    """Take language and tab from the page's address, once for each visitor."""
    state = st.session_state
    if i18n.STATE not in state:
        requested = st.query_params.get(i18n.STATE) or (st.context.locale or "")[:2].lower()
        state[i18n.STATE] = requested if requested in i18n.LANGUAGES else i18n.DEFAULT_LANGUAGE
    if TAB not in state:
        state[TAB] = i18n.text(_tab_named(st.query_params.get(TAB, "")))


def go_to(tab: str) -> None:
    """Show another tab, by the key of its label. For callbacks."""
    st.session_state[TAB] = i18n.text(tab)
    store_tab()
    redraw()


def store_tab() -> None:
    """Write the open tab into the page's address. For callbacks."""
    st.query_params[TAB] = i18n.MESSAGES[i18n.DEFAULT_LANGUAGE][open_tab()]


def open_tab() -> str:
    """The key of the open tab's label."""
    return _tab_named(str(st.session_state.get(TAB, "")))


def set_language(language: str) -> None:
    """Show the page in another language. For callbacks."""
    tab = open_tab()
    st.session_state[i18n.STATE] = st.query_params[i18n.STATE] = language
    st.session_state[TAB] = i18n.text(tab)
    redraw()


def _tab_named(label: str) -> str:
    """The tab of this label in any language, without regard to case; else the first."""
    folded_label = label.casefold()
    for tab in TABS:
        if any(messages[tab].casefold() == folded_label for messages in i18n.MESSAGES.values()):
            return tab
    return next(iter(TABS))


# The open item


def open_item(item_id: str, start_s: float | None = None) -> None:
    """Show an item, from a second on. For callbacks: the page is drawn afterwards."""
    go_to("tab_library")
    st.query_params["item"] = item_id
    if start_s is None:
        st.query_params.pop("t", None)
    else:
        st.query_params["t"] = str(max(0, int(start_s)))
    # The same second asked for again is a new wish: the listener has moved on since.
    st.session_state[_SEEK_COUNT] = seek_count() + 1


def close_item() -> None:
    """Show the list, or the answers of a search, again. For callbacks."""
    for name in ("item", "t"):
        st.query_params.pop(name, None)


def current_item() -> tuple[str, float | None]:
    """Id of the open item ("" for none) and the second to start at, from the page's address."""
    start = st.query_params.get("t", "")
    try:
        second = float(start) if start else None
    except ValueError:
        second = None
    return st.query_params.get("item", ""), second


def seek_count() -> int:
    """Return how often this visitor has asked for a position; it tells two requests apart."""
    return int(st.session_state.get(_SEEK_COUNT, 0))


# Redrawing


def redraw() -> None:
    """Ask for the whole page. For callbacks: in a fragment, only that is drawn after them."""
    st.session_state[_REDRAW] = True


def redraw_requested() -> bool:
    """Return whether a callback asked for the whole page, and forget it."""
    return bool(st.session_state.pop(_REDRAW, False))
