"""One version wherever it stands; a tag of this commit has it, too."""

from __future__ import annotations

import re
import subprocess

import pytest

from kb import __version__
from kb.settings import PROJECT_ROOT


def test_the_version_is_the_same_everywhere() -> None:
    citation = (PROJECT_ROOT / "CITATION.cff").read_text("utf-8")
    found = re.search(r"^version: (\S+)$", citation, re.MULTILINE)
    assert found and found[1] == __version__
    changelog = (PROJECT_ROOT / "CHANGELOG.md").read_text("utf-8")
    released = re.findall(r"^## (\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)$", changelog, re.MULTILINE)
    assert released and released[0][0] == __version__
    versions = [tuple(map(int, version.split("."))) for version, _ in released]
    assert versions == sorted(versions, reverse=True)


def test_a_tag_of_this_commit_is_the_version() -> None:
    done = subprocess.run(
        ["git", "tag", "--points-at", "HEAD", "--list", "v*"],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode or not done.stdout.strip():
        pytest.skip("this commit has no tag of a version")
    assert f"v{__version__}" in done.stdout.split()
