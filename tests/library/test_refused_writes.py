"""Writes that the system refuses or that are interrupted leave the old file and no other."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kb.errors import LibraryError
from kb.library import Library
from tests.support.library_files import leftovers, make_item, names
from tests.support.raising import raises

REFUSALS = [
    (errno.ENOSPC, "storage.disk_full", {}),
    (errno.EROFS, "storage.not_allowed", {}),
    (errno.EACCES, "storage.not_allowed", {}),
    (errno.ENAMETOOLONG, "storage.path_too_long", {}),
    (errno.EIO, "storage.refused", {"reason": os.strerror(errno.EIO)}),
]

CALLS = ["write", "replace", "fsync"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("number", "code", "values"), REFUSALS)
def test_a_refused_write_leaves_the_old_file(
    library: Library,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
    code: str,
    values: dict[str, str],
) -> None:
    entry = library.write_metadata(make_item(), {"state": "queued"})
    before = {name: (library.media_folder / name).read_bytes() for name in names(library)}

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        values = {**values, "action": "action.write"}
        path = library.path(entry, ".json")
        with raises(LibraryError, code, path=path, **values) as caught:
            library.write_metadata(make_item(), {"state": "done"})
        with raises(LibraryError, code, path=library.path(entry, ".txt"), **values):
            library.write_text(entry, ".txt", "words")
    assert caught.value.hint
    assert {name: (library.media_folder / name).read_bytes() for name in names(library)} == before


def test_disk_full_in_the_middle_of_a_copy(
    library: Library, medium: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:100])
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))

    monkeypatch.setattr("shutil.copyfile", half)
    with raises(LibraryError, "storage.disk_full", action="action.write"):
        library.add_media(make_item(), medium, link=False)
    assert names(library) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs a size limit on files")
def test_a_real_refusal_in_the_middle_of_a_write(tmp_path: Path) -> None:
    program = (
        "import resource, signal, sys; from pathlib import Path; from kb import storage\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "storage.write_text(Path(sys.argv[1]), 'x' * 20000)\n"
    )
    target = tmp_path / "text.txt"
    target.write_text("old", encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-c", program, str(target)], capture_output=True, text=True, check=False
    )
    assert "LibraryError: Cannot write" in run.stderr and str(target) in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]
    assert target.read_text(encoding="utf-8") == "old"


def test_an_interrupt_leaves_nothing(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        library.write_text("stem", ".txt", "words")
    assert names(library) == []


@pytest.mark.parametrize("where", ["home", "home/media"])
def test_a_file_where_a_folder_should_be(tmp_path: Path, medium: Path, where: str) -> None:
    blocked = tmp_path / where
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_text("in the way", encoding="utf-8")
    library = Library(tmp_path / "home")
    actions: list[Callable[[], object]] = [
        library.prepare,
        library.scan,
        lambda: library.add_media(make_item(), medium),
        lambda: library.write_metadata(make_item()),
        lambda: library.write_text("stem", ".txt", "x"),
    ]
    for action in actions:
        with raises(LibraryError, "storage.wrong_kind") as caught:
            action()
        assert caught.value.hint
        assert caught.value.values["path"].startswith(str(tmp_path / "home"))
    assert blocked.read_text(encoding="utf-8") == "in the way"
    assert not leftovers(tmp_path)


def test_a_folder_where_a_file_should_be(library: Library) -> None:
    library.path("stem", ".txt").mkdir(parents=True)
    with pytest.raises(LibraryError):
        library.write_text("stem", ".txt", "x")
    assert not leftovers(library.home)


def test_prepare_makes_the_folders_and_leaves_nothing(library: Library) -> None:
    library.prepare()
    library.prepare()
    assert names(library) == []
