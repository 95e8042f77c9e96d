"""The file that the Settings tab writes, and the one that is read beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from kb.errors import KBError
from kb.settings import env_file
from kb.ui import session
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


def write(changes: Mapping[str, str], place: str) -> None:
    """Write settings by their names in `.env`; the result is shown at `place`. For callbacks."""
    if not changes:
        messages.flash(place, text("defaults_unchanged"))
        return
    try:
        env_file.change(changes)
        session.service().audit.record("settings", sorted(changes))
    except KBError as error:
        messages.flash_error(place, error)
        return
    messages.flash(place, text("defaults_saved", names=", ".join(f"`{a}`" for a in changes)))
