"""Questions to this library, answered in a process of their own; each source plays from its second.

The model's sentences and the recordings' words are shown as plain text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import streamlit as st

from kb.errors import KBError
from kb.service.language_model import NO_ADDRESS
from kb.types.passages import ON_SCREEN
from kb.types.safe_text import printable
from kb.ui import session
from kb.ui.i18n import format_number, plural_text, text
from kb.ui.widgets import messages, own_answers, task_progress
from kb.ui.widgets.player import format_timestamp

TASK = "ask_library"
_QUESTION = "library_question"


def render() -> None:
    """Draw the question, what it would send and cost, and the answers of this visitor."""
    st.markdown(f"#### {text('ask_library')}")
    _terms()
    with (
        st.form(TASK, border=False),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        st.text_input(
            text("ask_library_label"),
            key=_QUESTION,
            placeholder=text("knowledge_question"),
            persist_state="session",
        )
        st.form_submit_button(
            text("ask_library_button"),
            type="primary",
            on_click=_ask,
            disabled=task_progress.running(TASK),
            key="ask-library",
        )
    own_answers.show(TASK, _answer)


def _terms() -> None:
    """Say where the passages of a question go, and the most that its answer costs."""
    service = session.service()
    if (lacking := service.language_model.lacking) is not None:
        if lacking.code == NO_ADDRESS:
            st.caption(text("ask_library_no_model"))
        else:
            messages.error(lacking, severe=False)
        return
    try:
        facts = service.language_model.facts()
        bound = service.answers.estimate()
    except KBError as error:
        messages.error(error)
        return
    place = messages.escape_markdown(f"{facts.model} ({facts.place})")
    price = text("ask_library_unknown_price")
    if bound.price is not None:
        shown = format_number(bound.price, 2 if bound.price >= 0.01 or not bound.price else 4)
        price = text("ask_library_price", price=shown)
    st.caption(
        text("ask_library_terms", place=place, tokens=format_number(bound.tokens), price=price)
    )


def _ask() -> None:
    own_answers.start(TASK, str(st.session_state.get(_QUESTION) or ""))


def _answer(number: int, asked: str, answer: Mapping[str, Any]) -> None:
    end = f"-{number}" if number else ""  # the newest answer has the plain keys
    sentences = answer.get("sentences") or []
    passages = answer.get("passages") or []
    with st.container(border=True, key=f"library-answer{end}"):
        question = messages.escape_markdown(printable(str(answer.get("question", asked))))
        st.caption(text("knowledge_asked", question=question))
        code = (answer.get("problem") or {}).get("code")
        if answer.get("reason") and code != NO_ADDRESS:  # which is said above
            messages.stored_error(_problem(answer), severe=False)
        elif answer.get("outcome") == "not_in_library":
            st.info(text("ask_library_absent"))
        for place, sentence in enumerate(sentences):
            st.text(printable(str(sentence["text"])))
            _source(f"sentence-{place}{end}", sentence["source"], quoted=True)
        if dropped := answer.get("dropped"):
            st.caption(plural_text("ask_library_dropped", int(dropped)))
        if answer.get("model"):
            origin = (printable(str(answer[name])) for name in ("model", "place"))
            st.text(text("notes_origin", **dict(zip(("model", "place"), origin, strict=True))))
        if passages:
            _passages(passages, end, expanded=not sentences and not number)


def _passages(passages: Sequence[Mapping[str, Any]], end: str, *, expanded: bool) -> None:
    with st.expander(text("ask_library_passages"), expanded=expanded):
        for number, passage in enumerate(passages):
            _source(f"passage-{number}{end}", passage)


def _source(key: str, source: Mapping[str, Any], *, quoted: bool = False) -> None:
    item_id = str(source["id"]).rpartition("#")[0]
    start_s = float(source["start_s"])
    title = messages.escape_markdown(printable(str(source["title"])))
    with st.container(key=f"library-{key}", gap="xxsmall"):
        st.button(
            f"▶ **{format_timestamp(start_s)}** · {title}",
            key=f"library-open-{key}",
            type="tertiary",
            on_click=session.open_item,
            args=(item_id, start_s),
        )
        if source.get("origin") == ON_SCREEN:
            st.caption(text("search_on_screen"))
        words = printable(str(source["text"]))
        st.caption(messages.escape_markdown(f"“{words}”" if quoted else words))


def _problem(answer: Mapping[str, Any]) -> Any:
    return SimpleNamespace(
        error=str(answer["reason"]),
        hint=str(answer.get("hint") or ""),
        problem=answer.get("problem"),
    )
