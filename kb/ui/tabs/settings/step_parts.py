"""Parts of the steps after the transcript that are not on this machine, each with its fetch."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from kb.ui import session
from kb.ui.i18n import error_messages, page_places, text
from kb.ui.widgets import messages, task_progress

_TASK = "add_part"


def render() -> None:
    """Draw what is missing; a shared dashboard leaves the fetch to its operator.

    What no button here can fetch has its next step instead.
    """
    st.markdown(f"#### {text('parts')}")
    st.caption(text("parts_help"))
    lacking = [each for each in session.service().enrichment.states() if each.part]
    if not lacking:
        st.caption(text("parts_here"))
    for each in lacking:
        if each.lacking is None:
            continue
        with st.container(
            border=True, horizontal=True, vertical_alignment="center", key=f"part-{each.part}"
        ):
            name = messages.escape_markdown(text(f"step_{each.name}"))
            missing = error_messages.translate_error(each.lacking)
            fetched_here = each.part in page_places.PARTS
            said = messages.escape_markdown(
                missing.message if fetched_here else f"{missing.message} {missing.hint}"
            )
            st.markdown(f"**{name}**  \n:gray[{said}]", width="stretch")
            if fetched_here and not session.service().settings.shared:
                st.button(
                    text("models_fetch"), key=f"part-fetch-{each.part}", on_click=_fetch,
                    args=(each.part,), help=text("models_fetch_of", name=name),
                    disabled=task_progress.running(_TASK),
                )  # fmt: skip
    task = task_progress.task_status(_TASK)
    if task is not None and task.state == "done":
        place = messages.display_path(Path(task.result["path"]))
        st.success(text("parts_fetched", path=messages.escape_markdown(place)))


def _fetch(part: str) -> None:
    task_progress.start(_TASK, {"name": part})
