"""The removal of an open item, with a confirmation, and the button that brings it back."""

from __future__ import annotations

import streamlit as st

from kb.errors import KBError
from kb.service.views import LibraryEntry
from kb.ui import session
from kb.ui.i18n import text
from kb.ui.widgets import messages

_REMOVED, _REMOTE = "removed_item", "remove-remote"
_PLACE = "removal"  # of the results of the button that brings an item back
_ODIN = "odin"


def button(entry: LibraryEntry, place: str) -> None:
    """Draw the button; an error of the removal is shown at `place` (see `messages.flash`)."""
    with st.popover(text("remove"), width="content", key="remove"):
        st.markdown(text("remove_help", title=messages.escape_markdown(entry.item.title)))
        if _ODIN in entry.published:
            st.checkbox(text("remove_remote"), key=_REMOTE)
        st.button(
            text("remove_now"),
            key="remove-now",
            type="primary",
            on_click=_remove,
            args=(entry.item.id, place),
        )


def show_removed() -> None:
    """Draw the item that was removed last, with the button that brings it back."""
    messages.show_flash(_PLACE)
    known = st.session_state.get(_REMOVED)
    if known is None:
        return
    item_id, title = known
    with st.container(horizontal=True, vertical_alignment="center", key="removed"):
        st.markdown(text("removed", title=messages.escape_markdown(title)))
        st.button(text("remove_undo"), key="remove-undo", on_click=_undo, args=(item_id,))


def _remove(item_id: str, place: str) -> None:
    remote = bool(st.session_state.get(_REMOTE, False))
    try:
        (removed,) = session.service().removals.remove([item_id], remote=remote)
    except KBError as error:
        messages.flash_error(place, error)
        return
    messages.clear_flash(_PLACE)
    st.session_state[_REMOVED] = (removed.id, removed.title)
    session.close_item()


def _undo(item_id: str) -> None:
    st.session_state.pop(_REMOVED, None)
    try:
        session.service().removals.undo([item_id])
    except KBError as error:
        messages.flash_error(_PLACE, error)
        return
    session.open_item(item_id)
