"""Exports: names of files, several formats at once, many items as one ZIP, on the command line."""

from __future__ import annotations

import io
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kb.cli.main import run
from kb.errors import UsageError
from kb.pipeline import stages
from kb.service import Service
from kb.service.export_request import ALL, ExportRequest, parse_formats
from kb.service.exports import NOT_EXPORTED
from kb.transcript import FORMATS, format_named
from kb.types import Segment
from kb.types.notes import NotedChapter, Notes
from kb.types.screen import ScreenLine, ScreenPage
from tests.support.library_files import make_item
from tests.support.raising import raises
from tests.support.random_transcripts import ITEM, make_transcript

TEXT = make_transcript((Segment(0.0, 2.0, "One two.", ()), Segment(2.5, 4.0, "Three.", ())))
NOTES = {"notes", "notes_json", "screen"}
NAMED = replace(TEXT, segments=(replace(TEXT.segments[0], speaker="Ann"),))
IDS = [ITEM.id, "youtube:bbbbbbbbbbb", "youtube:ccccccccccc"]


@pytest.fixture
def service() -> Iterator[Service]:
    """A library of three items: one with chapters, one in German, one without its transcript."""
    made = Service()
    made.library.prepare()
    items = [
        ITEM,
        make_item("Größe", id=IDS[1], published="2024-05-02"),
        make_item("Lost", id=IDS[2], published="2024-05-03"),
    ]
    for item, language in zip(items, ("en", "de", "en"), strict=True):
        stages.write(made.library, item, replace(TEXT, language=language), 0.0)
    lost = made.items.entry(IDS[2]).transcript_path
    assert lost is not None
    lost.write_text("{", encoding="utf-8")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("srt", ("srt",)),
        ("srt,vtt", ("srt", "vtt")),
        (" SRT , txt,srt,", ("srt", "txt")),
        ("all", (ALL,)),
        ("txt,all", (ALL,)),
        ("verbose_json,textgrid", ("verbose_json", "textgrid")),
    ],
)
def test_formats_are_named_in_a_list(text: str, names: tuple[str, ...]) -> None:
    assert parse_formats(text) == names


@pytest.mark.parametrize("text", ["", ",", "nonsense", "srt,nonsense", "srt;vtt", "srt vtt"])
def test_an_unknown_format_names_the_known_ones(text: str) -> None:
    with raises(UsageError, "export.unknown_format") as caught:
        parse_formats(text)
    assert all(name in caught.value.hint for name in (*FORMATS, ALL))


@pytest.mark.parametrize(
    ("format", "language", "name"),
    [
        ("srt", "", "talk.srt"),
        ("srt", "en", "talk.en.srt"),
        ("vtt", "yue", "talk.yue.vtt"),
        ("ass", "jw", "talk.jv.ass"),
        ("plain", "de", "talk.de.plain.txt"),
        ("verbose_json", "", "talk.verbose.json"),
        ("srt", "English", "talk.srt"),
        ("srt", "../x", "talk.srt"),
        ("srt", "zh-CN", "talk.srt"),
        ("markers", "en", "talk.en.markers.csv"),
    ],
)
def test_the_language_is_in_the_name_where_asked(format: str, language: str, name: str) -> None:
    assert Service().exports.file_name("talk", format, language) == name


def test_a_long_name_is_cut_before_its_language() -> None:
    name = Service().exports.file_name("ü" * 200, "srt", "en")
    assert name.endswith("ü.en.srt") and len(name.encode()) <= 255


def entries(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert len(set(archive.namelist())) == len(archive.namelist())
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_zip_has_the_documents_and_names_what_is_missing(service: Service) -> None:
    file = io.BytesIO()
    request = ExportRequest(("txt", "srt", "chapters"), language_in_name=True)
    problems = service.exports.write_zip(file, IDS, request)
    found = entries(file.getvalue())
    stems = [service.items.entry(item_id).stem for item_id in IDS]
    assert sorted(found) == sorted(
        [
            f"{stems[0]}.en.txt", f"{stems[0]}.en.srt", f"{stems[0]}.en.chapters.txt",
            f"{stems[1]}.de.txt", f"{stems[1]}.de.srt", NOT_EXPORTED,
        ]
    )  # fmt: skip
    assert b"One two." in found[f"{stems[1]}.de.srt"]
    assert [(each.item_id, each.format) for each in problems] == [
        (IDS[1], "chapters"),
        (IDS[2], ""),
    ]
    missing = found[NOT_EXPORTED].decode()
    assert IDS[1] in missing and IDS[2] in missing and IDS[0] not in missing


def test_a_zip_in_parts_is_the_same_and_comes_item_by_item(service: Service) -> None:
    request = ExportRequest((ALL,))
    parts = list(service.exports.zip_parts(IDS[:2], request))
    found = entries(b"".join(parts))
    assert len(parts) > len(found) and max(map(len, parts)) < sum(map(len, parts)) / 2
    file = io.BytesIO()
    assert service.exports.write_zip(file, IDS[:2], request) == ()
    assert entries(file.getvalue()) == found
    ends = {name.split("]")[-1].lstrip(".") for name in found}
    assert all(any(end.endswith(f".{format_named(n).suffix}") for end in found) for n in ("docx",))
    assert "rttm" not in ends and sum(name.endswith(".chapters.txt") for name in found) == 1


def test_the_bytes_of_an_export_do_not_depend_on_the_clock(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a document that is equal byte by byte counts as unchanged when it is written again."""
    request = ExportRequest((ALL,))
    transcript = stages.read_transcript(service.library, service.items.entry(ITEM.id))

    def everything() -> list[bytes]:
        made = [
            service.exports.document(transcript, name, request, stem="a", item=ITEM).content
            for name in service.exports.available(transcript, ITEM)
        ]
        return [*made, b"".join(service.exports.zip_parts(IDS, request))]

    first = everything()
    moved = time.time() + 90_000.5
    monkeypatch.setattr(time, "time", lambda: moved)
    monkeypatch.setattr(time, "localtime", _of_later(time.localtime, moved))
    assert everything() == first


def _of_later(localtime: Callable[..., Any], now: float) -> Callable[..., Any]:
    return lambda seconds=None: localtime(now if seconds is None else seconds)


def test_entries_of_a_zip_have_the_time_of_their_transcript(service: Service) -> None:
    path = service.items.entry(ITEM.id).transcript_path
    assert path is not None
    for at, year in [(1_600_000_000.0, 2020), (1.0, 1980), (9_999_999_999.0, 2107)]:
        os.utime(path, (at, at))
        data = b"".join(service.exports.zip_parts([ITEM.id, IDS[2]], ExportRequest(("txt",))))
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert [entry.date_time[0] for entry in archive.infolist()] == [year, year]


def test_items_of_one_name_get_two(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(service.exports), "file_name", lambda *_: "Talk.txt")
    found = entries(b"".join(service.exports.zip_parts(IDS[:2], ExportRequest(("txt", "srt")))))
    assert list(found) == ["Talk.txt", "Talk (2).txt", "Talk (3).txt", "Talk (4).txt"]


def test_all_are_the_formats_that_there_is_something_for(service: Service) -> None:
    exports = service.exports
    assert set(FORMATS) - set(exports.available(TEXT, ITEM)) == {"rttm", *NOTES}
    assert set(FORMATS) - set(exports.available(TEXT, None)) == {"rttm", "chapters", *NOTES}
    page = ScreenPage((ScreenLine("A slide", 0.0),), ((0.0, 3.0),))
    chapters = (NotedChapter("A part", 0.0),)
    noted = replace(NAMED, notes=Notes({}, chapters=chapters), on_screen=(page,))
    assert set(exports.available(noted, ITEM)) == set(FORMATS)


# The command line


def said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    found = capsys.readouterr()
    return found.out, found.err


def test_several_formats_go_to_a_folder(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stem = service.items.entry(ITEM.id).stem
    folder = tmp_path / "out"
    assert run(["export", ITEM.id, "--format", "srt,docx", "-o", str(folder)]) == 0
    assert sorted(path.name for path in folder.iterdir()) == [f"{stem}.docx", f"{stem}.srt"]
    assert (folder / f"{stem}.docx").read_bytes()[:2] == b"PK"
    command = ["export", ITEM.id, "--format", "vtt", "--language-in-name", "-o", str(folder)]
    assert run(command) == 0
    assert (folder / f"{stem}.en.vtt").is_file()
    said(capsys)


@pytest.mark.slow
def test_all_formats_of_two_items_go_to_a_folder(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", ITEM.id, IDS[1], "--format", "all", "-o", str(tmp_path / "all")]) == 0
    written = [path.name for path in (tmp_path / "all").iterdir()]
    # No speakers, no notes, nothing on the screen, and chapters in one of them.
    assert len(written) == 2 * len(FORMATS) - 9
    said(capsys)


def test_many_items_go_to_a_zip(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "all.zip"
    assert run(["export", "--all", "--format", "txt,srt", "--zip", str(target)]) == 1
    assert len(entries(target.read_bytes())) == 5
    out, err = said(capsys)
    assert out == "" and IDS[2] in err and "Written" in err
    target.unlink()
    assert run(["export", *IDS[:2], "--format", "plain", "--zip", str(target)]) == 0
    assert len(entries(target.read_bytes())) == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--format", "srt"], "Which items?"),
        ([ITEM.id, "--format", "srt,vtt"], "stdout"),
        ([ITEM.id, "--format", "all"], "stdout"),
        ([*IDS[:2], "--format", "srt"], "stdout"),
        ([ITEM.id, "--format", "rttm"], "speakers"),
        ([IDS[1], "--format", "chapters"], "chapters"),
        ([ITEM.id, "--format", "nonsense"], "nonsense"),
        ([ITEM.id, "--format", "srt", "-o", "x", "--zip", "y.zip"], "--zip"),
        (["nowhere", "--format", "srt"], "nowhere"),
    ],
)
def test_what_cannot_be_exported_is_said(
    service: Service, arguments: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", *arguments]) == 2
    out, err = said(capsys)
    assert out == "" and code in err


@pytest.mark.parametrize("places", [[], ["-o", "out"], ["--zip", "out.zip"]])
def test_a_library_without_transcripts_has_nothing_to_export(
    places: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Service().library.prepare()
    assert run(["export", "--all", "--format", "txt", *places]) == 2
    assert "transcript" in said(capsys)[1] and not Path("out.zip").exists()


def test_one_problem_stops_no_other_document(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", IDS[1], "--format", "txt,chapters,srt", "-o", str(tmp_path / "out")]
    assert run(command) == 1
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".srt", ".txt"]
    assert "chapters" in said(capsys)[1]


def test_one_problem_of_an_item_is_said_once(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A time that no medium has stops every format at once; silence empties each."""
    path = service.items.entry(ITEM.id).transcript_path
    assert path is not None
    path.write_text(path.read_text("utf-8").replace('"end": 4.0', '"end": 1e300'), "utf-8")
    silent = replace(TEXT, segments=())
    stages.write(service.library, make_item("Größe", id=IDS[1], published="2024-05-02"), silent, 0)
    folder = tmp_path / "out"
    command = ["export", *IDS[:2], "--format", "txt,srt,json,chapters", "-o", str(folder)]
    assert run(command) == 1
    warnings = [line for line in said(capsys)[1].splitlines() if line.startswith("Warning")]
    assert len(warnings) == 3
    assert f"{IDS[1]} has no words: its txt, srt, json has no text." in warnings[0]
    assert f"{ITEM.id}: " in warnings[1] and "segment 2" in warnings[1]
    assert not [path for path in folder.iterdir() if ITEM.short_id in path.name]
    assert f"{IDS[1]} (chapters): " in warnings[2]
    problems = service.exports.write_zip(io.BytesIO(), IDS[:2], ExportRequest((ALL,)))
    assert len(problems) == 1


def test_a_document_that_is_no_text_goes_to_a_pipe(
    service: Service, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(["export", ITEM.id, "--format", "docx"]) == 0
    assert capfdbinary.readouterr().out[:2] == b"PK"


@pytest.mark.parametrize("format", ["chapters", "rttm", "txt,chapters", "notes", "screen"])
def test_a_file_is_not_transcribed_for_a_format_that_it_has_nothing_for(
    format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talk = tmp_path / "talk.wav"
    talk.write_bytes(b"not even a medium")
    assert run(["transcribe", str(talk), "--format", format, "-o", str(tmp_path)]) == 2
    assert "talk" not in said(capsys)[1].replace(str(tmp_path), "")
