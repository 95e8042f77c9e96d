"""The looks of an export: plain unless asked for, and an option without effect is an error."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from kb.cli.main import run
from kb.errors import UsageError
from kb.pipeline import stages
from kb.service import Service
from kb.service.export_request import ALL, ExportRequest
from kb.transcript import FORMATS, format_named
from kb.types import STANDARD, Segment, Timestamps, Word
from tests.support.raising import raises
from tests.support.random_transcripts import ITEM, make_transcript

WORDS = (Word(0.25, 0.5, "Größe", 0.9), Word(0.5, 1.044, "=1", 0.9))
TALK = make_transcript((Segment(0.25, 1.044, "Größe =1", WORDS),))


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    made.library.prepare()
    yield made
    made.close()


def exported(service: Service, format: str, preset: str, **request: Any) -> str:
    """Return the talk in a format, transcribed with the timestamps that are typical of a preset."""
    transcript = replace(TALK, preset=preset, timestamps=request.pop("ran", "segment"))
    document = service.exports.document(
        transcript, format, ExportRequest((format,), **request), stem="talk"
    ).document
    assert isinstance(document, str)
    return document


@pytest.mark.parametrize(
    ("preset", "ran", "asked", "by_word"),
    [
        ("optimiert", "segment", None, False),
        ("optimiert", "segment", "word", True),
        ("optimiert", "word", None, True),  # asked for in the run
        ("optimiert", "word", "segment", False),
        ("max", "word", None, False),  # the preset's own
        ("schnell", "word", None, False),
        ("max", "word", "word", True),
        ("max", "segment", None, False),
        ("gone", "word", None, True),
    ],
)
def test_words_have_times_only_where_they_were_asked_for(
    service: Service, preset: str, ran: Timestamps, asked: Timestamps | None, by_word: bool
) -> None:
    signs = {
        "vtt": "<00:00:00.500>", "srt": "00:00:00,500 --> ", "txt": "[00:00.250 - 00:00.500] Größe",
        "md": "- 00:00.250 Größe", "lrc": "<00:00.25>", "ass": "{\\k",
    }  # fmt: skip
    for format, sign in signs.items():
        text = exported(service, format, preset, ran=ran, timestamps=asked)
        assert (sign in text) == by_word, format
    # A table has a row for each word where the preset says so.
    table = exported(service, "csv", preset, ran=ran, timestamps=asked)
    assert table.startswith("start_s,end_s,word" if (asked or ran) == "word" else "start_s,end_s,t")
    # The exact document says what the transcript has.
    assert f'"timestamps": "{asked or ran}"' in exported(
        service, "json", preset, ran=ran, timestamps=asked
    )


@pytest.mark.parametrize("format", list(FORMATS))
def test_word_times_act_or_are_refused(service: Service, format: str) -> None:
    request = ExportRequest((format,), timestamps="word")
    if not format_named(format).times_words:
        with raises(UsageError, "export.no_word_times", formats=format, option="--timestamps"):
            request.check()
        return
    request.check()
    always = ("textgrid", "verbose_json")  # they have the words in any case
    plain = service.exports.document(TALK, format, ExportRequest((format,)), stem="talk").document
    timed = service.exports.document(TALK, format, request, stem="talk").document
    assert (plain == timed) == (format in always)


@pytest.mark.parametrize("formats", [("html", "srt"), (ALL,), ("csv", "docx")])
def test_one_format_with_the_option_is_enough(formats: tuple[str, ...]) -> None:
    ExportRequest(formats, timestamps="word").check()


def test_a_form_of_csv_needs_csv() -> None:
    ExportRequest(("csv",), csv="excel").check()
    ExportRequest(("csv", "txt"), csv="excel-de").check()
    ExportRequest((ALL,), csv="excel-de").check()
    with raises(UsageError, "export.no_csv", form="excel"):
        ExportRequest(("xlsx",), csv="excel").check()


@pytest.mark.parametrize(
    ("formats", "change", "code"),
    [
        (("srt",), {"highlight_words": True}, None),
        (("txt", "vtt"), {"highlight_words": True}, None),
        (("ass",), {"highlight_words": True}, None),
        ((ALL,), {"highlight_words": True}, None),
        (("sbv",), {"highlight_words": True}, "export.no_marked_words"),
        (("txt", "csv"), {"highlight_words": True}, "export.no_marked_words"),
        (("sbv",), {"line_columns": 30}, None),
        (("json", "md"), {"line_columns": 30}, "export.no_subtitles"),
        (("csv",), {}, None),
    ],
)
def test_a_layout_needs_subtitles(
    formats: tuple[str, ...], change: dict[str, Any], code: str | None
) -> None:
    request = ExportRequest(formats, layout=replace(STANDARD, **change))
    if code is None:
        request.check()
    else:
        with raises(UsageError, code, formats=", ".join(formats)):
            request.check()


# The commands


@pytest.fixture
def library(service: Service) -> str:
    stages.write(service.library, ITEM, TALK, 0.0)
    return ITEM.id


@pytest.mark.parametrize(
    ("form", "table"),
    [
        ("plain", "start_s,end_s,text,language\n0.250,1.044,Größe =1,en\n"),
        ("excel-en", "\ufeffstart_s,end_s,text,language\n0.250,1.044,Größe =1,en\n"),
        ("excel-de", '\ufeffstart_s;end_s;text;language\n"0,250";"1,044";Größe =1;en\n'),
    ],
)
def test_csv_for_a_spreadsheet_on_the_command_line(
    library: str, form: str, table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", library, "--format", "csv", "--csv", form]
    assert run(arguments) == 0
    assert capsys.readouterr().out == table
    folder = tmp_path / "out"
    assert run([*arguments, "-o", str(folder)]) == 0
    (written,) = folder.iterdir()
    assert written.read_bytes() == ("\ufeff" + table.removeprefix("\ufeff")).encode()


@pytest.mark.parametrize(
    ("locale", "separator"), [("de_DE.UTF-8", ";"), ("en_US.UTF-8", ","), ("C", ",")]
)
def test_the_form_follows_the_machines_language(
    library: str,
    locale: str,
    separator: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    assert run(["export", library, "--format", "csv", "--csv", "excel"]) == 0
    assert capsys.readouterr().out.startswith(f"\ufeffstart_s{separator}end_s")


def test_a_workbook_on_the_command_line(library: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert run(["export", library, "--format", "xlsx", "-o", str(folder)]) == 0
    (written,) = folder.iterdir()
    assert written.suffix == ".xlsx"
    book = openpyxl.load_workbook(io.BytesIO(written.read_bytes()))
    assert book.sheetnames == ["Transcript", "About"]
    assert book["Transcript"]["C2"].value == "Größe =1"


@pytest.mark.slow
def test_stdout_and_file_hold_the_same(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flag = "🏴\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"
    odd = f"\ud83d half a\x00b \x1b[2J \x9b31m one\u2028two a\u202eb \ufeff \r {flag} \ufffe <b>"
    talk = make_transcript((Segment(0.0, 2.0, odd, ()),))
    stages.write(service.library, replace(ITEM, title=odd), talk, 0.0)
    for format in FORMATS:
        if "openxml" in format_named(format).mime_type or format in (
            "rttm", "notes", "notes_json", "screen",
        ):  # fmt: skip
            continue
        assert run(["export", ITEM.id, "--format", format]) == 0, format
        printed = capsys.readouterr().out
        folder = tmp_path / "out" / format
        assert run(["export", ITEM.id, "--format", format, "-o", str(folder)]) == 0, format
        capsys.readouterr()
        (written,) = folder.iterdir()
        text = written.read_bytes().decode()
        assert text.removeprefix("\ufeff") == printed.removeprefix("\ufeff"), format
        if format not in ("json", "chapters"):
            assert "half ab" in text and flag in text, format


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--format", "html", "--timestamps", "word"], 2),
        (["--format", "srt", "--csv", "excel"], 2),
        (["--format", "csv", "--csv", "french"], 2),
    ],
)
def test_an_option_without_effect_is_refused(
    library: str, arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", library, *arguments]) == code
    assert capsys.readouterr().out == ""
