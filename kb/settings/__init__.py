"""Settings, from the environment and `.env`."""

from __future__ import annotations

from kb.settings.process_environment import LIBRARY_ENVIRONMENT, python_command
from kb.settings.settings import (
    PROJECT_ROOT,
    Settings,
    current_sources,
    env_folder,
    get_settings,
    origin,
    tolerant_settings,
    tolerated_mistakes,
)
from kb.storage.bundled import BUNDLED

__all__ = [
    "BUNDLED",
    "LIBRARY_ENVIRONMENT",
    "PROJECT_ROOT",
    "Settings",
    "current_sources",
    "env_folder",
    "get_settings",
    "origin",
    "python_command",
    "tolerant_settings",
    "tolerated_mistakes",
]
