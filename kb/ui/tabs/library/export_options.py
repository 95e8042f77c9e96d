"""The options of downloads: language in the name, times of words, layout of subtitles."""

from __future__ import annotations

from typing import Any

import streamlit as st

from kb.errors import UsageError
from kb.export_options import LAYOUT_OPTIONS, LayoutOptions
from kb.options import Option
from kb.service.export_request import ExportRequest
from kb.types import LAYOUTS, CsvForm, SubtitleLayout, Timestamps
from kb.ui.i18n import format_number, has_text, text
from kb.ui.widgets import messages

_KEY = "export_option_"
_LANGUAGE_IN_NAME, _FRAME_RATE = "export_language_in_name", "export_frame_rate"
_WORD_TIMES = "export_word_times"
_CSV = "export_csv"
FRAME_RATES = (23.976, 24.0, 25.0, 29.97, 30.0, 50.0, 59.94, 60.0)
DEFAULT_FRAME_RATE = 25.0
CSV_FORMS: tuple[CsvForm, ...] = ("plain", "excel-en", "excel-de")
_COLUMNS = 2


def export_options() -> ExportRequest:
    """Draw the fields of the options; return them in a request for no format."""
    language_in_name = st.checkbox(
        text("export_language_in_name"),
        key=_LANGUAGE_IN_NAME,
        help=text("export_language_in_name_help"),
        persist_state="session",
    )
    word_times = st.checkbox(
        text("export_word_times"),
        key=_WORD_TIMES,
        help=text("export_word_times_help"),
        persist_state="session",
    )
    frame_rate = st.selectbox(
        text("export_frame_rate"),
        FRAME_RATES,
        index=FRAME_RATES.index(DEFAULT_FRAME_RATE),
        format_func=lambda rate: format_number(rate, 0 if rate == int(rate) else 3),
        key=_FRAME_RATE,
        help=text("export_frame_rate_help"),
        width=160,
        persist_state="session",
    )
    st.markdown(f"**{text('export_group_subtitles')}**")
    timestamps: Timestamps | None = "word" if word_times else None  # None: as the run asked for
    return ExportRequest((), timestamps, _layout(), bool(language_in_name), float(frame_rate))


def csv_form() -> CsvForm:
    """Draw the choice of the form of CSV tables; return it.

    The page's server may be set to another language than the spreadsheet, so that each is named.
    """
    form: CsvForm = st.selectbox(
        text("export_csv"),
        CSV_FORMS,
        format_func=lambda each: text(f"export_csv_{each}"),
        key=_CSV,
        help=text("export_csv_help"),
        persist_state="session",
    )
    return form


def _layout() -> SubtitleLayout | None:
    """Draw the fields of the subtitle layout; return it, None for figures that contradict."""
    values: dict[str, Any] = {}
    switches = [option for option in LAYOUT_OPTIONS.values() if option.kind == "switch"]
    fields = [option for option in LAYOUT_OPTIONS.values() if option.kind != "switch"]
    places = st.columns(_COLUMNS, gap="small")
    for number, option in enumerate(fields):
        values[option.name] = _field(option, places[number % _COLUMNS])
    values |= {option.name: _field(option, st) for option in switches}
    try:
        return LayoutOptions(**values).resolve()
    except UsageError as error:
        messages.error(error, severe=False)
        return None


def _field(option: Option, place: Any) -> Any:
    """Draw the field of one option; return its value, None for an empty one."""
    name = option.name
    common = {
        "label": text(f"option_{name}"),
        "key": f"{_KEY}{name}",
        "help": text(f"option_{name}_help") if has_text(f"option_{name}_help") else None,
        "persist_state": "session",
    }
    if option.kind == "switch":
        return place.checkbox(value=bool(option.default), **common)
    if option.kind == "number":
        limits, number = option.range, option.value_type
        return place.number_input(
            value=None,
            step=number(option.step),
            min_value=number(limits.low) if limits else None,
            max_value=number(limits.high) if limits else None,
            placeholder=text("export_as_layout"),
            **common,
        )
    return place.selectbox(
        options=list(LAYOUTS), format_func=lambda each: text(f"option_{name}_{each}"), **common
    )
