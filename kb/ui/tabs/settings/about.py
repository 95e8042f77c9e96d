"""The end of the logs, the paths of all files, and the versions in use."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata

import streamlit as st

import kb
from kb.errors import KBError
from kb.settings import env_file
from kb.ui import session
from kb.ui.i18n import error_messages, text
from kb.ui.widgets import messages

_WHICH = "log_which"
_LOGS = ("worker", "tasks")
_PACKAGES = (
    *("torch", "transformers", "faster-whisper", "ctranslate2", "onnxruntime", "yt-dlp"),
    *("streamlit", "lancedb", "dbos", "moviepy"),
)


def log() -> None:
    """Draw the end of a log."""
    logs = session.service().logs
    which = st.segmented_control(
        text("log_which"),
        _LOGS,
        default="worker",
        required=True,
        format_func=lambda name: text(f"log_{name}"),
        key=_WHICH,
        label_visibility="collapsed",
    )
    name = str(which or "worker")
    path, lines = logs.path(name), logs.tail(name)
    st.caption(text("log_help", path=messages.escape_markdown(messages.display_path(path))))
    if lines:
        st.code("\n".join(lines), language=None, height=520, wrap_lines=True)
    else:
        st.info(text("log_none"))
    st.button(text("log_again"), key="log-again")


def render() -> None:
    """Draw versions and paths."""
    service = session.service()
    settings = service.settings
    st.markdown(text("about_program", version=kb.__version__))
    st.markdown(f"#### {text('about_folders')}")
    home = settings.home
    free = shutil.disk_usage(home).free if home.exists() else None
    try:
        database = service.queue.database.location
    except KBError as error:
        database = error_messages.translate_error(error).message
    cache = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    rows = [
        ("about_library", messages.display_path(home)),
        ("about_free", messages.format_size(free)),
        ("about_database", database),
        ("about_settings", messages.display_path(env_file.env_file())),
        ("about_presets", messages.display_path(service.presets.file)),
        ("about_keys", messages.display_path(service.keys.file)),
        ("about_logs", messages.display_path(home / "logs")),
        ("about_models", cache),
    ]
    messages.facts([(text(label), value) for label, value in rows])
    st.markdown(f"#### {text('about_versions')}")
    system = f"{platform.python_version()} · {platform.system()} {platform.release()}"
    messages.facts([("Python", system), *((name, _version(name)) for name in _PACKAGES)])


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return text("about_missing")
