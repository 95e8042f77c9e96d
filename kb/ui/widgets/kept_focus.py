"""The focus stays on a button that the page draws again, and in sight.

Streamlit replaces a button whose type changes, for example one that was chosen just now. The focus
would be on nothing then, and a user with a keyboard would begin again at the top of the page.

A bar that stays at the bottom of the page covers what the browser scrolled into view. Its height
changes, so a fixed scroll padding does not do.
"""

from __future__ import annotations

import streamlit as st

_JS = r"""
const KEY = /(?:^| )(st-key-\S+)/;
const BAR = ".st-key-ingest-plan";
const ROOM_PX = 16; // between the focused element and the bar
let started = false;
let focused = null; // the element, and where to find the one that replaces it

// `path`: the element and all that contain it, shadow roots of components included.
function uncover(path) {
  const bar = document.querySelector(BAR);
  const main = bar?.closest('[data-testid="stMain"]');
  // A dialog or a popover lies over the bar.
  if (!main || !path.includes(main) || path.includes(bar)) return;
  if (!path[0].matches(":focus-visible")) return;
  const box = path[0].getBoundingClientRect();
  const cover = bar.getBoundingClientRect();
  const isCovered = box.bottom > cover.top && box.top < cover.bottom; // else it is below the bar
  if (isCovered) main.scrollBy(0, box.bottom - cover.top + ROOM_PX);
}

export default function () {
  if (started) return;
  started = true;
  document.addEventListener("focusin", (event) => {
    const key = KEY.exec(event.target.closest('[class*="st-key-"]')?.className || "")?.[1];
    const tag = event.target.tagName;
    focused = key && { element: event.target, place: `.${CSS.escape(key)} ${tag}` };
    uncover(event.composedPath());
  });
  document.addEventListener("pointerdown", () => (focused = null), true);
  // A replacement is there in the same step in which the element goes.
  new MutationObserver(() => {
    if (!focused || focused.element.isConnected) return;
    const found = document.querySelectorAll(focused.place);
    focused = null;
    if (found.length === 1 && document.activeElement === document.body)
      found[0].focus({ preventScroll: true });
  }).observe(document.body, { childList: true, subtree: true });
}
"""
_mount = st.components.v2.component("kb_kept_focus", html="<span></span>", js=_JS)


def render() -> None:
    """Watch the page. Call it once in each run."""
    _mount(key="kept-focus", height=0)
