"""Files that a user asks for: none replaces another, and tables open in Excel."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kb.errors import LibraryError
from kb.service import Service
from kb.storage import new_file
from kb.types.safe_text import spreadsheet_file

LONG = "ü" * 125  # 250 bytes, of 255 that a name may have


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("talk.txt", "talk (2).txt"),
        ("talk v1.2.srt", "talk v1.2 (2).srt"),
        ("talk", "talk (2)"),
        (".hidden", ".hidden (2)"),
        ("talk (2).md", "talk (2) (2).md"),
        ("演説.csv", "演説 (2).csv"),
        (f"{LONG}.txt", f"{'ü' * 123} (2).txt"),
    ],
)
def test_a_second_file_gets_another_name(tmp_path: Path, name: str, second: str) -> None:
    for text in ("first", "second"):
        with new_file(tmp_path / "out" / name) as path:
            path.write_text(text)
    assert (tmp_path / "out" / name).read_text() == "first"
    assert (tmp_path / "out" / second).read_text() == "second"
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_a_name_is_free_again_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_file(tmp_path / "talk.txt"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file" / "talk.txt", tmp_path / "file" / "deep" / "talk.txt"):
        with pytest.raises(LibraryError), new_file(place):
            raise AssertionError("no file can be there")


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    service = Service()

    def write(number: int) -> Path:
        return service.items.write(tmp_path / "talk.txt", str(number))

    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(write, range(24)))
    assert sorted(int(path.read_text()) for path in tmp_path.iterdir()) == list(range(24))
    assert [int(path.read_text()) for path in written] == list(range(24))


@pytest.mark.parametrize(
    ("name", "marked"),
    [("a.csv", True), ("a.CSV", True), ("a.txt", False), ("a.srt", False), ("csv", False)],
)
def test_written_tables_begin_with_a_mark(tmp_path: Path, name: str, marked: bool) -> None:
    path = Service().items.write(tmp_path / name, "start_s,text\n0.0,Grüße\n")
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf") == marked
    assert data.decode("utf-8-sig") == "start_s,text\n0.0,Grüße\n"


def test_a_mark_is_written_once() -> None:
    assert spreadsheet_file(spreadsheet_file("a")) == spreadsheet_file("a")
