"""Other items with the sound of this one: where it is from, and where it is heard again."""

from __future__ import annotations

import streamlit as st

from kb.errors import KBError
from kb.service import Service
from kb.service.enrichment import SoundLink
from kb.service.views import LibraryEntry
from kb.ui import session
from kb.ui.i18n import plural_text, text
from kb.ui.widgets import messages
from kb.ui.widgets.player import format_timestamp

MOST = 20  # links that are listed
PLACES = 3  # stretches of one


def render(service: Service, entry: LibraryEntry) -> None:
    """Draw the links; nothing for an item without any."""
    try:
        found = service.enrichment.sound_links(entry)
    except KBError as error:
        messages.error(error)
        return
    if not found.links and not found.left:
        return
    st.markdown(f"**{text('sound_title')}**")
    if found.left:
        st.caption(plural_text("sound_left", found.left))
    for number, link in enumerate(found.links[:MOST]):
        with st.container(border=True, key=f"sound-link-{number}", gap="xsmall"):
            _link(link, number)


def _link(link: SoundLink, number: int) -> None:
    title = messages.escape_markdown(link.title or text("sound_unnamed"))
    with st.container(horizontal=True, vertical_alignment="center"):
        words = text("sound_gone" if link.gone else f"sound_{link.kind}", title=title)
        st.markdown(words, width="stretch")
        if not link.gone:
            there_s = max(0.0, link.stretches[0].other_s) if link.stretches else None
            st.button(
                text("sound_open"),
                key=f"sound-open-{number}",
                help=link.title,
                on_click=session.open_item,
                args=(link.item_id, there_s),
            )
    for each in link.stretches[:PLACES]:
        start, end = format_timestamp(each.start_s), format_timestamp(each.end_s)
        there = format_timestamp(max(0.0, each.other_s))
        st.caption(text("sound_place", start=start, end=end, there=there))
    if (more := len(link.stretches) - PLACES) > 0:
        st.caption(plural_text("sound_places_more", more))
    if link.taken_s:
        st.caption(text("sound_taken", time=messages.format_length(link.taken_s)))
