"""Notes of the plan: credits of a service, and what keeps a run from starting at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import streamlit as st

from kb.errors import KBError, restored
from kb.options import RunOptions
from kb.service import Service
from kb.service.views import Scan
from kb.service.worker_supervisor import worker_supervisor
from kb.types import MediaItem
from kb.ui import session
from kb.ui.i18n import error_messages, format_number, text
from kb.ui.widgets import messages

WORDS_A_MINUTE = 150.0  # of speech: the middle of talks and conversations in English
_KINDS = {"new": "plan_new", "known": "plan_again"}
_FLASH = "plan_notes"


def show_credits(
    service: Service, items: Sequence[MediaItem], options: Callable[[], RunOptions]
) -> None:
    """Draw the credits that sending these items to ODIN takes; nothing where they do not go there.

    The words are not known yet: they are estimated from the length of the sound.
    """
    try:
        sinks = options().sinks
    except KBError:
        return  # the form shows it
    settings = service.settings
    minutes = sum(item.duration_s or 0.0 for item in items) / 60
    if "odin" not in (settings.sink_names if sinks is None else sinks) or not minutes:
        return
    credits = minutes * WORDS_A_MINUTE / 10_000 * settings.odin_credits_per_10k_words
    st.caption(
        text(
            "plan_credits",
            credits=format_number(credits, 2 if credits < 10 else 0),
            rate=format_number(WORDS_A_MINUTE),
        )
    )


def show_hindrances(service: Service) -> None:
    """Draw a paused queue and a missing worker, each with the button that mends it."""
    messages.show_flash(_FLASH)
    lanes = [lane for lane in service.queue.lanes() if lane.holds_items]
    if lanes:
        reason = error_messages.translate_error(
            restored(lanes[0].reason, problem=lanes[0].problem)
        ).message.rstrip(".")
        _note(text("plan_paused", reason=reason), text("lane_resume"), "plan-resume", _resume)
    if worker_supervisor().view(service).state in ("stopped", "ends", "hung"):
        _note(text("plan_no_worker"), text("worker_start"), "plan-worker", _start_worker)


def counts(scans: Sequence[Scan], items: Sequence[MediaItem], total: str) -> str:
    """Return how many items are new, tried again or transcribed again, as Markdown."""
    kinds = {each.item.id: each.category for scan in scans for each in scan.items}
    found = Counter(_KINDS.get(kinds.get(item.id, ""), "plan_tried") for item in items)
    named = [name for name in ("plan_new", "plan_tried", "plan_again") if found[name]]
    parts = [text(name, count=format_number(found[name])) for name in named or ["plan_new"]]
    return text("plan_count", parts=", ".join(parts), all=total)


def _note(words: str, label: str, key: str, act: Callable[[Service], object]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"note-{key}"):
        st.markdown(f":orange[‖] {messages.escape_markdown(words)}", width="content")
        st.button(label, key=key, on_click=_attempt, args=(act,))


def _attempt(act: Callable[[Service], object]) -> None:
    try:
        act(session.service())
    except KBError as error:
        messages.flash_error(_FLASH, error)


def _resume(service: Service) -> None:
    service.queue.resume()


def _start_worker(service: Service) -> None:
    worker_supervisor().start(service)
