"""Comparison of library and project: the differences first, then the button that removes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from kb.errors import restored
from kb.service.tasks import Task
from kb.ui.i18n import error_messages, format_number, text
from kb.ui.widgets import messages, task_progress
from kb.ui.widgets.tables import guarded_table

_PRUNE = "prune"


def render(changed_at: float) -> None:
    """Draw plan and sync; a plan from before `changed_at` does not describe the present state."""
    st.markdown(f"#### {text('knowledge_sync')}")
    st.caption(text("knowledge_sync_help"))
    busy = task_progress.running("plan") or task_progress.running("sync")
    st.button(
        text("knowledge_plan"),
        key="plan",
        on_click=task_progress.start,
        args=("plan",),
        disabled=busy,
    )
    plan, sync = task_progress.task_status("plan"), task_progress.task_status("sync")
    if sync is not None and sync.state == "done":
        _sync_result(sync)
    # A plan from before the last sync does not describe the present state.
    newer = sync is None or (plan is not None and plan.started_at > sync.started_at)
    if plan is None or plan.state != "done" or not newer:
        return
    if changed_at > (plan.ended_at or 0.0):
        st.info(text("knowledge_plan_old", when=messages.format_datetime(plan.ended_at)))
        return
    _plan(plan, busy=busy)


def _plan(task: Task, *, busy: bool) -> None:
    found = task.result
    steps: list[Mapping[str, Any]] = found["steps"]
    st.caption(
        text(
            "knowledge_planned",
            when=messages.format_datetime(task.ended_at),
            in_step=format_number(found["in_step"]),
            others=format_number(found["others"]),
        )
    )
    if not steps:
        st.success(text("knowledge_nothing"))
        return
    with st.container(horizontal=True, key="figures-plan"):
        for kind, count in found["counts"].items():
            if count:
                st.metric(text(f"kind_{kind}"), format_number(count), border=True, width="content")
    column = st.column_config
    guarded_table(
        {
            "kind": [text(f"kind_{step['kind']}") for step in steps],
            "title": [step["title"] or step["item_id"] for step in steps],
            "documents": [step["documents"] for step in steps],
            "words": [step["words"] for step in steps],
            "detail": [step["detail"] for step in steps],
        },
        key="plan-steps",
        height=min(38 + 35 * len(steps), 420),
        column_config={
            "kind": column.TextColumn(text("knowledge_kind")),
            "title": column.TextColumn(text("knowledge_column_title"), width="medium"),
            "documents": column.NumberColumn(text("knowledge_documents"), width="small"),
            "words": column.NumberColumn(text("knowledge_words"), format="localized"),
            "detail": column.TextColumn(text("knowledge_detail")),
        },
        alt=text("knowledge_plan_alt"),
    )
    st.markdown(
        text(
            "knowledge_cost",
            documents=format_number(found["documents"]),
            words=format_number(found["words"]),
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
        args=("sync", {"prune": prune}),
        disabled=busy or not todo,
    )


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
