"""The errors in the source of kb and gpu, read as a syntax tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kb.errors import render
from kb.settings import PROJECT_ROOT

_KEYWORDS = frozenset({"hint", "retryable", "until"})
_CLASS = re.compile(r"^\s*class (\w+)\(([^)]*)\)", re.MULTILINE)


@dataclass(frozen=True)
class Raised:
    """One construction of an error; `place` is its file and line."""

    place: str
    file: str
    code: str
    template: str
    hint: str
    values: frozenset[str] | None  # None where they come from a mapping (**values)


def _error_classes(sources: Iterable[str]) -> frozenset[str]:
    """Return the names of KBError and of every class derived from it."""
    known = {"KBError"}
    classes = [found for source in sources for found in _CLASS.findall(source)]
    while True:
        more = {name for name, bases in classes if known & set(re.findall(r"\w+", bases))}
        if more <= known:
            return frozenset(known)
        known |= more


def _text(node: ast.expr | None, constants: dict[str, str]) -> str | None:
    """Return a literal text, or the text of a module's constant."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    return None


def _constants(tree: ast.Module) -> dict[str, str]:
    return {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def constructions() -> Iterator[Raised | str]:
    """Yield each construction of an error, or the place of one that is not literal."""
    sources = {
        path.relative_to(PROJECT_ROOT).as_posix(): path.read_text("utf-8") for path in _paths()
    }
    classes = _error_classes(sources.values())
    # Every test process reads the source for the names of its tests: only a file that has such a
    # call is parsed.
    a_call = re.compile(rf"\b(?:{'|'.join(sorted(classes))})\s*\(")
    for file, source in sources.items():
        if not a_call.search(source):
            continue
        tree = ast.parse(source)
        constants = _constants(tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name not in classes or file == "kb/errors.py":
                continue
            place = f"{file}:{node.lineno}"
            keywords = {each.arg: each.value for each in node.keywords}
            parts = [_text(each, constants) for each in node.args]
            hint = _text(keywords.get("hint", ast.Constant("")), constants)
            if len(parts) != 2 or None in parts or hint is None:
                yield place
                continue
            values = None if None in keywords else frozenset(map(str, keywords)) - _KEYWORDS
            yield Raised(place, file, str(parts[0]), str(parts[1]), hint, values)


def _paths() -> list[Path]:
    return sorted(path for name in ("kb", "gpu") for path in (PROJECT_ROOT / name).rglob("*.py"))


@cache
def sentence_template(code: str) -> str:
    """Return the English template of an error. Only the files that have its code are parsed."""
    for path in _paths():
        source = path.read_text("utf-8")
        if f'"{code}"' not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and len(node.args) == 2:
                found, template = (_text(each, {}) for each in node.args)
                if found == code and template is not None:
                    return template
    raise LookupError(f"No raise statement has the code {code}.")


def sentence(code: str, **values: object) -> str:
    """Return the English message of an error with these values."""
    return render(sentence_template(code), values)
