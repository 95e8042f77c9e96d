"""The model that a run fetches first: its size, its place, and if this machine has room for it."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from kb.errors import KBError
from kb.options import RunOptions
from kb.service import Service
from kb.service.views import NeededFetch
from kb.ui.i18n import format_number, text
from kb.ui.widgets import messages

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
    if lacking:
        st.warning(" ".join([_words(fetch), *lacking]))
    else:
        st.caption(_words(fetch))


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
