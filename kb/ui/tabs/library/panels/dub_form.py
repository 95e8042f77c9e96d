"""The fields of a dub in the form of products: language and voice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from kb.errors import KBError, UsageError
from kb.service import Service
from kb.service.views import LibraryEntry
from kb.types.safe_text import command_argument
from kb.ui.i18n import language_text, text
from kb.ui.i18n.error_messages import translate_error
from kb.ui.tabs.library.panels import translate_form
from kb.ui.widgets import messages

if TYPE_CHECKING:
    from kb.service.video import Order


def render(service: Service, entry: LibraryEntry, place: str) -> bool:
    """Draw language and voice; without a translation or a voice, what brings one.

    Returns False if there is nothing that could be spoken.
    """
    item_id = entry.item.id
    try:
        languages = service.dubbing.languages(entry)
    except KBError as error:
        messages.error(error)
        return False
    if not languages:
        st.caption(text("produce_no_translation"))
        translate_form.render(service, entry, place=place, where="dub")
        return False
    # Made here: Streamlit also asks for labels where the visitor's language is not known.
    names = {code: language_text(code) for code in languages}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        language = st.selectbox(
            text("produce_language"), languages, format_func=names.__getitem__,
            key=f"produce-language|{item_id}", width=180,
        )  # fmt: skip
        try:
            voices = service.speech.local_voices(language)
        except KBError as error:
            messages.error(error)
            return False
        if voices:
            labels = {"": text("produce_voice_usual"), **{voice: voice for voice in voices}}
            st.selectbox(
                text("produce_voice"), list(labels), format_func=labels.__getitem__,
                key=f"produce-voice|{item_id}|{language}", width=260,
                help=text("produce_voice_help"),
            )  # fmt: skip
    if not voices:
        st.caption(" ".join(translate_error(service.speech.no_voice(language))))
    return True


def wanted(service: Service, item_id: str, *, fetch: bool) -> Order:
    """Return the order of what the fields say. Raises UsageError."""
    from kb.service.dubbing import Dub

    language = str(st.session_state.get(f"produce-language|{item_id}") or "")
    if not language:
        raise UsageError(
            "produce.no_translation",
            "There is no translation that could be spoken.",
            hint="Make it: kb translate {item_id} --into de",
            item_id=command_argument(item_id),
        )
    voice = str(st.session_state.get(f"produce-voice|{item_id}|{language}") or "")
    return service.dubbing.order(item_id, Dub(language, voice), fetch=fetch)
