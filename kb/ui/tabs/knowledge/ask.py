"""Questions to the project; each source links to its second in the Library tab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from kb.ui import session
from kb.ui.i18n import text
from kb.ui.widgets import messages, own_answers, task_progress
from kb.ui.widgets.player import format_timestamp

_QUESTION = "question"


def render() -> None:
    """Draw the question and the answers of this visitor."""
    st.markdown(f"#### {text('knowledge_ask')}")
    with (
        st.form("ask", border=False),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        st.text_input(
            text("knowledge_ask_label"),
            key=_QUESTION,
            placeholder=text("knowledge_question"),
            persist_state="session",
        )
        st.form_submit_button(
            text("knowledge_ask_button"),
            type="primary",
            on_click=_ask,
            disabled=task_progress.running("ask"),
        )
    own_answers.show("ask", _answer)


def _ask() -> None:
    own_answers.start("ask", str(st.session_state.get(_QUESTION) or ""))


def _answer(number: int, question: str, answer: Mapping[str, Any]) -> None:
    with st.container(border=True, key=f"answer-{number}"):
        st.caption(text("knowledge_asked", question=messages.escape_markdown(question)))
        st.text(str(answer.get("text", "")))
        sources = answer.get("sources") or []
        if not sources:
            st.caption(text("knowledge_no_sources"))
            return
        st.markdown(f"**{text('knowledge_sources')}**")
        for place, source in enumerate(sources):
            _source(f"{number}-{place}", source)


def _source(place: str, source: Mapping[str, Any]) -> None:
    start_s, item_id = source.get("start_s"), str(source.get("item_id") or "")
    title = messages.escape_markdown(str(source.get("title") or source.get("document") or ""))
    with st.container(key=f"source-{place}", gap="xxsmall"):
        if item_id and session.service().library.find(item_id) is not None:
            at = f"**{format_timestamp(start_s)}** · " if isinstance(start_s, int | float) else ""
            st.button(
                f"▶ {at}{title}",
                key=f"source-open-{place}",
                type="tertiary",
                on_click=session.open_item,
                args=(item_id, start_s),
            )
        else:
            st.markdown(f"{title} ({text('knowledge_elsewhere')})")
        if source.get("text"):
            st.caption(messages.escape_markdown(str(source["text"])))
