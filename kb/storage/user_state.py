"""The folder of this user's state, which all libraries on this machine share."""

from __future__ import annotations

from pathlib import Path

import platformdirs


def user_folder() -> Path:
    """Return the folder of this user's state; it is not made."""
    return platformdirs.user_state_path("kb-ingest", appauthor=False)
