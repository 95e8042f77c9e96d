"""The note about stored times in the future, and the zone of the times on the page."""

from __future__ import annotations

import time

import streamlit as st

from kb.errors import KBError
from kb.service import Service
from kb.ui.i18n import error_messages, plural_text, text
from kb.ui.widgets import messages

CLOCK_EVERY_S = 60.0
_CLOCK = "queue_clock"  # time of the next look at the clock, and what was found


def show_clock(service: Service) -> None:
    """Draw a line about stored times in the future; they are looked up once in a minute."""
    until, problem = st.session_state.get(_CLOCK, (0.0, None))
    if time.monotonic() >= until:
        try:
            problem = service.clock_problem()
        except KBError as error:
            problem = error
        st.session_state[_CLOCK] = (time.monotonic() + CLOCK_EVERY_S, problem)
    if problem is None:
        return
    shown = error_messages.translate_error(problem)
    words = f"{shown.message} {shown.hint}"
    if problem.code == "clock.future_times":  # without the names of tables
        count, latest = int(str(problem.values["count"])), problem.values["latest"]
        words = f"{plural_text('queue_clock', count, latest=latest)} {shown.hint}"
    st.caption(f":orange[!] {messages.escape_markdown(words)}")


def zone_note() -> str:
    """Return in which zone the times of the page are."""
    return text("times_in", zone=messages.zone_name())
