"""The Ingest tab: references, the media and cost that result from them, and options.

References are scanned in a thread (`scan_thread`) and shown as results arrive; the button queues
the media. A reference whose scan has not ended by then is listed by a worker.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from kb.errors import KBError, UsageError
from kb.service import Service
from kb.service.notation import VideoFilters
from kb.service.views import Estimate, QueueFigures, TimeLeft
from kb.types import MediaItem
from kb.ui import session
from kb.ui.i18n import format_number, plural_text, text
from kb.ui.tabs.ingest import (
    follow_here,
    plan_notes,
    playlists,
    preset_cards,
    scan_results,
    scan_thread,
)
from kb.ui.tabs.ingest.filters_form import FiltersForm
from kb.ui.tabs.ingest.needed_fetch import show_needed_fetch, show_pictures
from kb.ui.tabs.queue import tab
from kb.ui.tabs.queue.run_cards import range_text
from kb.ui.widgets import messages
from kb.ui.widgets.dropzone import clear, dropzone
from kb.ui.widgets.paste import sends_by_itself

_SOURCES, _SCAN, _INGEST, _PROBLEM = "sources", "look", "sending", "ingest_problem"
_BUSY = "ingest_busy"
_PART, _LABEL, _IS_OPEN = "filters", "filters_label", "filters_open"
_FILTERS = FiltersForm("filter")
EVERY_S = 0.7
# A longer run is asked about; where the speed is unknown, one of more audio.
LONG_RUN_S = 86_400.0
QUEUE_WAIT_S = 1.5  # a click waits so long for the queue, then the page shows progress


def render() -> None:
    """Draw the tab."""
    typed, dropped = st.columns([3, 2], gap="medium")
    with typed:
        st.text_area(
            text("paths"), key=_SOURCES, placeholder=text("paths_placeholder"),
            help=text("paths_help"), height=92, persist_state="session",
        )  # fmt: skip
        sends_by_itself(_SOURCES)
    with dropped:
        st.markdown(text("upload_title"), help=text("upload_help"))
        uploaded = [str(path) for path in dropzone()]
    st.session_state["uploaded"] = uploaded
    busy = bool(st.session_state.get(_BUSY))
    st.fragment(_body, run_every=EVERY_S if busy else None)()


def _body() -> None:
    if session.redraw_requested():
        st.rerun()
    service = session.service()
    ingest_thread: scan_thread.IngestThread | None = st.session_state.get(_INGEST)
    if ingest_thread is not None and ingest_thread.done:
        st.rerun()  # `finish_ingest` is called before the whole page is drawn
    scan = _current_scan(service)
    found = scan.results if scan else []
    try:
        scan_results.cards(found)
        if any(each.error is not None for each in found) and all(each.done for each in found):
            st.button(text("look_again"), key="look-again", on_click=_look_again)
        follow_here.show(service, found)
        again = bool(preset_cards.ingest_form(service).value("again"))
        items = scan_results.table(found, again=again)
        if items is None:
            items = scan_thread.items_to_ingest(found, again=again)
        figures = service.queue.figures(tab.midnight())
        with st.expander(preset_cards.how_text(service), key="how"):
            speed = preset_cards.preset_cards(service, audio_duration_s(items), figures.remaining_s)
            form = preset_cards.ingest_form(service)
            form.draw_figures()
            form.draw_choices()
        _plan_and_button(service, found, items, speed, figures, ingest_thread)
    except KBError as error:
        messages.error(error)
    # The state that was drawn: a scan that has ended since then must be drawn once more.
    busy = not all(each.done for each in found) or ingest_thread is not None
    busy = busy or playlists.is_looking()
    if busy != bool(st.session_state.get(_BUSY)):
        st.session_state[_BUSY] = busy
        st.rerun()  # the whole page: this fragment then starts or stops its updates


# Scan


def references() -> tuple[str, ...]:
    """Return the entered references, one per line, then the uploaded files."""
    typed = str(st.session_state.get(_SOURCES) or "").splitlines()
    lines = [line.strip() for line in typed if line.strip()]
    return tuple(dict.fromkeys((*lines, *st.session_state.get("uploaded", ()))))


def _current_scan(service: Service) -> scan_thread.ScanThread | None:
    """Return the scan of the present references; start it if there is none yet."""
    try:
        filters = _filters(service)
    except KBError as error:
        messages.error(error)
        return None
    request = scan_thread.ScanRequest(references(), filters)
    known: scan_thread.ScanThread | None = st.session_state.get(_SCAN)
    if known is not None and known.request == request:
        return known
    if known is not None:
        known.cancel()
    started = scan_thread.ScanThread(service.settings, request) if request.references else None
    st.session_state[_SCAN] = started
    scan_results.clear_selection()
    return started


def _look_again() -> None:
    """Forget the scan; the next run starts another one. For callbacks."""
    st.session_state.pop(_SCAN, None)


def _filters(service: Service) -> VideoFilters:
    """Draw the filters; return them. Raises UsageError."""
    label = text("filters_active") if _FILTERS.is_active else text("filters")
    state = st.session_state
    if state.get(_LABEL) != label:
        # Under another label it is another expander to Streamlit, which would be closed.
        state[_LABEL], state[_PART] = label, bool(state.get(_IS_OPEN))
    part = st.expander(label, key=_PART, on_change="rerun")
    state[_IS_OPEN] = part.open
    scan: scan_thread.ScanThread | None = st.session_state.get(_SCAN)
    found = scan.results if scan else ()
    titles = playlists.offered(service, references(), found, may_ask=bool(part.open))
    with part:
        _FILTERS.draw(titles)
    return _FILTERS.filters()


# Cost


def _plan_and_button(
    service: Service,
    found: Sequence[scan_thread.ScanResult],
    items: Sequence[MediaItem],
    speed: Estimate,
    figures: QueueFigures,
    ingest_thread: scan_thread.IngestThread | None,
) -> None:
    listings = scan_thread.unfinished_references(found)
    keep = str(preset_cards.ingest_form(service).value("keep"))
    needed = service.ingest.disk_bytes(items, keep)
    expected = _expected(service, items, speed)
    with st.container(border=True, key="ingest-plan"):
        st.markdown(plan(found, items, listings, expected, needed))
        if figures.remaining_s and speed.rtfx and items:
            st.caption(
                text(
                    "plan_before", time=messages.format_timedelta(figures.remaining_s / speed.rtfx)
                )
            )
        if items:
            show_pictures(service, items, preset_cards.ingest_form(service).run_options)
            plan_notes.show_credits(service, items, preset_cards.ingest_form(service).run_options)
        if listings or service.ingest.needs_model(items):
            show_needed_fetch(service, preset_cards.ingest_form(service).run_options)
        corrected = service.ingest.corrections([item.id for item in items])
        if corrected:
            key = "plan_corrections_one" if len(corrected) == 1 else "plan_corrections"
            st.warning(
                text(
                    key,
                    items=format_number(len(corrected)),
                    count=format_number(sum(corrected.values())),
                )
            )
        if items or listings:
            plan_notes.show_hindrances(service)
        problem: KBError | None = st.session_state.pop(_PROBLEM, None)
        if problem is not None:
            messages.error(problem)
        confirmed = _confirm(service, found, items, expected, needed)
        count = len(items)
        label = text("start_listing") if listings else text("start")
        if count and not listings:
            label = plural_text("start_items", count)
        st.button(
            text("sending") if ingest_thread else label, type="primary", key="start",
            disabled=ingest_thread is not None or not (items or listings) or not confirmed,
            on_click=_start, args=(tuple(items), tuple(listings)),
        )  # fmt: skip


def _confirm(
    service: Service,
    found: Sequence[scan_thread.ScanResult],
    items: Sequence[MediaItem],
    expected: TimeLeft | None,
    needed: int,
) -> bool:
    """Ask before a run that does not fit the disk or takes longer than a day; return the answer."""
    questions: list[str] = []
    short = service.ingest.disk_shortage(needed, _free_bytes(found))
    if short is not None:
        messages.error(short)
        questions.append(text("plan_confirm_disk"))
    audio_s = audio_duration_s(items)
    if expected is not None and expected.expected_s > LONG_RUN_S:
        time = messages.format_timedelta(expected.expected_s)
        questions.append(text("plan_confirm_long", time=time))
    elif expected is None and audio_s > LONG_RUN_S:
        length = messages.format_timedelta(audio_s)
        questions.append(text("plan_confirm_unknown", length=length))
    if not questions:
        return True
    # Another selection is another question.
    key = f"plan_confirm_{len(items)}_{needed}_{len(questions)}"
    return bool(st.checkbox(" ".join(questions), key=key))


def _expected(service: Service, items: Sequence[MediaItem], speed: Estimate) -> TimeLeft | None:
    """Return the time that a run takes, None if length or speed are not known."""
    if not audio_duration_s(items) or not speed.rtfx:
        return None
    options = preset_cards.ingest_form(service).run_options()
    return service.ingest.expected(items, options, speed.rtfx)


def _free_bytes(found: Sequence[scan_thread.ScanResult]) -> int | None:
    free = (each.scan.disk_free for each in found if each.scan)
    return next((value for value in free if value is not None), None)


def plan(
    found: Sequence[scan_thread.ScanResult],
    items: Sequence[MediaItem],
    listings: Sequence[str],
    expected: TimeLeft | None,
    needed: int,
) -> str:
    """Return the line before the button: number of items, length and cost."""
    if not found:
        return text("plan_nothing")
    scans = [each.scan for each in found if each.scan]
    if not scans:
        return text("plan_later") if listings else text("plan_none")
    counted = sum(len(scan.items) for scan in scans)
    parts = [plan_notes.counts(scans, items, format_number(counted))]
    audio_s = audio_duration_s(items)
    unmeasured = sum(item.duration_s is None for item in items)
    if audio_s:
        parts.append(text("plan_audio", length=messages.format_timedelta(audio_s)))
    if unmeasured:
        parts.append(plural_text("plan_unmeasured", unmeasured))
    if units := sum(scan.report.units for scan in scans):
        parts.append(plural_text("plan_units", units))
    if audio_s:
        if expected is None:
            parts.append(text("plan_unknown"))
        else:
            parts.append(text("plan_range", range=range_text(expected.low_s, expected.high_s)))
    if items:
        parts.append(
            text(
                "plan_disk",
                size=messages.format_size(needed),
                free=messages.format_size(_free_bytes(found)),
            )
        )
    if listings:
        parts.append(plural_text("plan_listings", len(listings)))
    return " · ".join(parts)


def audio_duration_s(items: Sequence[MediaItem]) -> float:
    """Return the length of the items' sound in seconds, for items of known length."""
    return sum(item.duration_s or 0.0 for item in items)


# Button


def _start(items: tuple[MediaItem, ...], listings: tuple[str, ...]) -> None:
    service = session.service()
    try:
        options = preset_cards.ingest_form(service).run_options()
        if not items and not listings:
            raise UsageError(
                "page.nothing_given",
                "Nothing was named.",
                hint="Give a link, a handle or a path, or drop a file.",
            )
        request = scan_thread.IngestRequest(
            items, listings, _FILTERS.filters(), options, references()
        )
    except KBError as error:
        st.session_state[_PROBLEM] = error
        return
    ingest_thread = scan_thread.IngestThread(service.settings, request)
    st.session_state[_INGEST] = ingest_thread
    if ingest_thread.wait(QUEUE_WAIT_S):
        finish_ingest()


def finish_ingest() -> None:
    """Show the result of an ingest that has ended, before anything else is drawn."""
    ingest_thread: scan_thread.IngestThread | None = st.session_state.get(_INGEST)
    if ingest_thread is None or not ingest_thread.done:
        return
    del st.session_state[_INGEST]
    if ingest_thread.error is not None:
        st.session_state[_PROBLEM] = ingest_thread.error
        return
    assert ingest_thread.report is not None
    if not ingest_thread.report.enqueued:
        skipped = ingest_thread.report.skipped
        reason = text(f"skipped_{skipped[0].code}") if skipped else ""
        st.session_state[_PROBLEM] = UsageError(
            "page.nothing_taken", "Nothing was queued: {reason}.", reason=reason
        )
        return
    st.session_state[_SOURCES] = ""
    st.session_state.pop(_SCAN, None)
    scan_results.clear_selection()
    clear()
    tab.flash(plural_text("taken", len(ingest_thread.report.enqueued)))
    session.go_to("tab_activity")
