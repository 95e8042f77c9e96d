"""Presets of a library: where changes are written, and which file holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu.presets import PRESETS_FILE
from kb.errors import KBError, UsageError
from kb.library.archive import files_of
from kb.service.presets import Presets
from kb.settings import get_settings


def presets(home: Path, file: str = "") -> Presets:
    return Presets(get_settings().replace(home=home, presets_file=file))


def test_a_change_goes_into_the_library_and_leaves_the_programs_file(tmp_path: Path) -> None:
    home, program = tmp_path / "library", PRESETS_FILE.read_bytes()
    own = presets(home)
    assert own.file == PRESETS_FILE and own.target == home / "presets.yaml"

    own.save("max", {"workers": 9}, expected=own.read_text())

    assert PRESETS_FILE.read_bytes() == program
    assert own.file == home / "presets.yaml"
    assert own.all()["max"].workers == 9
    assert set(own.all()) == set(presets(tmp_path / "other").all())
    own.remove("stabil", expected=own.read_text())
    assert "stabil" not in presets(home).all()
    # A backup has them, too.
    assert "presets.yaml" in [name for name, _ in files_of(home)]


def test_a_named_file_is_changed_itself(tmp_path: Path) -> None:
    named = tmp_path / "mine.yaml"
    named.write_bytes(PRESETS_FILE.read_bytes())
    own = presets(tmp_path / "library", str(named))

    own.save("max", {"workers": 9}, expected=own.read_text())

    assert own.file == own.target == named
    assert not (tmp_path / "library").exists()
    assert own.all()["max"].workers == 9


def test_nothing_is_overwritten_that_was_not_seen(tmp_path: Path) -> None:
    first, second = presets(tmp_path / "library"), presets(tmp_path / "library")
    seen = second.read_text()
    first.save("max", {"workers": 9}, expected=first.read_text())

    with pytest.raises(UsageError):
        second.save("max", {"workers": 2}, expected=seen)
    assert second.all()["max"].workers == 9


@pytest.mark.parametrize("trouble", ["folder", "damaged", "unreadable home"])
def test_trouble_with_the_librarys_file_is_an_error_of_ours(tmp_path: Path, trouble: str) -> None:
    home = tmp_path / "library"
    if trouble == "unreadable home":
        home.write_text("a file in the way", encoding="utf-8")
    else:
        home.mkdir()
    if trouble == "damaged":
        (home / "presets.yaml").write_text("max: [", encoding="utf-8")
    elif trouble == "folder":
        (home / "presets.yaml").mkdir()
    own = presets(home)

    if trouble == "damaged":
        with pytest.raises(KBError, match=r"presets\.yaml"):
            own.all()
    else:
        assert "max" in own.all()  # those of the program hold
        with pytest.raises(KBError):
            own.save("max", {"workers": 9}, expected=own.read_text())
