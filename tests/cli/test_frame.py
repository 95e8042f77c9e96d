"""The frame of the commands: groups, examples, short options, options before a command."""

from __future__ import annotations

import contextlib
import importlib
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from kb.cli import frame
from kb.cli.application import application
from kb.cli.commands import MODULES
from kb.cli.exit_codes import USAGE_ERROR
from kb.cli.main import _commands, run
from kb.settings import get_settings

app = application()

COMMANDS = _commands()
NAMES = sorted(COMMANDS.commands)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(list(arguments)) == 0
    return capsys.readouterr().out


def test_each_command_is_in_one_group() -> None:
    grouped = [name for names in frame.GROUPS.values() for name in names]
    assert sorted(grouped) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_helps_have_no_types_after_flags(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, name, "-h")
    assert "<bool>" not in text
    assert text == printed(capsys, name, "--help")
    for example in frame.EXAMPLES.get(name, ()):
        assert example.split()[-1] in text


@pytest.mark.parametrize("example", [each for some in frame.EXAMPLES.values() for each in some])
def test_examples_are_accepted_by_the_parser(example: str) -> None:
    _, *arguments = shlex.split(example)
    while arguments[0] in frame.GLOBAL_OPTIONS:
        del arguments[:2]
    name, *rest = arguments
    command = COMMANDS.commands[name]
    if hasattr(command, "commands"):
        pytest.fail("an example of a group is not read here")
    with command.make_context(name, rest):  # raises what the parser refuses
        pass


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("status", "status"),
        ("status --json", "status"),
        ("--home talks status", "status"),
        ("--home=talks --device cpu keys add", "keys"),
        ("--home status list", "list"),  # a folder of that name
        ("list status", "list"),
        ("stauts", ""),
        ("-h", ""),
        ("-V status", "status"),
        ("--home", ""),
        ("", ""),
    ],
)
def test_the_command_that_is_named(words: str, name: str) -> None:
    assert frame.named_command(words.split()) == name


@pytest.fixture(scope="module")
def all_commands() -> Any:
    """Return commands that no other test has used: a command keeps its first option for help."""
    return _commands.__wrapped__()


@pytest.mark.parametrize("name", NAMES)
def test_a_command_that_is_built_alone_is_the_same(
    name: str, all_commands: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = _commands.__wrapped__(name)
    assert list(alone.commands) == [name]
    helps = []
    for built in (alone, all_commands):
        built(args=[name, "-h"], prog_name="kb", standalone_mode=False)
        helps.append(capsys.readouterr().out)
    assert helps[0] == helps[1] != ""
    assert [each.opts for each in alone.params] == [each.opts for each in all_commands.params]


@pytest.mark.parametrize("module", MODULES)
def test_each_module_has_the_commands_of_the_table(module: str) -> None:
    alone = typer.Typer()
    importlib.import_module(f"kb.cli.commands.{module}").register(alone)
    entries: list[Any] = [*alone.registered_commands, *alone.registered_groups]
    assert sorted(each.name or each.callback.__name__ for each in entries) == sorted(
        MODULES[module]
    )


def test_each_module_of_commands_is_in_the_table() -> None:
    folder = Path(importlib.import_module("kb.cli.commands").__file__ or "").parent
    assert {file.stem for file in folder.glob("*.py")} - {"__init__"} == set(MODULES)


def test_short_options_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "-V") == printed(capsys, "--version")
    text = printed(capsys, "-h")
    places = [text.index(f"─ {group} ─") for group in frame.GROUPS]
    assert places == sorted(places)


@pytest.mark.parametrize("form", ["apart", "joined", "relative"])
def test_home_before_a_command(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, environment = get_settings().home, dict(os.environ)
    monkeypatch.chdir(tmp_path)
    wanted = tmp_path / "elsewhere"
    given = {
        "apart": ["--home", str(wanted)],
        "joined": [f"--home={wanted}"],
        "relative": ["--home", "elsewhere"],
    }[form]

    with frame.global_options([*given, "status"]):
        assert get_settings().home == wanted
    assert get_settings().home == before
    assert dict(os.environ) == environment


def test_home_reaches_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--home", str(tmp_path / "none"), "show", "x"]) != 0
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_wrong_use_of_the_options_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--home"]) == USAGE_ERROR
    assert run(["--device", "toaster", "presets"]) == USAGE_ERROR
    assert "KB_DEVICE" in capsys.readouterr().err


def test_a_shell_completes_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {
        "_KB_COMPLETE": "complete_bash", "COMP_WORDS": "kb sta", "COMP_CWORD": "1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with contextlib.suppress(SystemExit):
        run([])
    assert capsys.readouterr().out.split() == ["status"]


def test_no_command_takes_the_place_of_another() -> None:
    names = [frame._name(each) for each in app.registered_commands]
    assert len(names) == len(set(names)) == len(NAMES) - len(app.registered_groups)
