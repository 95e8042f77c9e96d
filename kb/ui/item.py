"""One open item: player beside the transcript, what is known of it, its exports."""

from __future__ import annotations

import re

import streamlit as st

from kb.errors import KBError, UsageError
from kb.library import LibraryEntry
from kb.service import ItemStatus, Service
from kb.types import Transcript
from kb.ui import media, session, show
from kb.ui.player import Scene, player
from kb.ui.texts import text

_MIME = {"json": "application/json", "csv": "text/csv", "vtt": "text/vtt"}
_WORD = re.compile(r"\w+")


def render(item_id: str, start_s: float | None, query: str) -> None:
    """Draw the item, from a second on, with the words of a search marked."""
    service = session.service()
    try:
        entry = service.entry(item_id)
    except UsageError:
        _back(query)
        show.trouble(text("unknown_item", item=item_id), text("unknown_item_hint"))
        return
    except KBError as error:
        show.error(error)
        return
    transcript, problem = _transcript(service, entry)
    status = _status(service, entry)
    with st.container(key="item-head", gap="xxsmall"):
        _back(query)
        st.markdown(f"### {show.plain(entry.item.title)}")
        known = (entry.item.published, entry.item.channel)
        line = [show.colored_state(status.state), *(show.plain(part) for part in known if part)]
        st.markdown(" · ".join(line))
    if status.error:
        show.trouble(status.error, status.hint, severe=status.state == "failed")
    elif problem is not None:
        show.error(problem)
    for warning in transcript.warnings if transcript else ():
        if warning != status.error:
            show.trouble(warning, severe=False)
    player(_scene(entry, transcript, start_s, query), key="player")
    if transcript is not None:
        _facts(transcript)
        _exports(service, entry)
    _details(entry)


def _back(query: str) -> None:
    label = text("back_hits", query=show.plain(query)) if query else text("back_items")
    st.button(f"← {label}", on_click=session.close_item, type="tertiary", key="back")


def state_in_folder(entry: LibraryEntry) -> str:
    """An item's state as its files tell it."""
    if entry.state != "new":
        return entry.state
    return "done" if entry.transcript_path else "queued"


def _status(service: Service, entry: LibraryEntry) -> ItemStatus:
    try:
        return service.status(entry.item.id)
    except KBError:
        # Laid into the folder by hand: the queue does not know it.
        return ItemStatus(
            entry.item.id,
            entry.item.title,
            "",
            state_in_folder(entry),
            0.0,
            entry.error,
            entry.hint,
        )


def _transcript(service: Service, entry: LibraryEntry) -> tuple[Transcript | None, KBError | None]:
    try:
        return service.transcript(entry.item.id), None
    except KBError as error:
        return None, error


def _scene(
    entry: LibraryEntry, transcript: Transcript | None, start_s: float | None, query: str
) -> Scene:
    made = str(entry.transcribed.get("at", ""))
    found = media.media_file(entry.item.id)
    return Scene(
        revision=f"{entry.item.id}|{made}|{len(transcript.segments) if transcript else 0}",
        title=entry.item.title,
        source=media.address(entry.item.id) if found else "",
        picture=found is not None and not media.media_type(found).startswith("audio/"),
        duration_s=transcript.media.duration_s if transcript else entry.duration_s or 0.0,
        segments=transcript.segments if transcript else (),
        gaps=transcript.coverage.gaps if transcript else (),
        marks=tuple(dict.fromkeys(word.lower() for word in _WORD.findall(query))),
        start_s=_line_start(transcript, start_s),
        wish=session.seeks(),
    )


def _line_start(transcript: Transcript | None, start_s: float | None) -> float | None:
    """The start of the line that a link means: links carry whole seconds, rounded down."""
    if start_s is None or transcript is None:
        return start_s
    lines = (s.start_s for s in transcript.segments if start_s <= s.start_s < start_s + 1)
    return min(lines, default=start_s)


def _facts(transcript: Transcript) -> None:
    coverage = transcript.coverage
    facts: list[tuple[str, str, str | None]] = [
        ("fact_length", show.length(transcript.media.duration_s), None),
        ("fact_words", f"{len(transcript.words):,}", None),
        ("fact_language", transcript.language or "–", None),
        (
            "fact_coverage",
            f"{coverage.ratio:.1%}",
            text("fact_coverage_help", gaps=len(coverage.gaps), repaired=coverage.repaired),
        ),
        (
            "fact_model",
            transcript.model.rstrip("/").rsplit("/", 1)[-1],
            text("fact_model_help", preset=transcript.preset, speed=transcript.timing.rtfx),
        ),
    ]
    with st.container(horizontal=True, key="figures-item"):
        for label, value, help_text in facts:
            st.metric(text(label), value, help=help_text, border=True, width="content")


def _exports(service: Service, entry: LibraryEntry) -> None:
    st.markdown(f"**{text('export')}**")
    with st.container(horizontal=True, key="exports", gap="small"):
        for name in service.formats():
            try:
                document = service.export(entry.item.id, name)
            except KBError as error:
                show.error(error)
                return
            st.download_button(
                name.upper(),
                document,
                file_name=f"{entry.stem}.{name}",
                mime=_MIME.get(name, "text/plain"),
                help=text("export_help", format=name.upper()),
                on_click="ignore",
                key=f"export-{name}",
            )


def _details(entry: LibraryEntry) -> None:
    with st.expander(text("details")):
        rows = [
            ("detail_id", entry.item.id),
            ("detail_file", str(entry.media_path or "–")),
            ("detail_sha", entry.sha256 or "–"),
            ("detail_source", entry.item.url or "–"),
        ]
        for label, value in rows:
            st.markdown(f"{text(label)}: {show.plain(value)}")
