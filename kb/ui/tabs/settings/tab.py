"""The Settings tab: general, keys, subscriptions, machine, models, health, advanced, log, about."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from kb.ui.i18n import text
from kb.ui.session import SETTINGS_PART
from kb.ui.tabs.gpu import tab as machine
from kb.ui.tabs.settings import about, defaults, general, health, keys, models, subscriptions

PARTS: dict[str, Callable[[], None]] = {
    "general": general.render,
    "keys": keys.render,
    "follow": subscriptions.render,
    "machine": machine.render,
    "models": models.render,
    "health": health.render,
    "defaults": defaults.render,
    "log": about.log,
    "about": about.render,
}


def render() -> None:
    """Draw the tab."""
    if st.session_state.get(SETTINGS_PART) not in PARTS:  # from a link that names no part
        st.session_state.pop(SETTINGS_PART, None)
    chosen = st.segmented_control(
        text("settings_part"),
        list(PARTS),
        default="general",
        required=True,
        format_func=lambda part: text(f"part_{part}"),
        key=SETTINGS_PART,
        label_visibility="collapsed",
        persist_state="session",
    )
    PARTS[str(chosen or "general")]()
