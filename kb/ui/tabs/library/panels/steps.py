"""Steps after the words of one item: their states, and how long each speaker speaks."""

from __future__ import annotations

import streamlit as st

from kb.errors import KBError
from kb.service import Service
from kb.service.views import LibraryEntry
from kb.types import Transcript
from kb.ui.i18n import has_text, text
from kb.ui.widgets import messages
from kb.ui.widgets.player import format_timestamp

MOST = 20  # speakers that are listed

_SIGNS = {"done": "synced", "failed": "failed", "skipped": "held", "cancelled": "cancelled"}


def render(service: Service, entry: LibraryEntry, transcript: Transcript | None) -> None:
    """Draw the steps; nothing for an item without any."""
    try:
        found = [each for status in service.items.statuses(ids=[entry.item.id])
                 for each in status.steps]  # fmt: skip
    except KBError as error:
        messages.error(error)
        return
    if not found:
        return
    st.markdown(f"**{text('steps_title')}**")
    for each in found:
        name = text(f"step_{each.step}") if has_text(f"step_{each.step}") else each.step
        share = f" ({each.progress:.0%})" if each.status == "running" and each.progress else ""
        sign = messages.publish_sign(_SIGNS.get(each.status, each.status))
        st.markdown(f"{sign} {name}: {text(f'step_{each.status}')}{share}")
        if each.error:
            messages.stored_error(each, severe=each.status == "failed")
    if voices := speaking_times(transcript):
        listed = ", ".join(f"{name} {format_timestamp(s)}" for name, s in voices[:MOST])
        messages.facts([(text("step_voices"), listed)])


def speaking_times(transcript: Transcript | None) -> list[tuple[str, float]]:
    """Return each speaker of a transcript with the seconds of their segments, the longest first."""
    seconds: dict[str, float] = {}
    for segment in transcript.segments if transcript else ():
        if segment.speaker:
            spoken = segment.end_s - segment.start_s
            seconds[segment.speaker] = seconds.get(segment.speaker, 0.0) + spoken
    return sorted(seconds.items(), key=lambda each: (-each[1], each[0]))
