"""Files outside the library: none of anyone else is replaced, and none is left half written."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kb import storage
from kb.errors import UsageError
from kb.storage import Standing, Target, check_target, write_user_file
from kb.storage.user_files import numbered
from kb.storage.written_record import WrittenRecord
from tests.support.raising import raises

LONG = "ü" * 125  # 250 bytes, of 255 that a name may have


@pytest.fixture(autouse=True)
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WrittenRecord:
    """A record of written files that only this test has."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return WrittenRecord()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def write(path: Path, text: str, source: str = "talk.wav", **how: bool) -> Path:
    return write_user_file(Target(path, source, **how), text.encode())  # type: ignore[arg-type]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Names


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
def test_two_sources_of_one_name_get_two_files(tmp_path: Path, name: str, second: str) -> None:
    target = tmp_path / "new" / "out" / name
    assert write(target, "the same text", "talk.wav") == target
    assert write(target, "the same text", "talk.m4a") == target.with_name(second)
    # Each is written again under its own name.
    assert write(target, "first, changed", "talk.wav") == target
    assert write(target, "second, changed", "talk.m4a") == target.with_name(second)
    assert names(target.parent) == sorted([name, second])
    assert target.read_text() == "first, changed"
    assert target.with_name(second).read_text() == "second, changed"
    assert numbered(name, 2) == second


def test_the_third_source_gets_the_third_name(out: Path) -> None:
    made = [write(out / "talk.srt", "words", f"{n}.wav").name for n in (1, 2, 3, 2, 1)]
    assert made == ["talk.srt", "talk (2).srt", "talk (3).srt", "talk (2).srt", "talk.srt"]


def test_writers_at_once_lose_nothing(out: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda n: write(out / "talk.txt", str(n), f"{n}"), range(12)))
    assert sorted(int(path.read_text()) for path in out.iterdir()) == list(range(12))
    assert [int(path.read_text()) for path in written] == list(range(12))


def test_one_source_written_at_once_is_one_file(out: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda n: write(out / "talk.txt", f"{n % 3}"), range(12)))
    assert set(written) == {out / "talk.txt"}
    assert names(out) == ["talk.txt"]


# Files in the way


def foreign(path: Path) -> None:
    path.write_text("mine")


def edited(path: Path) -> None:
    write(path, "ours")
    path.write_text("ours, with corrections by hand")


def touched_up(path: Path) -> None:
    write(path, "ours")
    with path.open("a") as file:
        file.write(" ")


def emptied(path: Path) -> None:
    write(path, "ours")
    path.write_text("")


def put_in_its_place(path: Path) -> None:
    write(path, "ours")
    path.unlink()
    path.write_text("mine, under a name that was ours")


def link(path: Path) -> None:
    path.with_name("elsewhere").write_text("mine")
    path.symlink_to(path.with_name("elsewhere"))


def broken_link(path: Path) -> None:
    path.symlink_to(path.with_name("nothing"))


def link_to_ours(path: Path) -> None:
    write(path.with_name("ours.txt"), "ours")
    path.symlink_to(path.with_name("ours.txt"))


def pipe(path: Path) -> None:
    os.mkfifo(path)


def unreadable(path: Path) -> None:
    path.write_text("mine")
    path.chmod(0)


IN_THE_WAY: list[Callable[[Path], None]] = [
    foreign, edited, touched_up, emptied, put_in_its_place, link, broken_link, link_to_ours, pipe,
    unreadable,
]  # fmt: skip


def seen(folder: Path) -> dict[str, tuple[int, object]]:
    """Return kind and content of everything in a folder."""
    found: dict[str, tuple[int, object]] = {}
    for path in folder.iterdir():
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            found[path.name] = (mode, path.readlink())
        elif stat.S_ISREG(mode):
            path.chmod(0o600)
            found[path.name] = (mode, path.read_bytes())
            path.chmod(stat.S_IMODE(mode))
        else:
            found[path.name] = (mode, None)
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")
@pytest.mark.parametrize("make", IN_THE_WAY)
def test_what_is_in_the_way_stays_and_is_named(out: Path, make: Callable[[Path], None]) -> None:
    path = out / "talk.txt"
    make(path)
    before = seen(out)
    for attempt in (lambda: check_target(Target(path, "talk.wav")), lambda: write(path, "ours")):
        if make is unreadable and os.geteuid() == 0:
            path.chmod(0o600)
        with raises(UsageError, "output.not_ours", path=path) as caught:
            attempt()
        assert "--overwrite" in caught.value.hint
    assert {n: v[1] for n, v in seen(out).items()} == {n: v[1] for n, v in before.items()}
    # Another source is not in its way either.
    assert write(path, "other", "x", numbered=True) == out / "talk (2).txt"
    # The user means it: the name is replaced, and never what a link leads to.
    others = {name: value for name, value in seen(out).items() if name != "talk.txt"}
    assert write(path, "replaced", overwrite=True) == path
    assert path.is_file() and not path.is_symlink() and path.read_text() == "replaced"
    assert {name: value for name, value in seen(out).items() if name != "talk.txt"} == others


def test_a_file_in_the_way_with_the_same_content_is_left(out: Path) -> None:
    path = out / "talk.txt"
    path.write_text("the same")
    before = path.stat()
    assert write(path, "the same") == path
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert write(path, "from now on it is ours") == path
    assert path.read_text() == "from now on it is ours"


def test_overwriting_leaves_what_another_source_has(out: Path) -> None:
    path = out / "talk.txt"
    write(path, "first", "talk.wav")
    assert write(path, "second", "talk.m4a", overwrite=True) == out / "talk (2).txt"
    # Unless the user gave the whole name.
    assert write(path, "third", "x", overwrite=True, chosen=True) == path
    assert (path.read_text(), len(names(out))) == ("third", 2)


def test_the_input_is_never_replaced(out: Path) -> None:
    path = out / "talk.json"
    path.write_text("the medium")
    for how in ({}, {"overwrite": True}):
        with raises(UsageError, "output.is_input", path=path):
            write_user_file(Target(path, "x", never=out / "talk.json", **how), b"x")  # type: ignore[arg-type]
    assert path.read_text() == "the medium"


def test_without_a_record_nothing_counts_as_ours(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(out / "talk.txt", "ours")
    (tmp_path / "blocked").write_text("a file")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "blocked"))
    with raises(UsageError, "output.not_ours"):
        write(path, "ours, later")
    assert write(out / "new.txt", "written without a record").read_text()
    assert names(out) == ["new.txt", "talk.txt"]


def test_an_account_without_a_home_folder_gets_no_folder_in_the_current_one(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "~/state")
    monkeypatch.setattr(storage.written_record, "user_folder", lambda: Path("~/state"))
    write(out / "talk.txt", "x")
    assert names(out) == ["talk.txt"] and names(tmp_path) == ["out"]


@pytest.mark.parametrize("damage", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 200])
def test_a_damaged_record_stops_nothing(out: Path, record: WrittenRecord, damage: bytes) -> None:
    path = write(out / "talk.txt", "ours")
    record.file.write_bytes(damage)
    with raises(UsageError, "output.not_ours"):
        write(path, "later")
    write(path, "later", overwrite=True)
    assert write(path, "and later again") == path


def test_an_earlier_content_of_ours_is_ours(out: Path) -> None:
    """A person took an older export back, or a kill came between record and file."""
    path = write(out / "talk.txt", "first")
    write(path, "second")
    path.write_text("first")
    assert check_target(Target(path, "talk.wav")) is Standing.OURS
    assert check_target(Target(path, "talk.m4a")) is Standing.OTHER
    assert check_target(Target(out / "none", "talk.wav")) is Standing.FREE


@pytest.mark.skipif(sys.platform == "win32", reason="rights of POSIX")
def test_a_file_that_is_written_again_keeps_its_rights(out: Path) -> None:
    path = write(out / "talk.txt", "first")
    path.chmod(0o640)
    write(path, "second")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    private = write(out / "private", "x", private=True)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
