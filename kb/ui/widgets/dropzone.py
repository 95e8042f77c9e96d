"""A drop zone for files; the browser sends them to the upload route one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from kb.service import uploads
from kb.ui import session
from kb.ui.i18n import text
from kb.ui.web import server
from kb.ui.widgets.scripts import read_script, sent

_HTML = """
<div class="kb">
  <div class="zone">
    <span class="words"></span>
    <button type="button" class="pick" hidden></button>
    <input type="file" multiple hidden aria-hidden="true" tabindex="-1">
  </div>
  <ol class="list" aria-live="polite"></ol>
</div>
"""
_HERE = Path(__file__).parent
_ROUND = "upload_round"
KEY = "dropzone"

_mount = st.components.v2.component(
    "kb_dropzone",
    html=_HTML,
    css=(_HERE / "dropzone.css").read_text("utf-8"),
    js=read_script("dropzone.js"),
)


def dropzone(name: str = KEY, drop: str = "upload") -> list[Path]:
    """Draw the drop zone of this name; return its files since it was emptied.

    `drop` is the key of the text in it.
    """
    result = _mount(
        key=f"{name}-{_round(name)}",
        data=sent(
            {
                "round": _round(name),
                "address": server.upload_url(),
                "texts": {
                    "drop": text(drop),
                    "pick": text("upload_pick"),
                    "waits": text("upload_waits"),
                    "remove": text("upload_remove"),
                    "failed": text("upload_failed"),
                    "full": text("upload_full"),
                    "large": text("upload_large"),
                    "busy": text("upload_busy"),
                },
            }
        ),
        default={"files": []},
        on_files_change=lambda: None,
    )
    home = session.service().settings.home
    uploaded: list[dict[str, Any]] = result.files or []
    found = [uploads.path_of(home, str(each.get("id", ""))) for each in uploaded]
    return [path for path in found if path is not None]


def clear(name: str = KEY) -> None:
    """Empty the list of files. For callbacks."""
    st.session_state[_round_key(name)] = _round(name) + 1


def _round(name: str) -> int:
    return int(st.session_state.get(_round_key(name), 0))


def _round_key(name: str) -> str:
    return _ROUND if name == KEY else f"{_ROUND}_{name}"
