"""Notes of a language model about one item; every statement has a button to its words."""

from __future__ import annotations

import streamlit as st

from kb.errors import KBError
from kb.service import Service
from kb.service.views import LibraryEntry
from kb.types import Transcript
from kb.types.notes import Cited, Notes
from kb.types.safe_text import printable
from kb.ui import session
from kb.ui.i18n import plural_text, text
from kb.ui.i18n.error_messages import translate_error
from kb.ui.web import speech_route
from kb.ui.widgets import messages
from kb.ui.widgets.player import format_timestamp


def render(service: Service, entry: LibraryEntry, transcript: Transcript | None) -> None:
    """Draw the notes; nothing for an item without any."""
    if transcript is None:
        return
    try:
        found = service.language_model.notes(entry)
    except KBError as error:
        messages.error(error)
        return
    if found.is_empty:
        return
    st.markdown(f"**{text('notes_title')}**")
    st.text(text("notes_origin", model=printable(found.model), place=printable(found.place)))
    if found.of_earlier_words:
        st.warning(text("notes_old"))
    for words in _left_out(found):
        st.caption(words)
    item_id = entry.item.id
    if found.summary:
        _listen(service, item_id)
    for length, cited in found.summary.items():
        with st.expander(text(f"notes_{length}"), expanded=length == "short"):
            _statements(item_id, length, cited)
    if found.chapters:
        with st.expander(text("step_chapters")):
            for number, chapter in enumerate(found.chapters):
                _place(item_id, f"chapter-{number}", chapter.start_s, printable(chapter.title))
    if found.highlights:
        with st.expander(text("step_highlights")):
            _statements(item_id, "highlight", found.highlights)
    if found.questions:
        with st.expander(text("step_questions")):
            for number, each in enumerate(found.questions):
                st.text(printable(each.question))
                _statements(item_id, f"question-{number}", (each.answer,))
    if found.terms:
        with st.expander(text("step_terms")):
            st.text(", ".join(printable(term.text) for term in found.terms))


def _listen(service: Service, item_id: str) -> None:
    """Draw the link that reads the summary aloud; without a voice, what installs one."""
    problem = service.speech.problem
    st.link_button(
        text("notes_listen"), speech_route.speech_url(item_id), icon=":material/volume_up:",
        disabled=problem is not None, key="notes-listen",
        help=text("notes_listen_help") if problem is None else " ".join(translate_error(problem)),
    )  # fmt: skip


def _left_out(found: Notes) -> list[str]:
    words = [plural_text("notes_dropped", found.dropped)] if found.dropped else []
    if found.parts_unread:
        words.append(text("notes_unread", count=found.parts_unread, parts=found.parts))
    return words


def _statements(item_id: str, name: str, cited: tuple[Cited, ...]) -> None:
    """Draw statements as plain text, each with the words for it."""
    for number, each in enumerate(cited):
        st.text(printable(each.text))
        for place, quote in enumerate(each.quotes):
            _place(item_id, f"{name}-{number}-{place}", quote.start_s, f"“{printable(quote.text)}”")


def _place(item_id: str, name: str, start_s: float, words: str) -> None:
    """Draw a button that plays from a second, and the words there."""
    time = format_timestamp(start_s)
    with st.container(
        horizontal=True, gap="small", vertical_alignment="top", key=f"played-notes-{name}"
    ):
        st.button(
            f"▶ {time}",
            key=f"notes-{name}",
            type="tertiary",
            help=text("notes_at", start=time),
            on_click=session.open_item,
            args=(item_id, start_s),
        )
        st.text(words)
