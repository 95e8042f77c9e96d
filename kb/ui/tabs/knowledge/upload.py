"""Upload of other files to the project, unchanged: dropped ones, or those of a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from kb.errors import KBError, restored
from kb.options import parse_metadata
from kb.service.tasks import Task
from kb.ui import session
from kb.ui.i18n import error_messages, format_number, plural_text, text
from kb.ui.widgets import messages, task_progress
from kb.ui.widgets.dropzone import clear, dropzone
from kb.ui.widgets.read_list import read_list
from kb.ui.widgets.rows import Cell, Column

_FOLDER, _META, _FLASH_KEY = "upload_folder", "upload_meta", "upload"
_ZONE = "upload-files"
_MAX_FILES_CHECKED = 2_000  # files: a search of a whole disk must not delay the page


def render() -> None:
    """Draw the form, the progress of the upload and its result."""
    st.markdown(f"#### {text('knowledge_upload')}")
    st.caption(text("knowledge_upload_help"))
    left, right = st.columns([3, 2])
    with left:
        dropped = dropzone(_ZONE, "knowledge_drop")
        folder = st.text_input(
            text("knowledge_folder"),
            key=_FOLDER,
            placeholder=text("knowledge_folder_placeholder"),
            persist_state="session",
        )
        ready = bool(dropped) or _scan_folder(str(folder or ""))
    with right:
        st.text_area(text("knowledge_meta"), key=_META, height=80, persist_state="session")
    messages.show_flash(_FLASH_KEY)
    st.button(
        text("knowledge_send_files"),
        key="upload",
        on_click=_upload,
        args=([path.parent.name for path in dropped],),
        disabled=not ready or task_progress.running("upload"),
    )
    task = task_progress.task_status("upload")
    if task is not None and task.state == "done":
        _upload_result(task)


def _scan_folder(folder: str) -> bool:
    """Show the files that would be sent; return whether there are any."""
    if not folder.strip():
        return False
    publisher = session.service().publisher
    place = Path(folder.strip()).expanduser()
    if not publisher.may_read(place):
        st.warning(text("knowledge_folder_refused"))
        return False
    try:
        if not place.exists():
            st.warning(text("knowledge_no_folder"))
            return False
        files = publisher.files_in(place)
        sizes = [file.stat().st_size for file in files[:_MAX_FILES_CHECKED]]
    except OSError as error:
        st.warning(messages.escape_markdown(error.strerror or str(error)))
        return False
    if not files:
        st.warning(text("knowledge_no_files"))
        return False
    st.caption(plural_text("knowledge_files", len(files), size=messages.format_size(sum(sizes))))
    large = sum(size > publisher.file_limit_bytes for size in sizes)
    if large:
        st.warning(text("knowledge_too_large", count=format_number(large)))
    return True


def _upload(dropped: list[str]) -> None:
    try:
        lines = str(st.session_state.get(_META) or "").splitlines()
        metadata = parse_metadata(line for line in lines if line.strip())
    except KBError as error:
        messages.flash_error(_FLASH_KEY, error)
        return
    folder = str(st.session_state.get(_FOLDER) or "").strip()
    messages.clear_flash(_FLASH_KEY)
    if dropped:
        values = {"uploads": dropped, "folder": "", "metadata": metadata}
        if task_progress.start("upload", values):
            clear(_ZONE)
        return
    if not session.service().publisher.may_read(Path(folder).expanduser()):
        return
    task_progress.start("upload", {"folder": folder, "metadata": metadata})


def _upload_result(task: Task) -> None:
    files = task.result["files"]
    failed = [file for file in files if file["error"]]
    words = text(
        "knowledge_uploaded",
        when=messages.format_datetime(task.ended_at),
        done=format_number(len(files) - len(failed)),
        failed=format_number(len(failed)),
    )
    (st.warning if failed else st.success)(words)
    errors = [_file_error(file) for file in files]
    read_list(
        "uploaded",
        [
            Column("file", text("knowledge_file"), "minmax(10rem, 2fr)"),
            Column("state", text("knowledge_state"), "minmax(7rem, 1fr)"),
            Column("error", text("knowledge_column_error"), "minmax(8rem, 3fr)", minor=True),
        ],
        [
            {
                "file": Path(file["path"]).name,
                "state": Cell(messages.published(file["status"]), "bad" if error else ""),
                "error": error,
            }
            for file, error in zip(files, errors, strict=True)
        ],
        label=text("knowledge_files_alt"),
        texts=errors,
    )


def _file_error(file: Mapping[str, Any]) -> str:
    error = restored(file["error"], file["hint"], file.get("problem"))
    return " ".join(filter(None, error_messages.translate_error(error)))
