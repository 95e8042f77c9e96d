"""The text on the screen of one item: its pages with thumbnails and the times of their showings."""

from __future__ import annotations

import base64
import binascii

import streamlit as st

from kb.errors import KBError
from kb.service import Service
from kb.service.views import LibraryEntry
from kb.types import Transcript
from kb.types.safe_text import printable
from kb.types.screen import ScreenPage, ScreenText
from kb.ui import session
from kb.ui.i18n import plural_text, text
from kb.ui.widgets import messages
from kb.ui.widgets.player import format_timestamp

AT_ONCE = 20  # pages, until more are asked for
TIMES = 6  # showings of a page that have a button
_MOVING_S = 60.0  # a shorter movement is not worth a sentence
_THUMBNAIL = 200  # pixels

_SHOWN = "screen-shown"

# A white slide on a white page needs its edge.
_STYLE = """<style>
.st-key-screen-pages img { outline: 1px solid rgba(128, 128, 128, 0.4); }
</style>"""


def render(service: Service, entry: LibraryEntry, transcript: Transcript | None) -> None:
    """Draw the pages; nothing for an item whose screen was not read."""
    if transcript is None:
        return
    try:
        found = service.enrichment.screen_text(entry, transcript)
    except KBError as error:
        messages.error(error)
        return
    if found is None:
        return
    st.markdown(f"**{text('screen_title')}**")
    for words in _summary(found):
        st.caption(words)
    if not found.pages:
        return
    key = f"{_SHOWN}|{entry.item.id}"
    shown = int(st.session_state.get(key, AT_ONCE))
    with st.expander(text("screen_show"), key="screen-pages"):
        st.html(_STYLE)
        for number, page in enumerate(found.pages[:shown], start=1):
            _page(entry.item.id, number, page)
        if len(found.pages) > shown:
            st.button(
                text("screen_more"), key="screen-more", type="tertiary",
                on_click=_show_more, args=(key, shown),
            )  # fmt: skip


def _summary(found: ScreenText) -> list[str]:
    if not found.has_picture:
        return [text("screen_no_picture")]
    words = [plural_text("screen_pages", len(found.pages)) if found.pages else text("screen_none")]
    if found.lines_unread:
        words.append(plural_text("screen_unread", found.lines_unread))
    if found.moving_s >= _MOVING_S:
        words.append(text("screen_moving", time=format_timestamp(found.moving_s)))
    if found.changes_left_out:
        words.append(plural_text("screen_left_out", found.changes_left_out))
    return words


def _page(item_id: str, number: int, page: ScreenPage) -> None:
    first = format_timestamp(page.showings[0][0])
    with st.container(border=True, horizontal=True, key=f"screen-page-{number}"):
        if picture := _picture(page.thumbnail):
            alt = text("screen_page", number=number, start=first)
            st.image(picture, width=_THUMBNAIL, alt=alt)
        with st.container(gap="xsmall", width="stretch"):
            with st.container(horizontal=True, gap="small"):
                for place, (start_s, _) in enumerate(page.showings[:TIMES]):
                    time = format_timestamp(start_s)
                    st.button(
                        f"▶ {time}",
                        key=f"screen-{number}-{place}",
                        type="tertiary",
                        help=text("screen_at", start=time),
                        on_click=session.open_item,
                        args=(item_id, start_s),
                    )
            if (more := len(page.showings) - TIMES) > 0:
                st.caption(plural_text("screen_times_more", more))
            st.text("\n".join(printable(row) for row in page.rows()))


def _picture(thumbnail: str) -> bytes:
    try:
        return base64.b64decode(thumbnail, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _show_more(key: str, shown: int) -> None:
    st.session_state[key] = shown + AT_ONCE
