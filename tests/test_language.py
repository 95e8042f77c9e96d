"""The language check of `make lint`: it finds what the rule forbids, and the rule holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import check_language


def tree(root: Path, name: str, text: str) -> list[str]:
    """Findings of a folder that holds this one file."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return list(check_language.findings(root))


@pytest.mark.parametrize("word", check_language.WORDS)
def test_each_forbidden_word_is_found(tmp_path: Path, word: str) -> None:
    (found,) = tree(tmp_path, "kb/a.py", f"# The key {word} here.\n")
    assert found == f"kb/a.py:1: the word {word!r}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("README.md", "# Title\n\nIt is Told once.\n"),
        ("docs/deep/page.md", "one\n\nsomebody\n"),
        ("gpu/a.py", '"""Text."""\n\nMESSAGE = "written anew"\n'),
        ("kb/deep/a.py", '"""Text.\n\nThe file lies\nin a folder."""\n'),
    ],
)
def test_documents_strings_and_broken_lines_count(tmp_path: Path, name: str, text: str) -> None:
    assert len(tree(tmp_path, name, text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "# a toolbox, a retold tale, an untold number: other words\n",
        '"""Whatever the case, this is no question word."""\n',
        '"""Text."""\n\nWHAT = "What is this?"\n',
    ],
)
def test_other_words_are_left_alone(tmp_path: Path, text: str) -> None:
    assert tree(tmp_path, "kb/a.py", text) == []


@pytest.mark.parametrize("first", check_language.QUESTIONS)
@pytest.mark.parametrize(
    "text",
    [
        '"""{first} this is."""\n',
        'class A:\n    """{first} this is."""\n',
        'class A:\n    def b(self) -> None:\n        """{first} this is."""\n',
        'async def b() -> None:\n    """\n    {first} this is.\n    """\n',
    ],
)
def test_docstrings_that_ask_are_found(tmp_path: Path, first: str, text: str) -> None:
    (found,) = tree(tmp_path, "kb/a.py", text.format(first=first))
    assert found.endswith(f"a docstring that begins with {first!r}")


def test_the_allow_list_is_short_and_gives_reasons() -> None:
    assert len(check_language.ALLOWED) <= 5
    assert all(check_language.ALLOWED.values())
