"""Marks of cutting programs as rows: Audacity's labels, Audition's markers, Resolve's EDL.

Marks of chapters are no speech and are left out.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from kb.transcript.foreign.rows import Found, Row, grouped
from kb.transcript.foreign.subtitles import seconds
from kb.types.spreadsheet_cells import exact_text

_LABEL = re.compile(r"(-?\d+(?:[.,]\d+)?)\t(-?\d+(?:[.,]\d+)?)\t(.*)")
_SPECTRAL = re.compile(r"\\\t-?\d")  # Audacity's second line of a label: its frequencies
_MARKER_COLUMNS = ("Name", "Start", "Duration", "Time Format")
_EDL_FRAMES_PER_S = 25  # that KB Ingest writes; the format does not name it
_EDL_START_S = 3600  # time code of the first frame, by custom
_EDL_EVENT = re.compile(
    r"\d+\s+\S+\s+V\s+C\s.*?(\d\d):(\d\d):(\d\d)[:;](\d\d) \d\d:\d\d:\d\d[:;]\d\d\s*$"
)
_EDL_MARK = re.compile(r"\s*\|C:ResolveColor(\w+) \|M:(.*) \|D:(\d+)\s*$")


def label_rows(text: str) -> Found | None:
    """Return Audacity's labels; None if a line is none."""
    rows: list[Row] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or _SPECTRAL.match(line):
            continue
        match = _LABEL.fullmatch(line)
        if match is None:
            return None
        start_s, end_s = (float(match[place].replace(",", ".")) for place in (1, 2))
        rows.append(Row(match[3], start_s, end_s, place=f"line {number}"))
    return grouped(Found(tuple(rows))) if rows else None


def marker_rows(text: str) -> Found | None:
    """Return the rows of Audition's table of markers; None for another table."""
    table = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE))
    if not table or tuple(table[0][:4]) != _MARKER_COLUMNS:
        return None
    rows: list[Row] = []
    for number, cells in enumerate(table[1:], 2):
        if len(cells) < 4 or "Chapter" in cells[5:6]:
            continue
        start_s, length_s = _time(cells[1], number), _time(cells[2], number)
        rows.append(Row(exact_text(cells[0]), start_s, start_s + length_s, place=f"row {number}"))
    return grouped(Found(tuple(rows)))


def _time(cell: str, number: int) -> float:
    try:
        return seconds(cell)
    except ValueError as error:
        raise ValueError(f"row {number}: {error}") from None


def edl_rows(text: str) -> Found | None:
    """Return the marks of an edit decision list; None without any.

    A frame is 0.04 s, so that times are exact to 0.02 s.
    """
    rows: list[Row] = []
    first_s: float | None = None
    for number, line in enumerate(text.split("\n"), 1):
        if match := _EDL_EVENT.match(line):
            first_s = _frames(match.groups()) / _EDL_FRAMES_PER_S - _EDL_START_S
        elif (match := _EDL_MARK.match(line)) and first_s is not None:
            if match[1] != "Green":
                end_s = first_s + int(match[3]) / _EDL_FRAMES_PER_S
                rows.append(Row(match[2], first_s, end_s, place=f"line {number}"))
            first_s = None
    return grouped(Found(tuple(rows))) if rows else None


def _frames(parts: Sequence[str]) -> int:
    hours, minutes, whole, frames = map(int, parts)
    return (hours * 3600 + minutes * 60 + whole) * _EDL_FRAMES_PER_S + frames
