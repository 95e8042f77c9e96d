"""The Knowledge base tab: what the library has in knowledge bases elsewhere."""

from __future__ import annotations

import streamlit as st

from kb.ui import session, show
from kb.ui.texts import text


def render() -> None:
    """Draw the tab."""
    settings = session.service().settings
    st.markdown(f"**{text('knowledge_project')}:** `{settings.odin_project_id}`")
    if settings.odin_api_key.get_secret_value() and settings.odin_api_secret.get_secret_value():
        st.success(text("knowledge_ready"))
    else:
        show.trouble(text("knowledge_no_key"), text("knowledge_no_key_hint"), severe=False)
