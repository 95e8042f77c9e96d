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
    [(0.0, 60.0, False), (59.0, 60.0, False), (61.0, 60.0, True), (0.0, 0.0, True),
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


def test_a_file_that_is_named_is_taken(tmp_path: Path) -> None:
    source = FileSource()
    source.settle_s = 60.0
    assert listed(source, put(tmp_path / "talk.ogg", b"sound", 0.0)) == (["talk"], ())
