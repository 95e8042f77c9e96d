"""The box for links tells the page what was pasted or typed, without Ctrl+Enter.

Streamlit's text area sends its text only with Ctrl+Enter or when it is left. The script of this
component presses that key for the user: at once after a paste, and when typing rests.
"""

from __future__ import annotations

import streamlit as st

_JS = """
const PAUSE_MS = 900;
const seen = new WeakSet();

export default function (component) {
  const box = document.querySelector(`.st-key-${component.data.field} textarea`);
  if (!box || seen.has(box)) return;
  seen.add(box);
  let timer = 0;
  const send = () => {
    if (!box.isConnected) return;
    const values = { key: "Enter", code: "Enter", ctrlKey: true, bubbles: true, cancelable: true };
    box.dispatchEvent(new KeyboardEvent("keydown", values));
  };
  box.addEventListener("paste", () => {
    clearTimeout(timer);
    timer = setTimeout(send, 30);
  });
  box.addEventListener("input", (event) => {
    if (event.inputType === "insertFromPaste") return;
    clearTimeout(timer);
    timer = setTimeout(send, PAUSE_MS);
  });
}
"""
_mount = st.components.v2.component("kb_paste", html="<span></span>", js=_JS)


def sends_by_itself(field: str) -> None:
    """Let the text area with this key send its text by itself. Call it after the text area."""
    _mount(key=f"paste-{field}", data={"field": field}, height=0)
