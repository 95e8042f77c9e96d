"""The options of a run: declared once, offered by the command line and by the forms."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from gpu.preset_figures import RANGES, Preset
from kb.cli.application import application
from kb.cli.options import with_run_options
from kb.errors import KBError, LibraryError, UsageError
from kb.options import OPTIONS, RunOptions, declared_options, option, parse_metadata, parse_names
from kb.service.option_suggestions import option_suggestions
from kb.settings import get_settings
from kb.sources.listing.filters import VideoFilters
from kb.ui.i18n import MESSAGES
from tests.support.raising import raises

app = application()

ROOT = Path(__file__).resolve().parents[1]
# What the command line takes for an option: one example of each kind of value.
TYPED: dict[str, tuple[list[str], Any]] = {
    "preset": (["--preset", "stabil"], "stabil"),
    "batch_size": (["--batch-size", "8"], 8),
    "chunk_s": (["--chunk", "25"], 25.0),
    "overlap_s": (["--overlap", "2.5"], 2.5),
    "workers": (["--workers", "3"], 3),
    "timestamps": (["--timestamps", "word"], "word"),
    "model": (["--model", "demo"], "demo"),
    "engine": (["--engine", "parakeet"], "parakeet"),
    "language": (["--language", "de"], "de"),
    "sinks": (["--to", "local, odin"], ("local", "odin")),
    "keep": (["--keep", "mp4"], "mp4"),
    "again": (["--again"], True),
    "drop_corrections": (["--drop-corrections"], True),
    "detect_speech": (["--no-vad"], False),
    "metadata": (
        ["--meta", "team = research", "--meta", "a=b=c"],
        {"team": "research", "a": "b=c"},
    ),
    "track": (["--track", "all"], "all"),
    "captions_first": (["--no-captions-first"], False),
    "steps": (["--steps", "speakers, none"], ("speakers", "none")),
    "speaker_count": (["--speaker-count", "3"], 3),
    "sample_rate": (["--sample-rate", "30"], 30),
    "fetch_picture": (["--no-fetch-picture"], False),
    "priority": (["--priority", "urgent"], "urgent"),
}


def run_with(*arguments: str, names: tuple[str, ...] = ()) -> RunOptions:
    """The options that a command gets for these arguments."""
    got: list[RunOptions] = []
    command_line = typer.Typer()

    @command_line.command()
    @with_run_options(*names)
    def command(options: RunOptions) -> None:
        got.append(options)

    command_line(args=list(arguments), standalone_mode=False)
    return got[0]


def flags(command: str) -> set[str]:
    """The flags of a command of `kb`."""
    found: Any = get_command(app)
    for name in command.split():
        found = found.commands[name]
    return {flag for each in found.params for flag in (*each.opts, *each.secondary_opts)}


def flags_of(name: str) -> set[str]:
    return set(OPTIONS[name].flag.split("/"))


@pytest.mark.parametrize("name", OPTIONS)
def test_a_flag_gives_its_option_and_leaves_the_others(name: str) -> None:
    arguments, value = TYPED[name]
    assert run_with(*arguments) == RunOptions(**{name: value})


def test_without_flags_every_option_has_its_default() -> None:
    assert run_with() == RunOptions()
    assert run_with(names=("preset", "keep")) == RunOptions()


@pytest.mark.slow
def test_ingest_takes_every_option_and_follow_what_holds_for_every_listing() -> None:
    for name, each in OPTIONS.items():
        assert flags_of(name) <= flags("ingest"), name
        assert (flags_of(name) <= flags("follow")) == (not each.single_run), name
    assert OPTIONS["again"].single_run


def test_transcribe_takes_what_a_printed_transcript_can_use() -> None:
    for name, each in OPTIONS.items():
        assert (flags_of(name) <= flags("transcribe")) == (not each.library_only), name


def test_ranges_and_flags_are_those_of_the_presets() -> None:
    figures = {name for name, each in OPTIONS.items() if each.is_preset_figure}
    assert figures == {"batch_size", "chunk_s", "overlap_s", "workers", "timestamps"}
    for name in figures & RANGES.keys():
        assert OPTIONS[name].range is RANGES[name]
        assert OPTIONS[name].flag == RANGES[name].option


@pytest.mark.parametrize(
    "name", [name for name in OPTIONS if OPTIONS[name].is_preset_figure and OPTIONS[name].range]
)
def test_a_run_takes_the_ends_of_a_range_and_nothing_beyond(name: str) -> None:
    limits = RANGES[name]
    kind = OPTIONS[name].value_type
    chunk = {"chunk_s": RANGES["chunk_s"].high} if name == "overlap_s" else {}

    def resolve(value: float) -> Preset:
        return RunOptions(**{**chunk, name: kind(value)}).resolve_preset(get_settings())

    assert getattr(resolve(limits.low), name) == limits.low
    if name != "overlap_s":  # half of the chunk is the nearer end
        assert getattr(resolve(limits.high), name) == limits.high
    for value in (limits.low - 1, limits.high + 1):
        with raises(UsageError, "preset.option", option=limits.option):
            resolve(value)


def test_each_option_has_its_texts_in_both_languages() -> None:
    for name, each in OPTIONS.items():
        for messages in MESSAGES.values():
            assert messages[f"option_{name}"]
            for choice in each.choices:
                assert messages[f"option_{name}_{choice}"]


def test_models_of_every_engine_are_offered() -> None:
    models = option_suggestions("model")
    assert {"demo", "large-v3-turbo"} <= models.keys()
    assert models["parakeet-tdt-0.6b-v3"] == "parakeet"
    assert models["qwen3-asr-0.6b"] == "qwen3-asr"
    assert set(models.values()) - {""} <= option_suggestions("engine").keys()
    assert "auto" in option_suggestions("language")


# What is stored


STORED = [
    (RunOptions(), {}),
    (
        RunOptions(
            preset="stabil", batch_size=4, chunk_s=30.0, overlap_s=2.5, workers=2,
            timestamps="word", model="demo", engine="whisper", language="de",
            sinks=("local", "odin"), keep="mp3", again=True, detect_speech=False,
            metadata={"team": "research"}, captions_first=False,
        ),
        {},
    ),
    (RunOptions(sinks=()), {"of a newer version": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("options", "more"), STORED)
def test_stored_options_are_those_of_the_version_before(
    options: RunOptions, more: dict[str, Any]
) -> None:
    sinks = list(options.sinks) if options.sinks is not None else None
    before = {**asdict(options), "sinks": sinks}
    assert json.dumps(options.as_dict()) == json.dumps(before)
    assert RunOptions.from_dict(json.loads(json.dumps({**before, **more}))) == options


def test_options_of_an_older_version_lack_the_newer_names() -> None:
    assert RunOptions.from_dict({"preset": "stabil"}) == RunOptions(preset="stabil")


@pytest.mark.parametrize(
    "filters",
    [
        VideoFilters(),
        VideoFilters(
            after="2024-01-01", before="2025-01-01", playlist="Seas", min_duration_s=60.5,
            max_duration_s=7200.0, title="talk", no_shorts=True, new=True, limit=3,
        ),
    ],
)  # fmt: skip
def test_stored_filters_are_those_of_the_version_before(filters: VideoFilters) -> None:
    before = {name: value for name, value in asdict(filters).items() if name != "captions"}
    assert json.dumps(filters.as_dict()) == json.dumps(before)
    assert VideoFilters.from_dict({**before, "of a newer version": 1}) == filters


@pytest.mark.parametrize(
    ("read", "kind", "code"),
    [
        (lambda: RunOptions.from_dict({"keep": "wav"}), LibraryError, "options.stored"),
        (lambda: VideoFilters.from_dict({"limit": "many"}), UsageError, "filters.stored"),
    ],
)
def test_a_broken_stored_value_is_named(
    read: Callable[[], object], kind: type[KBError], code: str
) -> None:
    with pytest.raises(kind) as caught:
        read()
    assert caught.value.code == code
    assert caught.value.values["name"] in ("keep", "limit")


# Values


def test_metadata_are_read_the_same_everywhere() -> None:
    assert parse_metadata(["team = research", " case=a=b ", "empty="]) == {
        "team": "research",
        "case": "a=b",
        "empty": "",
    }


@pytest.mark.parametrize("pair", ["nonsense", "=value", " = value", ""])
def test_metadata_that_are_none_are_named(pair: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_metadata(["team=research", pair])
    assert caught.value.code == "options.metadata"
    assert caught.value.values["pair"] == pair.strip()


def test_names_are_separated_by_commas() -> None:
    assert parse_names(" local,, odin ,") == ("local", "odin")
    assert parse_names("") == ()


def test_a_declaration_decides_about_flag_and_kind() -> None:
    @dataclass(frozen=True)
    class Other:
        beam_width: int = option(5, help="Beams.")
        quiet: bool = option(False, help="Quiet.")
        careful: bool = option(True, help="Careless.")
        tidy: bool | None = option(None, help="Tidy.")

    found = declared_options(Other)
    assert {name: (each.flag, each.kind, each.default) for name, each in found.items()} == {
        "beam_width": ("--beam-width", "number", 5),
        "quiet": ("--quiet", "switch", False),
        "careful": ("--no-careful", "switch", True),
        "tidy": ("--tidy/--no-tidy", "switch", None),
    }


# A newcomer's option

USE = """
import sys
from streamlit.testing.v1 import AppTest
from typer.main import get_command
from kb.cli.application import application
from kb.options import RunOptions

for command in ("ingest", "transcribe", "follow"):
    commands = get_command(application(command)).commands
    (flag,) = [each for each in commands[command].params if "--loudness-db" in each.opts]
    assert flag.help == "Loudness to bring the sound to.", flag.help

for language, label in (("en", "Loudness, dB"), ("de", "Lautheit, dB")):
    page = AppTest.from_file("streamlit_app.py", default_timeout=240)
    page.query_params.update({"lang": language, "tab": "Add"})
    page.run()
    assert not page.exception, page.exception
    (field,) = [each for each in page.number_input if each.key == "run_loudness_db"]
    assert field.label == label, field.label
    field.set_value(-20.0)
    page.run()
    assert page.session_state["run_loudness_db"] == -20.0
assert RunOptions.from_dict(RunOptions(loudness_db=-20.0).as_dict()).loudness_db == -20.0
"""


@pytest.mark.slow
def test_a_new_option_is_one_field_and_its_texts(tmp_path: Path) -> None:
    for name in ("kb", "gpu"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("streamlit_app.py", "presets.yaml", "models.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)

    def insert(path: str, before: str, line: str) -> None:
        file = tmp_path / path
        found = file.read_text(encoding="utf-8")
        assert before in found
        file.write_text(found.replace(before, f"{line}\n{before}", 1), encoding="utf-8")

    field = '    loudness_db: float | None = option(None, help="Loudness to bring the sound to.")'
    insert("kb/options.py", "    def resolve_preset(", f"{field}\n")
    for label, before in (
        ("Loudness, dB", '    "option_again": "Transcribe again'),
        ("Lautheit, dB", '    "option_again": "Noch einmal'),
    ):
        insert("kb/ui/i18n/ingest.py", before, f'    "option_loudness_db": "{label}",')
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "KB_HOME": str(tmp_path / "library")}
    done = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
