"""NOTICE: each third party that travels with the code, or is installed with it, has its licence."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from imageio_ffmpeg import get_ffmpeg_exe

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# What only those need who change the code; `all` names the other extras.
_OURS = ("test", "lint", "bench", "train", "all")
_MADE_ELSEWHERE = re.compile(
    r"\.(ttf|otf|woff2?|onnx|safetensors|pt|bin|flac|opus|wav|mp3|mp4|mkv|so|dll|exe)$"
)
_SPDX = re.compile(r"[A-Za-z0-9.-]+( (AND|OR) [A-Za-z0-9.-]+)*")
_FAMILIES = ("LGPL", "GPL", "Apache", "MIT", "BSD", "Unlicense", "MPL", "OFL")


def licences() -> dict[str, str]:
    """Return the licence of each name of NOTICE."""
    found: dict[str, str] = {}
    for line in (ROOT / "NOTICE").read_text("utf-8").splitlines():
        names, bar, rest = line.partition(" | ")
        if bar:
            licence, _, use = rest.partition(" | ")
            assert _SPDX.fullmatch(licence) and use.strip(), line
            for name in names.split(", "):
                assert name not in found, name
                found[name] = licence
    return found


def dependencies() -> list[str]:
    extras = PROJECT["optional-dependencies"]
    listed = [*PROJECT["dependencies"]]
    for name, packages in extras.items():
        listed += packages if name not in _OURS else []
    names = [re.match(r"[A-Za-z0-9_.-]+", each) for each in listed]
    return sorted({match[0] for match in names if match})


def family(licence: str) -> str:
    """Return the family of a licence's first name, in any spelling; empty where it is not known."""
    first = re.split(r" (?:AND|OR) ", licence)[0]
    if "Lesser General Public" in first:
        return "LGPL"
    return next((each for each in _FAMILIES if each.lower() in first.lower()), "")


@pytest.mark.parametrize("name", dependencies())
def test_each_dependency_has_its_licence(name: str) -> None:
    noted = licences()
    assert name in noted
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return  # an extra that is not installed here
    classifiers = [c for c in metadata.get_all("Classifier") or [] if c.startswith("License")]
    said = [metadata.get("License-Expression"), *classifiers, metadata.get("License")]
    known = [found for each in said if each and (found := family(each))]
    if known:
        assert family(noted[name]) == known[0], said


def test_each_file_that_others_made_is_named() -> None:
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    wanted = {each for each in files if _MADE_ELSEWHERE.search(each)}
    assert len(wanted) > 5
    noted = {name for name in licences() if "/" in name}
    assert noted == wanted
    for line in (ROOT / "NOTICE").read_text("utf-8").splitlines():
        for text in re.findall(r"text in (\S+)", line):
            assert (ROOT / text).is_file()


def test_the_licence_of_the_bundled_ffmpeg_is_what_it_says_itself() -> None:
    shown = subprocess.run([get_ffmpeg_exe(), "-L"], capture_output=True, text=True, check=True)
    words = " ".join(shown.stdout.split())
    assert "GNU General Public License" in words and "either version 3" in words
    assert licences()["ffmpeg of imageio-ffmpeg"] == "GPL-3.0-or-later"


@pytest.mark.parametrize(
    ("spelling", "found"),
    [
        ("GNU Library or Lesser General Public License (LGPL)", "LGPL"), ("GPLv3", "GPL"),
        ("LGPL-3.0-only", "LGPL"), ("Apache 2.0 License", "Apache"), ("BSD", "BSD"),
        ("Apache-2.0 OR BSD-3-Clause", "Apache"), ("Proprietary", ""),
    ],
)  # fmt: skip
def test_families_of_licences(spelling: str, found: str) -> None:
    assert family(spelling) == found
