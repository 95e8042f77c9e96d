"""The Ingest tab: what to take in, and how."""

from __future__ import annotations

import streamlit as st

from kb.errors import KBError
from kb.jobs.options import RunOptions
from kb.ui import session, show
from kb.ui.runner import keeper
from kb.ui.texts import text

_PATHS, _PROBLEM = "ingest_paths", "ingest_problem"


def render() -> None:
    """Draw the tab."""
    st.text_area(
        text("paths"), key=_PATHS, placeholder=text("paths_placeholder"), help=text("paths_help"),
        height=84, persist_state="session",
    )  # fmt: skip
    st.button(text("start"), type="primary", on_click=_start, key="start")
    problem = st.session_state.pop(_PROBLEM, None)
    if problem is not None:
        show.error(problem)


def _start() -> None:
    paths = [line.strip() for line in st.session_state[_PATHS].splitlines() if line.strip()]
    service = session.service()
    try:
        service.ingest(paths, RunOptions())
        keeper().start(service)
    except KBError as error:
        st.session_state[_PROBLEM] = error
        return
    session.go_to("tab_queue")
