"""The state of one visitor: service, language, open tab and open item."""

from __future__ import annotations

from urllib.parse import urlsplit

import streamlit as st

from kb.service import Service
from kb.service.views import LibraryListing
from kb.types.addresses import is_loopback
from kb.ui import access, i18n

_SERVICE = "service"
_SEEK_COUNT = "seeks"
_REDRAW = "moved"
_PLACE = "place"
_GOES_TO = "goes-to"
TAB = "tab"
SETTINGS_PART = "part"
LANGUAGE_SWITCH = "language-switch"  # key of the control in the sidebar

# Key of the tab's label -> "module:function" that draws its body, in the order on the page; the
# page loads them. Links contain the English label of a tab in every language of the page: links in
# search results have `?tab=Library`.
TABS: dict[str, str] = {
    "tab_library": "kb.ui.tabs.library.tab:render",
    "tab_add": "kb.ui.tabs.ingest.tab:render",
    "tab_activity": "kb.ui.tabs.queue.tab:render",
    "tab_review": "kb.ui.tabs.review.tab:render",
    "tab_publish": "kb.ui.tabs.knowledge.tab:render",
    "tab_settings": "kb.ui.tabs.settings.tab:render",
}

# Names of tabs in links of earlier versions -> the tab, and the part of Settings. Bookmarks and
# mails keep such links for years.
EARLIER_TABS: dict[str, tuple[str, str]] = {
    "ingest": ("tab_add", ""),
    "aufnehmen": ("tab_add", ""),
    "queue": ("tab_activity", ""),
    "warteschlange": ("tab_activity", ""),
    "knowledge base": ("tab_publish", ""),
    "wissensbasis": ("tab_publish", ""),
    "gpu": ("tab_settings", "machine"),
}


def service() -> Service:
    """Return this visitor's service. It loads no model: the worker does the recognition."""
    known = st.session_state.get(_SERVICE)
    settings = access.page_settings()
    if known is None or known.settings is not settings:
        known = st.session_state[_SERVICE] = Service(settings, access.visitor())
    return known  # type: ignore[no-any-return]


def library_listing() -> LibraryListing:
    """Return all items of the library folder; only changed files are read again.

    Raises LibraryError.
    """
    return service().items.listing()


# The address of the page


def link_base() -> str:
    """Return the beginning of links that this visitor takes along; "" for that of the settings."""
    return base_of(st.context.url or "", service().settings.public_url)


def base_of(url: str, public_url: str) -> str:
    """Return the address under which a visitor reaches the page, where no address was set.

    An address of this machine counts as none: it is the default, whose port can be another's.
    """
    parts = urlsplit(url)
    if not parts.netloc or not is_loopback(urlsplit(public_url).hostname):
        return ""
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


# The open tab


def init_from_url() -> None:
    """Set language and tab from the page's address, once per visitor, then from the controls.

    The language is that of its switch, and the tabs' label follows it: a callback for that would
    end part-way where Streamlit has another request for the whole page by then, and the tabs have
    the label that the browser sent last.
    """
    state = st.session_state
    if i18n.STATE not in state:
        requested = st.query_params.get(i18n.STATE) or (st.context.locale or "")[:2].lower()
        state[i18n.STATE] = requested if requested in i18n.LANGUAGES else i18n.DEFAULT_LANGUAGE
    chosen = state.get(LANGUAGE_SWITCH)
    if chosen in i18n.LANGUAGES and chosen != state[i18n.STATE]:
        state[i18n.STATE] = st.query_params[i18n.STATE] = chosen
    if TAB in state:
        label = i18n.text(state.get(_GOES_TO) or open_tab())
        if state[TAB] != label:
            state[TAB] = label
    else:
        name = st.query_params.get(TAB, "")
        tab, part = EARLIER_TABS.get(name.casefold(), (_tab_named(name), ""))
        state[TAB] = i18n.text(tab)
        if part := part or st.query_params.get(SETTINGS_PART, ""):
            state[SETTINGS_PART] = part


def go_to(tab: str, part: str = "") -> None:
    """Show another tab, by the key of its label; of Settings, this part. For callbacks."""
    st.session_state[TAB] = i18n.text(tab)
    st.session_state[_GOES_TO] = tab
    if part:
        st.session_state[SETTINGS_PART] = part
    store_tab()
    redraw()


def has_arrived() -> None:
    """Note that the whole page was drawn with the tab of `go_to`.

    Until then that tab counts: a part of the page that is drawn again meanwhile sends the tab
    that the browser still shows.
    """
    st.session_state.pop(_GOES_TO, None)


def store_tab() -> None:
    """Write the open tab into the page's address. For callbacks."""
    st.query_params[TAB] = i18n.MESSAGES[i18n.DEFAULT_LANGUAGE][open_tab()]


def open_tab() -> str:
    """Return the key of the open tab's label."""
    return _tab_named(str(st.session_state.get(TAB, "")))


def _tab_named(label: str) -> str:
    """Return the tab with this label in any language, ignoring case; else the first tab."""
    folded_label = label.casefold()
    for tab in TABS:
        if any(messages[tab].casefold() == folded_label for messages in i18n.MESSAGES.values()):
            return tab
    return next(iter(TABS))


def has_moved() -> bool:
    """Return True in the first run after the visitor went to another tab, part or item."""
    state = st.session_state
    tab = open_tab()
    part = state.get(SETTINGS_PART, "") if tab == "tab_settings" else ""
    place = (tab, part, current_item()[0])
    before = state.get(_PLACE, place)
    state[_PLACE] = place
    return bool(before != place)


# The open item


def open_item(item_id: str, start_s: float | None = None) -> None:
    """Show an item from `start_s` on. For callbacks: the page is drawn afterwards."""
    go_to("tab_library")
    st.query_params["item"] = item_id
    if start_s is None:
        st.query_params.pop("t", None)
    else:
        st.query_params["t"] = str(max(0, int(start_s)))
    # A request for the same second is a new request: playback has continued in the meantime.
    st.session_state[_SEEK_COUNT] = seek_count() + 1


def open_channel(name: str) -> None:
    """Show the page of a channel. For callbacks."""
    go_to("tab_library")
    for key in ("item", "t", "q"):
        st.query_params.pop(key, None)
    st.session_state["q"] = ""
    st.query_params["channel"] = name


def close_channel() -> None:
    """Show the list again. For callbacks."""
    st.query_params.pop("channel", None)


def current_channel() -> str:
    """Return the name of the open channel, "" for none, from the address."""
    return str(st.query_params.get("channel", ""))


def close_item() -> None:
    """Show the list or the search results again. For callbacks."""
    for name in ("item", "t"):
        st.query_params.pop(name, None)


def current_item() -> tuple[str, float | None]:
    """Return the id of the open item ("" for none) and its start in seconds, from the address."""
    start = st.query_params.get("t", "")
    try:
        second = float(start) if start else None
    except ValueError:
        second = None
    return st.query_params.get("item", ""), second


def seek_count() -> int:
    """Return the number of this visitor's seek requests; it distinguishes equal requests."""
    return int(st.session_state.get(_SEEK_COUNT, 0))


# Redrawing


def redraw() -> None:
    """Request a run of the whole page. For callbacks: a fragment would redraw only itself."""
    st.session_state[_REDRAW] = True


def redraw_requested() -> bool:
    """Return whether a callback requested the whole page, and clear the request."""
    return bool(st.session_state.pop(_REDRAW, False))
