"""The Ingest tab: what to take in, what that is and costs, and how.

What is named is looked at in a thread (`looks`) and shown as it becomes known; the button puts
it on the queue. What has not been looked at to its end by then is listed by a worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import streamlit as st

from gpu.throughput import Forecast
from kb.errors import KBError, UsageError
from kb.jobs.queue.views import BoardFigures
from kb.options import RunOptions
from kb.service import Service
from kb.sources.listing.filters import VideoFilters, parse_span
from kb.sources.listing.scan import BYTES_PER_S
from kb.types import MediaItem
from kb.ui import session
from kb.ui.i18n import counted, number, text
from kb.ui.tabs.ingest import options_form, scan_results, scan_thread
from kb.ui.tabs.queue import tab
from kb.ui.widgets import messages
from kb.ui.widgets.dropzone import dropzone, empty

_SOURCES, _LOOK, _SENDING, _PROBLEM = "sources", "look", "sending", "ingest_problem"
_BUSY = "ingest_busy"
EVERY_S = 0.7
PATIENCE_S = 1.5  # how long a click waits for the queue before the page says that it is at it


def render() -> None:
    """Draw the tab."""
    typed, dropped = st.columns([3, 2], gap="medium")
    with typed:
        st.text_area(
            text("paths"), key=_SOURCES, placeholder=text("paths_placeholder"),
            help=text("paths_help"), height=92, persist_state="session",
        )  # fmt: skip
    with dropped:
        st.markdown(text("upload_title"))
        uploaded = [str(path) for path in dropzone()]
    st.session_state["uploaded"] = uploaded
    busy = bool(st.session_state.get(_BUSY))
    st.fragment(_body, run_every=EVERY_S if busy else None)()


def _body() -> None:
    if session.redraw_asked():
        st.rerun()
    service = session.service()
    sending: scan_thread.Sending | None = st.session_state.get(_SENDING)
    if sending is not None and sending.done:
        st.rerun()  # the whole page begins with `settle`
    look = _look(service)
    found = look.findings if look else []
    try:
        scan_results.cards(found)
        items = scan_results.table(found)
        again = bool(st.session_state.get(options_form.AGAIN))
        if items is None:
            items = scan_thread.wanted(found, again=again)
        figures = service.jobs.figures(tab.midnight())
        speed = options_form.cards(service, sound_s(items), figures.left_s)
        options_form.knobs(options_form.chosen_preset(service))
        options_form.choices(service.settings)
        _plan_and_button(service, found, items, speed, figures, sending)
    except KBError as error:
        messages.error(error)
    # As it was drawn: a look that has ended since must be drawn once more.
    busy = not all(each.done for each in found) or sending is not None
    if busy != bool(st.session_state.get(_BUSY)):
        st.session_state[_BUSY] = busy
        st.rerun()  # the whole page: this part then renews itself, or stops to


# What is looked at


def references() -> tuple[str, ...]:
    """What was named: a line each, commas between handles too; then what was uploaded."""
    typed = str(st.session_state.get(_SOURCES) or "").splitlines()
    lines = [line.strip() for line in typed if line.strip()]
    return tuple(dict.fromkeys((*lines, *st.session_state.get("uploaded", ()))))


def _look(service: Service) -> scan_thread.Look | None:
    """The look at what is named now; begun if there is none of it yet."""
    try:
        filters = _filters()
    except KBError as error:
        messages.error(error)
        return None
    wish = scan_thread.Wish(references(), filters)
    known: scan_thread.Look | None = st.session_state.get(_LOOK)
    if known is not None and known.wish == wish:
        return known
    if known is not None:
        known.cancel()
    made = scan_thread.Look(service.settings, wish) if wish.references else None
    st.session_state[_LOOK] = made
    scan_results.forget()
    return made


def _filters() -> VideoFilters:
    """Draw the filters; returns them. Raises UsageError."""
    active = _filters_now()
    label = text("filters_active") if active != VideoFilters() else text("filters")
    with st.expander(label, key="filters"):
        first = st.columns([2, 2, 3, 2], gap="small")
        first[0].date_input(
            text("filter_after"), value=None, key="filter_after", max_value=date.today(),
            format="YYYY-MM-DD", help=text("filter_date_help"), persist_state="session",
        )  # fmt: skip
        first[1].date_input(
            text("filter_before"), value=None, key="filter_before", format="YYYY-MM-DD",
            help=text("filter_date_help"), persist_state="session",
        )  # fmt: skip
        first[2].text_input(
            text("filter_playlist"), key="filter_playlist", help=text("filter_playlist_help"),
            persist_state="session",
        )  # fmt: skip
        first[3].number_input(
            text("filter_limit"), min_value=0, step=10, value=0, key="filter_limit",
            help=text("filter_limit_help"), persist_state="session",
        )  # fmt: skip
        second = st.columns([2, 2, 3, 2], gap="small", vertical_alignment="bottom")
        second[0].text_input(
            text("filter_min"), key="filter_min", placeholder="90s, 5m, 1h30m",
            persist_state="session",
        )  # fmt: skip
        second[1].text_input(
            text("filter_max"), key="filter_max", placeholder="2h", persist_state="session"
        )
        second[2].text_input(
            text("filter_title"), key="filter_title", help=text("filter_title_help"),
            persist_state="session",
        )  # fmt: skip
        with second[3]:
            st.checkbox(text("filter_no_shorts"), key="filter_no_shorts", persist_state="session")
            st.checkbox(text("filter_new"), key="filter_new", persist_state="session")
    return _filters_now(checked=True)


def _filters_now(*, checked: bool = False) -> VideoFilters:
    state = st.session_state
    after, before = state.get("filter_after"), state.get("filter_before")
    least, most = str(state.get("filter_min") or ""), str(state.get("filter_max") or "")
    filters = VideoFilters(
        after=after.isoformat() if after else "",
        before=before.isoformat() if before else "",
        playlist=str(state.get("filter_playlist") or "").strip(),
        title=str(state.get("filter_title") or ""),
        no_shorts=bool(state.get("filter_no_shorts")),
        new=bool(state.get("filter_new")),
        limit=int(state.get("filter_limit") or 0),
    )
    if not checked:
        return replace(filters, limit=filters.limit or int(bool(least or most)))
    return replace(
        filters,
        min_duration_s=parse_span(least) if least else None,
        max_duration_s=parse_span(most) if most else None,
    ).checked()


# What it would cost


def _plan_and_button(
    service: Service,
    found: Sequence[scan_thread.Finding],
    items: Sequence[MediaItem],
    speed: Forecast,
    figures: BoardFigures,
    sending: scan_thread.Sending | None,
) -> None:
    listings = scan_thread.unfinished(found)
    with st.container(border=True, key="plan"):
        st.markdown(plan(found, items, listings, speed, str(st.session_state[options_form.KEEP])))
        if figures.left_s and speed.rtfx and items:
            st.caption(text("plan_before", time=messages.span(figures.left_s / speed.rtfx)))
        problem: KBError | None = st.session_state.pop(_PROBLEM, None)
        if problem is not None:
            messages.error(problem)
        count = len(items)
        label = text("start_listing") if listings else text("start")
        if count and not listings:
            label = counted("start_items", count)
        st.button(
            text("sending") if sending else label, type="primary", key="start",
            disabled=sending is not None or not (items or listings),
            on_click=_start, args=(tuple(items), tuple(listings)),
        )  # fmt: skip


def plan(
    found: Sequence[scan_thread.Finding],
    items: Sequence[MediaItem],
    listings: Sequence[str],
    speed: Forecast,
    keep: str,
) -> str:
    """The line before the button: how many, how long, at what cost."""
    if not found:
        return text("plan_nothing")
    scans = [each.scan for each in found if each.scan]
    if not scans:
        return text("plan_later") if listings else text("plan_none")
    parts = [
        text(
            "plan_count", new=number(len(items)),
            all=number(sum(len(scan.items) for scan in scans)),
        )
    ]  # fmt: skip
    audio_s = sound_s(items)
    unmeasured = sum(item.duration_s is None for item in items)
    if audio_s:
        parts.append(text("plan_audio", length=messages.span(audio_s)))
    if unmeasured:
        parts.append(counted("plan_unmeasured", unmeasured))
    if units := sum(scan.report.units for scan in scans):
        parts.append(counted("plan_units", units))
    if audio_s:
        if not speed.rtfx:
            parts.append(text("plan_unknown"))
        else:
            online = sum(item.source != "file" for item in items)
            share = online / max(
                1,
                sum(
                    each.is_wanted and each.item.source != "file" for s in scans for each in s.items
                ),
            )
            download_s = sum(scan.download_s for scan in scans) * min(1.0, share)
            parts.append(
                text("plan_time", time=messages.span(max(audio_s / speed.rtfx, download_s)))
            )
    free = next((scan.disk_free for scan in scans if scan.disk_free is not None), None)
    if items:
        parts.append(
            text("plan_disk", size=messages.size(_octets(items, keep)), free=messages.size(free))
        )
    if listings:
        parts.append(counted("plan_listings", len(listings)))
    return " · ".join(parts)


def sound_s(items: Sequence[MediaItem]) -> float:
    """How much sound items have, in seconds, as far as their sources tell."""
    return sum(item.duration_s or 0.0 for item in items)


def _octets(items: Sequence[MediaItem], keep: str) -> float:
    return sum(
        int(item.extra.get("size", 0))
        if item.source == "file"
        else (item.duration_s or 0.0) * BYTES_PER_S[keep]
        for item in items
    )


# The button


def _start(items: tuple[MediaItem, ...], listings: tuple[str, ...]) -> None:
    service = session.service()
    try:
        options: RunOptions = options_form.options(service)
        if not items and not listings:
            raise UsageError(text("nothing_given"), hint=text("nothing_given_hint"))
        order = scan_thread.Order(items, listings, _filters_now(checked=True), options)
    except KBError as error:
        st.session_state[_PROBLEM] = error
        return
    sending = scan_thread.Sending(service.settings, order)
    st.session_state[_SENDING] = sending
    if sending.wait(PATIENCE_S):
        settle()


def settle() -> None:
    """Tell what came of an order that has arrived on the queue; before anything is drawn."""
    sending: scan_thread.Sending | None = st.session_state.get(_SENDING)
    if sending is None or not sending.done:
        return
    del st.session_state[_SENDING]
    if sending.error is not None:
        st.session_state[_PROBLEM] = sending.error
        return
    assert sending.report is not None
    if not sending.report.enqueued:
        reason = sending.report.skipped[0].reason if sending.report.skipped else ""
        st.session_state[_PROBLEM] = UsageError(text("nothing_taken", reason=reason))
        return
    st.session_state[_SOURCES] = ""
    st.session_state.pop(_LOOK, None)
    scan_results.forget()
    empty()
    tab.tell(counted("taken", len(sending.report.enqueued)))
    session.go_to("tab_queue")
