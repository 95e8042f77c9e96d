"""The removal of an open item, with a confirmation, and the button that brings it back."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from kb.errors import KBError
from kb.service.views import LibraryEntry
from kb.ui import session
from kb.ui.i18n import format_number, text
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
    known: list[tuple[str, str]] = st.session_state.get(_REMOVED) or []
    if not known:
        return
    ids = [item_id for item_id, _ in known]
    words = (
        text("removed", title=messages.escape_markdown(known[0][1]))
        if len(known) == 1
        else text("removed_many", count=format_number(len(known)))
    )
    with st.container(horizontal=True, vertical_alignment="center", key="removed"):
        st.markdown(words)
        st.button(text("remove_undo"), key="remove-undo", on_click=_undo, args=(ids,))


def remember(removed: Sequence[tuple[str, str]]) -> None:
    """Keep ids and titles of removed items for the button that brings them back."""
    st.session_state[_REMOVED] = list(removed)


def _remove(item_id: str, place: str) -> None:
    remote = bool(st.session_state.get(_REMOTE, False))
    try:
        (removed,) = session.service().removals.remove([item_id], remote=remote)
    except KBError as error:
        messages.flash_error(place, error)
        return
    messages.clear_flash(_PLACE)
    remember([(removed.id, removed.title)])
    session.close_item()


def _undo(ids: Sequence[str]) -> None:
    st.session_state.pop(_REMOVED, None)
    try:
        session.service().removals.undo(ids)
    except KBError as error:
        messages.flash_error(_PLACE, error)
        return
    if len(ids) == 1:
        session.open_item(ids[0])
