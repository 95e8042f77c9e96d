"""Each command of README and documents is one that the program takes, with all its options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from kb.cli.application import application
from kb.cli.frame import hide_types_of_flags
from tests.support.document_commands import ROOT, arguments, commands, documents

app = application()


@pytest.fixture(scope="module")
def program() -> Any:
    return hide_types_of_flags(get_command(app))


def mistake(program: Any, words: list[str]) -> str:
    """Return what the parser says of a command, empty if it takes it; nothing is carried out."""
    try:
        context = program.make_context("kb", list(words))
        while hasattr(context.command, "resolve_command"):
            rest = [*context._protected_args, *context.args]
            if not rest and context.command.invoke_without_command:
                return ""
            name, command, rest = context.command.resolve_command(context, rest)
            context = command.make_context(name, rest, parent=context)
    except Exception as error:  # typer brings a parser of its own, with its own errors
        if type(error).__name__ == "Exit":
            return ""  # a help or a version
        return str(error) or type(error).__name__
    return ""


@pytest.mark.parametrize(
    "document", documents(), ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_the_program_takes_each_command(document: Path, program: Any) -> None:
    wrong = {
        command: found
        for command in commands(document)
        if (found := mistake(program, arguments(command)))
    }
    assert not wrong


def test_a_wrong_command_is_found(program: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```\nkb status --everything   kb nothing\nkb show ID  # good\n```\n", "utf-8")
    found = [mistake(program, arguments(command)) for command in commands(page)]
    assert [bool(each) for each in found] == [True, True, False]


def test_the_readme_has_commands() -> None:
    assert len(list(commands(ROOT / "README.md"))) >= 5
