"""The card of ODIN: project, key and secret, the test of them, and what is sent there."""

from __future__ import annotations

from urllib.parse import urlsplit

import streamlit as st

from kb.errors import KBError
from kb.service.tasks import Task
from kb.settings import Settings, env_file
from kb.types.addresses import is_loopback
from kb.ui import access, session
from kb.ui.i18n import Count, text
from kb.ui.widgets import messages, task_progress

_FLASH_KEY = "odin-card"
# Names of the settings' fields that the card changes; the last two are secrets.
FIELDS = ("odin_project_id", "odin_api_key", "odin_api_secret")


def render() -> bool:
    """Draw the card; return True if key and secret are set."""
    settings = session.service().settings
    ready = is_ready(settings)
    with st.container(border=True, key="knowledge-connection"):
        state = text("knowledge_set" if ready else "knowledge_not_set")
        color = "green" if ready else "orange"
        st.markdown(f"**ODIN** · :{color}[{messages.escape_markdown(state)}]")
        host = urlsplit(settings.odin_base_url).netloc or settings.odin_base_url
        st.caption(text("knowledge_leaves", host=messages.escape_markdown(host)))
        if is_loopback(urlsplit(settings.public_url).hostname):
            # The documents are read by others: their links to local recordings open nowhere.
            address = messages.escape_markdown(settings.public_url)
            st.caption(text("knowledge_local_links", address=address))
        messages.show_flash(_FLASH_KEY)
        if ready:
            _test(settings)
        with (
            st.expander(text("knowledge_change"), expanded=not ready, key="odin-change"),
            st.form("odin-connection", border=False),
        ):
            _fields(settings)
            st.form_submit_button(
                text("knowledge_save"), type="primary", on_click=_save, key="odin-save"
            )
    return ready


def is_ready(settings: Settings) -> bool:
    """Return True if key and secret are set."""
    return all(getattr(settings, name).get_secret_value() for name in FIELDS[1:])


def _fields(settings: Settings) -> None:
    for column, name in zip(st.columns(3), FIELDS, strict=True):
        secret = name != "odin_project_id"
        fixed = _fixed(name)
        known = bool(getattr(settings, name).get_secret_value()) if secret else False
        with column:
            st.text_input(
                text(f"knowledge_{name}"),
                value="" if secret else settings.odin_project_id,
                type="password" if secret else "default",
                placeholder=text("knowledge_kept" if known else "knowledge_missing"),
                autocomplete="off",
                disabled=fixed,
                help=text("sidebar_fixed") if fixed else None,
                key=f"odin-{name}-{'' if secret else settings.odin_project_id}",
            )


def _fixed(name: str) -> bool:
    alias = str(Settings.model_fields[name].alias)
    return env_file.from_environment(alias) or not access.may_change(name)


def _save() -> None:
    settings = session.service().settings
    changes: dict[str, str] = {}
    for name in FIELDS:
        secret = name != "odin_project_id"
        key = f"odin-{name}-{'' if secret else settings.odin_project_id}"
        value = str(st.session_state.get(key) or "").strip()
        if secret:
            st.session_state[key] = ""  # not kept in the page
        if value and not _fixed(name) and (secret or value != settings.odin_project_id):
            changes[str(Settings.model_fields[name].alias)] = value
    if not changes:
        messages.flash(_FLASH_KEY, text("defaults_unchanged"))
        return
    try:
        env_file.change(changes)
        session.service().audit.record("settings", sorted(changes))
    except KBError as error:
        messages.flash_error(_FLASH_KEY, error)
        return
    messages.flash(_FLASH_KEY, text("knowledge_saved"))


def _is_old(test: Task, settings: Settings) -> bool:
    """Return True for a test of another project, or one from before settings were saved.

    It may be one with another key.
    """
    if test.arguments.get("project") != settings.odin_project_id:
        return True
    try:
        return not env_file.is_off() and env_file.env_file().stat().st_mtime > test.started_at
    except OSError:
        return False


def _test(settings: Settings) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            text("knowledge_check"),
            key="knowledge-check",
            on_click=task_progress.start,
            args=("check", {"project": settings.odin_project_id}),
            disabled=task_progress.running("check"),
        )
        messages.facts([(text("knowledge_project"), settings.odin_project_id)])
    known = task_progress.state("check")
    if known is not None and not known.running and _is_old(known, settings):
        st.caption(text("knowledge_check_old", when=messages.format_datetime(known.ended_at)))
        return
    task = task_progress.task_status("check")
    if task is not None and task.state == "done":
        found = task.result
        st.success(
            text(
                "knowledge_checked",
                project=messages.escape_markdown(str(found["project"])),
                items=Count(found["items"]),
                documents=Count(found["documents"]),
                others=Count(found["others"]),
                when=messages.format_datetime(task.ended_at),
            )
        )
