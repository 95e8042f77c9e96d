"""A model and pictures that a run fetches beside its media: their size, and the room for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from kb.errors import KBError
from kb.options import RunOptions
from kb.service import Service
from kb.service.views import NeededFetch
from kb.types import MediaItem
from kb.ui import session
from kb.ui.i18n import format_number, text
from kb.ui.widgets import messages
from kb.ui.widgets.fetches import show_fetches, start_fetch

EVERY_S = 1
GIB = 2**30  # the unit in which the memory of graphics cards is stated


def show_needed_fetch(service: Service, options: Callable[[], RunOptions]) -> None:
    """Draw what a run with these options fetches first, and nothing if all is here."""
    try:
        fetch = service.models.needed_fetch(options())
    except KBError:
        return  # the form shows it
    if fetch is None:
        return
    lacking = [
        text(key)
        for key, fits in (
            ("plan_model_no_disk", fetch.fits_disk), ("plan_model_no_memory", fetch.fits_memory),
        )
        if not fits
    ]  # fmt: skip
    under_way = [state for state in service.models.fetches() if state.name in fetch.targets]
    if lacking:
        st.warning(" ".join([_words(fetch), *lacking]))
    elif not under_way:
        st.caption(_words(fetch))
    # A fragment, so that the progress moves while the form stays as it is.
    interval_s = EVERY_S if under_way else None
    st.fragment(_fetches, run_every=interval_s)(fetch.targets, bool(under_way))


def show_pictures(
    service: Service, items: Sequence[MediaItem], options: Callable[[], RunOptions]
) -> None:
    """Draw the size of the pictures that a run fetches, reads and deletes; nothing without any."""
    try:
        size = service.ingest.picture_bytes(items, options())
    except KBError:
        return  # the form shows it
    if size:
        st.caption(text("plan_pictures", size=messages.format_size(size)))


def _fetches(targets: Sequence[str], under_way: bool) -> None:
    states = [state for state in session.service().models.fetches() if state.name in targets]
    if bool(states) != under_way:
        st.rerun()  # the plan: the fetch has started, or the model is here
    show_fetches(states)
    if not states:
        st.button(text("fetch_now"), key="fetch-now", help=text("fetch_now_help"),
                  on_click=start_fetch, args=(targets,))  # fmt: skip


def _words(fetch: NeededFetch) -> str:
    words = text(
        "plan_model",
        model=messages.escape_markdown(fetch.name),
        size=_at_least(fetch, messages.format_size(fetch.size))
        if fetch.size
        else text("plan_model_unknown"),
        folder=messages.escape_markdown(fetch.folder),
        free=messages.format_size(fetch.free),
    )
    if fetch.memory_bytes:
        words += " " + text(
            "plan_model_memory" if fetch.room.budget_bytes else "plan_model_memory_alone",
            need=_at_least(fetch, _memory(fetch.memory_bytes)),
            device=messages.escape_markdown(fetch.room.device),
            budget=_memory(fetch.room.budget_bytes),
        )
    return words


def _at_least(fetch: NeededFetch, size: str) -> str:
    return text("plan_model_least" if fetch.is_least else "plan_model_about", size=size)


def _memory(count: int) -> str:
    return f"{format_number(count / GIB, 1)} GB"
