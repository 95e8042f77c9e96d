"""Advanced: every setting except secrets, by group, with a search; written to `.env`."""

from __future__ import annotations

from typing import Literal, get_args, get_origin

import streamlit as st
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from kb.errors import KBError
from kb.settings import Settings, env_file
from kb.ui import access, session
from kb.ui.i18n import descriptions, has_text, plural_text, text
from kb.ui.tabs.settings import written_to
from kb.ui.widgets import messages

_FLASH_KEY = "defaults"
_FIND = "settings_find"
# The unit of a setting, by the end of its name in `.env`.
_UNITS = {
    "_S": "s", "_MINUTES": "min", "_HOURS": "h", "_DAYS": "d", "_GB": "GB", "_MB": "MB",
    "_BYTES": "bytes", "_C": "°C",
}  # fmt: skip


def render() -> None:
    """Draw the part."""
    written_to.name_files("defaults_help")
    messages.show_flash(_FLASH_KEY)
    settings = session.service().settings
    words = str(
        st.text_input(
            text("settings_find"),
            key=_FIND,
            placeholder=text("settings_find_placeholder"),
            live=True,
        )
        or ""
    )
    found = matching(words)
    if not found:
        st.info(text("settings_find_none", words=messages.escape_markdown(words)))
    for group, names in found.items():
        changed = sum(not _is_default(settings, name) for name in names)
        label = text(f"group_{group}")
        if changed:
            label += " · " + plural_text("settings_changed", changed)
        # Another key while something is searched: an expander keeps its state by its key.
        key = f"found-{group}" if words.strip() else f"open-{group}"
        with st.expander(label, expanded=bool(words.strip()), key=key):
            _group(settings, group, names)


def matching(words: str) -> dict[str, list[str]]:
    """Return the names of the settings that have all these words, by group."""
    wanted = words.casefold().split()
    found = {
        group: [name for name in names if all(word in _searched(group, name) for word in wanted)]
        for group, names in grouped().items()
    }
    return {group: names for group, names in found.items() if names}


def _searched(group: str, name: str) -> str:
    field = Settings.model_fields[name]
    plain = text(f"plain_{name}") if has_text(f"plain_{name}") else ""
    about = descriptions.description(name)
    return f"{text(f'group_{group}')} {field.alias} {about} {plain}".casefold()


def _is_default(settings: Settings, name: str) -> bool:
    field = Settings.model_fields[name]
    return bool(getattr(settings, name) == field.get_default(call_default_factory=True))


def unit_of(alias: str) -> str:
    """Return the unit of a setting; empty for none."""
    return next((unit for end, unit in _UNITS.items() if alias.endswith(end)), "")


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
    words = None
    if fixed:
        words = text("defaults_fixed" if access.may_change(name) else "defaults_machine")
    label = f"{alias} ({unit})" if (unit := unit_of(alias)) else alias
    key, choices = _key(name, value), _choices(name, field)
    if fixed:
        # One kind of field for all values: the labels of other kinds are too pale when disabled.
        st.text_input(label, value=env_value(value), key=key, help=words, disabled=True)
    elif isinstance(value, bool):
        st.checkbox(label, value=value, key=key)
    elif name == "sinks":
        sinks = session.service().ingest.sink_names()
        st.multiselect(
            label, sinks, default=[s for s in settings.sink_names if s in sinks], key=key,
        )  # fmt: skip
    elif choices:
        known = list(dict.fromkeys([*choices, str(value)]))
        st.selectbox(label, known, index=known.index(str(value)), key=key)
    else:
        st.text_input(label, value=env_value(value), key=key)
    _about(settings, name, field)


def _about(settings: Settings, name: str, field: FieldInfo) -> None:
    """Draw what a setting does and its default, marked where another value is in force."""
    default = env_value(field.get_default(call_default_factory=True)) or text("settings_empty")
    same = _is_default(settings, name)
    words = messages.escape_markdown(descriptions.description(name))
    shown = messages.escape_markdown(default)
    said = text("settings_default" if same else "settings_not_default", value=shown)
    st.caption(f"{words} {said}")


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
    written_to.write(changes, _FLASH_KEY)
