"""The commands that stand in code blocks of the documents."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```(?:sh|bash|)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_APART = re.compile(r"\s{3,}(?=kb )")
_PLACEHOLDER = re.compile(r"[…]|\.\.\.|<\w+>")


def documents() -> list[Path]:
    """Return README and all pages of the documents but records of decisions."""
    pages = sorted(each for each in ROOT.glob("docs/**/*.md") if "decisions" not in each.parts)
    return [ROOT / "README.md", *pages]


def commands(document: Path) -> Iterator[str]:
    """Yield each `kb …` line of a document's code blocks, without its comment.

    Two commands in one line are two; a line that ends with a backslash goes on in the next.
    """
    for block in _BLOCK.findall(document.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            for part in _APART.split(line.strip()):
                words = re.sub(r"\s+#.*$", "", part).strip()
                if re.match(r"kb [a-z-]", words) and not _PLACEHOLDER.search(words):
                    yield words


def shown_by(document: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each row of tables whose last column is `shown by`, with the code spans of that cell.

    A `|` inside of a code span is none of the table's.
    """
    inside = False
    for line in document.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if not line.startswith("|"):
            inside = False
        elif cells[-1] == "shown by":
            inside = True
        elif inside and not line.startswith("|--"):
            yield line, re.findall(r"`([^`]+)`", cells[-1])


def arguments(command: str) -> list[str]:
    """Return the arguments of a command, up to a pipe or a redirection of the shell."""
    words = shlex.split(command)[1:]
    ends = [at for at, word in enumerate(words) if word in ("|", ">", "<", "&&", ";", "2>")]
    return words[: ends[0]] if ends else words
