"""Speeds of transcribed items, and the calibrations of this machine."""

from __future__ import annotations

import socket
from collections.abc import Mapping

import streamlit as st

from kb.errors import KBError
from kb.service.views import Calibration, Speed
from kb.ui import session
from kb.ui.i18n import Count, format_number, text
from kb.ui.widgets import charts, messages, task_progress
from kb.ui.widgets.rows import Cell, Column, Row, RowList

_SHOWN = 200
_BARS = 20
_TITLE_CHARS = 48  # of a bar's name
REFRESH_S = 10.0


def render() -> None:
    """Draw the speeds and the calibration."""
    st.markdown(f"#### {text('gpu_speeds')}")
    st.fragment(_recent, run_every=REFRESH_S)()
    _calibration()


def _recent() -> None:
    if session.redraw_requested():
        st.rerun()
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
    st.caption(text("gpu_speeds_help"))
    titles = {entry.item.id: entry.item.title for entry in session.library_listing().entries}
    newest = found[:_BARS]
    charts.named_bars(
        [_short(titles.get(speed.item_id, speed.item_id)) for speed in newest],
        [speed.rtfx for speed in newest],
        x_label=text("gpu_speed"),
        alt=text("gpu_speeds_alt", count=Count(len(newest))),
    )
    shown = RowList("speeds")
    rows = [_row(speed, titles) for speed in found]
    shown.draw(
        _columns(),
        rows[shown.offset : shown.offset + shown.limit],
        len(rows),
        label=text("gpu_speeds_table_alt"),
        on_act=_open,
        selectable=False,
        shown=8,
    )


def _short(title: str) -> str:
    return title if len(title) <= _TITLE_CHARS else f"{title[: _TITLE_CHARS - 1].rstrip()}…"


def _columns() -> list[Column]:
    return [
        Column("item", text("gpu_item"), "minmax(10rem, 3fr)"),
        Column("rtfx", text("gpu_speed_column"), "6rem", end=True),
        Column("all", text("gpu_speed_all"), "8.5rem", end=True),
        Column("length", text("gpu_length"), "4.5rem", end=True),
        Column("took", text("gpu_took"), "6rem", end=True),
        Column("model", text("gpu_model"), "minmax(6rem, 1fr)", minor=True),
        Column("preset", text("gpu_preset"), "6rem", minor=True),
        Column("when", text("gpu_when"), "6.5rem", minor=True),
    ]


def _row(speed: Speed, titles: Mapping[str, str]) -> Row:
    whole = speed.media_s / speed.total_s if speed.total_s > 0 else 0.0
    cells: dict[str, str | Cell] = {
        "item": titles.get(speed.item_id, speed.item_id),
        "rtfx": _times(speed.rtfx),
        "all": _times(whole) if whole else "–",
        "length": messages.format_length(speed.media_s),
        "took": messages.format_timedelta(speed.total_s),
        "model": speed.model.rstrip("/").rsplit("/", 1)[-1],
        "preset": speed.preset,
        "when": messages.format_datetime(speed.ended_at),
    }
    return Row(f"{speed.item_id}|{speed.ended_at}", cells, opens=speed.item_id in titles)


def _times(speed: float) -> str:
    return text("gpu_speed_value", speed=format_number(speed, 1))


def _open(name: str, ids: list[str]) -> None:
    if name == "open" and ids:
        session.open_item(ids[0].rpartition("|")[0])


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
        if _is_recognizing():
            st.caption(text("gpu_calibrate_busy"))
        found = session.service().machines.calibrations()
    except KBError as error:
        messages.error(error)
        return
    if not found:
        st.caption(text("gpu_calibrated_never"))
    for calibration in found[:3]:
        _calibration_result(calibration)


def _is_recognizing() -> bool:
    """Return True if a worker of this machine reads sound now. Raises LibraryError."""
    host = socket.gethostname()
    return any(
        machine.host == host and machine.live and machine.snapshot.media > 0
        for machine in session.service().machines.with_workers()
    )


def _calibration_result(found: Calibration) -> None:
    best = found.best
    if best is None:
        return
    st.markdown(
        text(
            "gpu_calibrated",
            when=messages.format_datetime(found.at),
            model=messages.escape_markdown(found.model.rstrip("/").rsplit("/", 1)[-1]),
            batch=Count(best.batch),
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
