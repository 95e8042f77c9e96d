"""The line above the tabs: the state of the worker, its errors, and counts beside three tabs."""

from __future__ import annotations

import streamlit as st

from kb.errors import KBError
from kb.service import Service
from kb.service.worker_supervisor import WorkerView, worker_supervisor
from kb.ui import session
from kb.ui.i18n import Count, format_number, text
from kb.ui.widgets import messages

REFRESH_S = 3
_COLORS = {
    "running": "green",
    "starting": "blue",
    "stopping": "orange",
    "paused": "orange",
    "hung": "red",
}


def render() -> None:
    """Draw the line; it is updated while the page is open."""
    st.fragment(_live, run_every=REFRESH_S)()


def _live() -> None:
    if session.redraw_requested():
        st.rerun()
    service = session.service()
    try:
        view = worker_supervisor().view(service)
        counts = service.queue.counts()
        active = counts["running"] + counts["queued"] + counts["waiting"] + counts["paused"]
        counted = {
            "tab_library": service.saved_searches.unseen(),
            "tab_activity": active,
            "tab_review": service.review.count_if_quick(),
        }
        st.html(badges(counted))
        with st.container(key="status"):
            st.markdown(f"{text('worker')}: {worker_state(view, running=bool(counts['running']))}")
        _errors(service, view)
    except KBError as error:
        messages.error(error)


def worker_state(view: WorkerView, *, running: bool) -> str:
    """Return the worker's state with its coloured dot, as Markdown.

    `running`: an item is being worked on; without one, a worker that runs is ready.
    """
    state = {"ends": "stopped", "running": "running" if running else "ready"}.get(
        view.state, view.state
    )
    many = view.state == "running" and view.count > 1
    words = text(f"worker_{state}_more", count=view.count) if many else text(f"worker_{state}")
    return f":{_COLORS.get(view.state, 'gray')}[●] {words}"


def badges(counts: dict[str, int | None]) -> str:
    """Return a style that draws counts beside the names of tabs; None is not known yet.

    The state of the tabs is the open tab's label, so a count must not be a part of the label.
    """
    rules = []
    for name, count in counts.items():
        if count:
            place = list(session.TABS).index(name) + 1
            rules.append(
                f'[class*="st-key-tab"] [role="tab"]:nth-of-type({place})::after '
                f'{{ content: "{format_number(count)}"; }}'
            )
    return f"<style>{' '.join(rules)}</style>"


def _errors(service: Service, view: WorkerView) -> None:
    """Say what is wrong with the worker; the sidebar may be folded."""
    log = messages.display_path(service.workers.log_file)
    if view.state == "ends":
        messages.show_error(text("worker_ends"), text("worker_ends_hint", log=log))
    for loop in service.queue.crash_loops():
        since = messages.format_datetime(loop.since)
        finished = Count(loop.finished)
        messages.show_error(
            text("worker_crashes", count=loop.count, since=since, finished=finished),
            text("worker_crashes_hint", log=log),
        )
