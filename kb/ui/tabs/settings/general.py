"""The ten settings that are changed most often, in plain language; the others are in Advanced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from kb.settings import Settings, env_file
from kb.ui import access, session
from kb.ui.i18n import text
from kb.ui.tabs.settings import written_to
from kb.ui.tabs.settings.defaults import env_value
from kb.ui.widgets import messages

_FLASH_KEY = "general"


@dataclass(frozen=True, slots=True)
class Plain:
    """A setting by the name of its field, and how it is entered.

    `choices` are the values of a choice; each has a text `plain_NAME_VALUE`.
    """

    name: str
    kind: Literal["percent", "number", "choice", "switch", "sinks", "text"]
    choices: tuple[str, ...] = ()


PLAIN = (
    Plain("hold_below", "percent"),
    Plain("hold_errors", "percent"),
    Plain("sinks", "sinks"),
    Plain("keep", "choice", ("audio", "mp3", "mp4")),
    Plain("steps", "choice", ("auto", "none")),
    Plain("voice_profiles", "switch"),
    Plain("min_free_gb", "number"),
    Plain("run_email", "text"),
    Plain("digest", "choice", ("off", "day", "week")),
    Plain("public_url", "text"),
)


def render() -> None:
    """Draw the part."""
    messages.show_flash(_FLASH_KEY)
    settings = session.service().settings
    with st.form("general", border=False):
        columns = st.columns(2, gap="large")
        for place, plain in enumerate(PLAIN):
            with columns[place % 2]:
                _field(settings, plain)
        st.form_submit_button(
            text("defaults_save"), type="primary", on_click=_save, key="save-general"
        )
    written_to.name_files("general_help")


def is_fixed(name: str) -> bool:
    """Return True if the page cannot change a setting, by the name of its field."""
    alias = str(Settings.model_fields[name].alias)
    return env_file.from_environment(alias) or not access.may_change(name)


def _field(settings: Settings, plain: Plain) -> None:
    name, value = plain.name, getattr(settings, plain.name)
    label, key, fixed = text(f"plain_{name}"), _key(settings, name), is_fixed(name)
    if fixed:
        # One kind of field for all values: the labels of other kinds are too pale when disabled.
        st.text_input(
            label, value=env_value(value), key=key, disabled=True, help=text("sidebar_fixed")
        )
    elif plain.kind == "percent":
        st.number_input(label, 0.0, 100.0, round(100 * value, 2), 1.0, "%g", key=key)
    elif plain.kind == "number":
        st.number_input(label, value=float(value), step=1.0, format="%g", key=key)
    elif plain.kind == "switch":
        st.checkbox(label, value=value, key=key)
    elif plain.kind == "sinks":
        names = session.service().ingest.sink_names()
        chosen = [sink for sink in settings.sink_names if sink in names]
        st.multiselect(
            label, names, default=chosen, format_func=_labelling("option_sinks", names), key=key
        )
    elif plain.kind == "choice":
        names = tuple(dict.fromkeys((*plain.choices, str(value))))
        st.selectbox(
            label, names, index=names.index(str(value)), key=key,
            format_func=_labelling(f"plain_{name}", plain.choices),
        )  # fmt: skip
    else:
        st.text_input(label, value=str(value), key=key)
    alias = messages.escape_markdown(str(Settings.model_fields[name].alias))
    st.caption(f"{text(f'plain_{name}_help')} ({alias})")


def _labelling(prefix: str, names: tuple[str, ...]) -> Callable[[str], str]:
    # Made here: Streamlit also asks for labels where the visitor's language is not known.
    labels = {name: text(f"{prefix}_{name}") for name in names}
    return lambda name: labels.get(name, name)


def _key(settings: Settings, name: str) -> str:
    # After a change elsewhere the field must show the new value: it gets another key.
    return f"plain-{name}-{env_value(getattr(settings, name))}"


def _save() -> None:
    settings = session.service().settings
    changes: dict[str, str] = {}
    for plain in PLAIN:
        entered = st.session_state.get(_key(settings, plain.name))
        if entered is None or is_fixed(plain.name):
            continue
        current = env_value(getattr(settings, plain.name))
        if plain.kind == "percent":
            new_value = env_value(round(float(entered) / 100, 6))
        elif isinstance(entered, list):
            new_value = ",".join(entered)
        else:
            new_value = env_value(entered).strip()
        if new_value != current:
            changes[str(Settings.model_fields[plain.name].alias)] = new_value
    written_to.write(changes, _FLASH_KEY)
