"""Health: the checks of this machine, and check and backup of the library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from kb.errors import restored
from kb.ui.i18n import error_messages, has_text, plural_text, text
from kb.ui.tabs.settings import library_care
from kb.ui.widgets import messages, task_progress

_STATE_MARKS = {"ok": ":green[✓]", "warn": ":orange[!]", "fail": ":red[✕]"}


def render() -> None:
    """Draw the part; the first check starts automatically."""
    st.markdown(f"#### {text('health')}")
    if task_progress.state("doctor") is None:
        task_progress.start("doctor")
    task = task_progress.task_status("doctor")
    if task is not None and task.state == "done":
        _checks(task.result["checks"])
        st.caption(text("health_when", when=messages.format_datetime(task.ended_at)))
    st.button(
        text("health_again"),
        key="health-again",
        on_click=task_progress.start,
        args=("doctor",),
        disabled=task_progress.running("doctor"),
    )
    library_care.render()


def _name(name: str) -> str:
    """Return the name of a check in the page's language; its own where it has no other."""
    first, _, rest = name.partition(" ")
    if first == "Worker" and rest:
        return f"{text('check_worker')} {rest}"
    if first == "Step" and has_text(f"step_{rest}"):
        return text("check_step", step=text(f"step_{rest}"))
    key = f"check_{name.lower().replace(' ', '_')}"
    return text(key) if has_text(key) else name


def _checks(checks: Sequence[Mapping[str, Any]]) -> None:
    worst = {check["state"] for check in checks}
    if "fail" in worst:
        st.error(text("health_fail"))
    elif "warn" in worst:
        st.warning(plural_text("health_warn", sum(check["state"] == "warn" for check in checks)))
    else:
        st.success(text("health_ok"))
    for check in checks:
        found = restored(str(check["detail"]), str(check["fix"]), check.get("problem"))
        detail, fix = error_messages.translate_error(found)
        name = messages.escape_markdown(_name(str(check["name"])))
        st.markdown(
            f"{_STATE_MARKS.get(str(check['state']), '')} **{name}** · "
            f"{messages.escape_markdown(detail)}"
        )
        if fix:
            st.code(fix, language=None, wrap_lines=True)
