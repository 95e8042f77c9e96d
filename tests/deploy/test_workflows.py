"""Workflows, forms and CITATION.cff keep their schemas, and name what is there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from ruamel.yaml import YAML

import kb
from kb.settings import PROJECT_ROOT

GITHUB = PROJECT_ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")
SCHEMAS = {
    "github-workflows": WORKFLOWS,
    "github-issue-forms": FORMS,
    "github-issue-config": [GITHUB / "ISSUE_TEMPLATE" / "config.yml"],
    "dependabot": [GITHUB / "dependabot.yml"],
    "citation-file-format": [PROJECT_ROOT / "CITATION.cff"],
}


def problems(schema: str, *paths: Path) -> str:
    """Return what is wrong with the files, by the schema that the checker carries."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    done = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_keep_their_schema(schema: str, tmp_path: Path) -> None:
    assert not problems(schema, *SCHEMAS[schema])

    wrong = tmp_path / SCHEMAS[schema][0].name
    wrong.write_text("jobs: {a: {steps: 1}}\nupdates: 1\nbody: 1\nblank_issues_enabled: 1\n")
    assert problems(schema, wrong)


def test_workflows_use_what_the_makefile_has_and_end_in_time() -> None:
    makefile = (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for path in WORKFLOWS:
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= targets
        workflow = YAML(typ="safe").load(text)
        # Rights are given one by one: the default of a repository may be "write".
        assert workflow["permissions"] == {"contents": "read"}
        for job in workflow["jobs"].values():
            assert job["timeout-minutes"] <= 90
        # What others may write, such as a branch's name, never becomes part of a command.
        commands = [s.get("run", "") for job in workflow["jobs"].values() for s in job["steps"]]
        assert not [each for each in commands if "${{" in each]


def test_versions_agree() -> None:
    citation = YAML(typ="safe").load((PROJECT_ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == kb.__version__

    project = (PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'requires-python = "(.+)"', project)
    assert found
    tests = YAML(typ="safe").load((GITHUB / "workflows" / "tests.yml").read_text(encoding="utf-8"))
    tried = tests["jobs"]["linux"]["strategy"]["matrix"]["python"]
    wanted = [f"3.{minor}" for minor in range(30) if f"3.{minor}" in SpecifierSet(found[1])]
    assert tried == wanted


@pytest.mark.skipif(not shutil.which("git"), reason="git is not here")
def test_the_tag_is_the_version() -> None:
    done = subprocess.run(
        ["git", "describe", "--tags", "--exact-match"], cwd=PROJECT_ROOT, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    tag = done.stdout.strip()
    assert done.returncode != 0 or tag == f"v{kb.__version__}"
