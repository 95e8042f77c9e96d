"""Settings, from the environment and `.env`."""

from __future__ import annotations

from kb.settings.example import example_lines
from kb.settings.settings import LIBRARY_ENVIRONMENT, PROJECT_ROOT, Settings, get_settings

__all__ = [
    "LIBRARY_ENVIRONMENT",
    "PROJECT_ROOT",
    "Settings",
    "example_lines",
    "get_settings",
]
