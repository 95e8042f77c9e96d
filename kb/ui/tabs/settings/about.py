"""The end of the logs, where everything lies, and which versions are at work."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import streamlit as st
from pydantic import SecretStr

import kb
from kb.errors import KBError
from kb.settings import Settings, env_file
from kb.sources.keys import key_file
from kb.sources.keys.key_ring import read_keys
from kb.sources.redact import redact
from kb.ui import session
from kb.ui.i18n import error_messages, text
from kb.ui.widgets import messages

_WHICH = "log_which"
_LOGS = {"worker": "worker.log", "tasks": "tasks.log"}
_TAIL_BYTES, _TAIL_LINES = 64_000, 300
_PACKAGES = (
    *("torch", "transformers", "faster-whisper", "ctranslate2", "onnxruntime", "yt-dlp"),
    *("streamlit", "lancedb", "dbos", "moviepy"),
)


def log() -> None:
    """Draw the end of a log."""
    settings = session.service().settings
    which = st.segmented_control(
        text("log_which"),
        list(_LOGS),
        default="worker",
        required=True,
        format_func=lambda name: text(f"log_{name}"),
        key=_WHICH,
        label_visibility="collapsed",
    )
    path = settings.home / "logs" / _LOGS[str(which or "worker")]
    lines = tail(path, secrets_of(settings))
    st.caption(text("log_help", path=messages.escape_markdown(messages.display_path(path))))
    if lines:
        st.code("\n".join(lines), language=None, height=520, wrap_lines=True)
    else:
        st.info(text("log_none"))
    st.button(text("log_again"), key="log-again")


def tail(path: Path, secrets: Iterable[str]) -> list[str]:
    """The last lines of a log, without secrets; none when there is no such file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    hidden = tuple(secrets)
    if size > _TAIL_BYTES:
        lines = lines[1:]  # begins somewhere in a line, perhaps in the middle of a secret
    return [_indentation(line) + redact(line, hidden) for line in lines[-_TAIL_LINES:]]


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" "))]


def secrets_of(settings: Settings) -> list[str]:
    """Every secret that this program knows, for scrubbing."""
    values = [getattr(settings, name) for name in Settings.model_fields]
    found = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    with suppress(KBError):  # a file of keys that cannot be read has told nobody anything
        found += [key.secret for key in read_keys(settings)]
    return [secret for secret in found if secret]


def render() -> None:
    """Draw versions and places."""
    service = session.service()
    settings = service.settings
    st.markdown(text("about_program", version=kb.__version__))
    st.markdown(f"##### {text('about_folders')}")
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
        ("about_presets", messages.display_path(service.presets.path)),
        ("about_keys", messages.display_path(key_file.key_file_path(settings))),
        ("about_logs", messages.display_path(home / "logs")),
        ("about_models", cache),
    ]
    messages.facts([(text(label), value) for label, value in rows])
    st.markdown(f"##### {text('about_versions')}")
    system = f"{platform.python_version()} · {platform.system()} {platform.release()}"
    messages.facts([("Python", system), *((name, _version(name)) for name in _PACKAGES)])


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return text("about_missing")
