"""Backup and restore: everything is lost and comes back; what is damaged changes nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from filelock import FileLock

from kb.cli import run
from kb.database import DATABASE_NAME, MIGRATIONS
from kb.database.snapshots import DAILY, check_file, copy_database, make_snapshot
from kb.errors import KBError, LibraryError, UsageError
from kb.library.archive import is_medium
from kb.options import RunOptions
from kb.service import Service
from kb.service.backup import BackupReport
from kb.settings import Settings, get_settings
from tests.library.test_version_before import (
    ARCHIVE,
    CORRECTED,
    DONE,
    FAILED,
    HELD,
    QUEUED,
    WAITING,
)
from tests.support.items import item
from tests.support.raising import raises

STATES = {
    CORRECTED: "done",
    DONE: "done",
    HELD: "held",
    FAILED: "failed",
    QUEUED: "queued",
    WAITING: "waiting",
}


def opened(home: Path, **values: str) -> Service:
    return Service(Settings.model_validate({"KB_HOME": str(home), "KB_MODEL": "demo", **values}))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BackupReport]:
    """A library of the version before, and its backup, which has the old schema too."""
    folder = tmp_path_factory.mktemp("old")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    service = opened(folder / "home", ODIN_API_KEY="key-in-settings", KB_HOLD_BELOW="0.5")
    report = service.backup.make(folder / "backup.zip")
    service.close()
    return folder / "home", report


@pytest.fixture
def home(old: tuple[Path, BackupReport], tmp_path: Path) -> Path:
    """A copy of that library."""
    return Path(shutil.copytree(old[0], tmp_path / "home"))


def states(home: Path) -> dict[str, str]:
    service = opened(home)
    try:
        return {each.id: each.state for each in service.items.statuses()}
    finally:
        service.close()


def files(home: Path) -> dict[str, bytes]:
    """The content of every file but locks, logs and the index."""
    skipped = (".workers", ".locks", "logs", "index.lance")
    return {
        path.relative_to(home).as_posix(): path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.is_file() and path.relative_to(home).parts[0] not in skipped
    }


@pytest.mark.parametrize("place", ["empty", "missing"])
def test_everything_is_lost_and_comes_back(
    old: tuple[Path, BackupReport],
    tmp_path: Path,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, report = old
    home = tmp_path / "new"
    if place == "empty":
        home.mkdir()
    monkeypatch.setenv("KB_HOME", str(home))
    monkeypatch.setenv("KB_MODEL", "demo")
    get_settings.cache_clear()
    try:
        assert run(["restore", str(report.path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["aside"] is None
        assert states(home) == STATES
        service = opened(home)
        (followed,) = service.subscriptions.list()
        assert followed.reference == "@talks"
        assert [hit.item_id for hit in service.search.run("corrected").hits] == [CORRECTED]
        assert service.items.transcript(CORRECTED).revisions[0].by == "analyst"
        due = service.queue.outbox.for_items([CORRECTED])[CORRECTED]
        assert {each.sink: each.status for each in due}["folder"] == "queued"
        service.close()
    finally:
        get_settings.cache_clear()
    before = {name: data for name, data in files(source).items() if name.startswith("media/")}
    after = {name: data for name, data in files(home).items() if name in before}
    assert after == {name: data for name, data in before.items() if not is_medium(name)}


def test_no_secret_is_in_a_backup(old: tuple[Path, BackupReport]) -> None:
    with zipfile.ZipFile(old[1].path) as archive:
        assert all(b"key-in-settings" not in archive.read(name) for name in archive.namelist())
        assert b"KB_HOLD_BELOW=0.5" in archive.read("settings.env")
    assert old[1].path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("whole", [True, False], ids=["backup", "database"])
def test_an_open_dashboard_goes_on_with_the_restored_database(
    old: tuple[Path, BackupReport], home: Path, tmp_path: Path, whole: bool
) -> None:
    dashboard, other = opened(home), opened(home)
    source = old[1].path if whole else tmp_path / "copy.sqlite"
    if not whole:
        copy_database(home / "kb.sqlite", source)
    with dashboard.queue.database.begin() as connection:
        connection.execute(sa.text("DELETE FROM kb_items"))
    assert dashboard.items.statuses() == []
    other.backup.restore(source)
    other.queue.adopt_folder()
    other.close()
    assert {each.id: each.state for each in dashboard.items.statuses()} == STATES
    dashboard.queue.pause()  # written into the new file, whose log is its own
    dashboard.close()
    looking = opened(home)
    assert len(looking.queue.lanes()) == 1
    assert looking.items.statuses() and not check_file(home / "kb.sqlite").problems
    looking.close()


def damage_database(home: Path) -> None:
    (home / DATABASE_NAME).write_bytes(b"\0" * 5000)


def lose_database(home: Path) -> None:
    for path in home.glob("kb.sqlite*"):
        path.unlink()


def damage_transcripts(home: Path) -> None:
    for path in (home / "media").glob("*.transcript.json"):
        path.write_bytes(path.read_bytes()[:40])


def lose_metadata(home: Path) -> None:
    for path in (home / "media").glob("*.json"):
        path.unlink()


def damage_facts(home: Path) -> None:
    (home / "library.json").write_text("{", "utf-8")


def lose_index(home: Path) -> None:
    shutil.rmtree(home / "index.lance", ignore_errors=True)
    (home / "index.lance").write_text("in the way", "utf-8")


def stale_log(home: Path) -> None:
    (home / "kb.sqlite-wal").write_bytes(b"the log of another database")


DAMAGES = (
    damage_database, lose_database, damage_transcripts, lose_metadata, damage_facts, lose_index,
    stale_log,
)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_library_is_whole_again_and_the_old_files_are_kept(
    old: tuple[Path, BackupReport], home: Path, damage: Callable[[Path], None]
) -> None:
    damage(home)
    damaged = files(home)
    service = opened(home)
    report = service.backup.restore(old[1].path)
    assert service.search.reindex(judge=False).problems == ()  # as the command does
    service.close()
    assert states(home) == STATES
    now = files(home)
    assert not (home / ".restore").exists()
    aside = report.aside.name if report.aside else "-"
    for name, data in damaged.items():
        if name != f"{DATABASE_NAME}-shm":
            assert data in (now.get(name), now.get(f"{aside}/{name}")), f"{name} is lost"


def test_what_is_newer_than_the_backup_stays(old: tuple[Path, BackupReport], home: Path) -> None:
    service = opened(home)
    newer = service.library.write_metadata(item(7), {"state": "failed"})
    service.queue.submit([item(8)], RunOptions())
    service.close()
    service = opened(home)
    service.backup.restore(old[1].path)
    service.search.reindex()
    service.close()
    assert states(home) == {**STATES, newer.item.id: "failed"}


def test_the_newest_copy_of_the_database_is_the_default(home: Path) -> None:
    service = opened(home)
    with raises(UsageError, "restore.no_copies"):
        service.backup.restore()
    service.queue.submit([item(8)], RunOptions())  # exists in the database only
    service.close()
    make_snapshot(home / DATABASE_NAME, DAILY, 3)
    damage_database(home)
    service = opened(home)
    report = service.backup.restore()
    service.queue.adopt_folder()
    service.close()
    assert states(home) == {**STATES, item(8).id: "queued"}
    assert report.aside is not None
    assert (report.aside / DATABASE_NAME).read_bytes() == b"\0" * 5000


# Sources that must change nothing


def flipped(backup: Path) -> None:
    data = bytearray(backup.read_bytes())
    data[len(data) // 2] ^= 0xFF
    backup.write_bytes(data)


def rewritten(change: Callable[[dict[str, bytes], dict[str, Any]], None]) -> Callable[[Path], None]:
    def rewrite(backup: Path) -> None:
        with zipfile.ZipFile(backup) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        manifest = json.loads(members.pop("manifest.json"))
        change(members, manifest)
        with zipfile.ZipFile(backup, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
            archive.writestr("manifest.json", json.dumps(manifest))

    return rewrite


def outside(path: str) -> Callable[[Path], None]:
    def change(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
        members["evil"] = b"x"
        digest = hashlib.sha256(b"x").hexdigest()
        manifest["files"]["evil"] = {"path": path, "size": 1, "sha256": digest}

    return rewritten(change)


def lose_member(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    del members[DATABASE_NAME]


def bad_database(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    data = members[DATABASE_NAME] = b"SQLite format 3\0" + bytes(5000)
    digest = hashlib.sha256(data).hexdigest()
    manifest["files"][DATABASE_NAME] = {
        "path": DATABASE_NAME, "size": len(data), "sha256": digest
    }  # fmt: skip


def newer_format(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["format"] = 99


def other_server(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["database"] = "postgresql"


def newer_schema(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE kb_schema (version INTEGER, applied_at REAL)")
        database.execute(f"INSERT INTO kb_schema VALUES ({len(MIGRATIONS) + 1}, 0)")
        database.commit()


def foreign_database(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE bookmarks (url TEXT)")


BAD: dict[str, tuple[Callable[[Path], object], type[KBError], str]] = {
    "cut": (lambda p: p.write_bytes(p.read_bytes()[:-300]), UsageError, "restore.no_backup"),
    "a flipped byte": (flipped, LibraryError, "backup.damaged"),
    "a text": (lambda p: p.write_text("hello"), UsageError, "restore.no_backup"),
    "empty": (lambda p: p.write_bytes(b""), UsageError, "restore.no_backup"),
    "missing": (lambda p: p.unlink(), UsageError, "restore.missing"),
    "a folder": (lambda p: (p.unlink(), p.mkdir()), LibraryError, "input.wrong_kind"),
    "a member is missing": (rewritten(lose_member), LibraryError, "backup.damaged"),
    "a damaged database": (rewritten(bad_database), LibraryError, "restore.damaged"),
    "newer": (rewritten(newer_format), UsageError, "restore.newer"),
    "of a server": (rewritten(other_server), UsageError, "restore.other_database"),
    "above the folder": (outside("../evil.json"), UsageError, "restore.no_backup"),
    "inside a folder": (outside("media/../../evil"), UsageError, "restore.no_backup"),
    "absolute": (outside("/tmp/evil"), UsageError, "restore.no_backup"),
    "a drive": (outside("C:evil"), UsageError, "restore.no_backup"),
    "backslashes": (outside("media\\..\\..\\evil"), UsageError, "restore.no_backup"),
    "another folder": (outside(".workers/one.lock"), UsageError, "restore.no_backup"),
    "newer database": (newer_schema, UsageError, "restore.newer_schema"),
    "foreign database": (foreign_database, UsageError, "restore.foreign"),
    "a zip of others": (
        lambda p: zipfile.ZipFile(p, "w").writestr("a.txt", "x"),
        UsageError,
        "restore.no_backup",
    ),
}


@pytest.mark.parametrize(("spoil", "kind", "code"), BAD.values(), ids=BAD.keys())
def test_a_bad_source_changes_nothing(
    old: tuple[Path, BackupReport],
    home: Path,
    spoil: Callable[[Path], object],
    kind: type[KBError],
    code: str,
) -> None:
    source = home.parent / "backup.zip"
    shutil.copy(old[1].path, source)
    spoil(source)
    before = files(home)
    service = opened(home)
    with raises(kind, code):
        service.backup.restore(source)
    service.close()
    assert files(home) == before


def test_nothing_is_restored_under_a_worker(old: tuple[Path, BackupReport], home: Path) -> None:
    (home / ".workers").mkdir(exist_ok=True)
    before = files(home)
    with (
        FileLock(home / ".workers" / "second.lock"),
        raises(UsageError, "restore.worker_running", name="second"),
    ):
        opened(home).backup.restore(old[1].path)
    assert files(home) == before


def test_media_are_packed_on_request(home: Path, tmp_path: Path) -> None:
    service = opened(home)
    medium = tmp_path / "talk.wav"
    medium.write_bytes(b"RIFF" + bytes(9000))
    service.library.add_media(item(1), medium, link=False)
    plain = service.backup.make(tmp_path / "plain.zip")
    whole = service.backup.make(tmp_path / "whole.zip", media=True)
    assert plain.left_out >= 1 and plain.left_out_bytes >= 9004
    assert (whole.left_out, whole.files - plain.files) == (0, plain.left_out)
    entry = service.items.entry(item(1).id)
    assert entry.media_path is not None
    entry.media_path.write_bytes(b"damaged")
    report = service.backup.restore(whole.path)
    assert entry.media_path.read_bytes() == medium.read_bytes()
    assert report.aside is not None
    assert (report.aside / "media" / entry.media_path.name).read_bytes() == b"damaged"
    service.close()


def test_a_backup_replaces_no_file(home: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine.zip"
    target.write_text("mine")
    service = opened(home)
    with raises(UsageError, "backup.exists", path=target):
        service.backup.make(target)
    report = service.backup.make(tmp_path)
    assert report.path.parent == tmp_path and report.path.suffix == ".zip"
    assert service.backup.make().path.parent == home / "backups"
    damage_database(home)
    with raises(LibraryError, "backup.database_damaged"):
        service.backup.make(tmp_path / "no.zip")
    service.close()
    assert target.read_text() == "mine" and not (tmp_path / "no.zip").exists()
    assert not list(tmp_path.glob(".kb-*"))


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("KB_DATABASE_URL", raising=False)
    yield
