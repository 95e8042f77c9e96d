"""Scrolls a part of the page into view, once for each request."""

from __future__ import annotations

import streamlit as st

from kb.ui.widgets.scripts import sent

_JS = """
const TRIES = 20; // drawings of the browser: the part may come after this component
let last = 0;

export default function (component) {
  const [{ part, turn }] = component.data;
  if (turn <= last) return;
  last = turn;
  let tries = 0;
  const show = () => {
    const element = document.querySelector(`.st-key-${part}`);
    if (element) element.scrollIntoView({ block: "nearest" });
    else if (++tries < TRIES) requestAnimationFrame(show);
  };
  requestAnimationFrame(show);
}
"""
_mount = st.components.v2.component("kb_into_view", html="<span></span>", js=_JS)


def request(part: str) -> None:
    """Ask for the part with this key to be scrolled into view. For callbacks."""
    st.session_state[_key(part)] = _turn(part) + 1


def into_view(part: str) -> None:
    """Scroll the part with this key into view if that was asked for. Call it after the part."""
    if turn := _turn(part):
        _mount(key=f"into-view-{part}", data=sent({"part": part, "turn": turn}), height=0)


def _turn(part: str) -> int:
    return int(st.session_state.get(_key(part), 0))


def _key(part: str) -> str:
    return f"into-view-turn-{part}"
