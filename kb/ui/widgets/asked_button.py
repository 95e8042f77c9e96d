"""A button whose action is asked about first: the question takes the button's place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import streamlit as st

from kb.ui.i18n import text

ASKED_FROM = 2  # an action on so many items is asked about
_PRESSED = "pressed just now"


def asked_button(
    label: str,
    question: str,
    action: Callable[..., object],
    args: Sequence[object] = (),
    *,
    key: str,
    yes: str = "",
    kind: Literal["primary", "secondary", "tertiary"] = "secondary",
    width: Literal["content", "stretch"] = "content",
    help: str | None = None,
    disabled: bool = False,
    about: object = True,
) -> None:
    """Draw the button; after a press, the question with a button for yes and one for no.

    An empty `question` is not asked: the first press acts. `yes` is the label of the button that
    acts. `about` is what the question is about, such as the chosen items: where it changes, the
    question is asked again. Figures in the question may change while it is shown.
    """
    state = f"asked-{key}"
    # What it is about may have changed since the button was drawn: the press counts all the same.
    if st.session_state.get(state) == _PRESSED:
        st.session_state[state] = about
    if not question or st.session_state.get(state) != about:
        how: dict[str, Any] = (
            {"on_click": st.session_state.update, "args": ({state: _PRESSED},)}
            if question
            else {"on_click": action, "args": tuple(args)}
        )
        st.button(label, key=key, type=kind, width=width, help=help, disabled=disabled, **how)
        return

    def act() -> None:
        st.session_state.pop(state, None)
        action(*args)

    with st.container(
        horizontal=True, vertical_alignment="center", key=f"question-{key}", gap="small",
        width=width,
    ):  # fmt: skip
        st.markdown(question, width="content")
        st.button(yes or text("sure_yes"), key=f"{key}-yes", type="primary", on_click=act)
        st.button(
            text("sure_no"), key=f"{key}-no", type="tertiary", on_click=st.session_state.pop,
            args=(state, None),
        )  # fmt: skip
