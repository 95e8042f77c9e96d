"""Comparison of library and project: the differences first, then the button that removes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from kb.errors import restored
from kb.service.tasks import Task
from kb.ui.i18n import Count, error_messages, format_number, text
from kb.ui.widgets import messages, task_progress
from kb.ui.widgets.read_list import read_list
from kb.ui.widgets.rows import Cell, Column

_PRUNE = "prune"


def render(changed_at: float, project: str) -> None:
    """Draw plan and sync of a project.

    A plan from before `changed_at` does not describe the present state.
    """
    st.markdown(f"#### {text('knowledge_sync')}")
    st.caption(text("knowledge_sync_help"))
    busy = task_progress.running("plan") or task_progress.running("sync")
    st.button(
        text("knowledge_plan"),
        key="plan",
        on_click=task_progress.start,
        args=("plan", {"project": project}),
        disabled=busy,
    )
    plan, sync = task_progress.task_status("plan"), task_progress.task_status("sync")
    of_project = sync is not None and sync.arguments.get("project", project) == project
    if sync is not None and sync.state == "done" and of_project:
        _sync_result(sync)
    if plan is not None and plan.arguments.get("project", project) != project:
        return
    # A plan from before the last sync does not describe the present state.
    newer = sync is None or (plan is not None and plan.started_at > sync.started_at)
    if plan is None or plan.state != "done" or not newer:
        return
    if changed_at > (plan.ended_at or 0.0):
        st.info(text("knowledge_plan_old", when=messages.format_datetime(plan.ended_at)))
        return
    _plan(plan, project, busy=busy)


def _plan(task: Task, project: str, *, busy: bool) -> None:
    found = task.result
    steps: list[Mapping[str, Any]] = found["steps"]
    st.caption(
        text(
            "knowledge_planned",
            when=messages.format_datetime(task.ended_at),
            in_step=Count(found["in_step"]),
            others=Count(found["others"]),
        )
    )
    if not steps:
        st.success(text("knowledge_nothing"))
        return
    with st.container(horizontal=True, key="figures-plan"):
        for kind, count in found["counts"].items():
            if count:
                st.metric(text(f"kind_{kind}"), format_number(count), border=True, width="content")
    read_list(
        "plan-steps",
        [
            Column("title", text("knowledge_column_title"), "minmax(10rem, 3fr)"),
            Column("kind", text("knowledge_kind"), "minmax(7rem, 1fr)"),
            Column("documents", text("knowledge_documents"), "7rem", end=True),
            Column("words", text("knowledge_words"), "6rem", end=True, minor=True),
            Column("detail", text("knowledge_detail"), "minmax(6rem, 2fr)", minor=True),
        ],
        [_step(step) for step in steps],
        label=text("knowledge_plan_alt"),
        texts=[step["detail"] or "" for step in steps],
    )
    st.markdown(
        text(
            "knowledge_cost",
            documents=Count(found["documents"]),
            words=Count(found["words"]),
            credits=format_number(found["credits"], 2),
        )
    )
    only_there = found["counts"].get("remote_only", 0)
    prune = bool(only_there) and st.checkbox(
        text("knowledge_prune", count=format_number(only_there)), key=_PRUNE
    )
    todo = len(steps) - (0 if prune else only_there)
    st.button(
        text("knowledge_apply", count=format_number(todo)),
        key="sync",
        type="primary",
        on_click=task_progress.start,
        args=("sync", {"prune": prune, "project": project}),
        disabled=busy or not todo,
    )


def _step(step: Mapping[str, Any]) -> dict[str, str | Cell]:
    kind = step["kind"]
    return {
        "title": step["title"] or step["item_id"],
        "kind": Cell(text(f"kind_{kind}"), "bad" if kind == "failed" else ""),
        "documents": format_number(step["documents"]),
        "words": format_number(step["words"]),
        "detail": step["detail"] or "",
    }


def _sync_result(task: Task) -> None:
    done, waiting, failed = (task.result[name] for name in ("done", "waiting", "failed"))
    words = text(
        "knowledge_synced",
        when=messages.format_datetime(task.ended_at),
        done=format_number(len(done)),
        waiting=format_number(len(waiting)),
        failed=format_number(len(failed)),
    )
    (st.warning if failed or waiting else st.success)(words)
    for item_id, failure in list(failed.items())[:20]:
        error = restored(failure["error"], failure["hint"], failure.get("problem"))
        message, hint = error_messages.translate_error(error)
        messages.show_error(f"{item_id}: {message}", hint)
