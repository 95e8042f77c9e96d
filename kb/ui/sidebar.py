"""The sidebar: the worker, the active preset, totals and the language, on every tab."""

from __future__ import annotations

import streamlit as st

from kb.errors import KBError
from kb.service import Service
from kb.service.worker_supervisor import WorkerView, worker_supervisor
from kb.ui import access, i18n, session
from kb.ui.i18n import error_messages, text
from kb.ui.web.request_guard import SIGN_OUT
from kb.ui.widgets import messages
from kb.ui.widgets.clock_note import zone_note

REFRESH_S = 3
_PROBLEM = "worker_problem"
_COLORS = {
    "running": "green",
    "starting": "blue",
    "stopping": "orange",
    "paused": "orange",
    "hung": "red",
}
_GOING = ("running", "starting", "paused")


def render() -> None:
    """Draw the sidebar."""
    service = session.service()
    with st.sidebar:
        st.markdown(f"### {text('app')}")
        st.caption(
            text(
                "folder",
                folder=messages.escape_markdown(messages.display_path(service.settings.home)),
            )
        )
        st.fragment(_live, run_every=REFRESH_S)()
        st.markdown(f"**{text('active_preset')}**  \n{_preset(service)}")
        _language()
        st.caption(zone_note())
        _sign_out(service)


def _live() -> None:
    if session.redraw_requested():
        st.rerun()
    service = session.service()
    try:
        _worker(service, worker_supervisor().view(service))
        _totals(service)
    except KBError as error:
        messages.error(error)


def _worker(service: Service, view: WorkerView) -> None:
    many = view.state == "running" and view.count > 1
    words = (
        text("worker_running_more", count=view.count)
        if many
        else text("worker_stopped" if view.state == "ends" else f"worker_{view.state}")
    )
    color = _COLORS.get(view.state, "gray")
    st.markdown(f"**{text('worker')}**  \n:{color}[●] {words}")
    if view.state in _GOING and worker_supervisor().started_by_itself():
        st.caption(text("worker_with_page"))
    problem: KBError | None = st.session_state.pop(_PROBLEM, None)
    if problem is not None:
        messages.error(problem)
    if view.state == "ends":
        log = service.settings.home / "logs" / "worker.log"
        messages.show_error(
            text("worker_ends"), text("worker_ends_hint", log=messages.display_path(log))
        )
    for loop in service.queue.crash_loops():
        since = messages.format_datetime(loop.since)
        finished = i18n.format_number(loop.finished)
        messages.show_error(
            text("worker_crashes", count=loop.count, since=since, finished=finished),
            text("worker_crashes_hint", log=messages.display_path(service.workers.log_file)),
        )
    if view.count:
        st.button(
            text("worker_stop"), key="worker-stop",
            on_click=_stop, disabled=view.state == "stopping", width="stretch",
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


def _totals(service: Service) -> None:
    counts = service.queue.counts()
    listing = session.library_listing()
    waiting = counts["queued"] + counts["waiting"] + counts["paused"]
    rows = [
        ("total_items", i18n.format_number(len(listing.entries))),
        (
            "total_hours",
            messages.format_length(sum(entry.duration_s or 0.0 for entry in listing.entries)),
        ),
        (
            "total_words",
            i18n.format_number(sum(entry.word_count or 0 for entry in listing.entries)),
        ),
        ("total_running", i18n.format_number(counts["running"])),
        ("total_waiting", i18n.format_number(waiting)),
        ("total_failed", i18n.format_number(counts["failed"])),
    ]
    st.html(_table(rows))


def _table(rows: list[tuple[str, str]]) -> str:
    cells = "".join(f"<dt>{text(key)}</dt><dd>{value}</dd>" for key, value in rows)
    return f'<dl class="kb-totals" aria-label="{text("totals")}">{cells}</dl>'


def _preset(service: Service) -> str:
    try:
        preset = service.presets.current()
    except KBError as error:
        return messages.escape_markdown(error_messages.translate_error(error).message)
    return messages.escape_markdown(preset.label)


def _language() -> None:
    st.segmented_control(
        text("language_switch"),
        list(i18n.LANGUAGES),
        format_func=lambda code: i18n.LANGUAGES[code],
        key="language-switch",
        default=i18n.language(),
        required=True,
        on_change=_on_language_change,
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


def _on_language_change() -> None:
    session.set_language(st.session_state["language-switch"])
