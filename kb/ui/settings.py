"""The Settings tab: keys, defaults, subscriptions, health, log, about."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from kb.ui import settings_about, settings_defaults, settings_follow, settings_health, settings_keys
from kb.ui.texts import text

PART = "part"
PARTS: dict[str, Callable[[], None]] = {
    "keys": settings_keys.render,
    "defaults": settings_defaults.render,
    "follow": settings_follow.render,
    "health": settings_health.render,
    "log": settings_about.log,
    "about": settings_about.render,
}


def render() -> None:
    """Draw the tab."""
    chosen = st.segmented_control(
        text("settings_part"),
        list(PARTS),
        default="keys",
        required=True,
        format_func=lambda part: text(f"part_{part}"),
        key=PART,
        label_visibility="collapsed",
        persist_state="session",
    )
    PARTS[str(chosen or "keys")]()
