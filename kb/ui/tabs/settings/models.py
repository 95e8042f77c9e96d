"""The recognizers: sizes, what is on this disk, fetches; and parts of the steps."""

from __future__ import annotations

import re

import streamlit as st

from kb.errors import KBError, restored
from kb.service.views import FetchState, ModelFacts
from kb.ui import session
from kb.ui.i18n import plural_text, text
from kb.ui.tabs.settings import step_parts
from kb.ui.widgets import messages
from kb.ui.widgets.asked_button import asked_button
from kb.ui.widgets.fetches import show_fetches, start_fetch

REFRESH_S = 2.0  # while something is fetched
_PLACE = "models"
_HERE = ("ready", "unverified", "damaged", "refused")
_COLORS = {"ready": "green", "unverified": "green", "damaged": "red", "refused": "red"}


def render() -> None:
    """Draw the list."""
    try:
        running = any(state.is_running for state in session.service().models.fetches())
    except KBError as error:
        messages.error(error)
        return
    st.fragment(_draw, run_every=REFRESH_S if running else None)(running)
    step_parts.render()


def _draw(was_running: bool) -> None:
    models = session.service().models
    try:
        found, fetches = models.list(), models.fetches()
        room, (folder, free) = models.memory_room(), models.disk_room()
    except KBError as error:
        messages.error(error)
        return
    if session.redraw_requested() or was_running != any(each.is_running for each in fetches):
        st.rerun()  # the interval of the fragment changes
    st.markdown(f"#### {text('models')}")
    memory = messages.format_size(room.budget_bytes) if room.budget_bytes else ""
    st.caption(
        text(
            "models_about", memory=memory or text("models_unknown_memory"), device=room.device,
            folder=messages.escape_markdown(folder), free=messages.format_size(free),
        )
    )  # fmt: skip
    shared = session.service().settings.shared
    if shared:
        st.caption(text("models_operator"))
    else:
        show_fetches(fetches)
    messages.show_flash(_PLACE)
    states = {state.name: state for state in fetches}
    for model in found:
        _row(model, states.get(model.repository), shared=shared)


def _row(model: ModelFacts, fetch: FetchState | None, *, shared: bool) -> None:
    key = re.sub(r"\W+", "-", model.name)
    with st.container(border=True, key=f"model-{key}", gap="xxsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            name = f"**{messages.escape_markdown(model.name)}**"
            if model.default:
                name += f" :blue-badge[{text('models_default')}]"
            st.markdown(f"{name}  \n:gray[{_about(model)}]", width="stretch")
            if fetch is None:
                st.markdown(_state(model), width="content")
                if not shared:
                    _button(model, key)
        if model.problem:
            problem = model.problem
            shown = restored(
                problem.get("error", ""), problem.get("hint", ""), problem.get("problem")
            )
            messages.error(shown, severe=False)


def _about(model: ModelFacts) -> str:
    """Return engine, languages, size and memory, as Markdown."""
    parts = [model.engine]
    if model.languages:
        parts.append(plural_text("models_languages", model.languages))
    if model.disk_bytes:
        parts.append(text("models_on_disk", size=messages.format_size(model.disk_bytes)))
    elif model.download_bytes:
        parts.append(text("models_size", size=messages.format_size(model.download_bytes)))
    if model.memory_bytes:
        parts.append(
            text(
                "models_memory", least=messages.format_size(model.memory_bytes),
                most=messages.format_size(model.memory_bytes_16),
            )
        )  # fmt: skip
    shown = " · ".join(messages.escape_markdown(part) for part in parts if part)
    for fits, key in ((model.fits_memory, "models_no_memory"), (model.fits_disk, "models_no_disk")):
        if not fits:
            shown += f" · :orange[{text(key)}]"
    return shown


def _state(model: ModelFacts) -> str:
    if model.where in ("bundled", "folder") and model.state != "missing":
        return f":gray[{text(f'models_{model.where}')}]"
    color = _COLORS.get(model.state, "gray")
    return f":{color}[{text(f'models_state_{model.state}')}]"


def _button(model: ModelFacts, key: str) -> None:
    if model.where in ("bundled", "folder") or model.state == "missing":
        return
    if model.state in _HERE:
        size = messages.format_size(model.disk_bytes)
        asked_button(
            text("models_remove"),
            text("models_remove_question", name=messages.escape_markdown(model.name), size=size),
            _remove, (model.name,), key=f"model-remove-{key}", about=model.name,
        )  # fmt: skip
        return
    st.button(
        text("models_fetch"), key=f"model-fetch-{key}", on_click=_fetch, args=(model.name,),
        help=text("models_fetch_of", name=messages.escape_markdown(model.name)),
        disabled=not model.fits_disk,
    )  # fmt: skip


def _fetch(name: str) -> None:
    start_fetch([name])
    session.service().audit.record("fetch_model", name=name)
    session.redraw()


def _remove(name: str) -> None:
    service, shown = session.service(), messages.escape_markdown(name)
    try:
        removed = service.models.remove(name)
    except KBError as error:
        messages.flash_error(_PLACE, error)
        return
    service.audit.record("remove_model", name=name)
    key = "models_removed_partly" if removed.left else "models_removed"
    sizes = {
        "size": messages.format_size(removed.removed), "left": messages.format_size(removed.left)
    }  # fmt: skip
    messages.flash(_PLACE, text(key, name=shown, **sizes))
