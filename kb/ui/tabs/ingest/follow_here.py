"""Follow a source that has just been looked at, with the choices of the run below it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import streamlit as st

from kb.errors import KBError
from kb.service import Service
from kb.service.notation import VideoFilters
from kb.ui import session
from kb.ui.i18n import text
from kb.ui.tabs.ingest import preset_cards
from kb.ui.tabs.ingest.filters_form import FiltersForm
from kb.ui.tabs.ingest.scan_thread import ScanResult
from kb.ui.widgets import messages

SHOWN = 4  # sources
_FLASH = "follow-here"
_FOLLOWED = ("channel", "handle", "user", "custom", "playlist")  # kinds of references
_PAST = ("all", "newest", "none")
_EVERY_H = (1, 3, 6, 12, 24, 168)
_FILTERS = FiltersForm("filter")


def show(service: Service, found: Sequence[ScanResult]) -> None:
    """Draw how to follow the sources that were found: channels and playlists."""
    messages.show_flash(_FLASH)
    lists = [each for each in found if each.scan is not None and _can_be_followed(each)]
    for each in lists[:SHOWN]:
        _form(service, each)


def _can_be_followed(result: ScanResult) -> bool:
    report = result.report
    return report is not None and report.kind in _FOLLOWED


def _form(service: Service, result: ScanResult) -> None:
    place = hashlib.sha256(result.reference.encode()).hexdigest()[:8]
    title = (result.report.title if result.report else "") or result.reference
    name = messages.escape_markdown(title)
    with st.expander(text("follow_here", name=name), key=f"follow-here-{place}"):
        st.caption(text("follow_here_help"))
        with st.container(horizontal=True, vertical_alignment="bottom"):
            past = st.selectbox(
                text("follow_here_past"), _PAST, key=f"follow-past-{place}", width=300,
                format_func=lambda each: text(f"follow_here_{each}"),
            )  # fmt: skip
            newest = 0
            if past == "newest":
                newest = int(
                    st.number_input(
                        text("follow_here_count"), min_value=1, value=20,
                        key=f"follow-count-{place}", width=120,
                    )
                )  # fmt: skip
            hours = st.selectbox(
                text("follow_every"), _EVERY_H, index=2, key=f"follow-every-{place}", width=180,
                format_func=_hours,
            )  # fmt: skip
            st.button(
                text("follow_here_button"), key=f"follow-here-button-{place}",
                on_click=_follow, args=(result.reference, title, str(past), newest, float(hours)),
            )  # fmt: skip


def _hours(hours: int) -> str:
    if hours in (24, 168):
        return text("follow_every_day" if hours == 24 else "follow_every_week")
    return text("follow_every_hours", hours=f"{hours:g}")


def filters_for(filters: VideoFilters, past: str, newest: int) -> VideoFilters:
    """Return the filters of a followed source: how much of what is there already is taken in."""
    if past == "none":
        return replace(filters, after=date.today().isoformat())
    return replace(filters, limit=newest) if past == "newest" else filters


def _follow(reference: str, title: str, past: str, newest: int, hours: float) -> None:
    service = session.service()
    try:
        options = preset_cards.ingest_form(service).run_options()
        service.ingest.check(options)
        service.subscriptions.change(
            reference, every_s=3600.0 * hours, options=options,
            filters=filters_for(_FILTERS.filters(), past, newest).checked(),
        )  # fmt: skip
    except KBError as error:
        messages.flash_error(_FLASH, error)
        return
    messages.flash(_FLASH, text("follow_here_done", name=messages.escape_markdown(title)))
