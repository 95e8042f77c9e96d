"""The transcript beside another one of the same recording: captions, or an earlier version."""

from __future__ import annotations

import streamlit as st

from kb.errors import KBError
from kb.service import Service
from kb.service.comparison import ComparedRow, OtherTranscript
from kb.service.views import LibraryEntry
from kb.types import Transcript
from kb.ui import session
from kb.ui.i18n import language_text, plural_text, text
from kb.ui.widgets import messages
from kb.ui.widgets.player import format_timestamp

SHOWN = 40  # rows


def render(service: Service, entry: LibraryEntry, transcript: Transcript | None) -> None:
    """Draw the comparison; nothing for an item without another transcript."""
    if transcript is None:
        return
    try:
        others = service.comparisons.others(entry)
    except KBError as error:
        messages.error(error)
        return
    if not others:
        return
    part = st.expander(text("compare_title"), key="compare", on_change="rerun")
    if not part.open:
        return
    with part:
        # Made here: Streamlit also asks for labels where the visitor's language is not known.
        labels = {each.key: _label(each) for each in others}
        chosen = st.selectbox(
            text("compare_with"), list(labels), format_func=labels.__getitem__,
            key=f"compare-with|{entry.item.id}",
        )  # fmt: skip
        try:
            rows = service.comparisons.compare(entry, transcript, chosen or others[0].key)
        except KBError as error:
            messages.error(error)
            return
        _rows(entry.item.id, [row for row in rows if row.differs])


def _label(other: OtherTranscript) -> str:
    name = other.name if other.kind == "version" else language_text(other.name)
    return text(f"compare_{other.kind}", name=name)


def _rows(item_id: str, rows: list[ComparedRow]) -> None:
    if not rows:
        st.markdown(text("compare_same"))
        return
    st.caption(f"{plural_text('compare_rows', len(rows))} {text('compare_help')}")
    for row in rows[:SHOWN]:
        with st.container(horizontal=True, key=f"played-compare-{row.start_s:.2f}", gap="small"):
            st.button(
                format_timestamp(row.start_s), key=f"compare-{row.start_s:.2f}", type="tertiary",
                on_click=session.open_item, args=(item_id, row.start_s),
            )  # fmt: skip
            st.markdown(_words(row))
    if (more := len(rows) - SHOWN) > 0:
        st.caption(plural_text("compare_more", more))


def _words(row: ComparedRow) -> str:
    parts = []
    for part in row.parts:
        words = messages.escape_markdown(part.text)
        if part.kind == "other":
            words = f":orange[~~{words}~~]"
        elif part.kind == "ours":
            words = f"**{words}**"
        parts.append(words)
    return " ".join(parts)
