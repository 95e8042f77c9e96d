"""The translations of one item, beside its words."""

from __future__ import annotations

import html
from collections.abc import Sequence

import streamlit as st

from kb.errors import KBError
from kb.service import Service
from kb.service.translations import SideBySide, side_by_side
from kb.service.views import LibraryEntry
from kb.types import Transcript
from kb.types.safe_text import printable
from kb.types.translation import Translation
from kb.ui import session
from kb.ui.i18n import language_text, plural_text, text
from kb.ui.tabs.library.panels import translate_form
from kb.ui.widgets import messages
from kb.ui.widgets.player import format_timestamp

AT_ONCE = 40  # segments

_SHOWN = "translation-shown"
_STYLE = """<style>
.kb-pair { display: flex; flex-wrap: wrap; gap: 0.25rem 1.5rem; margin: 0; }
.kb-pair > * { flex: 1 1 14rem; min-width: 0; overflow-wrap: anywhere; margin: 0; }
.kb-pair i { opacity: 0.7; }
</style>"""


def render(
    service: Service, entry: LibraryEntry, transcript: Transcript | None, *, place: str
) -> None:
    """Draw the translations, and the form of another one; nothing without a transcript."""
    if transcript is None:
        return
    languages = service.translations.languages(entry)
    st.markdown(f"**{text('translation_title')}**")
    if languages:
        _shown(service, entry, transcript, languages)
    with st.expander(text("translate_open"), key="translate"):
        st.caption(text("translate_help"))
        translate_form.render(service, entry, place=place, where="panel")


def _shown(
    service: Service, entry: LibraryEntry, transcript: Transcript, languages: Sequence[str]
) -> None:
    item_id, shown = entry.item.id, languages[0]
    if len(languages) > 1:
        key = f"translation-language|{item_id}"
        # Made here: Streamlit also asks for labels where the visitor's language is not known.
        names = {code: language_text(code) for code in languages}
        label = text("translation_language")
        shown = (
            st.selectbox(label, languages, key=key, format_func=names.__getitem__, width=200)
            or shown
        )
    try:
        found = service.translations.read(entry, transcript, shown)
    except KBError as error:
        messages.error(error)
        return
    if found is None:
        st.caption(text("translation_other_medium"))
        return
    _translation(item_id, transcript, found)


def _translation(item_id: str, transcript: Transcript, found: Translation) -> None:
    name = "translation_by_at" if found.place else "translation_by"
    by = text(
        name,
        language=language_text(found.language),
        model=printable(found.model),
        place=printable(found.place),
    )
    st.text(f"{by} {text('translation_machine')}")
    if found.licence:
        st.text(text("translation_licence", licence=printable(found.licence)))
    if not found.is_current:
        st.warning(text("translation_old"))
    if found.marks:
        marks = ", ".join(
            f"{text(f'mark_{mark}')} ({n})" for mark, n in sorted(found.marks.items())
        )
        st.caption(plural_text("translation_missing", found.marks.total(), marks=marks))
    rows = side_by_side(transcript, found)
    key = f"{_SHOWN}|{item_id}|{found.language}"
    count = int(st.session_state.get(key, AT_ONCE))
    with st.expander(text("translation_show"), key="translation-pairs"):
        st.html(_STYLE)
        for number, row in enumerate(rows[:count]):
            _row(item_id, number, row, (transcript.language, found.language))
        if len(rows) > count:
            st.button(
                text("translation_more"), key="translation-more", type="tertiary",
                on_click=_show_more, args=(key, count),
            )  # fmt: skip


def _row(item_id: str, number: int, row: SideBySide, languages: tuple[str, str]) -> None:
    """Draw a segment twice. Both texts are those of strangers: they are shown sign for sign."""
    time = format_timestamp(row.start_s)
    with st.container(
        horizontal=True, gap="small", vertical_alignment="top", key=f"played-translation-{number}"
    ):
        st.button(
            f"▶ {time}",
            key=f"translation-{number}",
            type="tertiary",
            help=text("translation_at", start=time),
            on_click=session.open_item,
            args=(item_id, row.start_s),
        )
        said, other = (html.escape(printable(each)) for each in (row.original, row.text))
        if row.mark:
            other = f"<i>({html.escape(text(f'mark_{row.mark}'))})</i>"
        source, target = (html.escape(each) for each in languages)
        pair = f'<p lang="{source}">{said}</p><p lang="{target}">{other}</p>'
        st.html(f'<div class="kb-pair">{pair}</div>')


def _show_more(key: str, count: int) -> None:
    st.session_state[key] = count + AT_ONCE
