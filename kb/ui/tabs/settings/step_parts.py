"""Models of the steps after the transcript: state, size, fetch and removal of each that has it."""

from __future__ import annotations

from collections.abc import Sequence, Set
from pathlib import Path

import streamlit as st

from kb.errors import KBError
from kb.service.enrichment import StepPart
from kb.ui import session
from kb.ui.i18n import error_messages, text
from kb.ui.widgets import messages, task_progress
from kb.ui.widgets.asked_button import asked_button

_TASK = "add_part"
_PLACE = "step-parts"


def render() -> None:
    """Draw a row for each; a shared dashboard leaves fetch and removal to its operator."""
    st.markdown(f"#### {text('parts')}")
    st.caption(text("parts_help"))
    messages.show_flash(_PLACE)
    shared = session.service().settings.shared
    parts = session.service().enrichment.parts()
    for part in parts:
        with st.container(border=True, key=f"part-{part.name}", gap="xxsmall"):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(
                    f"**{messages.escape_markdown(part.model)}**  \n:gray[{_about(part)}]",
                    width="stretch",
                )
                st.markdown(_state(part), width="content")
                if not shared:
                    _button(part, parts)
            if part.problem is not None:
                messages.error(part.problem, severe=False)
    _other_needs({part.step for part in parts})
    task = task_progress.task_status(_TASK)
    if task is not None and task.state == "done":
        place = messages.display_path(Path(task.result["path"]))
        st.success(text("parts_fetched", path=messages.escape_markdown(place)))


def _about(part: StepPart) -> str:
    """Return the step, the size and the package, as Markdown."""
    said = [text("parts_step", step=text(f"step_{part.step}"))]
    if part.disk_bytes:
        said.append(text("models_on_disk", size=messages.format_size(part.disk_bytes)))
    elif part.download_bytes:
        said.append(text("models_size", size=messages.format_size(part.download_bytes)))
    if part.package and part.path is not None:
        said.append(text("parts_package", package=part.package))
    return " · ".join(messages.escape_markdown(each) for each in said)


def _state(part: StepPart) -> str:
    if part.problem is not None and part.path is None:
        return f":red[{text('models_state_missing')}]"
    if part.problem is not None:
        return f":red[{text('models_state_damaged')}]"
    if part.path is not None:
        return f":green[{text('models_state_ready')}]"
    return f":gray[{text('models_state_')}]"


def _button(part: StepPart, parts: Sequence[StepPart]) -> None:
    if part.removable:
        asked_button(
            text("models_remove"),
            _question(part, parts),
            _remove, (part.name, part.model), key=f"part-remove-{part.name}", about=part.name,
        )  # fmt: skip
    elif part.path is None and part.problem is None:
        st.button(
            text("models_fetch"), key=f"part-fetch-{part.name}", on_click=_fetch,
            args=(part.name,),
            help=text("models_fetch_of", name=messages.escape_markdown(part.model)),
            disabled=task_progress.running(_TASK),
        )  # fmt: skip


def _question(part: StepPart, parts: Sequence[StepPart]) -> str:
    """Return the question before a removal, with what carries the step out after it."""
    others = (
        each.model
        for each in parts
        if each.step == part.step and each.name != part.name
        and each.path is not None and each.problem is None
    )  # fmt: skip
    name, other = messages.escape_markdown(part.model), messages.escape_markdown(next(others, ""))
    size = messages.format_size(part.disk_bytes)
    if other:
        return text("parts_remove_question_other", name=name, size=size, other=other)
    return text("parts_remove_question", name=name, size=size)


def _other_needs(named: Set[str]) -> None:
    """Name what steps lack that no row above has (`named`: their steps), with the next step."""
    for each in session.service().enrichment.states():
        if each.lacking is None or not each.part or each.name in named:
            continue
        missing = error_messages.translate_error(each.lacking)
        said = messages.escape_markdown(f"{missing.message} {missing.hint}")
        st.caption(f"**{messages.escape_markdown(text(f'step_{each.name}'))}** · {said}")


def _fetch(part: str) -> None:
    task_progress.start(_TASK, {"name": part})
    session.service().audit.record("fetch_model", name=part)


def _remove(part: str, model: str) -> None:
    service = session.service()
    try:
        removed = service.enrichment.remove_part(part)
    except KBError as error:
        messages.flash_error(_PLACE, error)
        return
    service.audit.record("remove_model", name=part)
    size = messages.format_size(removed)
    messages.flash(_PLACE, text("models_removed", name=messages.escape_markdown(model), size=size))
