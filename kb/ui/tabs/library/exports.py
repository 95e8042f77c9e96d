"""Downloads: the documents of an open item by their use, and a ZIP of many items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import cast

import streamlit as st

from kb.service import Service
from kb.service.export_request import ALL, ExportRequest
from kb.service.notation import FORMAT_GROUPS, FORMATS, links_to
from kb.service.views import LibraryEntry
from kb.types import CsvForm, Transcript
from kb.ui import session
from kb.ui.i18n import has_text, language_text, plural_text, text
from kb.ui.tabs.library.export_options import csv_form, export_options
from kb.ui.web import export_route

_FORMATS = "export_formats"
_DEFAULT = ("txt",)
_MANY = 500  # items of a download whose menu is made when it is opened
_CSV_EXCEL = "csv_excel"  # the form of CSV for the spreadsheet of the page's language
_FORMS = {"csv": (_CSV_EXCEL,)}


def item_menu(service: Service, entry: LibraryEntry, transcript: Transcript) -> None:
    """Draw a button for each format that the item has something for, in groups by their use."""
    with st.container(horizontal=True, vertical_alignment="center", key="exports-head"):
        st.markdown(f"**{text('export')}**", width="content")
        with st.popover(text("export_options"), width="content", key="export-options"):
            options = export_options()
        names = service.exports.available(transcript, entry.item)
        groups = {
            group: [name for name in names if service.exports.format(name).group == group]
            for group in FORMAT_GROUPS
        }
        with st.popover(text("export_guide"), width="content", key="export-guide"):
            for group, of_group in groups.items():
                kinds = [kind for name in of_group for kind in (name, *_FORMS.get(name, ()))]
                rows = "\n".join(f"- **{_label(kind)}** – {_use(kind)}" for kind in kinds)
                st.markdown(f"{text(f'export_group_{group}')}\n\n{rows}")
        # Beside the options, not in them: it decides about the text of all files below.
        options = replace(options, language=_language(service, entry, transcript))
    for group, of_group in groups.items():
        with st.container(
            horizontal=True, vertical_alignment="center", key=f"exports-{group}", gap="small"
        ):
            st.markdown(text(f"export_group_{group}"), width=120)
            for name in of_group:
                request = replace(options, formats=(name,))
                _button(service, entry, transcript, request)
                if name == "csv":
                    form = cast(CsvForm, text("export_csv_form"))
                    _button(service, entry, transcript, replace(request, csv=form))


def _language(service: Service, entry: LibraryEntry, transcript: Transcript) -> str:
    """Draw the choice of a translation, if there is one; return its code, else nothing."""
    codes = service.translations.current_languages(entry, transcript)
    if not codes:
        return ""
    # Made here: Streamlit also asks for labels where the visitor's language is not known.
    labels = {"": text("translation_as_said"), **{code: language_text(code) for code in codes}}
    return st.selectbox(
        text("translation_export"),
        ["", *codes],
        format_func=labels.__getitem__,
        key=f"export-language|{entry.item.id}",
        label_visibility="collapsed",
        width=200,
    ) or ""  # fmt: skip


def _button(
    service: Service, entry: LibraryEntry, transcript: Transcript, request: ExportRequest
) -> None:
    (name,) = request.formats
    language = request.language or (transcript.language if request.language_in_name else "")
    kind = name if request.csv == "plain" else _CSV_EXCEL
    st.download_button(
        _label(kind),
        # Made only on request: a long transcript in twenty formats takes time.
        partial(_content, service, entry, transcript, request, session.link_base()),
        file_name=service.exports.file_name(entry.stem, name, language),
        mime=service.exports.format(name).mime_type,
        help=_use(kind),
        on_click="ignore",
        key=f"export-{kind}",
    )


def _content(
    service: Service,
    entry: LibraryEntry,
    transcript: Transcript,
    request: ExportRequest,
    base: str,
) -> bytes:
    if request.language:
        transcript = service.exports.in_language(entry, request.language)
    with links_to(base):
        return service.exports.document(
            transcript, request.formats[0], request, stem=entry.stem, item=entry.item
        ).content


def zip_menu(shown: Sequence[LibraryEntry], ticked: Sequence[str]) -> None:
    """Draw the menu that downloads the ticked items of a list, or all of them, as one ZIP."""
    chosen = [entry for entry in shown if entry.item.id in set(ticked)] or list(shown)
    with_text = [entry.item.id for entry in chosen if entry.transcript_path]
    missing = len(chosen) - len(with_text)
    many = len(with_text) > _MANY
    menu = st.popover(
        plural_text("export_many", len(with_text)),
        width="content",
        key="export-many" if not many else "export-many-lazy",
        disabled=not with_text,
        # The address of a download names all of its items: that of many is made when it is asked.
        on_change="rerun" if many else "ignore",
    )
    if many and not menu.open:
        return
    with menu:
        st.markdown(text("export_many_selected" if ticked else "export_many_shown"))
        if missing:
            st.caption(plural_text("export_many_without", missing))
        formats = st.multiselect(
            text("export_formats"),
            [ALL, *FORMATS],
            default=list(_DEFAULT),
            format_func=_choice,
            key=_FORMATS,
            persist_state="session",
        )
        with st.expander(text("export_options")):
            csv = csv_form()
            options = export_options()
        names = (ALL,) if ALL in formats else tuple(formats)
        request = replace(options, formats=names, csv=csv)
        st.link_button(
            text("export_many_get"),
            export_route.zip_url(with_text, request, session.link_base())
            if names and with_text
            else "#",
            type="primary",
            disabled=not names or not with_text,
        )


def _choice(name: str) -> str:
    return text("export_all_formats") if name == ALL else f"{_label(name)} – {_use(name)}"


def _label(name: str) -> str:
    return "CSV (Excel)" if name == _CSV_EXCEL else name.upper()


def _use(name: str) -> str:
    """Return the use of a format; a new one without a text shows its name."""
    key = f"format_{name}"
    return text(key) if has_text(key) else text("export_help", format=name.upper())
