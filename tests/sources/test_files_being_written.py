"""Files of a folder that are still being written wait for the next look."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kb.sources.base import Filters
from kb.sources.files import FileSource
from kb.sources.listing.listing import open_listing


def put(path: Path, content: bytes, age_s: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


def listed(source: FileSource, reference: Path) -> tuple[list[str], tuple[str, ...]]:
    listing = open_listing(source, str(reference), Filters())
    return [item.title for item in listing], listing.report.notes


@pytest.mark.parametrize(
    ("age_s", "settle_s", "taken"),
    [(0.0, 600.0, False), (300.0, 600.0, False), (601.0, 600.0, True), (0.0, 0.0, True),
     (3600.0, 60.0, True), (5.0, 2.0, True)],
)  # fmt: skip
def test_a_young_file_waits(tmp_path: Path, age_s: float, settle_s: float, taken: bool) -> None:
    source = FileSource()
    source.settle_s = settle_s
    put(tmp_path / "in" / "talk.ogg", b"sound", age_s)
    put(tmp_path / "in" / "old.ogg", b"other sound", 9999)
    titles, notes = listed(source, tmp_path / "in")
    assert titles == (["old", "talk"] if taken else ["old"])
    assert bool(notes) == (not taken)
    assert taken or "talk.ogg" in notes[0]


def test_a_file_that_grows_while_it_is_read_waits(tmp_path: Path) -> None:
    path = put(tmp_path / "in" / "talk.ogg", b"sound", 9999)
    source = FileSource()

    def grow(_: Path) -> float:
        with path.open("ab") as file:
            file.write(b" and more")
        return 1.0

    source.read_duration = grow
    assert listed(source, tmp_path / "in") == (
        [], ("Still being written, and left out until the next look: talk.ogg.",),
    )  # fmt: skip
    source.read_duration = None
    assert listed(source, tmp_path / "in") == (["talk"], ())


@pytest.mark.parametrize(
    ("age_s", "young_s", "change", "taken"),
    [
        (0.0, 600.0, "", True),  # a folder that has just been copied
        (0.0, 600.0, "grows", False),
        (300.0, 600.0, "grows", False),
        (-3600.0, 600.0, "grows", False),  # the clock of the other machine is ahead
        (-3600.0, 600.0, "", True),
        (0.0, 600.0, "is written in place", False),  # the size is the last one from the start
        (0.0, 600.0, "is replaced", False),
        (0.0, 600.0, "is renamed", False),
        (0.0, 600.0, "is removed", False),
        (0.0, 0.0, "", True),
        (9999.0, 600.0, "", True),
    ],
)
def test_a_young_file_is_looked_at_twice(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    age_s: float,
    young_s: float,
    change: str,
    taken: bool,
) -> None:
    source = FileSource()
    source.young_s = young_s
    path = put(tmp_path / "in" / "talk.ogg", b"sound", age_s)
    put(tmp_path / "in" / "deep" / "other.ogg", b"other sound", 1.0)
    put(tmp_path / "in" / "third.ogg", b"third sound", 2.0)
    pauses = []

    def pass_time(seconds: float) -> None:
        pauses.append(seconds)
        if change == "grows":
            path.write_bytes(b"sound and more")
        elif change == "is written in place":
            path.write_bytes(b"SOUND")
        elif change == "is replaced":
            put(tmp_path / "new", b"newer sound", 0).replace(path)
        elif change == "is renamed":
            path.rename(path.with_name("talk.mp3"))
        elif change == "is removed":
            path.unlink()

    monkeypatch.setattr("kb.sources.files.time.sleep", pass_time)
    titles, notes = listed(source, tmp_path / "in")
    assert titles == ["other", *(["talk"] if taken else []), "third"]
    assert bool(notes) == (not taken)
    assert taken or ("talk.ogg" in notes[0] and "Ingest it again later" in notes[0])
    assert pauses == ([1.0] if young_s else [])  # one for the whole folder


def test_a_folder_that_was_copied_long_ago_is_listed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("kb.sources.files.time.sleep")
    source = FileSource()
    source.young_s = 60.0
    put(tmp_path / "in" / "talk.ogg", b"sound", 9999)
    assert listed(source, tmp_path / "in") == (["talk"], ())


def test_a_file_that_is_named_is_taken(tmp_path: Path) -> None:
    source = FileSource()
    source.settle_s = source.young_s = 60.0
    assert listed(source, put(tmp_path / "talk.ogg", b"sound", 0.0)) == (["talk"], ())
