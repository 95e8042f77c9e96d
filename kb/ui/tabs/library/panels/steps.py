"""Steps after the words of one item, and their states."""

from __future__ import annotations

import streamlit as st

from kb.errors import KBError
from kb.service import ItemStatus, Service
from kb.service.views import LibraryEntry
from kb.types.translation import TRANSLATE
from kb.ui import session
from kb.ui.i18n import has_text, plural_text, text
from kb.ui.widgets import messages

SIGNS = {"done": "synced", "failed": "failed", "skipped": "held", "cancelled": "cancelled"}


def render(service: Service, entry: LibraryEntry, status: ItemStatus, *, place: str) -> None:
    """Draw the steps, and the form that runs some; nothing for an item without a transcript."""
    found = [each for each in status.steps if not each.is_product]
    if not found and entry.transcript_path is None:
        return
    st.markdown(f"**{text('steps_title')}**")
    for each in found:
        name = _name(each.step)
        share = f" ({each.progress:.0%})" if each.status == "running" and each.progress else ""
        sign = messages.publish_sign(SIGNS.get(each.status, each.status))
        st.markdown(f"{sign} {name}: {text(f'step_{each.status}')}{share}")
        if each.error:
            messages.stored_error(each, severe=each.status == "failed")
    if entry.transcript_path is not None:
        _form(service, entry.item.id, place)


def _name(step: str) -> str:
    return text(f"step_{step}") if has_text(f"step_{step}") else step


def _form(service: Service, item_id: str, place: str) -> None:
    # Made here: Streamlit also asks for labels where the visitor's language is not known.
    names = {
        each.name: _name(each.name)
        for each in service.enrichment.states()
        if each.name != TRANSLATE and has_text(f"step_{each.name}")
    }
    with st.popover(text("steps_run"), width="content", key=f"steps-run|{item_id}"):
        key = f"steps-chosen|{item_id}"
        st.multiselect(
            text("steps_which"), list(names), format_func=names.__getitem__, key=key,
            placeholder=text("steps_choose"),
        )  # fmt: skip
        st.checkbox(text("steps_again"), key=f"steps-again|{item_id}")
        st.button(
            text("steps_run_now"), key="steps-run-now", type="primary", on_click=_run,
            args=(item_id, place), disabled=not st.session_state.get(key),
        )  # fmt: skip


def _run(item_id: str, place: str) -> None:
    state, service = st.session_state, session.service()
    names = [str(each) for each in state.get(f"steps-chosen|{item_id}") or ()]
    try:
        again = bool(state.get(f"steps-again|{item_id}"))
        report = service.enrichment.run([item_id], names, again=again)
        if report.lacking:
            raise next(iter(report.lacking.values()))
    except KBError as error:
        messages.flash_error(place, error)
        return
    count = len(report.queued)
    words = plural_text("steps_queued", count) if count else text("steps_current")
    if count and not service.queue.workers():
        words += " " + text("produce_no_worker")
    messages.flash(place, words)
