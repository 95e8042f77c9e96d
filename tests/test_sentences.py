"""Numbers with their noun or unit, full stops, and titles before errors."""

from __future__ import annotations

import ast
import re

import pytest

from kb.errors import KBError
from kb.settings import PROJECT_ROOT
from kb.types.sentences import counted, decimal_size, sentence, with_title


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (0, ("source",), "0 sources"), (1, ("source",), "1 source"), (2, ("unit",), "2 units"),
        (1204, ("look",), "1,204 looks"), (1, ("try", "tries"), "1 try"),
        (2, ("try", "tries"), "2 tries"), (0.6, ("day",), "1 day"), (1.6, ("day",), "2 days"),
    ],
)  # fmt: skip
def test_a_number_has_its_noun(number: float, words: tuple[str, ...], said: str) -> None:
    assert counted(number, *words) == said


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("Backend error.", "YouTube: Backend error. Then"),
        ("Backend error", "YouTube: Backend error. Then"),
        ("Really?", "YouTube: Really? Then"),
        ("wait...", "YouTube: wait.... Then"),
        ("/home/..", "YouTube: /home/... Then"),
        ("a/../b", "YouTube: a/../b. Then"),
    ],
)
def test_the_full_stop_of_a_value_is_not_repeated(reason: str, said: str) -> None:
    error = KBError("test.code", "YouTube: {reason}. Then", hint="{reason}.", reason=reason)
    assert error.message == said
    assert error.hint == said.removeprefix("YouTube: ").removesuffix(" Then")


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 items are"), (1, "1 item is"), (2, "2 items are"), (12345, "12,345 items are")],
)
def test_a_template_has_both_forms_of_a_noun(count: int, said: str) -> None:
    error = KBError("test.code", "{count:item is|items are} here.", count=count)
    assert error.message == f"{said} here."
    assert KBError("test.code", "{count:,} of {count:>6}", count=count).message == (
        f"{count:,} of {count:>6}"
    )


@pytest.mark.parametrize(
    ("title", "error", "said"),
    [
        ("Talk 3", "Talk 3 cannot be fetched", "Talk 3 cannot be fetched"),
        ("Talk 3", "It cannot be fetched", "Talk 3: It cannot be fetched"),
        ("Talk 3", "", "Talk 3"),
        ("", "It cannot be fetched", "It cannot be fetched"),
    ],
)
def test_a_title_is_there_once(title: str, error: str, said: str) -> None:
    assert with_title(title, error) == said


@pytest.mark.parametrize(
    ("octets", "said"),
    [(0, "0 B"), (999, "999 B"), (24_044, "24 kB"), (4_010_035, "4.0 MB"), (58e6, "58 MB"),
     (999.6e6, "1.0 GB"), (61.6e9, "62 GB"), (2e12, "2.0 TB")],
)  # fmt: skip
def test_a_size(octets: float, said: str) -> None:
    assert decimal_size(octets) == said


def test_a_sentence_ends_once() -> None:
    assert [sentence(each) for each in ("a", "a.", "a?", "a…", "")] == ["a.", "a.", "a?", "a…", ""]


# Sentences about more than one: of limits, or of what has a sentence of its own for one.
ABOUT_SEVERAL = (
    "searches are saved", "channels have the name", "keys are called", "tags; the most",
    "characters, more", "rows after the copy",
)  # fmt: skip


def test_no_sentence_of_the_core_counts_one_in_the_plural() -> None:
    number = re.compile(r"\{(?:count|number|total)\} (?!is\b)(?:[a-z]+ )?[a-z]+s\b")
    found = [
        f"{path.relative_to(PROJECT_ROOT)}: {node.value}"
        for path in sorted((PROJECT_ROOT / "kb").rglob("*.py"))
        if "ui" not in path.relative_to(PROJECT_ROOT).parts
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if number.search(node.value) and not any(each in node.value for each in ABOUT_SEVERAL)
    ]
    assert not found
