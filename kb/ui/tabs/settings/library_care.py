"""The health of the library: every file is checked, and a backup is made, each by a process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from kb.errors import restored
from kb.ui import session
from kb.ui.i18n import Count, error_messages, plural_text, text
from kb.ui.widgets import messages, task_progress
from kb.ui.widgets.read_list import read_list
from kb.ui.widgets.rows import Cell, Column, Tone

_TONES: dict[str, Tone] = {"mended": "good", "note": "quiet", "fault": "bad"}


def render() -> None:
    """Draw the buttons, their progress and their results."""
    st.markdown(f"#### {text('care')}")
    # Both read every file and write into the library: not for visitors of a shared dashboard.
    if session.service().settings.shared:
        st.caption(text("care_operator"))
        return
    _part("verify", _verified)
    _part("backup", _backed_up)


def _part(name: str, draw: Any) -> None:
    with st.container(key=f"care-{name}"):
        st.caption(text(f"care_{name}_help"))
        st.button(
            text(f"care_{name}"), key=f"start-{name}", on_click=task_progress.start, args=(name,),
            disabled=task_progress.running(name),
        )  # fmt: skip
        task = task_progress.task_status(name)
        if task is not None and task.state == "done":
            draw(task.result, messages.format_datetime(task.ended_at))


def _verified(found: Mapping[str, Any], when: str) -> None:
    words = text(
        "care_verified", when=when, files=Count(found["files"]),
        items=Count(found["items"]), size=messages.format_size(found["bytes"]),
    )  # fmt: skip
    if found["mended"]:
        words += " " + plural_text("care_mended", found["mended"])
    if not found["faults"]:
        st.success(f"{words} {text('care_no_faults')}")
    else:
        st.error(f"{words} {plural_text('care_faults', found['faults'])}")
    if findings := found["findings"]:
        read_list(
            "care-findings",
            [
                Column("subject", text("care_subject"), "minmax(10rem, 2fr)"),
                Column("state", text("knowledge_state"), "6rem"),
                Column("detail", text("knowledge_detail"), "minmax(10rem, 4fr)", minor=True),
            ],
            [
                {
                    "subject": each["subject"],
                    "state": Cell(_state(each), _TONES[_kind(each)]),
                    "detail": _told(each).message,
                }
                for each in findings
            ],
            label=text("care_findings_alt"),
            texts=[_whole(each) for each in findings],
        )


def _told(finding: Mapping[str, Any]) -> error_messages.Translation:
    problem = finding.get("problem")  # a check that ended before an update has none
    return error_messages.translate_error(
        restored(str(finding["detail"]), str(finding["hint"]), problem)
    )


def _whole(finding: Mapping[str, Any]) -> str:
    return " ".join(filter(None, _told(finding)))


def _kind(finding: Mapping[str, Any]) -> str:
    return "mended" if finding["mended"] else "note" if finding["note"] else "fault"


def _state(finding: Mapping[str, Any]) -> str:
    return text(f"care_is_{_kind(finding)}")


def _backed_up(made: Mapping[str, Any], when: str) -> None:
    path = messages.escape_markdown(messages.display_path(Path(made["path"])))
    size = messages.format_size(made["size"])
    words = text("care_backed_up", when=when, path=path, size=size)
    if made["left_out"]:
        left = messages.format_size(made["left_out_bytes"])
        words += " " + plural_text("care_left_out", made["left_out"], size=left)
    st.success(f"{words} {text('care_copy')}")
