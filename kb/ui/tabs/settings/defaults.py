"""Every setting except secrets, by group; a changed setting is written to `.env`."""

from __future__ import annotations

from typing import Literal, get_args, get_origin

import streamlit as st
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from kb.errors import KBError
from kb.settings import Settings, env_file
from kb.ui import access, session
from kb.ui.i18n import text
from kb.ui.tabs.settings import written_to
from kb.ui.widgets import messages

_FLASH_KEY = "defaults"
_OPEN = ("library", "recognition")  # groups that are changed most often


def render() -> None:
    """Draw the part."""
    written_to.name_files("defaults_help")
    messages.show_flash(_FLASH_KEY)
    settings = session.service().settings
    for group, names in grouped().items():
        with st.expander(text(f"group_{group}"), expanded=group in _OPEN, key=f"open-{group}"):
            _group(settings, group, names)


def grouped() -> dict[str, list[str]]:
    """Return the names of the settings' fields by group, without secrets."""
    found = {
        group: [name for name, field in fields.items() if not _secret(field)]
        for group, fields in Settings.fields_by_group().items()
    }
    return {group: names for group, names in found.items() if names}


def _secret(field: FieldInfo) -> bool:
    return isinstance(field.get_default(call_default_factory=True), SecretStr)


def _group(settings: Settings, group: str, names: list[str]) -> None:
    with st.form(f"form-{group}", border=False):
        columns = st.columns(2, gap="large")
        for place, name in enumerate(names):
            with columns[place % 2]:
                _field(settings, name)
        st.form_submit_button(
            text("defaults_save"),
            type="primary",
            on_click=_save,
            args=(names,),
            key=f"save-{group}",
        )


def _field(settings: Settings, name: str) -> None:
    field, value = Settings.model_fields[name], getattr(settings, name)
    alias = str(field.alias)
    fixed = env_file.from_environment(alias) or not access.may_change(name)
    words = str(field.description)
    if fixed:
        reason = "defaults_fixed" if access.may_change(name) else "defaults_machine"
        words += f"\n\n{text(reason)}"
    key, choices = _key(name, value), _choices(name, field)
    if fixed:
        # One kind of field for all values: the labels of other kinds are too pale when disabled.
        st.text_input(alias, value=env_value(value), key=key, help=words, disabled=True)
    elif isinstance(value, bool):
        st.checkbox(alias, value=value, key=key, help=words)
    elif name == "sinks":
        sinks = session.service().ingest.sink_names()
        st.multiselect(
            alias, sinks, default=[s for s in settings.sink_names if s in sinks],
            key=key, help=words,
        )  # fmt: skip
    elif choices:
        known = list(dict.fromkeys([*choices, str(value)]))
        st.selectbox(alias, known, index=known.index(str(value)), key=key, help=words)
    else:
        default = env_value(field.get_default(call_default_factory=True))
        st.text_input(
            alias,
            value=env_value(value),
            key=key,
            help=words,
            placeholder=text("defaults_default", value=default) if default else None,
        )


def _key(name: str, value: object) -> str:
    # After a change elsewhere the field must show the new value: it gets another key.
    return f"setting-{name}-{env_value(value)}"


def _choices(name: str, field: FieldInfo) -> list[str]:
    if name == "preset":
        try:
            return list(session.service().presets.all())
        except KBError:
            return []
    if name == "engine":
        return list(session.service().models.engines())
    if get_origin(field.annotation) is Literal:
        return [str(choice) for choice in get_args(field.annotation)]
    return []


def env_value(value: object) -> str:
    """Return a value in the notation of `.env`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _save(names: list[str]) -> None:
    settings = session.service().settings
    changes: dict[str, str] = {}
    for name in names:
        current = getattr(settings, name)
        entered = st.session_state.get(_key(name, current))
        alias = str(Settings.model_fields[name].alias)
        if entered is None or env_file.from_environment(alias) or not access.may_change(name):
            continue
        new_value = ",".join(entered) if isinstance(entered, list) else env_value(entered).strip()
        if new_value != env_value(current):
            changes[alias] = new_value
    if not changes:
        messages.flash(_FLASH_KEY, text("defaults_unchanged"))
        return
    try:
        env_file.change(changes)
        session.service().audit.record("settings", sorted(changes))
    except KBError as error:
        messages.flash_error(_FLASH_KEY, error)
        return
    messages.flash(_FLASH_KEY, text("defaults_saved", names=", ".join(f"`{a}`" for a in changes)))
