"""The Settings tab: keys, defaults, subscriptions, health, log, about."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from kb.ui.i18n import text
from kb.ui.tabs.settings import about, defaults, health, keys, subscriptions

PART = "part"
PARTS: dict[str, Callable[[], None]] = {
    "keys": keys.render,
    "defaults": defaults.render,
    "follow": subscriptions.render,
    "health": health.render,
    "log": about.log,
    "about": about.render,
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
