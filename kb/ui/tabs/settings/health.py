"""What works on this machine: `kb doctor`'s checks, made by a process of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from kb.ui.i18n import counted, text
from kb.ui.widgets import messages, task_progress

_SIGNS = {"ok": ":green[✓]", "warn": ":orange[!]", "fail": ":red[✕]"}


def render() -> None:
    """Draw the part; the first look begins by itself."""
    st.markdown(f"##### {text('health')}")
    if task_progress.state("doctor") is None:
        task_progress.start("doctor")
    task = task_progress.told("doctor")
    if task is not None and task.state == "done":
        _checks(task.result["checks"])
        st.caption(text("health_when", when=messages.moment(task.ended_at)))
    st.button(
        text("health_again"),
        key="health-again",
        on_click=task_progress.start,
        args=("doctor",),
        disabled=task_progress.running("doctor"),
    )


def _checks(checks: Sequence[Mapping[str, Any]]) -> None:
    worst = {check["state"] for check in checks}
    if "fail" in worst:
        st.error(text("health_fail"))
    elif "warn" in worst:
        st.warning(counted("health_warn", sum(check["state"] == "warn" for check in checks)))
    else:
        st.success(text("health_ok"))
    for check in checks:
        name, detail = messages.plain(str(check["name"])), messages.plain(str(check["detail"]))
        st.markdown(f"{_SIGNS.get(str(check['state']), '')} **{name}** · {detail}")
        if check["fix"]:
            st.code(str(check["fix"]), language=None, wrap_lines=True)
