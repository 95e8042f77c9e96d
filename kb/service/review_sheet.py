"""The sheet of a review: one row per uncertain span, and what a person typed into it.

A sheet that was filled in is never lost: it stays as it is, and its corrections are carried over
into the next sheet of the same item.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from kb import storage
from kb.storage import Judge, Standing
from kb.storage.user_files import numbered, recorded
from kb.transcript.foreign.text_encoding import decode
from kb.types.safe_text import spreadsheet_file
from kb.types.spreadsheet_cells import spreadsheet_cell

SHEET = "sheet.csv"
COLUMNS = (
    "number", "item", "title", "start_s", "end_s", "at", "reasons", "text", "clip", "link",
    "correction",
)  # fmt: skip
CORRECTION = "correction"
_NEEDED = frozenset(("number", "item", "start_s", "end_s", CORRECTION))
_DELIMITERS = ",;\t"  # spreadsheet programs write the one of their language
_SAME_S = 0.0015  # times have three decimals

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Correction:
    """A row of an earlier sheet with a correction."""

    text: str
    row: Row


def render(rows: Sequence[Row]) -> str:
    """Return a sheet as CSV with a byte order mark; cells without a row's value are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([row.get(column, "") for column in COLUMNS] for row in rows)
    return spreadsheet_file(text.getvalue())


def read(path: Path) -> list[dict[str, str]] | None:
    """Return the rows of a sheet, also of one that a spreadsheet program saved; None for others.

    Encoding and delimiter are detected.
    """
    try:
        data = storage.read_user_bytes(path, storage.MAX_DOCUMENT_BYTES)
        text = decode(data).removeprefix("\ufeff")
    except (OSError, ValueError, storage.UnreadableText):
        return None
    head, _, rest = text.partition("\n")
    if head.strip().strip('"').lower().startswith("sep="):  # Excel's own first line
        text, head = rest, rest.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="")
        if not set(reader.fieldnames or ()) >= _NEEDED:
            return None
        return [{str(k): v for k, v in row.items() if isinstance(v, str)} for row in reader]
    except csv.Error:
        return None


def judge(item_id: str, source: str) -> Judge:
    """Return the judge of a sheet: it belongs to the item that its rows name."""
    by_record = recorded(source)

    def standing(path: Path, digest: str) -> Standing:
        known, rows = by_record(path, digest), read(path)
        if known is not Standing.FOREIGN or rows is None:
            return known
        mine = all(_is_of(row, item_id) for row in rows)
        return Standing.CHANGED if mine else Standing.OTHER

    return standing


def corrections(folder: Path, item_id: str) -> list[Correction]:
    """Return what was typed into the sheets of an item in a folder, the oldest sheet first."""
    return [
        Correction(text, row)
        for path in _sheets(folder)
        for row in read(path) or ()
        if (text := row.get(CORRECTION, "").strip()) and _is_of(row, item_id)
    ]


def merged(rows: Sequence[Row], earlier: Sequence[Correction]) -> list[Row]:
    """Return the rows with earlier corrections, matched by time, else by clip.

    A correction whose span is no longer there keeps its old row, at the end.
    """
    made = [dict(row) for row in rows]
    left: dict[tuple[str, str], dict[str, str]] = {}
    for correction in earlier:
        cell = spreadsheet_cell(correction.text)
        match = next((row for row in made if _is_same_span(row, correction.row)), None)
        if match is not None:
            match[CORRECTION] = cell
            continue
        old = correction.row
        place = (old.get("start_s", ""), old.get("end_s", ""))
        kept = {name: spreadsheet_cell(old.get(name, "")) for name in COLUMNS}
        left[place] = {**kept, CORRECTION: cell}
    for number, row in enumerate(left.values(), start=len(made) + 1):
        made.append({**row, "number": str(number)})
    return list(made)


def _sheets(folder: Path) -> Iterator[Path]:
    for number in count(1):
        path = folder / (SHEET if number == 1 else numbered(SHEET, number))
        if not path.is_file():
            return
        yield path


def _is_of(row: Row, item_id: str) -> bool:
    return row.get("item", "").strip().lstrip("'") in ("", item_id)


def _is_same_span(row: Row, other: Row) -> bool:
    times = [(_seconds(row.get(n, "")), _seconds(other.get(n, ""))) for n in ("start_s", "end_s")]
    if all(a is not None and b is not None and abs(a - b) < _SAME_S for a, b in times):
        return True
    # A spreadsheet program may have changed the times: 1.044 is 1044 in German.
    same_clip = bool(row.get("clip")) and row.get("clip") == other.get("clip", "").strip()
    return same_clip and row.get("number") == other.get("number", "").strip()


def _seconds(text: str) -> float | None:
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None
