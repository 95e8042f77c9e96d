"""Details of one item below its transcript: knowledge bases, quality, changes, metadata."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

import streamlit as st

from kb.errors import KBError
from kb.service import ItemStatus, Service
from kb.service.views import LibraryEntry
from kb.types import Revision, Transcript, WindowReport
from kb.types.safe_text import printable, web_address
from kb.ui import session
from kb.ui.i18n import format_number, text
from kb.ui.i18n.error_messages import flag_label
from kb.ui.tabs.library.panels import (
    comparison,
    notes,
    products,
    recurring,
    same_sound,
    screen,
    speakers,
    steps,
    translation,
)
from kb.ui.widgets import messages
from kb.ui.widgets.player import format_timestamp
from kb.ui.widgets.read_list import read_list
from kb.ui.widgets.rows import Column


def render(
    service: Service,
    entry: LibraryEntry,
    status: ItemStatus,
    transcript: Transcript | None,
    *,
    place: str,
) -> None:
    """Draw the parts; results of their buttons are shown at `place` (see `messages.flash`)."""
    _published(service, entry, place, ready=transcript is not None)
    steps.render(service, entry, status, place=place)
    speakers.render(service, entry, transcript, place=place)
    notes.render(service, entry, transcript)
    products.render(service, entry, transcript, place=place)
    translation.render(service, entry, transcript, place=place)
    screen.render(service, entry, transcript)
    same_sound.render(service, entry)
    recurring.render(service, entry)
    comparison.render(service, entry, transcript)
    if transcript is not None:
        _quality_table(entry.item.id, transcript)
        _revisions(entry, transcript, place)
    _metadata(service, entry, transcript)


# Knowledge bases


def _published(service: Service, entry: LibraryEntry, place: str, *, ready: bool) -> None:
    st.markdown(f"**{text('published_in')}**")
    try:
        found = service.items.publications(entry)
    except KBError as error:
        messages.error(error)
        return
    if not found:
        st.caption(text("published_nowhere"))
    for each in found:
        until = each.wait_until
        when = (
            f" ({text('published_until', until=messages.format_datetime(until))})" if until else ""
        )
        also = (
            f" · {messages.published('changed')}"
            if each.changed and each.status != "changed"
            else ""
        )
        st.markdown(
            f"{messages.publish_sign(each.status)} {messages.published(each.sink)}: "
            f"{messages.published(each.status)}{when}{also}"
        )
        if each.error:
            messages.stored_error(each, severe=each.status == "failed")
    settings = service.settings
    if ready and entry.state != "held" and settings.odin_api_key.get_secret_value():
        # Its effect is written beside it: a tooltip would stay open over a redrawn page.
        with st.container(horizontal=True, vertical_alignment="center", key="publish"):
            st.button(
                text("published_publish"),
                key="publish-odin",
                on_click=_send,
                args=(entry.item.id, place),
            )
            st.caption(text("published_publish_help"), width="content")


def _send(item_id: str, place: str) -> None:
    try:
        session.service().publisher.send(item_id)
    except KBError as error:
        messages.flash_error(place, error)


# Failed quality checks


def _quality_table(item_id: str, transcript: Transcript) -> None:
    windows = [w for w in transcript.windows if w.flags or w.attempts]
    if not windows:
        return
    with st.expander(f"{text('ledger')} ({format_number(len(windows))})"):
        st.caption(text("ledger_help"))
        read_list(
            f"ledger-{item_id}",
            [
                Column("time", text("ledger_time"), "minmax(7rem, 1fr)"),
                Column("signs", text("ledger_signs"), "minmax(8rem, 2fr)"),
                Column("how", text("ledger_how"), "minmax(6rem, 1fr)", minor=True),
                Column("readings", text("ledger_readings"), "minmax(8rem, 4fr)", minor=True),
            ],
            [_window_cells(window) for window in windows],
            label=text("ledger_alt"),
            texts=[_readings(window) for window in windows],
        )


def _window_cells(window: WindowReport) -> dict[str, str]:
    return {
        "time": f"{format_timestamp(window.start_s)} – {format_timestamp(window.end_s)}",
        "signs": ", ".join(dict.fromkeys(flag_label(sign.name) for sign in window.flags)),
        "how": window.attempts[window.chosen].method if window.attempts else "",
        "readings": _readings(window),
    }


def _readings(window: WindowReport) -> str:
    return "\n".join(_attempt_text(window, number) for number in range(len(window.attempts)))


def _attempt_text(window: WindowReport, place: int) -> str:
    attempt = window.attempts[place]
    words = " ".join(segment.text for segment in attempt.segments)
    return f"{attempt.method} ({format_number(attempt.score, 2)}): {words}"


# Manual changes


def _revisions(entry: LibraryEntry, transcript: Transcript, place: str) -> None:
    if not transcript.revisions:
        return
    with st.expander(f"{text('revisions')} ({format_number(len(transcript.revisions))})"):
        run = entry.transcribed.get("run", 1)
        earlier = False
        latest_first = list(reversed(transcript.revisions))
        for revision in sorted(latest_first, key=lambda r: r.run != run):
            if revision.run != run and not earlier:
                earlier = True
                st.caption(text("revisions_earlier"))
            when = messages.format_datetime(_seconds(revision.at))
            by = f" · {revision.by}" if revision.by else ""
            st.markdown(f"**{messages.escape_markdown(when + by)}**")
            for change in revision.changes:
                before = change.before.text if change.before else ""
                after = change.after.text if change.after else ""
                st.markdown(
                    f":gray[~~{messages.escape_markdown(before)}~~]  \n"
                    f"{messages.escape_markdown(after)}"
                )
        last = transcript.revisions[-1]
        if last.run == run and _can_undo(last, transcript):
            st.button(
                text("revision_undo"), key="undo", on_click=_undo, args=(entry.item.id, last, place)
            )


def _seconds(at: str) -> float | None:
    try:
        return datetime.fromisoformat(at).timestamp()
    except ValueError:
        return None


def _can_undo(revision: Revision, transcript: Transcript) -> bool:
    """Return whether a revision changed one line that still has the new text."""
    if len(revision.changes) != 1:
        return False
    (change,) = revision.changes
    segments = transcript.segments
    return (
        change.before is not None
        and change.after is not None
        and change.segment < len(segments)
        and segments[change.segment].text == change.after.text
    )


def _undo(item_id: str, revision: Revision, place: str) -> None:
    (change,) = revision.changes
    assert change.before is not None
    assert change.after is not None
    try:
        session.service().revisions.edit(
            item_id, change.segment, change.before.text, expected=change.after.text
        )
    except KBError as error:
        messages.flash_error(place, error)
        return
    messages.flash(place, text("revision_undone"))


# Metadata


def _deleted(entry: LibraryEntry) -> str:
    """Return the sentence for a medium that retention deleted, empty for any other."""
    if not entry.retention:
        return ""
    return text("detail_deleted", day=str(entry.retention.get("at", ""))[:10])


def _metadata(service: Service, entry: LibraryEntry, transcript: Transcript | None) -> None:
    item, transcription = entry.item, entry.transcribed
    asked: dict[str, str] = {}
    machine = ""
    with suppress(KBError):  # without its database the library's files are shown
        asked = service.items.asked_settings(item.id)
        machine = service.items.machine_of(item.id)
    rows = [
        ("detail_url", web_address(item.url)),
        ("detail_channel", item.channel),
        ("detail_date", item.published),
        ("detail_tags", ", ".join(item.tags)),
        (
            "detail_engine",
            " · ".join(str(transcription[k]) for k in ("engine", "model") if transcription.get(k)),
        ),
        ("detail_asked", " · ".join(asked.values())),
        ("detail_machine", machine),
        ("detail_made", messages.format_datetime(_seconds(str(transcription.get("at", ""))))),
        ("detail_id", item.id),
        ("detail_source", item.source),
        ("detail_file", str(entry.media_path or "") or _deleted(entry)),
        ("detail_sha", entry.sha256),
    ]
    with st.expander(text("details"), key="details"):
        messages.facts([(text(label), value) for label, value in rows if value and value != "–"])
        if item.description:
            st.markdown(f"**{text('detail_description')}**")
            st.text(printable(item.description))
