"""The box for links tells the page what was pasted or typed, without Ctrl+Enter.

Streamlit's text area sends its text only with Ctrl+Enter or when it is left. The script of this
component presses that key for the user: at once after a paste, and when typing rests.
"""

from __future__ import annotations

import streamlit as st

from kb.ui.widgets.scripts import read_script, sent

_JS = """
const PAUSE_MS = 900;
const PASTED_MS = 30;
const watched = new WeakMap();

// The document is watched, not the box: at first the box may not be there yet, as the browser
// fetches Streamlit's script of it when one is drawn for the first time.
export default function (component) {
  const root = component.parentElement;
  if (!watched.has(root)) watched.set(root, watch(component));
  return listenOnPage(root, ["paste", "input"], watched.get(root));
}

function watch(component) {
  const field = `.st-key-${component.data[0].field} textarea`;
  let timer = 0;
  return (event) => {
    const box = event.target;
    if (!box.matches?.(field) || event.inputType === "insertFromPaste") return;
    clearTimeout(timer);
    timer = setTimeout(() => send(box), event.type === "paste" ? PASTED_MS : PAUSE_MS);
  };
}

function send(box) {
  if (!box.isConnected) return;
  const values = { key: "Enter", code: "Enter", ctrlKey: true, bubbles: true, cancelable: true };
  box.dispatchEvent(new KeyboardEvent("keydown", values));
}
"""
_mount = st.components.v2.component("kb_paste", html="<span></span>", js=f"{_JS}\n{read_script()}")


def sends_by_itself(field: str) -> None:
    """Let the text area with this key send its text by itself. Call it after the text area."""
    _mount(key=f"paste-{field}", data=sent({"field": field}), height=0)
