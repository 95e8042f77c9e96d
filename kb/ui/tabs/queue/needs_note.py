"""The notes about engines and models that some machine lacks, on the Queue tab."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from kb.service.views import UnmetNeed
from kb.ui.i18n import format_number, text
from kb.ui.widgets import messages


def show_needs(needs: Sequence[UnmetNeed]) -> None:
    """Draw a line for each need: which machines lack it, and which have it."""
    for unmet in needs:
        need = unmet.need
        what = [
            text(key, name=name)
            for key, name in (("need_engine", need.engine), ("need_model", need.model))
            if name
        ]
        said = [
            text(
                "need_waits", what=", ".join(what) or text("need_default"),
                count=format_number(unmet.count),
            )
        ]  # fmt: skip
        if unmet.lacking:
            said.append(text("need_lacking", machines=", ".join(unmet.lacking)))
        if unmet.having:
            said.append(text("need_having", machines=", ".join(unmet.having)))
        else:
            said.append(text("need_nowhere"))
        st.caption(f":orange[!] {messages.escape_markdown(' '.join(said))}")
