"""The file that the Settings tab writes, and the one that is read beside it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from kb.settings import env_file
from kb.ui.i18n import text
from kb.ui.widgets import messages


def name_files(key: str) -> None:
    """Draw the text `key` with the file that is written, and name the current folder's `.env`."""
    if env_file.is_off():
        st.caption(text("env_off"))
        return
    st.caption(text(key, path=_shown(env_file.env_file())))
    other = env_file.untrusted_file()
    if other is not None:
        names = ", ".join(sorted(env_file.SAFE_NAMES))
        st.caption(text("env_other", path=_shown(other), names=messages.escape_markdown(names)))


def _shown(path: Path) -> str:
    return messages.escape_markdown(messages.display_path(path))
