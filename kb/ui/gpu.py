"""The GPU tab: the device that recognition runs on."""

from __future__ import annotations

import streamlit as st

from kb.ui import session, show
from kb.ui.texts import text


def render() -> None:
    """Draw the tab."""
    device = session.service().settings.device
    st.markdown(f"**{text('gpu_device')}:** {show.plain(device)} (`KB_DEVICE`)")
