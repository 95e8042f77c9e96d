"""The number of runs that go on in the page's title, and a notification when one ends.

The button that asks for notifications is shown on the Activity tab alone; the title counts on
every tab.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from kb.errors import KBError
from kb.service.views import Run
from kb.ui import session
from kb.ui.i18n import format_number, text
from kb.ui.widgets.scripts import sent

EVERY_S = 4
ACTIVITY = "tab_activity"
_NAMED = 5  # ended runs that are reported

_HTML = '<div class="kb"><button type="button" hidden></button><small hidden></small></div>'
_CSS = """
:host { display: block; }
[hidden] { display: none !important; }
button { font: inherit; font-size: 0.875rem; color: var(--st-text-color); background: none;
  border: 1px solid var(--st-border-color); border-radius: 0.5rem; padding: 0.25rem 0.75rem;
  cursor: pointer; font-family: var(--st-font); }
button:hover { border-color: var(--st-primary-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 1px; }
small { font-family: var(--st-font); color: var(--st-text-color); font-size: 0.8rem; }
"""
_JS = (Path(__file__).parent / "run_notice.js").read_text(encoding="utf-8")
_mount = st.components.v2.component("kb_run_notice", html=_HTML, css=_CSS, js=_JS)


def render() -> None:
    """Draw the notice, which follows the runs while the page is open."""
    st.fragment(_draw, run_every=EVERY_S)()


def _draw() -> None:
    try:
        runs = session.service().queue.list_runs(limit=20)
    except KBError:
        return  # the tab says it
    with st.container(key="run-notice"):
        found = _data(runs, offer=session.open_tab() == ACTIVITY)
        _mount(key="run-notice-component", data=sent(found))


def _data(runs: list[Run], *, offer: bool) -> dict[str, object]:
    """Return the component's JSON."""
    ended = [run for run in runs if run.ended][:_NAMED]
    return {
        "going": [run.id for run in runs if not run.ended],
        "ended": [{"id": run.id, "title": _title(run), "body": run.title} for run in ended],
        "offer": offer,
        "texts": {
            "button": text("notice_button"),
            "on": text("notice_on"),
            "denied": text("notice_denied"),
        },
    }


def _title(run: Run) -> str:
    parts = [
        text(
            "notice_ended", done=format_number(run.counts["done"]),
            total=format_number(run.total),
        )
    ]  # fmt: skip
    parts += [
        text(f"notice_{state}", count=format_number(run.counts[state]))
        for state in ("failed", "held")
        if run.counts[state]
    ]
    return ", ".join(parts)
