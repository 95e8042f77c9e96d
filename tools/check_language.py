"""Checks that code and documents keep to plain technical English (see CONTRIBUTING).

    python tools/check_language.py [FOLDER]

Prints one line for each finding and exits with 1 if there is any. Two rules: words that say
nothing to a reader from the field do not occur in `kb`, `gpu`, README and `docs`, and no
docstring begins with a question word.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

WORDS = (
    "told", "whoever", "anew", "purse", "shelf", "workplace", "troubles", "stillbirth", "bury",
    "somebody", "nobody", "everybody", "begun", "lies in",
)  # fmt: skip
QUESTIONS = ("What", "Whether", "How", "Who", "Where")
# (path, word): reason. At most five.
ALLOWED: dict[tuple[str, str], str] = {
    ("kb/transcript/quote_words.py", "nobody"): "a negation that is looked for in talks",
    ("kb/transcript/quote_words.py", "everybody"): "its opposite",
}

_ALTERNATIVES = "|".join(word.replace(" ", r"\s+") for word in WORDS)
_WORD = re.compile(rf"\b(?:{_ALTERNATIVES})\b", re.IGNORECASE)
_QUESTION = re.compile(rf"\s*({'|'.join(QUESTIONS)})\b")
_DEFINITIONS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def files(root: Path) -> list[Path]:
    """The files that the rules hold for."""
    code = [path for folder in ("kb", "gpu") for path in (root / folder).rglob("*.py")]
    documents = [root / "README.md", *(root / "docs").rglob("*.md")]
    return sorted(path for path in (*code, *documents) if path.is_file())


def findings(root: Path) -> Iterator[str]:
    """One line for each word and docstring that breaks a rule: path, line, finding."""
    for path in files(root):
        name, text = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
        for match in _WORD.finditer(text):
            word = " ".join(match[0].lower().split())
            if (name, word) not in ALLOWED:
                yield f"{name}:{text.count(chr(10), 0, match.start()) + 1}: the word {word!r}"
        if path.suffix == ".py":
            for line, first in _question_docstrings(text):
                yield f"{name}:{line}: a docstring that begins with {first!r}"


def _question_docstrings(text: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, _DEFINITIONS) and node.body and isinstance(node.body[0], ast.Expr):
            docstring = ast.get_docstring(node, clean=False)
            match = _QUESTION.match(docstring or "")
            if match:
                yield node.body[0].lineno, match[1]


def main() -> int:
    """Print the findings; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(__file__).resolve().parent.parent
    )
    root = parser.parse_args().folder
    found = list(findings(root))
    for line in found:
        print(line)
    if found:
        print(f"{len(found)} findings. The rule, with examples: CONTRIBUTING.md, Language.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
