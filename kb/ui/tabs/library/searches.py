"""Saved searches: their menu beside the search field, and the notice of what is new."""

from __future__ import annotations

from itertools import groupby
from typing import cast

import streamlit as st

from kb.errors import KBError
from kb.service.notation import SearchMode
from kb.service.saved_searches import ALERTS, Alerts, NewHits, SavedSearch, SearchView
from kb.ui import session
from kb.ui.i18n import plural_text, text
from kb.ui.tabs.library import filters
from kb.ui.widgets import messages
from kb.ui.widgets.asked_button import asked_button
from kb.ui.widgets.player import format_timestamp

_PLACE = "searches"
_EDITED = "search_edited"
_NAME, _ALERTS = "search-name", "search-alerts"
_NAMED = 5  # recordings of each search in the notice


def menu(query: str, mode: SearchMode, mode_key: str) -> None:
    """Draw the menu: searches to run, to change and to remove, and a form for the present one."""
    try:
        found = session.service().saved_searches.all()
    except KBError as error:
        messages.error(error)
        return
    unseen = sum(each.unseen for each in found)
    label = text("searches")
    if unseen:
        label += f" :blue-badge[{plural_text('searches_new', unseen)}]"
    with st.popover(label, width="content", key="searches"):
        messages.show_flash(_PLACE)
        for each in found:
            if st.session_state.get(_EDITED) == each.search.id:
                _edit(each.search)
            else:
                _line(each, mode_key)
        if not found:
            st.caption(text("searches_none"))
        if query:
            _form(query, mode)
        elif found:
            st.caption(text("searches_save_words"))


def _line(view: SearchView, mode_key: str) -> None:
    search = view.search
    name = messages.escape_markdown(search.name)
    if view.unseen:
        name += f" :blue-badge[{plural_text('searches_new', view.unseen)}]"
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute",
        key=f"search-line-{search.id}",
    ):  # fmt: skip
        st.button(
            name, key=f"search-run-{search.id}", type="tertiary", on_click=_run,
            args=(search, mode_key), help=messages.escape_markdown(search.query),
        )  # fmt: skip
        st.button(
            text("searches_edit"), key=f"search-edit-{search.id}",
            on_click=st.session_state.update, args=({_EDITED: search.id},),
        )  # fmt: skip


def _edit(search: SavedSearch) -> None:
    with st.container(border=True, key=f"search-form-{search.id}"):
        name_key, alerts_key = f"{_NAME}-{search.id}", f"{_ALERTS}-{search.id}"
        st.text_input(text("searches_name"), value=search.name, key=name_key, max_chars=100)
        _alerts(alerts_key, search.alerts)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                text("searches_save_button"), key=f"search-change-{search.id}", type="primary",
                on_click=_change, args=(search, name_key, alerts_key),
            )  # fmt: skip
            st.button(
                text("searches_keep"), key=f"search-keep-{search.id}", type="tertiary",
                on_click=st.session_state.pop, args=(_EDITED, None),
            )  # fmt: skip
            name = messages.escape_markdown(search.name)
            asked_button(
                text("searches_remove"), text("searches_remove_question", name=name), _remove,
                (search,), key=f"search-remove-{search.id}", about=search.id,
            )  # fmt: skip


def _form(query: str, mode: SearchMode) -> None:
    """Draw the form that saves the present search with its filters."""
    with st.container(border=True, key="search-save"):
        st.markdown(f"**{text('searches_save')}**")
        st.text_input(text("searches_name"), value=query[:100], key=f"{_NAME}-{query}")
        _alerts(_ALERTS, "off")
        st.button(
            text("searches_save_button"), key="search-save-button", type="primary",
            on_click=_save, args=(query, mode, f"{_NAME}-{query}"),
        )  # fmt: skip


def _alerts(key: str, chosen: Alerts) -> None:
    labels = {each: text(f"searches_alerts_{each}") for each in ALERTS}
    st.selectbox(
        text("searches_alerts"), ALERTS, index=ALERTS.index(chosen), key=key,
        format_func=labels.__getitem__, help=text("searches_alerts_help"),
    )  # fmt: skip


def notice() -> None:
    """Draw the new recordings that saved searches have found, until they are marked as seen."""
    saved = session.service().saved_searches
    try:
        found = saved.alerts(unseen=True) if saved.unseen() else []
    except KBError as error:
        messages.error(error)
        return
    found.sort(key=lambda each: each.search.name.casefold())  # newest first within each search
    for search, of_search in groupby(found, key=lambda each: each.search):
        _new(search, list(of_search))


def _new(search: SavedSearch, found: list[NewHits]) -> None:
    with st.container(border=True, key=f"new-{search.id}", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            name = messages.escape_markdown(search.name)
            st.markdown(
                f"**{plural_text('searches_notice', len(found), name=name)}**", width="stretch"
            )
            st.button(
                text("searches_show_all"), key=f"new-run-{search.id}", on_click=_run,
                args=(search, ""),
            )  # fmt: skip
            st.button(
                text("searches_seen"), key=f"new-seen-{search.id}", on_click=_seen, args=(search,)
            )
        for each in found[:_NAMED]:
            about = " · ".join(
                messages.escape_markdown(part)
                for part in (each.channel, plural_text("searches_passages", each.alert.hits))
                if part
            )
            st.button(
                f"▶ **{format_timestamp(each.alert.at_s)}** · "
                f"{messages.escape_markdown(each.title)}  :gray[{about}]",
                key=f"new-open-{search.id}-{each.alert.item_id}",
                type="tertiary",
                on_click=session.open_item,
                args=(each.alert.item_id, each.alert.at_s),
            )
        if len(found) > _NAMED:
            st.caption(plural_text("searches_more", len(found) - _NAMED))


def _run(search: SavedSearch, mode_key: str) -> None:
    filters.choose(search.filters)
    if mode_key:
        st.session_state[mode_key] = search.mode
    st.session_state["q"] = search.query
    session.close_item()
    session.redraw()


def _save(query: str, mode: SearchMode, name_key: str) -> None:
    alerts = cast("Alerts", st.session_state.get(_ALERTS) or "off")
    try:
        made = session.service().saved_searches.save(
            str(st.session_state.get(name_key) or query[:100]), query, mode=mode,
            filters=filters.chosen(), alerts=alerts,
        )  # fmt: skip
    except KBError as error:
        messages.flash_error(_PLACE, error)
        return
    messages.flash(_PLACE, text("searches_saved", name=messages.escape_markdown(made.name)))


def _change(search: SavedSearch, name_key: str, alerts_key: str) -> None:
    alerts = cast("Alerts", st.session_state.get(alerts_key) or search.alerts)
    try:
        session.service().saved_searches.change(
            search.id, new_name=str(st.session_state.get(name_key) or ""), alerts=alerts
        )
    except KBError as error:
        messages.flash_error(_PLACE, error)
        return
    st.session_state.pop(_EDITED, None)


def _remove(search: SavedSearch) -> None:
    try:
        session.service().saved_searches.remove(search.id)
    except KBError as error:
        messages.flash_error(_PLACE, error)
        return
    st.session_state.pop(_EDITED, None)
    messages.flash(_PLACE, text("searches_removed", name=messages.escape_markdown(search.name)))


def _seen(search: SavedSearch) -> None:
    try:
        session.service().saved_searches.mark_seen(search.id)
    except KBError as error:
        messages.flash_error(_PLACE, error)
