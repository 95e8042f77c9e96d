"""The documents name only files that exist, and the map only names that stand in those files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("kb", "gpu", "docs", "tests", "tools", "benchmarks", "models", "samples", ".ci",
           "samples-conversation")  # fmt: skip
DOCUMENTS = [
    path.relative_to(ROOT).as_posix()
    for path in (
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        *sorted(ROOT.glob("docs/**/*.md")),
        *sorted(ROOT.glob("models/*/README.md")),
        ROOT / "samples" / "README.md",
    )
]
SOURCES = [
    path.relative_to(ROOT).as_posix()
    for folder in ("kb", "gpu", "tools", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(rf"(?<![\w./~-])(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./*<>-]*")
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
SOURCE_PATH = re.compile(rf"(?<![\w./~-])(?:{'|'.join(map(re.escape, FOLDERS))})/[\w/]+\.py\b")
MODULE_NAME = re.compile(r"`((?:kb|gpu)(?:\.(?!py\b)\w+)+)")
ROW_PATH = re.compile(r"^[\w/]+\.py$")
NAMED = re.compile(r"`([A-Za-z_][\w.]*)`(?: \(`([\w/.]+\.py)`\)| in `([\w/.]+\.py)`)")
FILE_THEN_NAME = re.compile(r"`([\w/.]+\.py)` \(`([A-Za-z_]\w*)`\)")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def exists(path: str) -> bool:
    """Return True if a path, in which `*` stands for any text, is in the repository."""
    plain = path.rstrip("/.")
    return any(ROOT.glob(plain)) or (ROOT / f"{plain}.py").is_file()  # a module without suffix


def defined(name: str) -> bool:
    """Return True if a dotted name is a module or occurs in the longest module that it names."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:count])
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            return all(re.search(rf"\b{part}\b", text) for part in parts[count:])
    return False


def map_rows() -> list[str]:
    return [line for line in read("docs/architecture.md").splitlines() if line.startswith("| ")]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_exists(document: str) -> None:
    missing = [
        path
        for path in PATH.findall(read(document))
        if "<" not in path and not exists(path)  # `<name>` stands for a file still to be written
    ]
    assert not missing


def test_every_path_and_module_named_in_the_code_exists() -> None:
    missing = []
    for source in SOURCES:
        text = read(source)
        missing += [(source, path) for path in SOURCE_PATH.findall(text) if not exists(path)]
        missing += [(source, name) for name in MODULE_NAME.findall(text) if not defined(name)]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_to_a_file(document: str) -> None:
    folder = (ROOT / document).parent
    assert not [link for link in LINK.findall(read(document)) if not (folder / link).exists()]


def test_short_file_names_of_the_map_are_in_the_folder_named_before() -> None:
    """A row names `kb/jobs/queue/client.py`, then `items.py` of the same folder or one below."""
    missing = []
    for row in map_rows():
        folder = ROOT
        for name in filter(ROW_PATH.match, CODE.findall(row)):
            if (ROOT / name).is_file():
                folder = (ROOT / name).parent
            elif "/" in name or not (folder / name).is_file():
                missing.append(f"{name} in: {row}")
    assert not missing


def test_names_of_the_map_are_defined_in_their_files() -> None:
    pairs = [(name, one or other) for row in map_rows() for name, one, other in NAMED.findall(row)]
    pairs += [(name, file) for row in map_rows() for file, name in FILE_THEN_NAME.findall(row)]
    assert len(pairs) >= 8
    for name, file in pairs:
        for part in name.split("."):
            defined = (
                rf"^\s*(?:(?:async )?def|class) {part}\b|^{part}\b[^=\n]*= |import.*\b{part}\b"
            )
            assert re.search(defined, read(file), re.MULTILINE), f"{name} in {file}"


def test_commands_of_the_documents_exist() -> None:
    """Every `kb NAME` and `make NAME` of the documents is a command or a target."""
    from typer.main import get_command

    from kb.cli.application import application

    app = application()

    commands = get_command(app).commands  # type: ignore[attr-defined]
    targets = set(re.findall(r"^([\w-]+):", read("Makefile"), re.MULTILINE))
    for document in DOCUMENTS:
        for code in CODE.findall(read(document)):
            for name in re.findall(r"^kb ([a-z][\w-]*)", code):
                assert name in commands, f"{document}: {code}"
            for name in re.findall(r"^make ([a-z][\w-]*)", code):
                assert name in targets, f"{document}: {code}"
