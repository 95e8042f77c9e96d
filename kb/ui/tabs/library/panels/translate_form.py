"""The choice of a language into which one item is translated, and its button."""

from __future__ import annotations

import streamlit as st

from kb.errors import KBError
from kb.service import Service
from kb.service.translations import spoken_language
from kb.service.views import LibraryEntry
from kb.ui import session
from kb.ui.i18n import language_text, text, translation
from kb.ui.widgets import messages

_PREFIX = "language_"
_CODES = tuple(
    key.removeprefix(_PREFIX) for key in translation.EN if len(key) == len(_PREFIX) + 2
    and key.startswith(_PREFIX)
)  # fmt: skip


def render(service: Service, entry: LibraryEntry, *, place: str, where: str) -> None:
    """Draw the form; its result is shown at `place`, and `where` keeps two of them apart."""
    own = spoken_language(entry)
    # Made here: Streamlit also asks for labels where the visitor's language is not known.
    names = {code: language_text(code) for code in _CODES if code != own}
    codes = sorted(names, key=names.__getitem__)
    wanted = service.settings.translate_into.partition(",")[0].strip()
    key = f"translate-into|{where}|{entry.item.id}"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            text("translate_into"), codes, format_func=names.__getitem__, key=key, width=200,
            index=codes.index(wanted) if wanted in codes else 0,
        )  # fmt: skip
        st.button(
            text("translate_now"), key=f"translate-now-{where}", on_click=_request,
            args=(entry.item.id, key, place),
        )  # fmt: skip


def _request(item_id: str, key: str, place: str) -> None:
    service = session.service()
    try:
        found = service.translations.request([item_id], str(st.session_state.get(key) or ""))
        words = text("translate_queued" if found.steps.queued else "translate_there")
        if found.steps.queued and not service.queue.workers():
            words += " " + text("produce_no_worker")
    except KBError as error:
        messages.flash_error(place, error)
        return
    messages.flash(place, words)
