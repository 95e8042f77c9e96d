"""Other files of a folder on their way to the project, as they are."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from kb.errors import KBError, UsageError
from kb.service.tasks import Task
from kb.ui.i18n import counted, number, text
from kb.ui.widgets import messages, task_progress

_FOLDER, _META, _PLACE = "upload_folder", "upload_meta", "upload"
_LOOK_AT = 2_000  # files: a look at a whole disk must not hold the page up


def render() -> None:
    """Draw the form, how it goes and what came of it."""
    st.markdown(f"##### {text('knowledge_upload')}")
    st.caption(text("knowledge_upload_help"))
    left, right = st.columns([3, 2])
    with left:
        folder = st.text_input(
            text("knowledge_folder"),
            key=_FOLDER,
            placeholder=text("knowledge_folder_placeholder"),
            persist_state="session",
        )
        ready = _look(str(folder or ""))
    with right:
        st.text_area(text("knowledge_meta"), key=_META, height=80, persist_state="session")
    messages.news(_PLACE)
    st.button(
        text("knowledge_send_files"),
        key="upload",
        on_click=_upload,
        disabled=not ready or task_progress.running("upload"),
    )
    task = task_progress.told("upload")
    if task is not None and task.state == "done":
        _uploaded(task)


def _look(folder: str) -> bool:
    """Says what would be sent; whether there is anything."""
    if not folder.strip():
        return False
    # Here and not above: they load a web client, for which the first page need not wait.
    from kb.sinks.odin.client import FILE_LIMIT_BYTES
    from kb.sinks.odin.file_upload import files_in

    place = Path(folder.strip()).expanduser()
    try:
        if not place.exists():
            st.warning(text("knowledge_no_folder"))
            return False
        files = files_in(place) if place.is_dir() else [place]
        sizes = [file.stat().st_size for file in files[:_LOOK_AT]]
    except OSError as error:
        st.warning(messages.plain(error.strerror or str(error)))
        return False
    if not files:
        st.warning(text("knowledge_no_files"))
        return False
    st.caption(counted("knowledge_files", len(files), size=messages.size(sum(sizes))))
    large = sum(size > FILE_LIMIT_BYTES for size in sizes)
    if large:
        st.warning(text("knowledge_too_large", count=number(large)))
    return True


def _upload() -> None:
    try:
        metadata = metadata_of(str(st.session_state.get(_META) or ""))
    except KBError as error:
        messages.complain(_PLACE, error)
        return
    folder = str(st.session_state.get(_FOLDER) or "").strip()
    messages.forget(_PLACE)
    task_progress.start("upload", {"folder": folder, "metadata": metadata})


def metadata_of(lines: str) -> dict[str, str]:
    """Own metadata from lines of `key=value`. Raises UsageError naming the line."""
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, lines.splitlines())):
        key, sign, value = line.partition("=")
        if not sign or not key.strip():
            raise UsageError(
                text("knowledge_meta_wrong", line=repr(line)), hint=text("knowledge_meta_hint")
            )
        found[key.strip()] = value.strip()
    return found


def _uploaded(task: Task) -> None:
    files = task.result["files"]
    failed = [file for file in files if file["error"]]
    words = text(
        "knowledge_uploaded",
        when=messages.moment(task.ended_at),
        done=number(len(files) - len(failed)),
        failed=number(len(failed)),
    )
    (st.warning if failed else st.success)(words)
    st.dataframe(
        {
            "file": [Path(file["path"]).name for file in files],
            "state": [messages.published(file["status"]) for file in files],
            "error": [" ".join(filter(None, (file["error"], file["hint"]))) for file in files],
        },
        hide_index=True,
        key="uploaded",
        height=min(38 + 35 * len(files), 300),
        column_config={
            "file": st.column_config.TextColumn(text("knowledge_file"), width="large"),
            "state": st.column_config.TextColumn(text("knowledge_state")),
            "error": st.column_config.TextColumn(text("knowledge_column_error"), width="large"),
        },
        alt=text("knowledge_files_alt"),
    )
