"""The vocabulary of a channel, and corrections of a wording in all its transcripts."""

from __future__ import annotations

from itertools import islice

import streamlit as st

from kb.errors import KBError
from kb.ui import session
from kb.ui.i18n import format_number, plural_text, text
from kb.ui.widgets import messages
from kb.ui.widgets.player import format_timestamp

_TURN, _PREVIEW = "channel_vocabulary_turn", "channel_preview"
_SHOWN = 20  # changes of a preview
_MOST = 2_000  # changes that a preview counts


def vocabulary(name: str, place: str) -> None:
    """Draw the list of the recognizer's names and terms; results are shown at `place`."""
    part = st.expander(text("channel_vocabulary"), key="channel-vocabulary", on_change="rerun")
    if not part.open:
        return
    with part:
        st.caption(text("channel_vocabulary_help"))
        try:
            service = session.service()
            own = list(service.vocabulary.channels().get(name, ()))
            found = service.channels.words(name)
        except KBError as error:
            messages.error(error)
            return
        key = f"channel-words-{name}-{st.session_state.get(_TURN, 0)}"
        with st.form(f"form-{key}", border=False):
            st.multiselect(
                text("channel_vocabulary_words"),
                list(dict.fromkeys((*own, *found.names, *found.on_screen))),
                own,
                key=key,
                accept_new_options=True,
                placeholder=text("channel_vocabulary_new"),
            )
            st.form_submit_button(
                text("channel_vocabulary_save"), on_click=_save, args=(name, key, place)
            )


def _save(name: str, key: str, place: str) -> None:
    wanted = [str(word) for word in st.session_state.get(key) or ()]
    try:
        found = session.service().vocabulary
        own = found.channels().get(name, ())
        added = [word for word in wanted if word not in own]
        found.change(name, added, [word for word in own if word not in wanted])
    except KBError as error:
        messages.flash_error(place, error)
        return
    st.session_state[_TURN] = st.session_state.get(_TURN, 0) + 1
    messages.flash(place, text("channel_vocabulary_saved"))


def corrections(name: str, place: str) -> None:
    """Draw the correction of a wording, with its changes before they are made."""
    part = st.expander(text("channel_correct"), key="channel-correct", on_change="rerun")
    if not part.open:
        return
    with part:
        st.caption(text("channel_correct_help"))
        with st.form("channel-correct-form", border=False):
            with st.container(horizontal=True, vertical_alignment="bottom"):
                wrong = st.text_input(text("channel_wrong"), key="channel-wrong")
                right = st.text_input(text("channel_right"), key="channel-right")
            asked = st.form_submit_button(text("channel_preview"))
        if asked and wrong:
            st.session_state[_PREVIEW] = (name, wrong, right)
        known = st.session_state.get(_PREVIEW)
        if known and known[0] == name:
            _preview(name, known[1], known[2], place)


def _preview(name: str, wrong: str, right: str, place: str) -> None:
    try:
        found = list(islice(session.service().corrections.preview(name, wrong, right), _MOST))
    except KBError as error:
        messages.error(error)
        return
    if not found:
        st.info(text("channel_preview_none"))
        return
    st.markdown(plural_text("channel_preview_count", len(found)))
    for each in found[:_SHOWN]:
        title, at = messages.escape_markdown(each.title), format_timestamp(each.at_s)
        st.markdown(
            f"{title}, {at}  \n:gray[~~{messages.escape_markdown(each.before)}~~]  \n"
            f"{messages.escape_markdown(each.after)}"
        )
    if (more := len(found) - _SHOWN) > 0:
        st.caption(text("channel_preview_more", count=format_number(more)))
    st.button(
        plural_text("channel_apply", len(found)), key="channel-apply", type="primary",
        on_click=_apply, args=(name, wrong, right, place),
    )  # fmt: skip


def _apply(name: str, wrong: str, right: str, place: str) -> None:
    try:
        done = session.service().corrections.apply(name, wrong, right, sure=True)
    except KBError as error:
        messages.flash_error(place, error)
        return
    st.session_state.pop(_PREVIEW, None)
    if done.failed:
        messages.flash_error(place, done.failed[0][1])
        return
    messages.flash(place, plural_text("channel_applied", len(done.changes)))
