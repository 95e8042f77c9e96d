"""The Queue tab: what runs, what waits, what failed and why."""

from __future__ import annotations

import streamlit as st

from kb.ui import session, show


def render() -> None:
    """Draw the tab."""
    for status in session.service().statuses(limit=50):
        st.markdown(f"{show.colored_state(status.state)} · {show.plain(status.title)}")
