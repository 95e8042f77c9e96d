"""The acts on an open item, in one row: title, tags and note, another transcription, removal."""

from __future__ import annotations

import streamlit as st

from kb.errors import KBError
from kb.service import Service
from kb.service.option_suggestions import option_suggestions
from kb.service.views import LibraryEntry
from kb.ui import session
from kb.ui.i18n import format_number, plural_text, text
from kb.ui.tabs.library import removal
from kb.ui.widgets import messages

_TURN = "item_acts_turn"
_MODEL = "item_again_model"


def row(service: Service, entry: LibraryEntry, *, place: str) -> None:
    """Draw the row; the results of its acts are shown at `place` (see `messages.flash`)."""
    with st.container(horizontal=True, vertical_alignment="center", key="item-acts", gap="small"):
        _edit(service, entry, place)
        _again(service, entry, place)
        removal.button(entry, place)
        if entry.item.channel:
            st.button(
                text("channel_open"), key="item-channel", type="tertiary",
                on_click=session.open_channel, args=(entry.item.channel,),
            )  # fmt: skip


def labels(entry: LibraryEntry) -> None:
    """Draw the tags and the note that a person gave; nothing without them."""
    if entry.user_tags:
        tags = (f":gray-badge[{messages.escape_markdown(tag)}]" for tag in entry.user_tags)
        st.markdown(" ".join(tags))
    if entry.user_note:
        with st.container(border=True, key="item-note"):
            st.text(entry.user_note)


def _keys(item_id: str) -> dict[str, str]:
    """Return the keys of the fields; they change when the item or its labels have changed.

    The browser keeps the value of a field in a closed menu under the field's key.
    """
    turn = st.session_state.get(_TURN, 0)
    return {name: f"item-{name}-{item_id}-{turn}" for name in ("title", "tags", "note")}


def _edit(service: Service, entry: LibraryEntry, place: str) -> None:
    keys = _keys(entry.item.id)
    # Closed after saving: its key changes, too.
    with (
        st.popover(text("item_edit"), width="content", key=f"item-edit-{keys['title']}"),
        st.form(f"item-form-{keys['title']}", border=False),
    ):
        st.text_input(
            text("item_title"),
            entry.item.title,
            key=keys["title"],
            help=text("item_title_help", title=messages.escape_markdown(entry.source_title)),
        )
        st.multiselect(
            text("item_tags"),
            list(dict.fromkeys((*entry.user_tags, *service.labels.tags()))),
            list(entry.user_tags),
            key=keys["tags"],
            accept_new_options=True,
            placeholder=text("tags_new"),
        )
        st.text_area(text("item_note"), entry.user_note, key=keys["note"], height=120)
        st.form_submit_button(
            text("item_save"), type="primary", on_click=_save, args=(entry.item.id, place)
        )


def _save(item_id: str, place: str) -> None:
    state, found = st.session_state, session.service()
    keys = _keys(item_id)
    try:
        entry = found.items.entry(item_id)
        wanted = dict.fromkeys(str(tag) for tag in state.get(keys["tags"]) or ())
        gone = [tag for tag in entry.user_tags if tag not in wanted]
        if gone or wanted:
            found.labels.tag([item_id], list(wanted), gone)
        found.labels.note(item_id, str(state.get(keys["note"]) or ""))
        title = str(state.get(keys["title"]) or "")
        if title.strip() != entry.item.title:
            found.labels.rename(item_id, title)
    except KBError as error:
        messages.flash_error(place, error)
        return
    state[_TURN] = state.get(_TURN, 0) + 1
    messages.flash(place, text("item_saved"))


def _again(service: Service, entry: LibraryEntry, place: str) -> None:
    menu = st.popover(text("bulk_again"), width="content", key="item-again", on_change="rerun")
    if not menu.open:
        return
    with menu:
        try:
            plan = service.bulk.plan([entry.item.id])
        except KBError as error:
            messages.error(error)
            return
        model = st.selectbox(
            text("option_model"), list(option_suggestions("model")), key=_MODEL,
            persist_state="session",
        )  # fmt: skip
        st.markdown(plural_text("bulk_again_help", 1))
        if plan.published:
            st.warning(
                plural_text("bulk_again_published", 1, credits=format_number(plan.credits, 1))
            )
        if plan.busy:
            st.caption(text("item_busy"))
        st.button(
            plural_text("bulk_again_now", 1), key="item-again-now", type="primary",
            disabled=not plan.ready or not model, on_click=_transcribe,
            args=(entry.item.id, model, place),
        )  # fmt: skip


def _transcribe(item_id: str, model: str, place: str) -> None:
    try:
        session.service().review.retry(item_id, model=model)
    except KBError as error:
        messages.flash_error(place, error)
        return
    messages.flash(place, plural_text("bulk_again_done", 1))
