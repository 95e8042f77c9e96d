"""Tables for spreadsheets: no text is a formula, times are numbers, every text comes back."""

from __future__ import annotations

import csv
import io
import random
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from kb.transcript import file_content, render
from kb.transcript.foreign import reader
from kb.transcript.formats import workbook
from kb.types import CsvForm, Segment, Transcript, Word, table_form
from kb.types.safe_text import clean
from kb.types.spreadsheet_cells import exact_cell, exact_text, spreadsheet_cell
from kb.types.table_form import has_decimal_comma, locale_of_numbers
from tests.support.hostile import FORMULAS
from tests.support.random_transcripts import ITEM, make_transcript

SIGNS = "=+-@＝＋－＠﹦﹢﹣﹫"

# Texts that are a formula for a program with one separator or another.
RISKY = (
    "=1+1", "a;=1+1;b", "a,=1+1,b", "a, =1", "a,\u200b-1", "a; -1", "a\t=1+1\tb",
    "a\n=1+1", "a;+1", "a;-1", "a;@SUM(A1)",
    "a; =1+1", "a;\u00a0=1", "a;\u200b=1", "a;;=1", "a,;\t=1", "a;\"=1+1\"", "\"=1\";=2", "a;＝1",
    "x;=cmd|'/c calc'!A0;y", "a\r=1", "a\r\n=1", "1;-2;-3", "a;'=1;=2", ";=1", ",@x",
)  # fmt: skip
PLAIN = (
    "", "plain", "a=1", "1+1", "5 - 3 = 2", "a; b", "one, two; three", "yes – no", "x;y=1", "'tis",
    "rock 'n' roll", "a\tb", "two\nlines", "mail ann@example.org, or call",
    "a,b", "3,5", "C++",
    "'", "“-5”", "cold, -5 degrees", "call me, +49 30 1", "well, - no", "met, @ann", "see you ;-)",
    "well-known; e.g. this", "ＡＢ",
)  # fmt: skip


def cells(text: str, separator: str) -> list[str]:
    """Return all cells that a program with this separator finds, and those of single lines."""
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    rows += csv.reader(text.splitlines(), delimiter=separator)
    rows += [line.split(separator) for line in text.splitlines()]
    return [cell for row in rows for cell in row]


def visible(cell: str) -> str:
    return cell.lstrip(" \t\u00a0\u200b\u3164\u2800\ufeff\u00ad")


@pytest.mark.parametrize("form", ["plain", "excel-en", "excel-de"])
@pytest.mark.parametrize("timestamps", ["segment", "word"])
def test_no_program_finds_a_formula(timestamps: str, form: CsvForm) -> None:
    segments = tuple(
        Segment(float(n), n + 1.0, text, (), "de") for n, text in enumerate((*RISKY, *FORMULAS))
    )
    transcript = replace(
        make_transcript(segments, timestamps=timestamps), table_form=table_form(form)
    )
    text = render(transcript, "csv")
    for separator in ",;\t":
        assert not [cell for cell in cells(text, separator) if visible(cell)[:1] in {*SIGNS}]


@pytest.mark.parametrize("text", [*RISKY, *FORMULAS])
def test_a_guard_is_written_and_undone(text: str) -> None:
    assert exact_cell(text) != text
    assert exact_text(exact_cell(text)) == clean(text)
    assert spreadsheet_cell(exact_cell(text)) == exact_cell(text)


@pytest.mark.parametrize("text", PLAIN)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert exact_cell(text) == text
    assert exact_text(text) == text


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("-5 degrees", "'-5 degrees"),
        ("- Hello.", "'- Hello."),
        ("'-5", "''-5"),
        ("''=1", "'''=1"),
        ("cold, =5", "cold, '=5"),
        ("cold; -5", "cold; '-5"),
        ("cold,-5", "cold,'-5"),
        ("a; '=1", "a; ''=1"),
        ("- Yes.\n- No.", "'- Yes.\n'- No."),
        ("'tis;=1", "'tis;'=1"),
    ],
)
def test_an_apostrophe_of_the_text_is_kept(text: str, cell: str) -> None:
    assert exact_cell(text) == cell
    assert exact_text(cell) == text


def test_any_text_comes_back_from_its_cell() -> None:
    rng = random.Random(1)
    for _ in range(3000):
        text = "".join(
            rng.choice("a' ;,\t\n\"=-@+1\u200b\u0301＝") for _ in range(rng.randint(0, 8))
        )
        cell = exact_cell(text)
        assert exact_text(cell) == text
        assert spreadsheet_cell(cell) == cell


# The forms of CSV


def sample() -> Transcript:
    words = (Word(1.044, 1.5, "Größe", 0.25), Word(1.5, 2.0, "3,5", 1.0))
    return make_transcript((Segment(1.044, 2.0, "Größe 3,5", words),))


@pytest.mark.parametrize(
    ("form", "timestamps", "lines"),
    [
        ("plain", "segment", ["start_s,end_s,text,language", '1.044,2.000,"Größe 3,5",en']),
        ("excel-en", "segment", ["\ufeffstart_s,end_s,text,language",
                                 '1.044,2.000,"Größe 3,5",en']),
        ("excel-de", "segment", ["\ufeffstart_s;end_s;text;language",
                                 '"1,044";"2,000";"Größe 3,5";en']),
        ("excel-de", "word", ["\ufeffstart_s;end_s;word;probability;segment",
                              '"1,044";"1,500";Größe;"0,2500";1',
                              '"1,500";"2,000";"3,5";"1,0000";1']),
    ],
)  # fmt: skip
def test_a_form_for_programs_and_one_for_each_spreadsheet(
    form: CsvForm, timestamps: Any, lines: list[str]
) -> None:
    transcript = replace(sample(), timestamps=timestamps, table_form=table_form(form))
    assert render(transcript, "csv") == "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("locale", "comma"),
    [
        ("de_DE.UTF-8", True), ("de_AT", True), ("de_CH.UTF-8", False), ("de_LI", False),
        ("de-DE", True), ("fr_FR@euro", True), ("es_ES", True), ("es_MX.UTF-8", False),
        ("en_US.UTF-8", False), ("en_GB", False), ("C", False), ("C.UTF-8", False),
        ("POSIX", False), ("", False), ("ja_JP.UTF-8", False), ("it_CH", False), ("de", True),
    ],
)  # fmt: skip
def test_the_decimals_of_a_locale(locale: str, comma: bool) -> None:
    assert has_decimal_comma(locale) == comma


@pytest.mark.parametrize(
    ("environment", "locale"),
    [
        ({}, ""),
        ({"LANG": "de_DE.UTF-8"}, "de_DE.UTF-8"),
        ({"LANG": "de_DE", "LC_NUMERIC": "en_US"}, "en_US"),
        ({"LANG": "de_DE", "LC_NUMERIC": "en_US", "LC_ALL": "fr_FR"}, "fr_FR"),
        ({"LANG": "de_DE", "LC_ALL": ""}, "de_DE"),
    ],
)
def test_the_locale_of_numbers(environment: dict[str, str], locale: str) -> None:
    assert locale_of_numbers(environment) == locale


# xlsx


def book(transcript: Transcript, **options: Any) -> Any:
    return openpyxl.load_workbook(io.BytesIO(workbook.render(transcript, **options)))


def test_a_workbook_has_times_and_texts() -> None:
    texts = [
        "=1+1", "#N/A", "TRUE", "00:05", "1.044", "1/2", "'-5", "- Hello", "+49", "@x",
        " spaces ", "two\nlines", "a\tb", "Größe 日本 👩‍👩‍👧", "=HYPERLINK(\"http://x.example\")",
        "12345678901234567890", "1e5", "<b>&amp;</b>",
    ]  # fmt: skip
    segments = tuple(
        Segment(3600.0 * n + 1.044, 3600.0 * n + 2, t, ()) for n, t in enumerate(texts)
    )
    sheet = book(make_transcript(segments), item=ITEM)["Transcript"]
    header, *rows = sheet.iter_rows()
    assert [cell.value for cell in header] == ["Start", "End", "Text", "Language"]
    assert [row[2].value for row in rows] == texts
    assert {row[2].data_type for row in rows} == {"s"}
    for row, segment in zip(rows, segments, strict=True):
        assert row[0].value == timedelta(seconds=segment.start_s)
        assert row[0].number_format == "[h]:mm:ss.000"
        assert row[2].quotePrefix == (spreadsheet_cell(segment.text)[:1] != segment.text[:1])
    assert sheet.freeze_panes == "A2"


def test_a_workbook_of_words() -> None:
    sheet = book(replace(sample(), timestamps="word"))["Words"]
    rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert rows[0] == ["Start", "End", "Word", "Probability", "Segment"]
    assert rows[1][2:] == ["Größe", 0.25, 1]
    assert rows[2] == [timedelta(seconds=1.5), timedelta(seconds=2), "3,5", 1, 1]


def test_the_facts_of_the_medium_are_on_a_sheet_of_their_own() -> None:
    made = book(sample(), item=replace(ITEM, title="=1+1"))
    facts = {row[0].value: row[1] for row in made["About"].iter_rows()}
    assert facts["Title"].value == "=1+1" and facts["Title"].data_type == "s"
    assert facts["Link"].value == ITEM.url
    assert "About" not in book(sample()).sheetnames


def test_no_text_is_too_long_for_a_workbook() -> None:
    long = "word " * 10_000
    rows = list(book(make_transcript((Segment(1.0, 2.0, long, ()),)))["Transcript"].iter_rows())[1:]
    assert "".join(row[2].value for row in rows) == long
    assert {row[0].value for row in rows} == {timedelta(seconds=1)}
    assert {row[3].value for row in rows} == {"en"}


def test_more_rows_than_a_sheet_has_go_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "MAX_ROWS", 4)
    segments = tuple(Segment(float(n), n + 1.0, f"text {n}", ()) for n in range(8))
    made = book(make_transcript(segments))
    assert made.sheetnames == ["Transcript", "Transcript 2"]
    found = [row[2].value for sheet in made for row in list(sheet.iter_rows())[1:]]
    assert found == [segment.text for segment in segments]


def test_equal_content_gives_an_equal_file(monkeypatch: pytest.MonkeyPatch) -> None:
    first = workbook.render(sample(), item=ITEM)
    later = time.time() + 86_400
    monkeypatch.setattr(time, "time", lambda: later)
    made = workbook.render(sample(), item=ITEM)
    assert made == first
    properties = openpyxl.load_workbook(io.BytesIO(made)).properties
    assert (properties.title, properties.creator) == (ITEM.title, "KB Ingest")


def test_an_empty_workbook_is_valid() -> None:
    assert [row[0].value for row in book(make_transcript(()))["Transcript"].iter_rows()] == [
        "Start"
    ]


@pytest.mark.parametrize("form", ["plain", "excel-en", "excel-de"])
@pytest.mark.parametrize("timestamps", ["segment", "word"])
def test_each_form_is_read_again(timestamps: Any, form: CsvForm, tmp_path: Path) -> None:
    spoken = ("- Größe, 3,5;", "=1+1", "'-5", "a;=1", 'say "yes";"=2"', "plain")
    segments = tuple(
        Segment(2.0 * n, 2.0 * n + 1.044, text, (Word(2.0 * n, 2.0 * n + 1.044, text, 0.5),), "de")
        for n, text in enumerate(spoken)
    )
    original = make_transcript(segments, timestamps=timestamps)
    made = render(replace(original, table_form=table_form(form)), "csv")
    path = tmp_path / "talk.csv"
    path.write_bytes(file_content(made, "csv"))
    found = reader.read(path, original.media)
    assert [segment.text for segment in found.segments] == list(spoken)
    times = [(2.0 * n, round(2.0 * n + 1.044, 3)) for n in range(len(spoken))]
    assert [(segment.start_s, segment.end_s) for segment in found.segments] == times
