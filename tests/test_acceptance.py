"""Each row of the acceptance page has a command or a page that shows it."""

from __future__ import annotations

import re

from typer.main import get_command

from kb.cli.application import application
from kb.cli.frame import hide_types_of_flags
from tests.support.document_commands import ROOT, arguments, shown_by
from tests.test_document_commands import mistake

app = application()

PAGE = ROOT / "docs" / "acceptance.md"
NUMBER = re.compile(r"^\| (\d{3}\.\d+) \|", re.MULTILINE)


def test_every_row_has_a_command() -> None:
    rows = list(shown_by(PAGE))
    assert len(rows) > 100
    assert not [row for row, found in rows if not found and "](" not in row.rsplit(" | ", 1)[-1]]


def test_each_command_is_one_that_the_program_takes() -> None:
    program = hide_types_of_flags(get_command(app))
    every = dict.fromkeys(each for _, found in shown_by(PAGE) for each in found)
    ours = [each for each in every if re.match(r"kb [a-z]", each)]
    assert len(ours) > 30
    found = {each: mistake(program, arguments(each)) for each in ours}
    assert not {each: what for each, what in found.items() if what}


def test_each_statement_stands_once() -> None:
    numbers = NUMBER.findall(PAGE.read_text(encoding="utf-8"))
    assert len(numbers) == len(set(numbers)) >= 80


def test_each_named_program_has_what_stands_in_its_place() -> None:
    text = PAGE.read_text(encoding="utf-8")
    table = text.split("## What stands in the place of named programs")[1].split("\n## ")[0]
    named = {line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")}
    wanted = {"Gradio", "Pinokio", "Poetry", "black", "Flask", "gunicorn", "loguru"}
    assert wanted <= named
