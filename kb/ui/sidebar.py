"""The sidebar: the worker, the defaults of new recordings, and the language of the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from kb.errors import KBError
from kb.service import Service
from kb.service.option_suggestions import option_suggestions
from kb.service.worker_supervisor import WorkerView, worker_supervisor
from kb.settings import Settings, env_file
from kb.ui import access, i18n, session, status
from kb.ui.i18n import language_text, plural_text, text
from kb.ui.tabs.ingest import preset_cards
from kb.ui.web.request_guard import SIGN_OUT
from kb.ui.widgets import messages
from kb.ui.widgets.asked_button import asked_button
from kb.ui.widgets.clock_note import zone_note

REFRESH_S = 3
_PROBLEM = "worker_problem"
_FLASH = "sidebar"
_GOING = ("running", "starting", "paused")
# The settings that can be changed here, in the order of the page.
DEFAULTS = ("preset", "model", "language")


def render() -> None:
    """Draw the sidebar."""
    service = session.service()
    with st.sidebar:
        st.markdown(f"### {text('app')}")
        st.fragment(_live, run_every=REFRESH_S)()
        _defaults(service)
        _language()
        st.caption(
            text(
                "folder",
                folder=messages.escape_markdown(messages.display_path(service.settings.home)),
            )
        )
        st.caption(zone_note())
        _sign_out(service)


# The worker


def _live() -> None:
    if session.redraw_requested():
        st.rerun()
    service = session.service()
    try:
        _worker(service, worker_supervisor().view(service))
    except KBError as error:
        messages.error(error)


def _worker(service: Service, view: WorkerView) -> None:
    running = service.queue.counts()["running"]
    st.markdown(f"**{text('worker')}**  \n{status.worker_state(view, running=bool(running))}")
    if view.state in _GOING and worker_supervisor().started_by_itself():
        st.caption(text("worker_with_page"))
    problem: KBError | None = st.session_state.pop(_PROBLEM, None)
    if problem is not None:
        messages.error(problem)
    if view.count:
        asked_button(
            text("worker_stop"), plural_text("worker_stop_sure", running) if running else "", _stop,
            key="worker-stop", disabled=view.state == "stopping", width="stretch",
        )  # fmt: skip
    else:
        st.button(
            text("worker_start"), key="worker-start",
            on_click=_start, disabled=view.state == "starting", width="stretch",
        )  # fmt: skip


def _start() -> None:
    try:
        worker_supervisor().start(session.service())
    except KBError as error:
        st.session_state[_PROBLEM] = error


def _stop() -> None:
    try:
        worker_supervisor().stop(session.service())
    except KBError as error:
        st.session_state[_PROBLEM] = error


# Defaults of new recordings


def _defaults(service: Service) -> None:
    st.markdown(f"**{text('sidebar_defaults')}**", help=text("sidebar_defaults_help"))
    messages.show_flash(_FLASH)
    settings = service.settings
    for name in DEFAULTS:
        try:
            labels = _choices(service, name)
        except KBError as error:
            messages.error(error)
            continue
        current = str(getattr(settings, name))
        names = list(dict.fromkeys([*labels, current]))
        st.selectbox(
            text(f"sidebar_{name}"),
            names,
            index=names.index(current),
            format_func=_labelling(labels),
            # After a change elsewhere the field must show the new value: it gets another key.
            key=_key(name, current),
            on_change=_save,
            args=(name, current),
            disabled=_fixed(name),
            help=text("sidebar_fixed") if _fixed(name) else None,
        )


def _labelling(labels: Mapping[str, str]) -> Callable[[str], str]:
    return lambda name: labels.get(name, name)


def _choices(service: Service, name: str) -> dict[str, str]:
    """Return the values of a setting and their labels. Raises SettingsError."""
    if name == "preset":
        return {key: preset.label for key, preset in service.presets.all().items()}
    if name == "language":
        labels = {code: language_text(code) for code in option_suggestions(name)}
        return labels | {"auto": text("option_language_auto")}
    return {
        value: f"{value} ({note})" if note else value
        for value, note in option_suggestions(name).items()
    }


def _key(name: str, current: str) -> str:
    return f"default-{name}-{current}"


def _fixed(name: str) -> bool:
    alias = str(Settings.model_fields[name].alias)
    return env_file.from_environment(alias) or not access.may_change(name)


def _save(name: str, current: str) -> None:
    alias = str(Settings.model_fields[name].alias)
    chosen = str(st.session_state[_key(name, current)])
    try:
        env_file.change({alias: chosen})
        session.service().audit.record("settings", [alias])
    except KBError as error:
        messages.flash_error(_FLASH, error)
        return
    # The form of a run shows the new default, not what it showed before.
    st.session_state.pop(f"{preset_cards.FORM}_{name}", None)
    session.redraw()


# The page


def _language() -> None:
    st.segmented_control(
        text("language_switch"),
        list(i18n.LANGUAGES),
        format_func=lambda code: i18n.LANGUAGES[code],
        key=session.LANGUAGE_SWITCH,
        default=i18n.language(),
        required=True,
    )


def _sign_out(service: Service) -> None:
    if access.oidc_enabled():
        st.button(text("sign_out"), on_click=st.logout, key="sign-out", type="tertiary")
    elif service.settings.password.get_secret_value():
        # A form of the server's, because the page cannot remove the cookie. The server takes it
        # from pages of its own origin alone.
        st.html(
            f'<form class="kb-sign-out" method="post" action="{SIGN_OUT.lstrip("/")}">'
            f'<button type="submit">{text("sign_out")}</button></form>'
        )
