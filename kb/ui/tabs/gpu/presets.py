"""The preset editor: figures in a form, or the whole file as text; errors name their line."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from kb.errors import KBError, SettingsError
from kb.service.views import FIGURES, RANGES, Preset
from kb.ui import session
from kb.ui.i18n import format_number, text
from kb.ui.widgets import messages
from kb.ui.widgets.asked_button import asked_button

_CHOICE, _CREATED, _FLASH_KEY = "preset_edit", "preset_made", "presets"
_TEXT = "preset_text"
_NEW = ""
# The fields accept more than the valid range: an error message names an invalid value, which a
# field would hide.
_STEPS: dict[str, int | float] = {
    "batch_size": 1, "chunk_s": 1.0, "overlap_s": 0.5, "workers": 1, "vram_budget_gb": 0.5,
}  # fmt: skip


def render() -> None:
    """Draw the editor."""
    st.markdown(f"#### {text('gpu_presets')}")
    service = session.service()
    held_by = service.presets.file
    path = service.presets.target
    key = "gpu_presets_file" if held_by == path else "gpu_presets_bundled"
    st.caption(text(key, path=messages.escape_markdown(messages.display_path(path))))
    messages.show_flash(_FLASH_KEY)
    try:
        content = service.presets.read_text()
    except KBError as error:
        messages.error(error)
        return
    try:
        presets = service.presets.check(content)
    except KBError as error:
        messages.error(error)  # the text editor below allows the correction
    else:
        _form(presets, content)
    _text_editor(content)


def _form(presets: Mapping[str, Preset], content: str) -> None:
    created = st.session_state.pop(_CREATED, None)
    if created in presets:
        st.session_state[_CHOICE] = created
    elif st.session_state.get(_CHOICE, _NEW) not in (*presets, _NEW):
        st.session_state.pop(_CHOICE, None)
    chosen = st.selectbox(
        text("gpu_preset_choose"),
        [*presets, _NEW],
        format_func=lambda name: presets[name].label if name else text("gpu_preset_new"),
        key=_CHOICE,
        persist_state="session",
    )
    shown = presets.get(str(chosen)) or _new_preset(presets)
    # Another preset has other figures: its fields have other keys.
    mark = f"{chosen}-{abs(hash(shown))}"
    with st.form(f"preset-{mark}", border=True):
        name = st.text_input(
            text("gpu_preset_name"),
            value=str(chosen),
            help=text("gpu_preset_name_help"),
            disabled=bool(chosen),
            key=f"preset-name-{mark}",
        )
        label = st.text_input(
            text("gpu_preset_label"),
            value=shown.label if chosen else "",
            key=f"preset-label-{mark}",
        )
        values = _fields(shown, mark)
        saved = st.form_submit_button(text("gpu_preset_save"), type="primary")
    if chosen:
        name_shown = messages.escape_markdown(str(chosen))
        asked_button(
            text("gpu_preset_remove"), text("gpu_preset_remove_sure", name=name_shown), _remove,
            (str(chosen), content), key="preset-remove", yes=text("gpu_preset_remove"),
        )  # fmt: skip
    if saved:
        known = "" if chosen else next((n for n in presets if n == str(name).strip()), "")
        _save(str(name).strip(), {"label": label, **values}, content, existing=known)


def _new_preset(presets: Mapping[str, Preset]) -> Preset:
    """Return the initial figures of a new preset: those of the preset in force."""
    try:
        service = session.service()
        return service.presets.find(service.settings.preset, presets)
    except KBError:
        return next(iter(presets.values()))


def _fields(shown: Preset, mark: str) -> dict[str, object]:
    values: dict[str, object] = {}
    places = [*st.columns(3), *st.columns(3)]
    for place, key in zip(places, FIGURES, strict=True):
        with place:
            if key == "timestamps":
                values[key] = st.selectbox(
                    text("gpu_preset_timestamps"),
                    ("segment", "word"),
                    index=("segment", "word").index(shown.timestamps),
                    format_func=lambda name: text(f"gpu_preset_timestamps_{name}"),
                    key=f"preset-{key}-{mark}",
                )
                continue
            low, high = (_format_limit(limit) for limit in (RANGES[key].low, RANGES[key].high))
            values[key] = st.number_input(
                text(f"gpu_preset_{key}"),
                value=getattr(shown, key),
                step=_STEPS[key],
                format="%d" if isinstance(_STEPS[key], int) else "%g",
                help=text(f"gpu_preset_{key}_help", low=low, high=high),
                key=f"preset-{key}-{mark}",
            )
    return values


def _format_limit(limit: float) -> str:
    return format_number(limit, 0 if float(limit).is_integer() else 1)


def _save(name: str, values: Mapping[str, object], content: str, *, existing: str) -> None:
    try:
        if existing:
            raise SettingsError(
                "page.preset_taken",
                "There is a preset {name} already.",
                hint="Choose it in the list to change it, or take another name.",
                name=existing,
            )
        label = str(values["label"]).strip()
        figures = {key: value for key, value in values.items() if key != "label"}
        preset_values = {"label": label, **figures} if label else figures
        session.service().presets.save(name, preset_values, expected=content)
    except KBError as error:
        messages.flash_error(_FLASH_KEY, error)
        st.rerun()
    st.session_state[_CREATED] = name
    _flash_and_rerun(text("gpu_preset_saved", name=name))


def _remove(name: str, content: str) -> None:
    """Remove a preset; the form shows the one in force afterwards. For callbacks."""
    try:
        service = session.service()
        presets = service.presets.check(content)
        in_force = service.presets.find(service.settings.preset, presets).name
        if in_force == name:
            raise SettingsError(
                "page.preset_in_use",
                "The preset {name} is in force (KB_PRESET).",
                hint="Choose another one first.",
                name=name,
            )
        service.presets.remove(name, expected=content)
    except KBError as error:
        messages.flash_error(_FLASH_KEY, error)
        return
    # The browser keeps the removed name in its field until it is given another one.
    st.session_state[_CHOICE] = in_force
    st.session_state.pop(_TEXT, None)
    messages.flash(_FLASH_KEY, text("gpu_preset_removed", name=name))


def _flash_and_rerun(words: str) -> None:
    messages.flash(_FLASH_KEY, words)
    st.session_state.pop(_TEXT, None)
    st.rerun()


# File as text


def _text_editor(content: str) -> None:
    with (
        st.expander(text("gpu_preset_text"), key="preset-as-text"),
        st.form("preset-text", border=False),
    ):
        st.text_area(
            text("gpu_preset_text_label"),
            value=content,
            key=_TEXT,
            height=420,
            persist_state="session",
        )
        st.form_submit_button(text("gpu_preset_text_save"), on_click=_save_text, args=(content,))


def _save_text(seen: str) -> None:
    presets = session.service().presets
    edited = str(st.session_state.get(_TEXT) or "")
    try:
        text_to_write = edited if edited.endswith("\n") else f"{edited}\n"
        presets.write_text(text_to_write, expected=seen)
    except KBError as error:
        messages.flash_error(_FLASH_KEY, error)
        return
    messages.flash(
        _FLASH_KEY,
        text(
            "gpu_preset_text_saved",
            path=messages.escape_markdown(messages.display_path(presets.target)),
        ),
    )
