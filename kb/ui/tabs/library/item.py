"""One open item: player beside the transcript, its facts, its exports."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import streamlit as st

from kb.errors import KBError, LibraryError, UsageError
from kb.service import ItemStatus, Service
from kb.service.views import LibraryEntry, waits_for_review
from kb.types import SpeechSpan, Transcript
from kb.types.quality import ERRORS_A
from kb.ui import session
from kb.ui.i18n import Count, format_number, text
from kb.ui.i18n.error_messages import flag_label
from kb.ui.tabs.library import exports, item_acts, item_details
from kb.ui.web import clip_route, media_route, preview_route
from kb.ui.widgets import messages
from kb.ui.widgets.player import PlayerState, format_timestamp, parse_edit, player

REFRESH_S = 5
_PLAYER, _EDITS = "player", "item_edits"
_WORD = re.compile(r"\w+")
_GRADE_COLORS = {"A": "green", "B": "blue", "C": "orange"}


def render(item_id: str, start_s: float | None, query: str) -> None:
    """Draw the item from a second on, with the words of a search marked."""
    service = session.service()
    try:
        entry = service.items.entry(item_id)
        status = _status(service, entry)
        before = _mark(service, entry, status)  # of the time before anything else is read
    except UsageError as error:
        _back(query)
        if error.code == "item.in_queue":
            messages.error(error, severe=False)
        else:
            messages.show_error(text("unknown_item", item=item_id), text("unknown_item_hint"))
        return
    except KBError as error:
        _back(query)
        messages.error(error)
        return
    transcript, problem = _transcript(entry)
    with st.container(key="item-head", gap="xxsmall"):
        _back(query)
        st.markdown(f"### {messages.escape_markdown(entry.item.title)}")
        st.markdown(_subtitle(entry, status))
        item_acts.labels(entry)
    item_acts.row(service, entry, place=_flash_key(entry.item.id))
    messages.show_flash(_flash_key(entry.item.id))
    _problems(entry, status, transcript, problem)
    offset_s = service.items.media_start_s(entry)
    player(
        _player_state(entry, transcript, start_s, query, offset_s), key=_PLAYER, on_edit=_on_edit
    )
    if transcript is not None:
        _facts(transcript)
        exports.item_menu(service, entry, transcript)
    item_details.render(service, entry, status, transcript, place=_flash_key(entry.item.id))
    st.fragment(_watch, run_every=REFRESH_S)(item_id, before)


def _watch(item_id: str, drawn: object) -> None:
    """Draw the page again when the item is no longer as `drawn`: the worker may be at it."""
    service = session.service()
    try:
        entry = service.items.entry(item_id)
        now = _mark(service, entry, _status(service, entry))
    except KBError:
        now = None  # removed, or its disk is away: the next drawing says so
    if now != drawn:
        st.rerun()


def _mark(service: Service, entry: LibraryEntry, status: ItemStatus) -> object:
    """Return what changes when a worker or another program changes what the page shows of it."""
    try:
        changed_ns = entry.transcript_path.stat().st_mtime_ns if entry.transcript_path else 0
        results = service.items.results_changed(entry)
        sent = service.items.publications(entry)
    except (KBError, OSError):
        return None
    # The worker renews hashes of what was published, which the page does not show.
    record = {name: value for name, value in entry.record.items() if name != "published"}
    steps = [
        (each.step, *(() if each.status in ("queued", "running") else (each.status, each.error)))
        for each in status.steps
    ]
    return (
        status.state, status.error, replace(entry, record=record), sent, steps, changed_ns, results
    )  # fmt: skip


def state_from_files(entry: LibraryEntry) -> str:
    """Return an item's state according to its files."""
    if entry.state != "new":
        return entry.state
    return "done" if entry.transcript_path else "queued"


def _back(query: str) -> None:
    label = (
        text("back_hits", query=messages.escape_markdown(query)) if query else text("back_items")
    )
    st.button(f"← {label}", on_click=session.close_item, type="tertiary", key="back")


def _subtitle(entry: LibraryEntry, status: ItemStatus) -> str:
    parts = [messages.colored_state(status.state)]
    if entry.grade:
        color = _GRADE_COLORS.get(entry.grade, "gray")
        parts.append(f":{color}-badge[{text('grade', grade=entry.grade)}]")
    if entry.expected_errors is not None and entry.expected_errors > ERRORS_A:
        said = messages.likely_wrong(entry.expected_errors)
        parts.append(f":orange-badge[{messages.escape_markdown(said)}]")
    if entry.accepted:
        parts.append(f":green-badge[{text('review_accepted')}]")
    parts += [
        messages.escape_markdown(part)
        for part in (entry.item.published, entry.item.channel)
        if part
    ]
    return " · ".join(parts)


def _problems(
    entry: LibraryEntry, status: ItemStatus, transcript: Transcript | None, problem: KBError | None
) -> None:
    if status.error:
        messages.stored_error(status, severe=status.state == "failed")
    elif problem is not None:
        messages.error(problem)
    for warning in transcript.warnings if transcript else ():
        if warning != status.error:
            messages.show_error(warning, severe=False)
    _misheard(transcript, said_above=_is_held_for_words(status))
    if transcript is not None and (status.state == "held" or waits_for_review(entry)):
        is_asked = status.problem is not None and status.problem.get("code") == "version.asked"
        with st.container(horizontal=True, vertical_alignment="center", key="review"):
            st.button(
                text("keep_version" if is_asked else "accept"),
                key="accept",
                type="primary" if status.state == "held" else "secondary",
                on_click=_accept,
                args=(entry.item.id, status.state),
            )
            if is_asked:
                st.button(
                    text("renew"), key="renew", on_click=_renew, args=(entry.item.id,)
                )  # fmt: skip
            accept_help = "accept_help" if status.state == "held" else "accept_help_done"
            st.caption(text("renew_help" if is_asked else accept_help), width="content")


def _is_held_for_words(status: ItemStatus) -> bool:
    code = str(status.problem.get("code", "")) if status.problem else ""
    return code in ("hold.wrong_words", "hold.most_words")


def _misheard(transcript: Transcript | None, *, said_above: bool) -> None:
    """Show the likely causes where many words are likely wrong, and what helps.

    `said_above`: the reason for a hold says it already, with the advice of a larger model.
    """
    errors = transcript.expected_errors if transcript else None
    if transcript is None or errors is None or errors.grade == "A":
        return
    causes = transcript.sound.causes if transcript.sound else ()
    lines = [text(f"cause_{name}") for name in causes]
    if "very_quiet" in causes:
        lines.append(text("wrong_words_louder"))
    said = ""
    if not said_above:
        lines.append(text("wrong_words_model"))
        said = f"**{messages.escape_markdown(messages.likely_wrong(errors.share))}.** "
    if lines:
        st.info(said + messages.escape_markdown(" ".join(lines)))


def _status(service: Service, entry: LibraryEntry) -> ItemStatus:
    with suppress(KBError):
        for status in service.items.statuses(ids=[entry.item.id]):
            return status
    # The file was put into the folder by hand: the queue does not contain it.
    return ItemStatus(
        entry.item.id, entry.item.title, "", state_from_files(entry), 0.0,
        entry.error, entry.hint, problem=entry.problem,
    )  # fmt: skip


# The transcript is cached: reading a long one takes time, and a page is drawn often


def _transcript(entry: LibraryEntry) -> tuple[Transcript | None, KBError | None]:
    if entry.transcript_path is None:
        return None, None
    try:
        changed_ns = entry.transcript_path.stat().st_mtime_ns
        results = session.service().items.results_changed(entry)
        return _read(entry.transcript_path, entry.item.id, changed_ns, results), None
    except KBError as error:
        return None, error
    except OSError:
        return None, None  # removed between two drawings


@lru_cache(maxsize=4)
def _read(
    _path: Path, item_id: str, _changed_ns: int, _results: tuple[tuple[str, int], ...]
) -> Transcript:
    return session.service().items.transcript(item_id)


# Button actions


def _accept(item_id: str, state: str) -> None:
    try:
        session.service().review.accept(item_id)
    except KBError as error:
        messages.flash_error(_flash_key(item_id), error)
        return
    messages.flash(_flash_key(item_id), text("accepted" if state == "held" else "accepted_done"))


def _renew(item_id: str) -> None:
    try:
        session.service().review.renew(item_id)
    except KBError as error:
        messages.flash_error(_flash_key(item_id), error)
        return
    messages.flash(_flash_key(item_id), text("renewed"))


def _on_edit() -> None:
    """Save a line that was edited in the browser."""
    edit = parse_edit(st.session_state[_PLAYER].edit)
    if edit is None:
        return
    # The page is redrawn in any case: an edit that cannot be saved must not look saved.
    st.session_state[_EDITS] = st.session_state.get(_EDITS, 0) + 1
    try:
        done = session.service().revisions.edit(
            edit.item_id, edit.line, edit.after, expected=edit.before
        )
    except KBError as error:
        messages.flash_error(_flash_key(edit.item_id), error)
        return
    if done is not None:
        start_s = next((c.before.start_s for c in done.changes if c.before), 0.0)
        # Not a message above the player: it would push the player down while it plays.
        words = text("edited", time=format_timestamp(start_s))
        messages.flash_toast(_flash_key(edit.item_id), words)


def _flash_key(item_id: str) -> str:
    """Return the key of the messages about an item's buttons."""
    return f"item-{item_id}"


# Parts


def _player_state(
    entry: LibraryEntry,
    transcript: Transcript | None,
    start_s: float | None,
    query: str,
    offset_s: float,
) -> PlayerState:
    transcribed_at = str(entry.transcribed.get("at", ""))
    edits = st.session_state.get(_EDITS, 0)
    revisions = len(transcript.revisions) if transcript else 0
    lines = len(transcript.segments) if transcript else 0
    try:
        found = media_route.media_file(entry.item.id)
    except LibraryError as error:  # object storage is away: the transcript can be read
        found = None
        messages.error(error, severe=False)
    return PlayerState(
        item_id=entry.item.id,
        revision=f"{entry.item.id}|{transcribed_at}|{lines}|{revisions}|{edits}",
        title=entry.item.title,
        source=media_route.media_url(entry.item.id) if found else "",
        has_video=found is not None and not media_route.media_type(found).startswith("audio/"),
        duration_s=transcript.media.duration_s if transcript else entry.duration_s or 0.0,
        offset_s=offset_s,
        segments=transcript.segments if transcript else (),
        gaps=transcript.coverage.gaps if transcript else (),
        uncertain_spans=_uncertain_spans(transcript),
        chapters=entry.item.chapters,
        edited=_changed_lines(transcript),
        editable=transcript is not None,
        marks=tuple(dict.fromkeys(word.lower() for word in _WORD.findall(query))),
        start_s=_line_start(transcript, start_s),
        seek_id=session.seek_count(),
        peaks=preview_route.preview_url(entry, "peaks") if found else "",
        clip=clip_route.clip_url(entry.item.id) if found else "",
    )


def _uncertain_spans(transcript: Transcript | None) -> list[tuple[SpeechSpan, str]]:
    """Return spans with failed quality checks, and those in which many words are likely wrong.

    Spans without words are shown as gaps already.
    """
    if transcript is None:
        return []
    gaps = {(gap.start_s, gap.end_s) for gap in transcript.coverage.gaps}
    spans: dict[tuple[float, float], list[str]] = {}
    for window in transcript.windows:
        for flag in window.flags:
            if (flag.start_s, flag.end_s) not in gaps:
                names = spans.setdefault((flag.start_s, flag.end_s), [])
                names.append(flag_label(flag.name))
    errors = transcript.expected_errors
    for each in errors.passages if errors else ():
        names = spans.setdefault((each.start_s, each.end_s), [])
        names.append(messages.likely_wrong(each.share))
    return [
        (SpeechSpan(*span), ", ".join(dict.fromkeys(why))) for span, why in sorted(spans.items())
    ]


def _changed_lines(transcript: Transcript | None) -> frozenset[int]:
    """Return the numbers of the segments whose text was changed by a person."""
    if transcript is None:
        return frozenset()
    written = {
        replace(c.after, speaker=None)
        for revision in transcript.revisions
        for c in revision.changes
        if c.after
    }
    # Who speaks is found out afterwards.
    return frozenset(
        n
        for n, segment in enumerate(transcript.segments)
        if replace(segment, speaker=None) in written
    )


def _line_start(transcript: Transcript | None, start_s: float | None) -> float | None:
    """Return the start of the line for a link's second; links have whole seconds, rounded down."""
    if start_s is None or transcript is None:
        return start_s
    lines = (s.start_s for s in transcript.segments if start_s <= s.start_s < start_s + 1)
    return min(lines, default=start_s)


def _facts(transcript: Transcript) -> None:
    coverage = transcript.coverage
    gaps, repaired = Count(len(coverage.gaps)), Count(coverage.repaired)
    facts: list[tuple[str, str, str | None]] = [
        ("fact_length", messages.format_length(transcript.media.duration_s), None),
        ("fact_words", format_number(transcript.word_count), None),
        ("fact_language", transcript.language or "–", None),
        (
            "fact_coverage",
            f"{format_number(100 * coverage.ratio, 1)} %" if transcript.coverage_known else "–",
            text("fact_coverage_help", gaps=gaps, repaired=repaired),
        ),
        (
            "fact_grade",
            transcript.grade or "–",
            text("fact_grade_help", suspect=format_number(coverage.suspect_s, 1)),
        ),
        _errors_fact(transcript),
        (
            "fact_model",
            transcript.model.rstrip("/").rsplit("/", 1)[-1],
            text(
                "fact_model_help",
                preset=transcript.preset,
                speed=format_number(transcript.timing.rtfx),
            ),
        ),
    ]
    with st.container(horizontal=True, key="figures-item"):
        for label, value, help_text in facts:
            st.metric(text(label), value, help=help_text, border=True, width="content")


def _errors_fact(transcript: Transcript) -> tuple[str, str, str]:
    errors = transcript.expected_errors
    if errors is None:
        return "fact_errors", "–", text("fact_errors_unknown")
    said = messages.likely_wrong(errors.share)
    share = messages.format_share(errors.share)
    return "fact_errors", share, text("fact_errors_help", said=said)
