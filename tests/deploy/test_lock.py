"""requirements.lock has all that `make setup` installs, in versions the project allows, by hash."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from kb.settings import PROJECT_ROOT
from tools.make_lock import EXTRAS, LEFT_OUT, LOCK, entries

TEXT = LOCK.read_text(encoding="utf-8")
PROJECT = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENTRY = re.compile(
    r"(?P<name>[a-z0-9-]+)(\[[a-z0-9,-]+\])?==(?P<version>[^ ;]+)( ; (?P<marker>[^\\]+?))?"
    r"( \\\n    --hash=sha256:[0-9a-f]{64})+\n"
)
VERSIONS: dict[str, list[tuple[str, str]]] = {}
for _found in ENTRY.finditer(TEXT):
    VERSIONS.setdefault(_found["name"], []).append((_found["version"], _found["marker"] or ""))


def wanted(extras: tuple[str, ...]) -> list[Requirement]:
    """Return the project's requirements, those of its extras included."""
    optional = PROJECT["optional-dependencies"]
    lists = [PROJECT["dependencies"], *(optional[extra] for extra in extras)]
    return [Requirement(each) for every in lists for each in every]


def missing(requirement: Requirement) -> bool:
    """Tell whether the lock has no version of it, or one that it does not allow."""
    name = canonicalize_name(requirement.name)
    versions = [version for version, _ in VERSIONS.get(name, [])]
    return not LEFT_OUT.match(name) and not (
        versions and all(requirement.specifier.contains(each, True) for each in versions)
    )


def test_the_lock_is_nothing_but_versions_with_hashes() -> None:
    lines = [line for line in TEXT.splitlines(keepends=True) if not line.startswith("#")]
    assert ENTRY.sub("", "".join(lines)) == ""
    assert "://" not in TEXT
    assert entries(TEXT).keys() == VERSIONS.keys()


def test_the_lock_has_what_the_project_asks_for() -> None:
    assert not [str(each) for each in wanted(EXTRAS) if missing(each)]

    assert missing(Requirement("numpy<1")) and missing(Requirement("a-package-of-nobody"))


def test_it_is_complete_since_it_is_installed_without_looking_for_more() -> None:
    absent = set()
    for name in VERSIONS:
        try:
            needs = requires(name) or []
        except PackageNotFoundError:  # of another system or Python, or an optional one
            continue
        for each in map(Requirement, needs):
            # What an extra of a package brings is seen by the extras that are asked for.
            if each.marker and not each.marker.evaluate({**default_environment(), "extra": ""}):
                continue
            needed = canonicalize_name(each.name)
            if needed not in VERSIONS and not LEFT_OUT.match(needed):
                absent.add(f"{needed} (for {name})")
    assert not absent


@pytest.mark.parametrize("minor", range(11, 15))
def test_each_python_has_at_most_one_version(minor: int) -> None:
    assert f"3.{minor}" in SpecifierSet(PROJECT["requires-python"])
    for name, versions in VERSIONS.items():
        if len(versions) > 1:
            environment = {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.1"}
            chosen = [
                version
                for version, marker in versions
                if not marker or Requirement(f"x; {marker}").marker.evaluate(environment)  # type: ignore[union-attr]
            ]
            assert len(chosen) <= 1, name
