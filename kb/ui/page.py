"""The frame of the page: header and tabs. Only the open tab's body runs."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from PIL import Image, ImageDraw

from kb.errors import KBError
from kb.ui import health, ingest, library, session, show
from kb.ui.texts import text

# In their order on the page; a further tab is one more line.
TABS: tuple[tuple[str, Callable[[], None]], ...] = (
    ("tab_ingest", ingest.render),
    ("tab_library", library.render),
    ("tab_settings", health.render),
)

# Figures in a row take the room they need and wrap; a phone gets three beside each other.
_STYLE = """<style>
.stMainBlockContainer { padding-top: 2.4rem; padding-bottom: 3rem; max-width: 1280px; }
.stAppHeader { background: transparent; }
.stTabs [role="tab"][aria-selected="true"] { color: inherit; font-weight: 600; }
.stTabs [role="tab"][aria-selected="true"] p { font-weight: 600; }
.st-key-head h2 { padding: 0.25rem 0; font-size: 1.7rem; }
.st-key-item-head h3 { padding: 0 0 0.8rem; }
[class*="st-key-hit-"] .stMarkdownColoredBackground { padding: 0 0.15em;
  background: color-mix(in srgb, #f5a623 38%, transparent) !important; }
[class*="st-key-figures-"] { gap: 0.6rem; }
[class*="st-key-figures-"] [data-testid="stMetric"] { padding: 0.55rem 0.9rem; min-width: 6.5rem; }
[class*="st-key-figures-"] [data-testid="stMetric"] > div { padding: 0; }
[class*="st-key-figures-"] [data-testid="stMetricValue"] { font-size: 1.4rem; }
@media (max-width: 640px) {
  .stMainBlockContainer { padding-left: 1rem; padding-right: 1rem; }
  [class*="st-key-figures-"] .stElementContainer { flex: 1 1 30%; }
  [class*="st-key-figures-"] [data-testid="stMetric"] { min-width: 0; padding: 0.4rem 0.7rem; }
  [class*="st-key-figures-"] [data-testid="stMetricValue"] { font-size: 1.15rem; }
}
</style>"""


def render() -> None:
    """Draw the page for one visitor."""
    st.set_page_config(page_title=text("app"), page_icon=_icon(), layout="wide")
    st.html(_STYLE)
    session.redraw_asked()  # this is the whole page
    try:
        service = session.service()
    except KBError as error:
        show.error(error)
        return
    with st.container(
        horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute", key="head"
    ):
        st.markdown(f"## {text('app')}", width="content")
        st.caption(
            text("folder", folder=show.plain(show.folder(service.settings.home))), width="content"
        )
    labels = [text(label) for label, _ in TABS]
    for tab, (_, draw) in zip(st.tabs(labels, key="tab", bind="query-params"), TABS, strict=True):
        if tab.open:
            with tab:
                draw()


def _icon() -> Image.Image:
    """The page's icon, drawn: three lines of a transcript and a mark to play it."""
    size = 64
    picture = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((2, 2, size - 2, size - 2), 14, fill=(31, 78, 121, 255))
    draw.polygon([(14, 18), (14, 46), (30, 32)], fill=(244, 190, 92, 255))
    for top, right in ((19, 52), (29, 46), (39, 50)):
        draw.rounded_rectangle((34, top, right, top + 6), 3, fill=(255, 255, 255, 255))
    return picture
