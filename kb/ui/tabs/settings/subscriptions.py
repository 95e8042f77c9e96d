"""Subscriptions: the sources that the worker lists at intervals."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from kb.errors import KBError, UsageError, restored
from kb.service.notation import VideoFilters
from kb.service.views import Subscription
from kb.ui import session
from kb.ui.i18n import error_messages, text
from kb.ui.tabs.ingest.options_form import OptionsForm
from kb.ui.widgets import messages

_NEW, _EVERY, _SHORTS = "follow_new", "follow_every", "follow_no_shorts"
_OPTIONS_FORM = "follow_run"
_FLASH_KEY = "follow"
_HOUR_S = 3600.0
_CHOICES = (1, 3, 6, 12, 24, 168)


def render() -> None:
    """Draw the part."""
    st.caption(text("follow_help"))
    messages.show_flash(_FLASH_KEY)
    service = session.service()
    try:
        followed = service.subscriptions.list()
        idle = bool(followed) and not service.queue.workers()
    except KBError as error:
        messages.error(error)
        return
    with messages.steady():
        if idle:
            st.warning(text("follow_no_worker"))
        if not followed:
            st.info(text("follow_none"))
        for place, each in enumerate(followed):
            _subscription_card(place, each)
    _form()


def _subscription_card(place: int, each: Subscription) -> None:
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", key=f"followed-{place}"
    ):
        with st.container(gap="xxsmall"):
            st.markdown(f"**{messages.escape_markdown(each.reference)}**")
            st.caption(
                text(
                    "follow_line",
                    every=messages.format_timedelta(each.every_s),
                    next=messages.format_datetime(each.next_at),
                    last=messages.format_datetime(each.last_at),
                )
            )
            if each.error:
                refused = restored(each.error, problem=each.problem)
                said = " ".join(filter(None, error_messages.translate_error(refused)))
                st.caption(f":red[{messages.escape_markdown(said)}]")
        st.button(
            text("follow_remove"),
            key=f"unfollow-{place}",
            width="content",
            on_click=_unfollow,
            args=(each.reference,),
        )


def _form() -> None:
    with st.form("follow", border=False, enter_to_submit=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.text_input(text("follow_new"), key=_NEW, placeholder=text("follow_new_placeholder"))
            st.selectbox(
                text("follow_every"), _CHOICES, index=2, format_func=_hours, key=_EVERY, width=180
            )
        st.checkbox(text("follow_no_shorts"), key=_SHORTS)
        with st.expander(text("follow_options")):
            st.caption(text("follow_options_help"))
            OptionsForm(_OPTIONS_FORM, session.service()).draw_for_subscription()
        st.form_submit_button(text("follow_add"), type="primary", on_click=_follow)


def _hours(hours: int) -> str:
    if hours == 24:
        return text("follow_every_day")
    if hours == 168:
        return text("follow_every_week")
    return text("follow_every_hours", hours=hours)


def _follow() -> None:
    state, service = st.session_state, session.service()
    reference = str(state.get(_NEW) or "").strip()
    try:
        if not reference:
            raise UsageError(
                "page.follow_nothing",
                "Nothing was named.",
                hint="Give a channel, a playlist or a folder.",
            )
        service.library.prepare()
        path = Path(reference).expanduser()
        if path.exists():
            reference = str(path.absolute())  # the worker may have another working directory
        service.subscriptions.follow(
            reference,
            every_s=float(state.get(_EVERY) or 6) * _HOUR_S,
            filters=VideoFilters(no_shorts=bool(state.get(_SHORTS))),
            options=OptionsForm(_OPTIONS_FORM, service).run_options().as_dict(),
        )
    except KBError as error:
        messages.flash_error(_FLASH_KEY, error)
        return
    state[_NEW] = ""
    messages.flash(_FLASH_KEY, text("follow_added", reference=messages.escape_markdown(reference)))


def _unfollow(reference: str) -> None:
    try:
        session.service().subscriptions.unfollow(reference)
    except KBError as error:
        messages.flash_error(_FLASH_KEY, error)
        return
    messages.flash(
        _FLASH_KEY, text("follow_removed", reference=messages.escape_markdown(reference))
    )
