"""Fetches of models: state, size, speed, and buttons to pause, continue and cancel them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import streamlit as st

from kb.errors import KBError, restored
from kb.service.views import FetchState
from kb.ui import session
from kb.ui.i18n import error_messages, format_number, text
from kb.ui.widgets import messages

MB = 1_000_000
_PROBLEM = "fetch_problem"


def show_fetches(states: Sequence[FetchState]) -> None:
    """Draw a line for each fetch."""
    problem: KBError | None = st.session_state.pop(_PROBLEM, None)
    if problem is not None:
        messages.error(problem)
    for state in states:
        with st.container(border=True, key=f"fetch-{state.name.replace('/', '-')}"):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"{_sign(state)} {_words(state)}", width="stretch")
                _buttons(state)
            if state.size:
                st.progress(state.share)
            st.caption(
                text(
                    "fetch_place",
                    source=messages.escape_markdown(state.source),
                    folder=messages.escape_markdown(state.folder),
                )
            )
            if state.problem:
                shown = error_messages.translate_error(_problem(state))
                words = messages.escape_markdown(f"{shown.message} {shown.hint}")
                (st.error if state.state == "failed" else st.warning)(words)


def show_unneeded(states: Sequence[FetchState]) -> None:
    """Draw a quiet note for each failed fetch that no item needs, with its next step."""
    for state in states:
        with st.container(
            horizontal=True, vertical_alignment="center",
            key=f"fetch-unneeded-{state.name.replace('/', '-')}",
        ):  # fmt: skip
            words = text("fetch_unneeded", model=messages.escape_markdown(state.name))
            why = error_messages.translate_error(_problem(state)).message
            st.caption(f"{words} {messages.escape_markdown(why)}".strip(), width="stretch")
            _buttons(state)


def _problem(state: FetchState) -> KBError:
    problem = state.problem
    return restored(problem.get("error", ""), problem.get("hint", ""), problem.get("problem"))


def start_fetch(names: Sequence[str]) -> None:
    """Start or continue fetches; what keeps them from it is shown with them."""
    try:
        session.service().models.start_fetch(names)
    except KBError as error:
        st.session_state[_PROBLEM] = error


def _sign(state: FetchState) -> str:
    """Return a sign of the state as Markdown: bytes arrive, or they do not and for which reason."""
    if state.state == "failed":
        return ":red[✕]"
    if state.state in ("paused", "stopped"):
        return ":gray[‖]"
    still = state.state == "fetching" and state.done and not state.bytes_per_s
    return ":orange[…]" if still or state.state == "waiting" else ":blue[↓]"


def _words(state: FetchState) -> str:
    """Return what is fetched, and how far it is, as Markdown."""
    name = messages.escape_markdown(state.name)
    parts = [text(f"fetch_{state.state}", model=f"**{name}**")]
    if state.size:
        parts.append(text("fetch_bytes", done=_megabytes(state.done), size=_megabytes(state.size)))
    if state.bytes_per_s and state.state == "fetching":
        parts.append(text("fetch_speed", speed=_megabytes(state.bytes_per_s)))
    elif state.state == "fetching" and state.done:
        parts.append(text("fetch_still"))
    if state.left_s is not None:
        parts.append(text("fetch_left", time=messages.format_timedelta(state.left_s)))
    if state.next_try and state.state == "waiting":
        parts.append(text("fetch_next_try", time=messages.format_datetime(state.next_try)))
    return " · ".join(parts)


def _megabytes(count: float) -> str:
    return format_number(count / MB, 0 if count >= 10 * MB else 1)


def _buttons(state: FetchState) -> None:
    key = state.name.replace("/", "-")
    if state.is_running:
        st.button(text("fetch_pause"), key=f"fetch-pause-{key}", on_click=_stop,
                  args=(state.name, "pause"))  # fmt: skip
    else:
        st.button(text("fetch_resume"), key=f"fetch-resume-{key}", on_click=start_fetch,
                  args=([state.name],))  # fmt: skip
    st.button(text("fetch_cancel" if state.is_running else "fetch_discard"),
              key=f"fetch-cancel-{key}", on_click=_stop, args=(state.name, "cancel"))  # fmt: skip


def _stop(name: str, what: Literal["pause", "cancel"]) -> None:
    try:
        session.service().models.stop_fetch(name, what)
    except KBError as error:
        st.session_state[_PROBLEM] = error
