"""The frame of the page: sidebar and tabs. Only the body of the open tab runs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import streamlit as st
from PIL import Image, ImageDraw

from kb.errors import KBError
from kb.ui import session, sidebar, status
from kb.ui.i18n import text
from kb.ui.tabs.ingest import tab as ingest
from kb.ui.web import oidc, server
from kb.ui.web.drawing import drawing
from kb.ui.widgets import kept_focus, messages, run_notice


def tab_body(name: str) -> Callable[[], None]:
    """Return the function that draws a tab's body.

    Its module is loaded with the first visit of the tab; the server loads those that are left a
    few seconds after its start (`load_tabs`).
    """
    module, _, function = session.TABS[name].partition(":")
    body: Callable[[], None] = getattr(import_module(module), function)
    return body


def load_tabs() -> None:
    """Load the modules of all tabs."""
    for name in session.TABS:
        tab_body(name)


# Figures in a row take the width of their content and wrap; a phone shows three in a row.
# Words stay beside the button that plays them (`played-`), however long they are.
# The button that copies a code, transparent until then, can have the focus at once: Streamlit makes
# it visible after a delay, and a quick Tab misses it.
_STYLE = """<style>
.stMainBlockContainer { padding-top: 2.4rem; padding-bottom: 3rem; max-width: 1400px;
  padding-left: 2.5rem; padding-right: 2.5rem; }
[data-testid="stSidebarHeader"] { height: 2.4rem; padding-top: 0; padding-bottom: 0; }
[data-testid="stSidebar"][data-collapsed="true"] * { visibility: hidden !important; }
.stAppHeader { background: transparent; }
.stAppHeader, .stAppHeader * { pointer-events: none; }
.stAppHeader button, .stAppHeader button *, .stAppHeader a { pointer-events: auto; }
[data-variant="segmented_control"][aria-checked="true"] p { color: light-dark(#17497a, #9cc6ee); }
.stTabs [role="tab"][aria-selected="true"] { color: inherit; font-weight: 600; }
.stTabs [role="tab"][aria-selected="true"] p { font-weight: 600; }
.stTabs [role="tab"]::after { margin-left: 0.4rem; padding: 0 0.4rem; border-radius: 0.7rem;
  font-size: 0.75rem; font-weight: 600; line-height: 1.15rem; font-variant-numeric: tabular-nums;
  color: light-dark(#17497a, #cfe3f7); background: light-dark(#dce9f6, #23466b); }
.st-key-status { position: absolute; top: 0; left: 0; right: 0; width: auto; z-index: 1;
  background: light-dark(#ffffff, #191917); padding: 0.9rem 0.3rem 0.2rem 4.3rem; }
.stMain { scroll-padding: 3rem 0 6rem; }
.st-key-status p { font-size: 0.875rem; white-space: nowrap; }
.stApp .kb-sign-out { margin: 0; }
.stApp .kb-sign-out button { font: inherit; font-size: 0.875rem; padding: 0.3rem 0.75rem;
  color: inherit; background: transparent; border: 1px solid light-dark(#767676, #8a8f98);
  border-radius: 0.5rem; cursor: pointer; }
.stApp .kb-sign-out button:hover { color: light-dark(#17497a, #9cc6ee);
  border-color: currentColor; }
.stApp .kb-sign-out button:focus-visible { outline: 3px solid light-dark(#1f5f99, #7db4e6);
  outline-offset: 2px; }
[data-testid="stBaseButton-tertiary"]:enabled { color: light-dark(#17497a, #9cc6ee); }
[data-testid="stBaseButton-tertiary"]:enabled p { text-align: left; text-decoration: underline 1px;
  text-decoration-color: color-mix(in srgb, currentColor 45%, transparent);
  text-underline-offset: 0.25em; }
[data-testid="stBaseButton-tertiary"]:enabled:hover p { text-decoration-color: currentColor; }
.stCode * { visibility: visible !important; }
.stMarkdown h4 { font-size: 1.1rem; }
.st-key-item-head h3 { padding: 0 0 0.8rem; }
[class*="st-key-hit-"] .stMarkdownColoredBackground { padding: 0 0.15em;
  background: color-mix(in srgb, #f5a623 38%, transparent) !important; }
[data-testid="stLayoutWrapper"]:has(> .st-key-ingest-plan) { position: sticky; bottom: 0.5rem;
  z-index: 5; background: light-dark(#ffffff, #191917); border-radius: 0.5rem; }
[class*="st-key-figures-"] { gap: 0.6rem; }
[class*="st-key-figures-"] [data-testid="stMetric"] { padding: 0.55rem 0.9rem; min-width: 6.5rem; }
[class*="st-key-figures-"] [data-testid="stMetric"] > div { padding: 0; }
[class*="st-key-figures-"] [data-testid="stMetricValue"] { font-size: 1.4rem; }
[class*="st-key-figures-"] [data-testid="stMetricLabel"] * { white-space: normal; }
[data-testid="stButtonGroup"] [role="radiogroup"] { flex-wrap: wrap; }
[class*="st-key-played-"] { flex-wrap: nowrap; }
[class*="st-key-played-"] > :first-child { flex: none; }
[class*="st-key-played-"] > :last-child { flex: 1 1 0; min-width: 0; }
[class*="st-key-played-"] button { min-height: 1.6rem; padding-top: 0; padding-bottom: 0; }
@media (min-width: 641px) and (max-width: 1000px) {
  [data-testid="stColumn"] { min-width: calc(50% - 1rem); }
}
@media (max-width: 1000px) {
  .stMainBlockContainer { padding-left: 1rem; padding-right: 1rem; }
}
@media (max-width: 640px) {
  .stMainBlockContainer { padding-left: 1rem; padding-right: 1rem; }
  .stApp .stTabs [role="tablist"] { flex-wrap: wrap; row-gap: 0; }
  .st-key-search > :first-child { min-width: 100%; }
  .st-key-ingest-plan { max-height: 50vh; overflow-y: auto; }
  [class*="st-key-followed-"] > div:first-child { min-width: 100%; }
  [class*="st-key-figures-"] .stElementContainer { flex: 1 1 30%; }
  [class*="st-key-figures-"] [data-testid="stMetric"] { min-width: 0; padding: 0.4rem 0.7rem; }
  [class*="st-key-figures-"] [data-testid="stMetricValue"] { font-size: 1.15rem; }
}
</style>"""


def render() -> None:
    """Draw the page for one visitor."""
    with drawing():
        _render()


def _render() -> None:
    session.init_from_url()
    st.set_page_config(
        page_title=text("app"), page_icon=_icon(), layout="wide", initial_sidebar_state="collapsed"
    )
    st.html(_STYLE)
    session.redraw_requested()  # this run draws the whole page, as requested
    if session.has_moved():
        messages.forget_shown()
    try:
        chosen = session.service().settings
    except KBError as error:
        messages.error(error)
        return
    if not server.is_password_enforced(chosen):
        messages.show_error(text("unguarded"), text("unguarded_hint"))
        return
    if not oidc.check_access(chosen):
        return
    ingest.finish_ingest()
    line = st.container()
    labels = [text(label) for label in session.TABS]
    tabs = st.tabs(labels, key=session.TAB, on_change=session.store_tab)
    session.has_arrived()
    for tab, name in zip(tabs, session.TABS, strict=True):
        if tab.open:
            with tab:
                tab_body(name)()
    # What a press waits for is in the open tab: line and sidebar are drawn after it.
    with line:
        status.render()
    sidebar.render()
    kept_focus.render()
    run_notice.render()


def _icon() -> Image.Image:
    """Return the drawn icon of the page: three lines of a transcript and a play symbol."""
    size = 64
    picture = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((2, 2, size - 2, size - 2), 14, fill=(31, 78, 121, 255))
    draw.polygon([(14, 18), (14, 46), (30, 32)], fill=(244, 190, 92, 255))
    for top, right in ((19, 52), (29, 46), (39, 50)):
        draw.rounded_rectangle((34, top, right, top + 6), 3, fill=(255, 255, 255, 255))
    return picture
