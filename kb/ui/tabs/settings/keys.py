"""Keys and other secrets: their states, adding and removing them; never shown."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from pydantic import SecretStr

from kb.errors import KBError
from kb.service.views import ApiKey, KeyStatus
from kb.settings import Settings, env_file
from kb.ui import access, session
from kb.ui.i18n import descriptions, format_number, plural_text, text
from kb.ui.i18n.error_messages import machine_reason
from kb.ui.tabs.settings import api_keys, written_to
from kb.ui.widgets import messages, task_progress
from kb.ui.widgets.asked_button import asked_button

_FLASH_KEY, _NEW = "keys", "keys_new"
_COLORS = {"ready": "green", "exhausted": "orange", "invalid": "red"}


def render() -> None:
    """Draw the part."""
    messages.show_flash(_FLASH_KEY)
    _youtube()
    api_keys.render()
    _secrets()


# YouTube


def _youtube() -> None:
    service = session.service()
    st.markdown(f"#### {text('keys_youtube')}")
    place = messages.display_path(service.keys.file)
    st.caption(text("keys_youtube_help", path=messages.escape_markdown(place)))
    try:
        keys = service.keys.statuses()
    except KBError as error:
        messages.error(error)
        return
    with messages.steady():
        if not keys:
            st.info(text("keys_none"))
        for key, status in keys:
            _key(key, status)
        _test_result(keys)
    with (
        st.form("key-new", border=False, clear_on_submit=True),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        st.text_input(
            text("keys_new"),
            key=_NEW,
            type="password",
            placeholder=text("keys_new_placeholder"),
            autocomplete="off",
        )
        st.form_submit_button(text("keys_add"), on_click=_add)


def _key(key: ApiKey, status: KeyStatus) -> None:
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", key=f"key-{key.fingerprint}"
    ):
        with st.container(gap="xxsmall"):
            state = f":{_COLORS[status.state]}[{messages.escape_markdown(state_text(status))}]"
            st.markdown(f"`{status.shown}` · {state}")
            more = [_units(status)]
            inside = session.service().keys.is_in_file(key)
            if not inside:
                more.append(text("keys_from_environment"))
            if status.reason:
                more.append(messages.escape_markdown(machine_reason(status.reason)))
            st.caption(" · ".join(more))
        st.button(
            text("keys_test"),
            key=f"test-{key.fingerprint}",
            help=text("keys_test_help"),
            width="content",
            on_click=task_progress.start,
            args=("test_key", {"fingerprint": key.fingerprint}),
            disabled=task_progress.running("test_key"),
        )
        if inside:
            asked_button(
                text("keys_remove"), text("keys_remove_sure", shown=f"`{key.shown}`"), _remove,
                (key.fingerprint, key.shown), key=f"remove-{key.fingerprint}",
                yes=text("keys_remove"), help=text("keys_remove_help", shown=key.shown),
            )  # fmt: skip


def _units(status: KeyStatus) -> str:
    """Return the units that a key has spent today, and its allowance where that is known."""
    if status.allowance is None:
        return plural_text("keys_units", status.units_today)
    units, most = format_number(status.units_today), format_number(status.allowance)
    return text("keys_units_of", count=units, all=most)


def state_text(status: KeyStatus) -> str:
    """Return the state of a key in words."""
    return text(f"keys_{status.state}", until=messages.format_datetime(status.until))


def _test_result(keys: Sequence[tuple[ApiKey, KeyStatus]]) -> None:
    task = task_progress.task_status("test_key")
    if task is None or task.state != "done":
        return
    for key, status in keys:
        if key.fingerprint == task.arguments.get("fingerprint"):
            words = text(
                "keys_tested",
                shown=f"`{key.shown}`",
                state=messages.escape_markdown(state_text(status)),
            )
            (st.success if status.state == "ready" else st.warning)(words)


def _add() -> None:
    secret = str(st.session_state.get(_NEW) or "")
    try:
        key = session.service().keys.add(secret)
    except KBError as error:
        messages.flash_error(_FLASH_KEY, error)
        return
    messages.flash(_FLASH_KEY, text("keys_added", shown=f"`{key.shown}`"))


def _remove(fingerprint: str, shown: str) -> None:
    try:
        session.service().keys.remove(fingerprint)
    except KBError as error:
        messages.flash_error(_FLASH_KEY, error)
        return
    messages.flash(_FLASH_KEY, text("keys_removed", shown=f"`{shown}`"))


# Other secrets


def _secrets() -> None:
    settings = session.service().settings
    st.markdown(f"#### {text('secrets')}")
    written_to.name_files("secrets_help")
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        changeable = name != "yt_api_keys" and access.may_change(name)
        if isinstance(value, SecretStr) and changeable:
            known = bool(value.get_secret_value())
            _secret(str(field.alias), descriptions.description(name), known=known)


def _secret(alias: str, description: str, *, known: bool) -> None:
    fixed = env_file.from_environment(alias)
    state = text("secret_environment" if fixed else "secret_set" if known else "secret_not_set")
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", key=f"secret-{alias}"
    ):
        with st.container(gap="xxsmall"):
            color = "green" if known else "gray"
            st.markdown(f"`{alias}` · :{color}[{messages.escape_markdown(state)}]")
            st.caption(messages.escape_markdown(description))
        if fixed:
            return
        with (
            st.popover(text("secret_change"), width="content", key=f"set-{alias}"),
            st.form(f"secret-{alias}", border=False, clear_on_submit=True),
        ):
            st.text_input(
                text("secret_value", name=alias),
                key=f"secret-value-{alias}",
                type="password",
                autocomplete="off",
            )
            st.form_submit_button(
                text("secret_save"), type="primary", on_click=_save_secret, args=(alias,)
            )
        if known:
            asked_button(
                text("secret_remove"), text("secret_remove_sure", name=f"`{alias}`"), _write,
                (alias, "", "secret_removed"), key=f"secret-remove-{alias}",
                yes=text("secret_remove"),
            )  # fmt: skip


def _save_secret(alias: str) -> None:
    value = str(st.session_state.get(f"secret-value-{alias}") or "").strip()
    if value:
        _write(alias, value, "secret_saved")


def _write(alias: str, value: str, message_key: str) -> None:
    try:
        env_file.change({alias: value})
        session.service().audit.record("settings", [alias])
    except KBError as error:
        messages.flash_error(_FLASH_KEY, error)
        return
    messages.flash(_FLASH_KEY, text(message_key, name=f"`{alias}`"))
