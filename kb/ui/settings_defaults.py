"""Every setting that is no secret, grouped, written to `.env` when it was changed."""

from __future__ import annotations

from typing import Literal, get_args, get_origin

import streamlit as st
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from kb import env_file
from kb.errors import KBError
from kb.settings import Settings
from kb.sinks import SINKS
from kb.ui import session, show
from kb.ui.texts import text

_PLACE = "defaults"

# Groups by what the settings' names begin with; what is in none comes last by itself.
_GROUPS: dict[str, tuple[str, ...]] = {
    "group_library": (
        *("KB_HOME", "KB_PRESET", "KB_MODEL", "KB_ENGINE", "KB_LANGUAGE", "KB_SINKS"),
        *("KB_HOLD_BELOW", "KB_EMBEDDING_MODEL", "KB_NORMALIZE_LOUDNESS"),
    ),
    "group_download": (
        *("KB_KEEP", "KB_CAPTIONS", "KB_THUMBNAIL", "KB_COOKIES", "KB_DOWNLOAD", "KB_LISTING"),
        *("KB_PREFETCH", "YT_"),
    ),
    "group_odin": ("ODIN_", "KB_FOLDER_SINK"),
    "group_machine": (
        *("KB_DEVICE", "KB_CPU_THREADS", "KB_EXECUTOR_ID", "KB_IN_FLIGHT", "KB_WORKER"),
        *("KB_KEEP_RECORDS", "KB_LOG"),
    ),
}
_MORE = "group_more"


def render() -> None:
    """Draw the part."""
    place = show.plain(show.folder(env_file.env_file()))
    st.caption(text("defaults_help", path=place))
    show.news(_PLACE)
    settings = session.service().settings
    for group, names in grouped().items():
        with st.expander(text(group), expanded=group == "group_library", key=f"open-{group}"):
            _group(settings, group, names)


def grouped() -> dict[str, list[str]]:
    """Names of the settings' fields by group; secrets are in none."""
    found: dict[str, list[str]] = {group: [] for group in (*_GROUPS, _MORE)}
    for name, field in Settings.model_fields.items():
        if not _secret(field):
            found[group_of(str(field.alias))].append(name)
    return {group: names for group, names in found.items() if names}


def group_of(alias: str) -> str:
    """The group of a setting: the one that names the longest beginning of its name."""
    fits = [
        (len(start), group)
        for group, starts in _GROUPS.items()
        for start in starts
        if alias.startswith(start)
    ]
    return max(fits)[1] if fits else _MORE


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
    fixed = env_file.from_environment(alias)
    words = str(field.description)
    if fixed:
        words += f"\n\n{text('defaults_fixed')}"
    key, choices = _key(name, value), _choices(name, field)
    if fixed:
        # One kind of field for all: of the others, the labels are too pale when they are off.
        st.text_input(alias, value=written(value), key=key, help=words, disabled=True)
    elif isinstance(value, bool):
        st.checkbox(alias, value=value, key=key, help=words)
    elif name == "sinks":
        st.multiselect(
            alias, list(SINKS), default=[s for s in settings.sink_names if s in SINKS],
            key=key, help=words,
        )  # fmt: skip
    elif choices:
        known = list(dict.fromkeys([*choices, str(value)]))
        st.selectbox(alias, known, index=known.index(str(value)), key=key, help=words)
    else:
        default = written(field.get_default(call_default_factory=True))
        st.text_input(
            alias,
            value=written(value),
            key=key,
            help=words,
            placeholder=text("defaults_default", value=default) if default else None,
        )


def _key(name: str, value: object) -> str:
    # Written by somebody else meanwhile, a field must show the new value: another key.
    return f"setting-{name}-{written(value)}"


def _choices(name: str, field: FieldInfo) -> list[str]:
    if name == "preset":
        try:
            return list(session.service().presets())
        except KBError:
            return []
    if get_origin(field.annotation) is Literal:
        return [str(choice) for choice in get_args(field.annotation)]
    return []


def written(value: object) -> str:
    """A value as it stands in `.env`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _save(names: list[str]) -> None:
    settings = session.service().settings
    changes: dict[str, str] = {}
    for name in names:
        before = getattr(settings, name)
        given = st.session_state.get(_key(name, before))
        alias = str(Settings.model_fields[name].alias)
        if given is None or env_file.from_environment(alias):
            continue
        wanted = ",".join(given) if isinstance(given, list) else written(given).strip()
        if wanted != written(before):
            changes[alias] = wanted
    if not changes:
        show.tell(_PLACE, text("defaults_unchanged"))
        return
    try:
        env_file.change(changes)
    except KBError as error:
        show.complain(_PLACE, error)
        return
    show.tell(_PLACE, text("defaults_saved", names=", ".join(f"`{a}`" for a in changes)))
