"""Stored transcripts with a time that no medium has: each reader names file and place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kb.cli.main import run
from kb.errors import KBError, LibraryError
from kb.pipeline import stages
from kb.service import Service
from kb.service.export_request import ExportRequest
from kb.settings import Settings
from kb.sinks.local.ranking import _sorted_rows
from kb.transcript import render_document
from kb.types import LONGEST_MEDIUM_S, MediaItem
from tests.support.kept_transcripts import said, transcript
from tests.support.library_files import make_item

TALK = replace(transcript(said("The harbour is quiet."), said("Three falcons fly.", 5.0)))
# The kind of time -> (key of the second segment or of its first word, value, code, place)
CASES: dict[str, tuple[str, str, float, str, str]] = {
    "a start of 1e300": ("segment", "start", 1e300, "impossible_time", "segment 2"),
    "an end of 1e300": ("segment", "end", 1e300, "impossible_time", "segment 2"),
    "no number": ("segment", "start", float("nan"), "", "segments[1], field 'start'"),
    "an endless end": ("segment", "end", float("inf"), "", "segments[1], field 'end'"),
    "minus": ("segment", "start", -77.0, "impossible_time", "segment 2"),
    "1001 hours": ("segment", "end", 1001 * 3600.0, "impossible_time", "segment 2"),
    "end before start": ("segment", "end", 1.0, "end_before_start", "segment 2"),
    "a word of 1e300": ("word", "end", 1e300, "impossible_time", "segment 2, word 1"),
    "a word that is no number": ("word", "start", float("nan"), "",
                                 "segments[1], words[0], field 'start'"),
    "a negative word": ("word", "start", -3.0, "impossible_time", "segment 2, word 1"),
    "a word that ends early": ("word", "end", 2.0, "end_before_start", "segment 2, word 1"),
}  # fmt: skip
GOOD = make_item("Good", id="youtube:zzzzzzzzzzz", published="2024-05-02")
ITEMS = {
    name: make_item(name, id=f"youtube:{'abcdefghijk'[number] * 11}", published="2024-05-03")
    for number, name in enumerate(CASES)
}


def path_of(service: Service, item: MediaItem) -> Path:
    path = service.items.entry(item.id).transcript_path
    assert path is not None
    return path


def spoil(path: Path, kind: str, key: str, value: float) -> None:
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    part = document["segments"][1]
    (part if kind == "segment" else part["words"][0])[key] = value
    path.write_text(json.dumps(document), "utf-8")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A library of a good item and one of each kind, without texts beside them."""
    home = tmp_path_factory.mktemp("times") / "home"
    made = Service(Settings(KB_HOME=str(home), KB_MODEL="demo", KB_SINKS="local"))
    made.library.prepare()
    for item in (GOOD, *ITEMS.values()):
        stages.write(made.library, item, TALK, 0.0)
    for name, (kind, key, value, _, _) in CASES.items():
        path = path_of(made, ITEMS[name])
        spoil(path, kind, key, value)
        for text in path.parent.glob(f"{made.library.stem(ITEMS[name])}*.txt"):
            text.unlink()
    made.report = made.search.reindex()  # type: ignore[attr-defined]
    yield made
    made.close()


@pytest.mark.parametrize("name", CASES)
def test_readers_name_file_and_place(service: Service, name: str) -> None:
    *_, code, place = CASES[name]
    item, path = ITEMS[name], path_of(service, ITEMS[name])
    with pytest.raises(LibraryError) as raised:
        service.items.transcript(item.id)
    problems: list[Any] = []
    assert not list(service.exports.documents(item.id, ExportRequest(("srt", "txt")), problems))
    status = service.items.status(item.id)
    said_errors: list[KBError] = [raised.value, problems[0].error]
    for error in said_errors:
        # JSON has no such number: it is refused before any time is looked at.
        assert error.code == (f"transcript.{code}" if code else "json.field")
        assert str(path) in error.message and place in error.message
        assert not re.search(r"\d{40}", error.message)
    assert status.state == "failed" and str(path) in (status.error or "")
    report = service.report  # type: ignore[attr-defined]
    assert sum(str(path) in problem and place in problem for problem in report.problems) == 1


def test_the_others_are_found_and_nothing_prints_nonsense(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KB_HOME", str(service.settings.home))
    monkeypatch.setenv("KB_SINKS", "local")
    assert run(["search", "falcons"]) == 0
    shown = capsys.readouterr().out
    assert "1. Good" in shown and "2. " not in shown
    for arguments in (["status"], ["status", "--all"], ["verify"], ["show", ITEMS["minus"].id]):
        run(arguments)
        streams = capsys.readouterr()
        shown = streams.out + streams.err
        assert shown and not re.search(r"\d{40}|Traceback", shown)


def test_a_corrected_time_makes_the_item_done_again(service: Service) -> None:
    name = "minus"
    path = path_of(service, ITEMS[name])
    before = path.read_bytes()
    spoil(path, "segment", "start", 5.0)
    service.search.reindex()
    status = service.items.status(ITEMS[name].id)
    assert status.state == "done" and not status.error
    path.write_bytes(before)
    service.search.reindex()
    assert service.items.status(ITEMS[name].id).state == "failed"


@pytest.mark.parametrize("suffix", [".txt", ".en.srt"])
def test_a_wrong_time_is_no_reason_to_replace_the_words(service: Service, suffix: str) -> None:
    """The text beside it has fewer times, no windows and no changes by hand."""
    paths = {name: path_of(service, item) for name, item in ITEMS.items()}
    before = {name: path.read_bytes() for name, path in paths.items()}
    beside = [
        path.with_name(path.name.removesuffix(".transcript.json") + suffix)
        for path in paths.values()
    ]
    try:
        for path in beside:
            path.write_text("1\n00:00:01,000 --> 00:00:02,000\nAnother text\n", "utf-8")
        report = service.search.reindex()
    finally:
        for path in beside:
            path.unlink()
    assert not report.taken_in
    for name, path in paths.items():
        assert path.read_bytes() == before[name]
        assert [problem for problem in report.problems if str(path) in problem]
        status = service.items.status(ITEMS[name].id)
        assert status.state == "failed" and CASES[name][4] in (status.error or "")


def test_an_exact_document_is_written_as_it_is() -> None:
    """A transcript that is no file of a library yet, as that of `kb transcribe`."""
    odd = replace(TALK, segments=(replace(TALK.segments[0], end_s=1e300),))
    assert "1e+300" in str(render_document(odd, "json"))


@pytest.mark.parametrize(
    ("start_s", "end_s"),
    [(1e300, 2e300), (float("nan"), 2.0), (1.0, float("nan")), (-5.0, 2.0),
     (float("inf"), float("inf")), (LONGEST_MEDIUM_S, LONGEST_MEDIUM_S + 1)],
)  # fmt: skip
def test_an_index_of_before_shows_no_such_row(start_s: float, end_s: float) -> None:
    rows = [
        {"item_id": "a", "seq": n, "score": 1.0, "start_s": start, "end_s": end}
        for n, (start, end) in enumerate([(0.0, 1.0), (start_s, end_s), (2.0, 2.0)])
    ]
    assert [row["seq"] for row in _sorted_rows(rows)] == [0, 2]
