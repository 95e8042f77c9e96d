"""Tables as rows: our CSV and workbook, and Whisper's TSV."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import time, timedelta

from kb.library.languages import language_code
from kb.transcript.foreign.rows import Found, Row, grouped, join_words
from kb.transcript.foreign.subtitles import seconds
from kb.types import Word
from kb.types.spreadsheet_cells import exact_text

_START = ("start_s", "start", "start time", "start_time", "begin")
_END = ("end_s", "end", "end time", "end_time")
CELL_LETTERS = 16_000  # of our workbook; a longer text is in several rows
_NUMBER = re.compile(r"-?\d+[.,]\d+")
_HALF_DAY = re.compile(r"(\d+:\d{2}(?::\d{2}(?:\.\d+)?)?) ?([AaPp])[Mm]")
_HALF_DAY_S = 43_200.0
_SLOWEST_S = 5.0  # a character is never spoken so long
_TEXT, _WORD = ("text",), ("word",)


def comma_rows(text: str) -> Found | None:
    """Return the rows of a table with a header that names start, end and text or word.

    The separator is a comma, a semicolon or a tab. None for any other table.
    """
    text = re.sub(r"^sep=.\n", "", text, flags=re.IGNORECASE)  # a line for Excel
    head = text.split("\n", 1)[0]
    separator = max(",;\t", key=head.count)
    table = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    return _table_rows(_in_seconds(table), exact_text)


def _in_seconds(table: list[list[str]]) -> list[list[str]]:
    """Return the table; one of whisper.cpp, in whole milliseconds, with its times in seconds.

    Its header is `start,end,text`, as that of a table in seconds may be: in seconds its text would
    be spoken many times too slowly.
    """
    if not table or [cell.strip().lower() for cell in table[0]] != ["start", "end", "text"]:
        return table
    rows = [row for row in table[1:] if len(row) == 3]
    if not rows or not all(_whole(row[0]) and _whole(row[1]) for row in rows):
        return table
    length = sum(int(row[1]) - int(row[0]) for row in rows)
    if length < _SLOWEST_S * sum(len(row[2]) for row in rows):
        return table
    times = [[f"{int(row[0]) / 1000}", f"{int(row[1]) / 1000}", row[2]] for row in rows]
    return [table[0], *times]


def workbook_rows(data: bytes) -> Found | None:
    """Return the rows of a workbook (xlsx) whose sheets have such a header.

    A text that is too long for a cell continues in the next row. None for another workbook. Raises
    ValueError for another file.
    """
    from openpyxl import load_workbook  # takes a fifth of a second

    try:
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        table: list[list[str]] = []
        for sheet in book.worksheets:
            cells = [[_shown(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
            if cells and not table:
                table = cells if _is_header(cells[0]) else []
            elif cells and cells[0] == table[0]:
                table += cells[1:]
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError) as error:
        raise ValueError("it is no workbook") from error
    return _table_rows(_joined(table), str)


def _is_header(cells: Sequence[str]) -> bool:
    names = [name.strip().lower() for name in cells]
    return _column(names, _START) is not None and _column(names, _END) is not None


def _shown(cell: object) -> str:
    """Return a cell as text; a time in seconds."""
    if isinstance(cell, timedelta):
        return repr(cell.total_seconds())
    if isinstance(cell, time):
        since = timedelta(hours=cell.hour, minutes=cell.minute, seconds=cell.second)
        return repr(since.total_seconds() + cell.microsecond / 1e6)
    return "" if cell is None else str(cell)


def _joined(table: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    joined: list[Sequence[str]] = []
    for row in table:
        before = joined[-1] if joined else ()
        if len(before) > 2 and list(row[:2]) == list(before[:2]) and len(before[2]) >= CELL_LETTERS:
            joined[-1] = [*before[:2], before[2] + row[2], *before[3:]]
        else:
            joined.append(row)
    return joined


def _table_rows(table: Sequence[Sequence[str]], exact: Callable[[str], str]) -> Found | None:
    if not table:
        return None
    names = [name.strip().lower() for name in table[0]]
    start, end = _column(names, _START), _column(names, _END)
    words, texts = _column(names, _WORD), _column(names, _TEXT)
    body = words if words is not None else texts
    if start is None or end is None or body is None:
        return None
    rows: list[Row] = []
    chances: list[float] = []
    numbers: list[str] = []
    for number, cells in enumerate(table[1:], 2):
        if not any(cell.strip() for cell in cells):
            continue
        cells = [*cells, *[""] * (len(names) - len(cells))]
        place = f"row {number}"
        rows.append(
            Row(
                exact(cells[body]),
                _seconds(cells[start], place),
                _seconds(cells[end], place),
                language=_language(names, cells),
                place=place,
                speaker=exact(_cell(names, cells, "speaker")) or None,
            )
        )
        chances.append(_chance(names, cells))
        numbers.append(_cell(names, cells, "segment"))
    if words is None:
        return grouped(Found(tuple(rows)))
    return Found(tuple(_segments(rows, chances, numbers)))


def tab_rows(text: str) -> Found | None:
    """Return the rows of Whisper's table, in milliseconds; None for any other text."""
    lines = text.split("\n")
    if [cell.strip().lower() for cell in lines[0].split("\t")] != ["start", "end", "text"]:
        return None
    rows: list[Row] = []
    for number, line in enumerate(lines[1:], 2):
        start, _, rest = line.partition("\t")
        end, _, words = rest.partition("\t")
        if _whole(start) and _whole(end):
            times = (int(start) / 1000, int(end) / 1000)
            rows.append(Row(exact_text(words), *times, place=f"line {number}"))
        elif _NUMBER.fullmatch(start.strip()):
            return None  # in seconds
        elif line.strip() and rows:
            rows[-1] = replace(rows[-1], text=f"{rows[-1].text} {line}")
    return grouped(Found(tuple(rows)))


def _segments(rows: Sequence[Row], chances: Sequence[float], numbers: Sequence[str]) -> list[Row]:
    """Return the rows of words by the number of their segment."""
    found: list[Row] = []
    first = 0
    for index in range(1, len(rows) + 1):
        if index < len(rows) and numbers[index] == numbers[first]:
            continue
        run = rows[first:index]
        words = tuple(
            Word(row.start_s or 0.0, row.end_s or 0.0, row.text, chance)
            for row, chance in zip(run, chances[first:index], strict=True)
            if row.text.strip()
        )
        if words:
            text = join_words(word.text for word in words)
            end_s = max(word.end_s for word in words)
            first_row = replace(run[0], text=text, start_s=words[0].start_s, end_s=end_s)
            found.append(replace(first_row, words=words))
        first = index
    return found


def _column(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _cell(names: Sequence[str], cells: Sequence[str], name: str) -> str:
    return cells[names.index(name)].strip() if name in names else ""


def _language(names: Sequence[str], cells: Sequence[str]) -> str | None:
    name = _cell(names, cells, "language")
    return language_code(name) or (name if re.fullmatch("[a-z]{2,3}", name) else None)


def _chance(names: Sequence[str], cells: Sequence[str]) -> float:
    try:
        chance = float(_cell(names, cells, "probability").replace(",", "."))
        return min(1.0, max(0.0, chance))
    except ValueError:
        return 1.0


def _seconds(cell: str, place: str) -> float:
    """Return the seconds of a cell: `1.5`, `1,5`, `0:00:01.5`, or `12:00:01 AM` as of a day."""
    try:
        if match := _HALF_DAY.fullmatch(cell.strip()):
            return seconds(match[1]) % _HALF_DAY_S + _HALF_DAY_S * (match[2] in "pP")
        return seconds(cell) if ":" in cell else float(cell.strip().replace(",", "."))
    except ValueError:
        raise ValueError(f"{place}: {cell[:40]!r} is no time") from None


def _whole(cell: str) -> bool:
    return re.fullmatch(r"\s*-?\d+\s*", cell) is not None
