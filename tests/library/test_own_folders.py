"""The library's own folders: refused to writers, but for files that the library reads back."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb.errors import UsageError
from kb.library.user_files import UserFiles, is_read_beside, own_folder
from kb.service import Service
from kb.storage import Target
from kb.types.safe_text import spreadsheet_file
from tests.support.raising import raises

STEM = "2026-01-31_A title_videoId-001"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    for name in (
        "media",
        "backups",
        "markdown",
        "trash",
        "mine/deep",
        "before-restore-x",
        ".locks",
    ):
        (home / name).mkdir(parents=True)
    other = tmp_path / "other"
    (other / "media").mkdir(parents=True)
    (other / "kb.sqlite").write_text("")
    (tmp_path / "linked").symlink_to(home / "media")
    return home


REFUSED = [
    "home/talk.srt", "home/library.json", "home/kb.sqlite", "home/media/talk.srt",
    f"home/media/{STEM}.json", f"home/media/{STEM}.txt", f"home/media/{STEM}.transcript.json",
    f"home/media/{STEM}.mp4", f"home/media/{STEM}.rttm", f"home/media/{STEM}.chapters.txt",
    f"home/media/{STEM}.verbose.json", f"home/media/{STEM}.en.json", f"home/media/{STEM}.zip",
    f"home/media/{STEM}.info.json", f"home/media/{STEM} (2).json", "home/media/sheet.csv",
    f"home/media/deep/{STEM}.srt", "home/trash/talk.srt", f"home/trash/{STEM}.srt",
    "home/.locks/a.txt", "home/.hidden/a.txt", "home/before-restore-x/a.txt", "home/backups/a.zip",
    "home/markdown/a.md", "home/index.lance/a.txt", "home/uploads/a/b.txt", "home/logs/a.txt",
    f"linked/{STEM}.json", "other/a.txt", f"other/media/{STEM}.json",
    f"home/mine/../media/{STEM}.json",
]  # fmt: skip
ALLOWED = [
    f"home/media/{STEM}.srt", f"home/media/{STEM}.vtt", f"home/media/{STEM}.en.srt",
    f"home/media/{STEM}.csv", f"home/media/{STEM}.plain.txt", f"home/media/{STEM}.en.txt",
    f"home/media/{STEM}.pt-BR.vtt", f"home/media/{STEM}.SRT", f"linked/{STEM}.de.srt",
    f"other/media/{STEM}.srt", "home/mine/talk.json", "home/mine/deep/talk.json",
    "home/new folder/talk.json", "talk.json", "homely/talk.json", "media/talk.json",
]  # fmt: skip


@pytest.mark.parametrize("place", REFUSED)
@pytest.mark.parametrize("overwrite", [False, True])
def test_the_library_s_own_folders_are_refused(
    home: Path, tmp_path: Path, place: str, overwrite: bool
) -> None:
    path = tmp_path / place
    with raises(UsageError, "output.in_library", path=path):
        UserFiles(home).write(Target(path, "x", overwrite=overwrite), b"x")
    assert not path.exists() or path.read_bytes() == b""


@pytest.mark.parametrize("place", ALLOWED)
def test_other_places_are_not(home: Path, tmp_path: Path, place: str) -> None:
    assert UserFiles(home).write(Target(tmp_path / place, "x"), b"x").read_bytes() == b"x"


def test_a_writer_may_have_a_folder_of_the_library(home: Path) -> None:
    files = UserFiles(home, inside=("backups",))
    assert files.write(Target(home / "backups" / "a.zip", "x"), b"x").is_file()
    with raises(UsageError, "output.in_library"):
        files.check(Target(home / "markdown" / "a.md", "x"))


def test_a_library_that_is_not_there_yet_has_its_folders(tmp_path: Path) -> None:
    home = tmp_path / "none"
    assert own_folder(home / "media" / "a.json", home) == (home, "media")
    assert own_folder(home / "a.json", home) == (home, "")
    assert own_folder(tmp_path / "a.json", home) is None


@pytest.mark.parametrize(
    ("name", "read"),
    [
        (f"{STEM}.srt", True), (f"{STEM}.en.srt", True), (f"{STEM}.de-AT.vtt", True),
        (f"{STEM}.json", False), (f"{STEM}.txt", False), ("talk.srt", False),
        (f"{STEM}", False), (f"{STEM}.mp4", False),
    ],
)  # fmt: skip
def test_names_that_the_library_reads_back(name: str, read: bool) -> None:
    assert is_read_beside(name) == read


# The service


@pytest.mark.parametrize(
    ("name", "marked"),
    [("a.csv", True), ("a.CSV", True), ("a.txt", False), ("a.srt", False), ("csv", False)],
)
def test_written_tables_begin_with_a_mark(tmp_path: Path, name: str, marked: bool) -> None:
    text = "start_s,text\n0.0,Grüße\n"
    path = Service().items.write(tmp_path / name, text, source="x")
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf") == marked
    assert data.decode("utf-8-sig") == text


def test_a_mark_is_written_once() -> None:
    assert spreadsheet_file(spreadsheet_file("a")) == spreadsheet_file("a")
