"""Speeds of transcribed items, and the calibrations of this machine."""

from __future__ import annotations

import streamlit as st

from kb.errors import KBError
from kb.service.views import Calibration, Speed
from kb.ui import session
from kb.ui.i18n import format_number, text
from kb.ui.widgets import charts, messages, task_progress
from kb.ui.widgets.tables import guarded_table

_SHOWN = 200
REFRESH_S = 10.0


def render() -> None:
    """Draw the speeds and the calibration."""
    st.markdown(f"#### {text('gpu_speeds')}")
    st.fragment(_recent, run_every=REFRESH_S)()
    _calibration()


def _recent() -> None:
    try:
        found = session.service().machines.speeds(limit=_SHOWN)
    except KBError as error:
        messages.error(error)
        return
    _speeds([speed for speed in found if speed.rtfx > 0])


def _speeds(found: list[Speed]) -> None:
    if not found:
        st.caption(text("gpu_speeds_none"))
        return
    titles = {entry.item.id: entry.item.title for entry in session.library_listing().entries}
    oldest_first = found[::-1]
    charts.bars(
        list(range(1, len(found) + 1)),
        [speed.rtfx for speed in oldest_first],
        x_label="",
        y_label=text("gpu_speed"),
        alt=text("gpu_speeds_alt"),
    )
    with st.expander(text("gpu_speeds_table"), key="gpu-speeds"):
        column = st.column_config
        guarded_table(
            {
                "item": [titles.get(s.item_id, s.item_id) for s in found],
                "rtfx": [round(s.rtfx, 1) for s in found],
                "length": [messages.format_length(s.media_s) for s in found],
                "took": [messages.format_timedelta(s.total_s) for s in found],
                "model": [s.model.rstrip("/").rsplit("/", 1)[-1] for s in found],
                "preset": [s.preset for s in found],
                "when": [messages.format_datetime(s.ended_at) for s in found],
            },
            key="speeds",
            height=min(38 + 35 * len(found), 420),
            column_config={
                "item": column.TextColumn(text("gpu_item"), width="large"),
                "rtfx": column.NumberColumn(text("gpu_speed"), format="%.1f"),
                "length": column.TextColumn(text("gpu_length")),
                "took": column.TextColumn(text("gpu_took")),
                "model": column.TextColumn(text("gpu_model")),
                "preset": column.TextColumn(text("gpu_preset")),
                "when": column.TextColumn(text("gpu_when")),
            },
            alt=text("gpu_speeds_table_alt"),
        )


def _calibration() -> None:
    st.markdown(f"#### {text('gpu_calibrate')}")
    st.caption(text("gpu_calibrate_help"))
    st.button(
        text("gpu_calibrate_start"),
        key="calibrate",
        on_click=task_progress.start,
        args=("calibrate",),
        disabled=task_progress.running("calibrate"),
    )
    task_progress.task_status("calibrate")
    try:
        found = session.service().machines.calibrations()
    except KBError as error:
        messages.error(error)
        return
    if not found:
        st.caption(text("gpu_calibrated_never"))
    for calibration in found[:3]:
        _calibration_result(calibration)


def _calibration_result(found: Calibration) -> None:
    best = found.best
    if best is None:
        return
    st.markdown(
        text(
            "gpu_calibrated",
            when=messages.format_datetime(found.at),
            model=messages.escape_markdown(found.model.rstrip("/").rsplit("/", 1)[-1]),
            batch=format_number(best.batch),
            rtfx=format_number(best.rtfx, 1),
        )
    )
    charts.bars(
        [batch.batch for batch in found.batches],
        [batch.rtfx for batch in found.batches],
        x_label=text("gpu_windows"),
        y_label=text("gpu_speed"),
        alt=text("gpu_calibrated_alt"),
    )
