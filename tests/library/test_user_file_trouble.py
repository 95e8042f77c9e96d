"""Files outside the library where a disk, a kill or another process gets in the way."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kb import storage
from kb.errors import KBError, LibraryError, UsageError
from kb.storage import Target, user_file
from kb.storage.written_record import WrittenRecord
from tests.library.test_user_files import names, write
from tests.library.test_user_files import out as out
from tests.library.test_user_files import record as record
from tests.support.raising import raises


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_the_name_is_named_with_a_step_that_helps(out: Path, overwrite: bool) -> None:
    (out / "talk.txt").mkdir()
    with raises(UsageError, "output.is_folder", path=out / "talk.txt") as caught:
        write(out / "talk.txt", "x", overwrite=overwrite)
    assert "KB_HOME" not in caught.value.hint
    # A numbered name may be taken by a folder too.
    write(out / "a.txt", "x", "1")
    (out / "a (2).txt").mkdir()
    assert write(out / "a.txt", "x", "2") == out / "a (3).txt"


@pytest.mark.parametrize("inner", ["file/talk.txt", "file/deep/er/talk.txt"])
def test_a_file_where_a_folder_should_be_is_named(out: Path, inner: str) -> None:
    (out / "file").write_text("x")
    with raises(UsageError, "export.folder_is_file", place=out / "file") as caught:
        write(out / inner, "x")
    assert "KB_HOME" not in caught.value.hint
    assert names(out) == ["file"]


REFUSALS = [
    (errno.ENOSPC, "output.disk_full"),
    (errno.EACCES, "output.not_allowed"),
    (errno.EROFS, "output.not_allowed"),
    (errno.ENAMETOOLONG, "output.path_too_long"),
    (errno.EIO, "output.refused"),
]


@pytest.mark.parametrize("call", ["fsync", "link", "replace"])
@pytest.mark.parametrize(("number", "code"), REFUSALS)
def test_a_refused_write_leaves_the_old_file_and_no_draft(
    out: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, code: str
) -> None:
    path = write(out / "talk.txt", "old")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    target = out / "new.txt" if call == "link" else path
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        if call == "link":  # a disk without hard links takes the other way, which is refused too
            patch.setattr(os, "open", refuse)
        with raises(LibraryError, code, path=target) as caught:
            write(target, "new")
    assert caught.value.hint and "KB_HOME" not in caught.value.hint
    assert (names(out), path.read_text()) == (["talk.txt"], "old")


@pytest.mark.parametrize("taken", [False, True])
def test_a_disk_without_hard_links_replaces_nothing(
    out: Path, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    if taken:
        (out / "talk.txt").write_text("mine")
        with raises(UsageError, "output.not_ours"):
            write(out / "talk.txt", "x")
    else:
        assert write(out / "talk.txt", "x").read_text() == "x"
        assert write(out / "talk.txt", "y", "other").name == "talk (2).txt"


def test_a_name_that_is_taken_meanwhile_is_not_replaced(out: Path) -> None:
    path = out / "talk.txt"
    with raises(UsageError, "output.not_ours"), user_file(Target(path, "talk.wav")) as draft:
        draft.path.write_text("ours")
        path.write_text("mine, saved while the draft was written")
    assert (names(out), path.read_text()) == (
        ["talk.txt"], "mine, saved while the draft was written",
    )  # fmt: skip


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, ValueError, MemoryError])
def test_an_interrupt_leaves_nothing(out: Path, end: type[BaseException]) -> None:
    with pytest.raises(end), user_file(Target(out / "talk.txt", "x")) as draft:
        draft.path.write_text("half")
        raise end
    assert names(out) == []
    assert WrittenRecord().drafts() == []


# What a kill leaves

KILLED = {
    "an export": "with storage.user_file(storage.Target(place / 'a.mp3', 'x')) as d: end(d.path)",
    "a settings file": "with storage.user_path(place / '.env') as draft: end(draft)",
    "a scratch folder": "with storage.scratch_folder(place) as folder: end(folder / 'sound.wav')",
}


@pytest.mark.slow
@pytest.mark.parametrize("what", KILLED)
def test_what_a_kill_leaves_is_swept_wherever_it_is(
    out: Path, tmp_path: Path, record: WrittenRecord, what: str
) -> None:
    program = (
        "import os, sys; from pathlib import Path; from kb import storage\n"
        "place = Path(sys.argv[1])\n"
        "def end(draft):\n"
        "    draft.write_text('half'); os._exit(9)\n"
        f"{KILLED[what]}\n"
    )
    subprocess.run([sys.executable, "-c", program, str(out)], check=False)
    (left,) = names(out)
    assert left.startswith(".kb-") and len(record.drafts()) == 1
    # The next write is to another folder.
    write(tmp_path / "elsewhere" / "b.txt", "x")
    assert (names(out), record.drafts()) == ([], [])


def test_a_draft_of_a_living_process_stays_and_one_on_a_lost_disk_is_remembered(
    out: Path, tmp_path: Path, record: WrittenRecord
) -> None:
    with user_file(Target(out / "a.txt", "x")) as draft:
        draft.path.write_text("being written")
        write(out / "b.txt", "x")
        assert draft.path.exists()
    gone = tmp_path / "usb" / ".kb-00000000-1-000000000000.tmp"
    record.add_draft(gone)
    assert storage.sweep_drafts() == ()
    assert [path for path, _ in record.drafts()] == [gone]
    gone.parent.mkdir()
    gone.write_text("half")
    os.utime(gone, (1, 1))
    assert storage.sweep_drafts() == (gone,)
    assert record.drafts() == []


@pytest.mark.parametrize(
    "name",
    [
        ".kb-notes.tmp", ".kb-my-own-notes.tmp", ".kb-00000000-1-000000000000.tmp.backup.zip",
        ".kb-clip.tmp.mp3", "kb-00000000-1-000000000000.tmp", ".kb-0000000-1-000000000000.tmp",
    ],
)  # fmt: skip
def test_files_with_similar_names_are_not_swept(out: Path, name: str) -> None:
    (out / name).write_text("mine")
    os.utime(out / name, (1, 1))
    write(out / "talk.txt", "x")
    assert (out / name).read_text() == "mine"


def test_threads_share_the_record(out: Path) -> None:
    errors: list[KBError] = []

    def turn(number: int) -> None:
        try:
            for again in range(3):
                write(out / f"{number}.txt", f"{again}", f"{number}")
        except KBError as error:
            errors.append(error)

    threads = [threading.Thread(target=turn, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert {path.read_text() for path in out.iterdir()} == {"2"}


def test_a_record_that_cannot_be_looked_for_is_an_empty_one(tmp_path: Path) -> None:
    record = WrittenRecord(tmp_path / ("x" * 300))  # the system refuses to look at such a name
    assert record.drafts() == [] and record.sources(tmp_path / "a") == {}
    record.add(tmp_path / "a", "0" * 64, "b")
    record.remove_drafts(tmp_path / "a")
