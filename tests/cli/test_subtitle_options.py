"""Options of an export's subtitles on the command line, and transcripts that cannot be exported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import srt
import typer
from typer.main import get_command

from kb.cli.application import application
from kb.cli.options import with_layout_options
from kb.errors import UsageError
from kb.export_options import LAYOUT_OPTIONS, LayoutOptions
from kb.service import Service
from kb.settings import Settings
from kb.transcript.formats import json_document
from kb.types import LAYOUTS, STANDARD, LayoutName, Segment, SubtitleLayout, Word
from kb.ui.i18n import MESSAGES
from tests.support.commands import run_command
from tests.support.composed_talks import sample_talks
from tests.support.raising import raises
from tests.support.random_transcripts import make_transcript
from tests.support.subtitle_style import faults, shown_cues

app = application()

# What the command line takes: one example for each option, and the layout that it makes.
TYPED: dict[str, tuple[list[str], SubtitleLayout]] = {
    "layout": (["--layout", "netflix"], LAYOUTS["netflix"]),
    "max_line_width": (
        ["--max_line_width", "30"],
        replace(STANDARD, line_columns=30, chinese_columns=30, japanese_columns=30),
    ),
    "max_line_count": (["--max_line_count", "3"], replace(STANDARD, lines=3)),
    "max_words_per_line": (["--max_words_per_line", "4"], replace(STANDARD, words_per_line=4)),
    "highlight_words": (["--highlight_words"], replace(STANDARD, highlight_words=True)),
    "max_chars_per_second": (
        ["--max_chars_per_second", "12.5"], replace(STANDARD, chars_per_s=12.5),
    ),
    "cue_gap": (["--cue_gap", "0.1"], replace(STANDARD, gap_s=0.1)),
    "min_cue_duration": (["--min_cue_duration", "1"], replace(STANDARD, min_s=1.0)),
    "max_cue_duration": (["--max_cue_duration", "5"], replace(STANDARD, max_s=5.0)),
}  # fmt: skip


def layout_of(*arguments: str) -> SubtitleLayout:
    """Return the layout that a command gets for these arguments."""
    got: list[SubtitleLayout] = []
    command_line = typer.Typer()

    @command_line.command()
    @with_layout_options
    def command(layout: SubtitleLayout) -> None:
        got.append(layout)

    command_line(args=list(arguments), standalone_mode=False)
    return got[0]


def test_every_option_has_an_example() -> None:
    assert TYPED.keys() == LAYOUT_OPTIONS.keys()


@pytest.mark.parametrize("name", TYPED)
def test_an_option_changes_the_layout(name: str) -> None:
    typed, layout = TYPED[name]
    assert layout_of(*typed) == layout


@pytest.mark.parametrize("name", TYPED)
def test_hyphens_are_accepted_as_well(name: str) -> None:
    typed, layout = TYPED[name]
    assert layout_of(typed[0].replace("_", "-"), *typed[1:]) == layout


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_figures_of_a_layout(name: LayoutName) -> None:
    assert layout_of("--layout", name) == LAYOUTS[name]


@pytest.mark.parametrize(("typed", "name"), [("Netflix", "netflix"), ("BBC", "bbc")])
def test_a_layout_may_be_typed_with_capitals(typed: str, name: LayoutName) -> None:
    assert layout_of("--layout", typed) == LAYOUTS[name]


@pytest.mark.parametrize("command", ["export", "transcribe"])
def test_both_commands_have_every_flag(command: str) -> None:
    found = get_command(app).commands[command]  # type: ignore[attr-defined]
    flags = {flag for parameter in found.params for flag in parameter.opts}
    assert {option.flag for option in LAYOUT_OPTIONS.values()} <= flags


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_option_has_its_texts(language: str) -> None:
    for name, option in LAYOUT_OPTIONS.items():
        assert MESSAGES[language][f"option_{name}"]
        for value in option.choices:
            assert MESSAGES[language][f"option_{name}_{value}"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"layout": "cinema"}, "layout.unknown"),
    ({"max_line_width": 3}, "layout.option"),
    ({"max_line_width": 0}, "layout.option"),
    ({"max_line_width": -42}, "layout.option"),
    ({"max_line_count": 0}, "layout.option"),
    ({"max_words_per_line": 0}, "layout.option"),
    ({"max_chars_per_second": 0.0}, "layout.option"),
    ({"max_chars_per_second": float("nan")}, "layout.option"),
    ({"cue_gap": -0.1}, "layout.option"),
    ({"cue_gap": float("inf")}, "layout.option"),
    ({"min_cue_duration": 0.0}, "layout.option"),
    ({"max_cue_duration": 1e300}, "layout.option"),
    ({"min_cue_duration": 5.0, "max_cue_duration": 2.0}, "layout.durations"),
]


@pytest.mark.parametrize(("values", "code"), REFUSED)
def test_a_value_that_no_layout_has(values: dict[str, Any], code: str) -> None:
    with raises(UsageError, code) as caught:
        LayoutOptions(**values).resolve()
    assert caught.value.hint


@pytest.mark.parametrize(
    ("values", "durations"),
    [
        ({"max_cue_duration": 0.5}, (0.5, 0.5)),
        ({"min_cue_duration": 9.0}, (9.0, 9.0)),
        ({"layout": "vertical", "min_cue_duration": 4.0}, (4.0, 4.0)),
        ({"min_cue_duration": 2.0, "max_cue_duration": 2.0}, (2.0, 2.0)),
    ],
)
def test_one_duration_by_hand_moves_the_other(
    values: dict[str, Any], durations: tuple[float, float]
) -> None:
    layout = LayoutOptions(**values).resolve()
    assert (layout.min_s, layout.max_s) == durations


# The commands themselves, with transcripts that lie in a library

GOOD, EMPTY, FAR, BACK, EARLY = (f"{number:012x}" for number in range(1, 6))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A library with a talk, one without words, and three with impossible times."""
    home = tmp_path_factory.mktemp("layouts") / "home"
    service = Service(Settings(KB_HOME=str(home), KB_MODEL="demo"))
    service.library.media_folder.mkdir(parents=True)
    bad = Segment(3.0, 4.0, "bad", (Word(3.0, 4.0, "bad", 1.0),))
    talks = {
        GOOD: sample_talks()[0],
        EMPTY: make_transcript(()),
        FAR: make_transcript((bad, replace(bad, start_s=1e300, end_s=1e300))),
        BACK: make_transcript((replace(bad, end_s=2.0),)),
        EARLY: make_transcript((replace(bad, words=(Word(-3.0, 4.0, "bad", 1.0),)),)),
    }
    for name, talk in talks.items():
        path = service.library.media_folder / f"2024-03-01_Talk_{name}.transcript.json"
        path.write_text(json.dumps(json_document.to_document(talk)), "utf-8")
    service.search.reindex()
    service.close()
    yield home


def kb(home: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    done = run_command(arguments, {"KB_HOME": str(home), "KB_MODEL": "demo"}, home)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_an_export_has_its_layout(home: Path, name: LayoutName) -> None:
    document, _ = kb(home, "export", f"file:{GOOD}", "--format", "srt", "--layout", name)
    assert not faults(document, sample_talks()[0], LAYOUTS[name])


@pytest.mark.slow
def test_an_option_goes_before_its_layout(home: Path) -> None:
    typed = ["--layout", "bbc", "--max_line_width", "20", "--max_line_count", "1"]
    document, _ = kb(home, "export", f"file:{GOOD}", "--format", "srt", *typed)
    cues = shown_cues(document)
    assert all(len(cue.lines) == 1 and len(cue.text) <= 20 for cue in cues)
    assert max(len(cue.text) for cue in cues) > 12


@pytest.mark.slow
@pytest.mark.parametrize("typed", [["--max_line_width", "2"], ["--layout", "cinema"]])
def test_a_bad_option_is_a_usage_error(home: Path, typed: list[str]) -> None:
    _, problem = kb(home, "export", f"file:{GOOD}", "--format", "srt", *typed, code=2)
    assert typed[1] in problem


@pytest.mark.slow
@pytest.mark.parametrize("format", ["srt", "vtt", "txt", "csv", "md"])
def test_a_transcript_without_words_is_said_to_be_so(home: Path, format: str) -> None:
    document, problem = kb(home, "export", f"file:{EMPTY}", "--format", format)
    assert "has no words" in problem
    if format == "srt":
        assert not list(srt.parse(document))


@pytest.mark.slow
@pytest.mark.parametrize("format", ["srt", "vtt", "txt", "csv", "md"])
@pytest.mark.parametrize(
    ("item", "place"), [(FAR, "segment 2"), (BACK, "segment 1"), (EARLY, "segment 1, word 1")]
)
def test_an_impossible_time_names_file_and_place(
    home: Path, item: str, place: str, format: str
) -> None:
    document, problem = kb(home, "export", f"file:{item}", "--format", format, code=1)
    assert not document
    found = " ".join(problem.split())
    assert f"{item}.transcript.json" in found.replace(" ", "") and place in found


@pytest.mark.slow
@pytest.mark.parametrize("item", [FAR, BACK, EARLY])
def test_show_names_the_file_as_well(home: Path, item: str) -> None:
    _, problem = kb(home, "show", f"file:{item}", code=1)
    assert f"{item}.transcript.json" in "".join(problem.split())


@pytest.mark.slow
@pytest.mark.parametrize("command", ["show", "reindex", "export", "search"])
def test_no_command_breaks_at_an_impossible_time(home: Path, command: str) -> None:
    arguments = {
        "show": ["show", f"file:{FAR}"],
        "reindex": ["reindex"],
        "export": ["export", f"file:{FAR}", "--format", "json"],
        "search": ["search", "bad"],
    }[command]
    done = run_command(arguments, {"KB_HOME": str(home), "KB_MODEL": "demo"}, home)
    assert "Traceback" not in done.stderr
