"""A workbook (xlsx) for Excel, LibreOffice and others: times are times, text is text.

Nothing in it is a formula. One row per segment, or one row per word when timestamps are `word`;
the second sheet has the facts of the medium.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import Any

from kb.transcript.formats.csv_table import Cell, Number, rows
from kb.transcript.formats.facts import facts, quality_remark
from kb.transcript.formats.line_breaks import columns
from kb.transcript.formats.office_package import without_clock
from kb.types import MediaItem, Transcript
from kb.types.spreadsheet_cells import spreadsheet_cell

MIME_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
GROUP = "spreadsheet"

MAX_ROWS = 1_000_000  # of a sheet, below the 2^20 of the format
MAX_TEXT = 16_000  # characters of a cell, each of which may count as two of the format's 32,767
TIME_FORMAT = "[h]:mm:ss.000"  # hours may exceed 24
_DAY_S = 86_400.0
_HEADERS = {
    "start_s": "Start", "end_s": "End", "text": "Text", "language": "Language", "word": "Word",
    "probability": "Probability", "segment": "Segment", "speaker": "Speaker",
}  # fmt: skip
_WIDTH = 13.0  # of a column, in characters
_WIDTHS = {"Text": 100.0, "Word": 24.0, "Speaker": 24.0}
_FACT_WIDTHS = (14.0, 80.0)
_FILLED = 0.95  # of a column by a line of text, as words are not cut
_LINE_POINTS = 15.0
_NUMBER_FORMATS = {0: "0", 3: TIME_FORMAT, 4: "0.0000"}
# The format's own escapes of characters, such as `_x0041_`, which programs decode.
_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")


def render(transcript: Transcript, *, item: MediaItem | None = None) -> bytes:
    """Return the file; without `item` it has no sheet of facts."""
    return _Writer().file(transcript, item)


class _Writer:
    """A workbook of openpyxl that is written row by row."""

    def __init__(self) -> None:
        from openpyxl import Workbook  # takes a fifth of a second
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.styles import Alignment, Font
        from openpyxl.worksheet.properties import PageSetupProperties

        self._book = Workbook(write_only=True)
        self._new_cell = WriteOnlyCell
        self._bold = Font(name="Calibri", size=11, bold=True)  # that of other cells
        self._wrapped = Alignment(wrap_text=True, vertical="top")
        self._one_page_wide = PageSetupProperties(fitToPage=True)
        self._cells: dict[object, Any] = {}

    def file(self, transcript: Transcript, item: MediaItem | None) -> bytes:
        found = rows(transcript)
        header = [str(name) for name in next(found)]
        title = "Words" if "word" in header else "Transcript"
        body = (part for row in found for part in _parts(row))
        for number in count(1):
            sheet_rows = list(islice(body, MAX_ROWS))
            if number > 1 and not sheet_rows:
                break
            names = [_HEADERS[name] for name in header]
            sheet = self._sheet(title if number == 1 else f"{title} {number}", names)
            for number_of_row, row in enumerate(sheet_rows, 2):
                lines = max(_lines(cell, name) for cell, name in zip(row, names, strict=True))
                if lines > 1:  # LibreOffice does not find the height of wrapped text itself
                    sheet.row_dimensions[number_of_row].height = _LINE_POINTS * lines
                sheet.append([self._cell(sheet, c, column=n) for n, c in enumerate(row)])
            last = chr(ord("A") + len(names) - 1)
            sheet.auto_filter.ref = f"A1:{last}{len(sheet_rows) + 1}"
        if item is not None:
            self._add_facts(transcript, item)
            self._book.properties.title = item.title or None
        self._book.properties.creator = "KB Ingest"
        target = io.BytesIO()
        self._book.save(target)
        return without_clock(target)

    def _sheet(self, title: str, names: Sequence[str]) -> Any:
        """Return a new sheet with a row of names that stays in sight."""
        sheet = self._book.create_sheet(title)
        sheet.freeze_panes = "A2"
        sheet.print_title_rows = "1:1"
        sheet.page_setup.orientation = "landscape"
        self._set_width_of_page(sheet)
        for letter, name in zip("ABCDEFGH", names, strict=False):
            sheet.column_dimensions[letter].width = _WIDTHS.get(name, _WIDTH)
        sheet.append([self._cell(sheet, c, column=n, bold=True) for n, c in enumerate(names)])
        return sheet

    def _set_width_of_page(self, sheet: Any) -> None:
        """Let a printed page have all columns, on as many pages as the rows need."""
        sheet.sheet_properties.pageSetUpPr = self._one_page_wide
        sheet.page_setup.fitToHeight = 0

    def _add_facts(self, transcript: Transcript, item: MediaItem) -> None:
        found = [("Title", item.title), *facts(transcript, item)]
        found += [("Remark", text) for text in (quality_remark(transcript), *transcript.warnings)]
        sheet = self._book.create_sheet("About")
        self._set_width_of_page(sheet)
        for letter, width in zip("AB", _FACT_WIDTHS, strict=True):
            sheet.column_dimensions[letter].width = width
        for name, value in found:
            for row in _parts((name, value)) if value else ():
                name_cell = self._cell(sheet, row[0], bold=True)
                sheet.append([name_cell, self._cell(sheet, row[1], column=2)])

    def _cell(self, sheet: Any, cell: Cell, *, column: int = 1, bold: bool = False) -> Any:
        """Return a cell to append at once: the next one of its column and look is the same object.

        The library writes a cell when its row is appended; a new object for each takes long.
        """
        if isinstance(cell, Number):
            made = self._styled(sheet, (column, cell.decimals), _NUMBER_FORMATS[cell.decimals])
            made.value = cell.value / _DAY_S if cell.decimals == 3 else cell.value
            return made
        # A program that lets the cell be edited keeps the text as text.
        is_like_formula = not cell[:1].isalnum() and spreadsheet_cell(cell)[:1] != cell[:1]
        made = self._styled(sheet, (column, is_like_formula, bold), "")
        made.value = _ESCAPE.sub("_x005F_", cell)
        made.data_type = "s"  # openpyxl takes `=1+1` for a formula and `#N/A` for an error
        return made

    def _styled(self, sheet: Any, look: tuple[object, ...], number_format: str) -> Any:
        """Return the cell of the sheet with this column and look."""
        made = self._cells.get((sheet.title, look))
        if made is None:
            made = self._cells[sheet.title, look] = self._new_cell(sheet)
            made.alignment = self._wrapped
            if number_format:
                made.number_format = number_format
            else:
                _, made.quotePrefix, is_bold = look
                if is_bold:
                    made.font = self._bold
        return made


def _lines(cell: Cell, name: str) -> int:
    """Return the number of lines of a cell in a column of this name."""
    if isinstance(cell, Number):
        return 1
    width = _WIDTHS.get(name, _WIDTH) * _FILLED
    if 2 * len(cell) <= width and "\n" not in cell:
        return 1
    return sum(max(1, math.ceil(columns(line) / width)) for line in cell.split("\n"))


def _parts(row: Sequence[Cell]) -> Iterator[Sequence[Cell]]:
    """Yield the row, or several with the same times for a text that is too long for one cell."""
    longest = max((len(cell) for cell in row if isinstance(cell, str)), default=0)
    for start in range(0, max(longest, 1), MAX_TEXT):
        yield [cell if isinstance(cell, Number) else _part(cell, start) for cell in row]


def _part(text: str, start: int) -> str:
    """Return a part of a long text; a short one, such as a name, is in each row."""
    return text if len(text) <= MAX_TEXT else text[start : start + MAX_TEXT]
