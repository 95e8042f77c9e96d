"""Review sheets that a person filled in: they are read again, and never lost."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from kb.service import review_sheet
from kb.service.review_sheet import CORRECTION, SHEET
from tests.cli.test_writers import Place, sheet
from tests.cli.test_writers import library as library
from tests.cli.test_writers import place as place


def fill(
    path: Path, typed: dict[int, str], *, delimiter: str = ",", encoding: str = "utf-8-sig"
) -> bytes:
    """Type corrections into rows and save as a spreadsheet program does; return the file."""
    rows = sheet(path)
    for number, text in typed.items():
        rows[number][CORRECTION] = text
    with path.open("w", encoding=encoding, newline="") as file:
        if delimiter == ";" and encoding == "cp1252":
            file.write("sep=;\r\n")
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
    return path.read_bytes()


SAVED = [
    (",", "utf-8-sig"), (",", "utf-8"), (";", "cp1252"), (";", "utf-8-sig"), ("\t", "utf-16"),
    ("\t", "utf-8"),
]  # fmt: skip


@pytest.mark.parametrize(("delimiter", "encoding"), SAVED)
def test_a_sheet_is_read_as_a_spreadsheet_program_saved_it(
    tmp_path: Path, delimiter: str, encoding: str
) -> None:
    rows = [
        {"number": "1", "item": "file:1", "start_s": "0.500", "end_s": "0.900", "clip": "1.mp3"},
        {"number": "2", "item": "file:1", "start_s": "1.044", "end_s": "3.000", "clip": "2.mp3"},
    ]
    path = tmp_path / SHEET
    path.write_text(review_sheet.render(rows), encoding="utf-8")
    typed = {0: 'Größe, sagt er; "ja"', 1: "=not a formula"}
    fill(path, typed, delimiter=delimiter, encoding=encoding)
    found = review_sheet.corrections(tmp_path, "file:1")
    assert [each.text for each in found] == list(typed.values())
    assert review_sheet.corrections(tmp_path, "file:2") == []
    new = review_sheet.merged(rows, found)
    assert [row[CORRECTION] for row in new] == [typed[0], f"'{typed[1]}"]
    # German spreadsheets write a comma, and read three decimals as thousands.
    for times in (("0,500", "0,900"), ("500", "900")):
        old = {**rows[0], "start_s": times[0], "end_s": times[1], CORRECTION: "ja"}
        (first, _) = review_sheet.merged(rows, [review_sheet.Correction("ja", old)])
        assert first[CORRECTION] == "ja"


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n1,2\n", "my notes\n", "number,item\n1,2\n", "\0\0\0", '"open quote\n', "sep=;\n"],
)
def test_other_tables_are_no_sheets(tmp_path: Path, text: str) -> None:
    (tmp_path / SHEET).write_text(text)
    assert review_sheet.read(tmp_path / SHEET) is None
    assert review_sheet.read(tmp_path / "none.csv") is None
    assert review_sheet.corrections(tmp_path, "file:1") == []


@pytest.mark.slow
def test_a_filled_sheet_stays_and_its_corrections_go_on(place: Place) -> None:
    command = ["review", place.items[0], "--export", place.out]
    place.kb(*command)
    typed = {0: 'Größe, sagt er; "ja"', 1: "=not a formula"}
    filled = fill(place.out / SHEET, typed, delimiter=";", encoding="cp1252")
    place.kb(*command)
    assert (place.out / SHEET).read_bytes() == filled
    new = sheet(place.out / "sheet (2).csv")
    assert [row[CORRECTION] for row in new] == [typed[0], f"'{typed[1]}"]
    assert all(row["clip"].encode() in filled for row in new)
    # The new sheet is ours: it is written again, until a person types into it.
    place.kb(*command)
    assert not (place.out / "sheet (3).csv").exists()
    second = fill(place.out / "sheet (2).csv", {0: "better"})
    place.kb(*command)
    assert (place.out / "sheet (2).csv").read_bytes() == second
    assert sheet(place.out / "sheet (3).csv")[0][CORRECTION] == "better"
    # Meant: the name is taken, and what was typed is in the new sheet all the same.
    place.kb(*command, "--overwrite")
    assert sheet(place.out / SHEET)[0][CORRECTION] == "better"


@pytest.mark.slow
def test_corrections_of_spans_that_are_gone_stay_in_the_sheet(place: Place) -> None:
    place.kb("review", place.items[0], "--export", place.out)
    rows = sheet(place.out / SHEET)
    rows.append({**rows[0], "number": "9", "start_s": "3.2", "end_s": "3.9", "clip": "gone.mp3"})
    rows[-1][CORRECTION] = "the end"
    with (place.out / SHEET).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    place.kb("review", place.items[0], "--export", place.out)
    *_, last = sheet(place.out / "sheet (2).csv")
    assert (last["number"], last["start_s"], last["clip"]) == ("3", "3.2", "gone.mp3")
    assert last[CORRECTION] == "the end"


@pytest.mark.slow
def test_a_filled_sheet_is_known_without_a_record(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder came from another machine, or the sheet from an earlier version."""
    place.kb("review", place.items[0], "--export", place.out / "a")
    (place.out / "b").mkdir()
    shutil.copy(place.out / "a" / SHEET, place.out / "b" / SHEET)
    filled = fill(place.out / "b" / SHEET, {1: "by hand"})
    place.kb("review", place.items[0], "--export", place.out / "b")
    assert (place.out / "b" / SHEET).read_bytes() == filled
    assert sheet(place.out / "b" / "sheet (2).csv")[1][CORRECTION] == "by hand"
    # Another item's sheet is not overwritten, even if the user asks for the name.
    place.kb("review", place.items[1], "--export", place.out / "b", "--overwrite")
    assert (place.out / "b" / SHEET).read_bytes() == filled
