"""Start, progress and stop of the tasks of `kb.service.tasks` on a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from kb.errors import KBError
from kb.service import tasks
from kb.service.tasks import Task
from kb.ui import session
from kb.ui.i18n import format_number, has_text, text
from kb.ui.widgets import messages

REFRESH_S = 1.0


def start(name: str, arguments: Mapping[str, Any] | None = None) -> bool:
    """Start a task; return whether it was started. For callbacks: `task_status` shows an error."""
    started = False
    service = session.service()
    try:
        service.queue.prepare()
        tasks.start(service.settings, name, arguments)
        started = True
        service.audit.record(f"start {name}")
    except KBError as error:
        messages.flash_error(_flash_key(name), error)
    else:
        messages.clear_flash(_flash_key(name))
    session.redraw()
    return started


def stop(name: str) -> None:
    """Stop a task. For callbacks: `task_status` shows an error."""
    try:
        tasks.stop(session.service().settings, name)
    except KBError as error:
        messages.flash_error(_flash_key(name), error)
    session.redraw()


def state(name: str) -> Task | None:
    """Return the newest task of this name, None if there is none."""
    return tasks.read(session.service().settings, name)


def running(name: str) -> bool:
    """Return whether a task of this name is running."""
    task = state(name)
    return task is not None and task.running


def task_status(name: str) -> Task | None:
    """Draw the progress of a running task or the error of a failed one; return the task.

    The caller draws the result of a finished task.
    """
    messages.show_flash(_flash_key(name))
    task = state(name)
    if task is None:
        return None
    if task.running:
        st.fragment(_progress, run_every=REFRESH_S)(name)
    elif task.state == "stopped":
        st.info(text("task_stopped"))
    elif task.error:
        messages.stored_error(task)
    return task


def _progress(name: str) -> None:
    if session.redraw_requested():
        st.rerun()
    task = state(name)
    if task is None or not task.running:
        st.rerun()  # the whole page, because its other parts show the result
        return
    with st.container(horizontal=True, vertical_alignment="center", key=f"task-{name}"):
        with st.container():
            st.progress(task.done / task.total if task.total else 0.0, text=_progress_text(task))
        st.button(
            text("task_stop"), key=f"stop-{name}", on_click=stop, args=(name,), width="content"
        )


def _progress_text(task: Task) -> str:
    key = f"task_{task.name}"
    what = text(key) if has_text(key) else text("task_running")
    if not task.total:
        return f"{what} …"
    words = text(
        "task_progress", what=what, done=format_number(task.done), all=format_number(task.total)
    )
    return f"{words} · {messages.escape_markdown(task.note)}" if task.note else words


def _flash_key(name: str) -> str:
    return f"task-{name}"
