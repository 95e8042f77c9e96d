"""The files for those who work on the project are there, and name what there is."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from kb.settings import PROJECT_ROOT

MAKEFILE = (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
# A file, and words without which it would not do its work.
FILES = {
    ".github/workflows/tests.yml": ("make lint", "make test", "make test-long", "actionlint",
                                    "windows-latest", "macos-latest"),
    ".github/workflows/docs.yml": ("make docs", "make docs-check", "install_check.sh",
                                   "deploy-pages"),
    ".github/workflows/release.yml": ("attest-build-provenance", "attest-sbom", "cyclonedx-py"),
    ".github/workflows/audit.yml": ("pip-audit", "cyclonedx-py"),
    ".github/dependabot.yml": ("pip", "github-actions", "docker"),
    ".github/PULL_REQUEST_TEMPLATE.md": ("make lint", "make test", "CHANGELOG.md"),
    ".github/ISSUE_TEMPLATE/fault.yml": ("kb doctor", "--bundle"),
    ".github/ISSUE_TEMPLATE/wish.yml": (),
    "CITATION.cff": ("Apache-2.0",),
    "CODE_OF_CONDUCT.md": ("SECURITY.md",),
    "SECURITY.md": (),
    "requirements.lock": ("--hash=sha256:",),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_the_file_has_its_parts(name: str) -> None:
    text = (PROJECT_ROOT / name).read_text(encoding="utf-8")
    assert [word for word in FILES[name] if word not in text] == []


def test_hooks_run_programs_of_the_environment() -> None:
    hooks = YAML(typ="safe").load(PROJECT_ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]
    assert {"ruff", "ruff-format", "imports", "language"} <= {hook["id"] for hook in hooks}
    for hook in hooks:
        program, *words = hook["entry"].split()
        assert shutil.which(Path(program).name, path=str(Path(sys.executable).parent)), hook
        for word in words:
            assert not word.endswith(".py") or (PROJECT_ROOT / word).is_file()


def test_the_container_for_developers_makes_the_environment() -> None:
    made = json.loads((PROJECT_ROOT / ".devcontainer/devcontainer.json").read_text("utf-8"))
    command = made["postCreateCommand"]
    assert set(re.findall(r"\bmake ([a-z-]+)", command)) <= TARGETS and "make setup" in command
    assert ".venv/bin/python" in made["customizations"]["vscode"]["settings"][
        "python.defaultInterpreterPath"
    ]  # fmt: skip
