"""The answers that one visitor has asked for, newest first; others do not see them.

A task's record is shared by all pages of a library, so it carries the name of who asked.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from kb.ui import access
from kb.ui.i18n import text
from kb.ui.widgets import messages, task_progress

KEPT = 20
_ASKER = "asker"


@dataclass(frozen=True, slots=True)
class Answer:
    """A question with its answer; `asked_at` in seconds since the epoch."""

    question: str
    asked_at: float
    result: Mapping[str, Any]


def start(task: str, question: str) -> None:
    """Ask a question. For callbacks."""
    task_progress.start(task, {"question": question, "by": _asker()})


def show(task: str, draw: Callable[[int, str, Mapping[str, Any]], None]) -> None:
    """Draw the newest answer of this visitor, and the earlier ones folded.

    `draw` gets the number of the answer (0 is the newest), the question and the result.
    """
    newest = task_progress.state(task)
    kept: list[Answer] = st.session_state.setdefault(f"answers-{task}", [])
    if newest is not None and newest.arguments.get("by") == _asker():
        task_progress.task_status(task)
        known = kept and kept[0].asked_at == newest.started_at
        if newest.state == "done" and not known:
            question = str(newest.arguments.get("question", ""))
            kept.insert(0, Answer(question, newest.started_at, newest.result))
            del kept[KEPT:]
    elif newest is not None and newest.running:
        st.caption(text("answers_busy"))
    for number, answer in enumerate(kept):
        if number == 0:
            draw(number, answer.question, answer.result)
            continue
        when = messages.format_datetime(answer.asked_at)
        title = f"{messages.escape_markdown(answer.question)} · {when}"
        with st.expander(title, key=f"answer-{task}-{answer.asked_at}"):
            draw(number, answer.question, answer.result)


def _asker() -> str:
    """Return the name of this visitor; without a sign-in, of this visit to the page."""
    if access.signs_in():
        return access.visitor()
    return str(st.session_state.setdefault(_ASKER, uuid.uuid4().hex))
