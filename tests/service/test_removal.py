"""`kb remove`: an item goes whole, comes back whole, and a kill at any step leaves neither half."""

from __future__ import annotations

import json
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from kb.cli import run
from kb.database import deliveries, items
from kb.errors import KBError, UsageError
from kb.jobs.queue.item_states import SkipCode
from kb.jobs.queue.outbox_states import DEFERRED, IN_PROGRESS
from kb.jobs.queue.source_factory import KnownIds
from kb.jobs.queue.submission import submit
from kb.jobs.removal import Removal
from kb.library import trash
from kb.library.trash import KEEP_S, REMOVED, Trash
from kb.options import RunOptions
from kb.service import Service
from kb.service import removal as removal_service
from kb.settings import Settings, get_settings
from kb.sinks.local.sink import LocalSink
from tests.fakes.odin import FakeOdin
from tests.library.test_version_before import (
    ARCHIVE,
    CORRECTED,
    DONE,
    FAILED,
    HELD,
    QUEUED,
    WAITING,
)
from tests.support.raising import raises

PENDING = (*IN_PROGRESS, *DEFERRED)


class Killed(BaseException):
    """The end of the process at this point."""


def opened(home: Path, **values: str) -> Service:
    return Service(Settings.model_validate({"KB_HOME": str(home), "KB_MODEL": "demo", **values}))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of the version before, indexed; its media are files of this folder."""
    folder = tmp_path_factory.mktemp("whole")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    service = opened(folder / "home")
    service.search.reindex()
    service.close()
    return folder / "home"


@pytest.fixture
def home(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "home"))


@pytest.fixture
def service(home: Path) -> Iterator[Service]:
    made = opened(home)
    yield made
    made.close()


def snapshot(service: Service) -> dict[str, Any]:
    """Return everything that belongs to items: files, rows, and ids in the index."""
    media = service.library.media_folder
    with service.queue.database.begin() as connection:
        of_items = connection.execute(sa.select(items)).mappings().all()
        of_sinks = connection.execute(sa.select(deliveries)).all()
    return {
        "files": {path.name: path.read_bytes() for path in sorted(media.iterdir())},
        "rows": sorted(json.dumps(dict(row), sort_keys=True) for row in of_items),
        # A publication that waited is queued again.
        "publications": sorted(
            (row.sink, row.item_id, "waiting" if row.status in PENDING else row.status)
            for row in of_sinks
        ),
        "index": [each.remote_id for each in LocalSink(service.settings).list()],
        "marks": Trash(service.library).marks(),
    }


def files_of(service: Service, item_id: str) -> list[str]:
    stem = service.items.entry(item_id).stem
    return [p.name for p in service.library.media_folder.iterdir() if p.name.startswith(stem)]


def assert_gone(service: Service, item_id: str, names: list[str]) -> None:
    assert service.library.find(item_id) is None
    assert service.queue.rows([item_id]) == []
    assert service.queue.outbox.for_items([item_id]) == {}
    assert LocalSink(service.settings).status(item_id).status == "missing"
    assert not [n for n in names if (service.library.media_folder / n).exists()]
    assert item_id in Trash(service.library).marks()


def beside(service: Service, item_id: str, *suffixes: str) -> None:
    stem = service.items.entry(item_id).stem
    for suffix in suffixes:
        (service.library.media_folder / f"{stem}{suffix}").write_text(suffix)


def without_medium(service: Service) -> None:
    medium = service.items.entry(DONE).media_path
    assert medium is not None
    medium.unlink()
    service.search.reindex()


def damaged_transcript(service: Service) -> None:
    service.library.path(service.items.entry(DONE), ".transcript.json").write_text("{")


def delete_row(service: Service, item_id: str) -> None:
    with service.queue.database.begin() as connection:
        connection.execute(sa.delete(items).where(items.c.id == item_id))


CASES: dict[str, tuple[str, Callable[[Service], None]]] = {
    "done": (DONE, lambda _: None),
    "corrected, published in a folder": (CORRECTED, lambda _: None),
    "held": (HELD, lambda _: None),
    "failed": (FAILED, lambda _: None),
    "captions, clip and thumbnail": (
        DONE,
        lambda service: beside(service, DONE, ".en.vtt", ".de.auto.srt", ".clip.mp4", ".jpg"),
    ),
    "damaged metadata kept": (DONE, lambda service: beside(service, DONE, ".json.damaged")),
    "without medium": (DONE, without_medium),
    "cancelled": (QUEUED, lambda service: service.queue.cancel([QUEUED]) and None),
    "cancelled while it waited": (WAITING, lambda s: s.queue.cancel([WAITING]) and None),
    "without a row": (DONE, lambda service: delete_row(service, DONE)),
}


@pytest.mark.parametrize("case", CASES)
def test_an_item_goes_whole_and_comes_back_whole(service: Service, case: str) -> None:
    item_id, prepare = CASES[case]
    prepare(service)
    before = snapshot(service)
    entry = service.library.find(item_id)
    names = files_of(service, item_id) if entry else []
    (removed,) = service.removals.remove([item_id])
    assert_gone(service, item_id, names)
    assert sorted(p.name for p in removed.folder.glob("files/*")) == sorted(names)
    others = snapshot(service)
    assert others["files"] == {n: d for n, d in before["files"].items() if n not in names}
    assert removed.until - removed.at == KEEP_S
    assert service.removals.undo([item_id]) == [item_id]
    assert snapshot(service) == before
    assert not removed.folder.exists()
    actions = [line["what"] for line in service.audit.read()]
    assert [each for each in actions if "remove" in each] == ["remove", "undo remove"]


def test_an_item_with_a_damaged_transcript_can_be_removed(service: Service) -> None:
    damaged_transcript(service)
    names = files_of(service, DONE)
    service.removals.remove([DONE])
    assert_gone(service, DONE, names)


# Kills: each point is passed once, and the process ends there.


def kill_at(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, number: int) -> None:
    """Let the process end at call `number` (from 1) of a function, before its work."""
    inner, calls = getattr(owner, name), [0]

    def ended(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == number:
            raise Killed
        return inner(*args, **kwargs)

    monkeypatch.setattr(owner, name, ended)


KILLS_REMOVING = [
    (Trash, "write", 1),
    (Trash, "mark", 1),
    (Trash, "move_in", 1),
    (trash, "_move", 1),
    (trash, "_move", 2),
    (trash, "_move", 4),
    (LocalSink, "delete", 1),
    (Trash, "with_state", 1),
]
KILLS_RESTORING = [
    (Trash, "move_out", 1),
    (trash, "_move", 1),
    (trash, "_move", 2),
    (trash, "_move", 4),
    (Trash, "unmark", 1),
    (LocalSink, "publish", 1),
    (Trash, "delete", 1),
]


def names_of_kill(case: tuple[Any, str, int]) -> str:
    return f"{case[1]}-{case[2]}"


@pytest.mark.slow
@pytest.mark.parametrize("undone", [False, True], ids=["stays removed", "undone"])
@pytest.mark.parametrize("point", KILLS_REMOVING, ids=names_of_kill)
def test_a_killed_removal_is_completed_or_undone(
    home: Path, monkeypatch: pytest.MonkeyPatch, point: tuple[Any, str, int], undone: bool
) -> None:
    first = opened(home)
    before = snapshot(first)
    names = files_of(first, DONE)
    with monkeypatch.context() as patched:
        kill_at(patched, *point)
        with pytest.raises(Killed):
            first.removals.remove([DONE])
    first.close()
    service = opened(home)
    if undone and point[1] != "write":
        service.removals.undo([DONE])
        assert snapshot(service) == before
    else:
        done = service.search.reindex()
        assert done.problems == ()
        if point[1] == "write":  # nothing was written, so nothing has happened
            assert snapshot(service)["files"] == before["files"]
        else:
            assert_gone(service, DONE, names)
            assert [each.id for each in service.removals.listed()] == [DONE]
    service.close()


@pytest.mark.parametrize("point", KILLS_RESTORING, ids=names_of_kill)
def test_a_killed_undoing_is_completed(
    home: Path, monkeypatch: pytest.MonkeyPatch, point: tuple[Any, str, int]
) -> None:
    first = opened(home)
    before = snapshot(first)
    first.removals.remove([DONE])
    with monkeypatch.context() as patched:
        kill_at(patched, *point)
        with pytest.raises(Killed):
            first.removals.undo([DONE])
    first.close()
    service = opened(home)
    service.verification.run()
    assert snapshot(service) == before
    assert service.removals.listed() == []
    service.close()


def test_a_deletion_that_was_interrupted_is_finished(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    (removed,) = service.removals.remove([DONE])
    core = Removal(service.settings, service.library, service.queue.database, service.queue.send)
    assert core.empty(removed.until - 1) == []
    with monkeypatch.context() as patched:
        kill_at(patched, Trash, "sweep", 1)
        with pytest.raises(Killed):
            core.empty(removed.until)
    assert service.removals.listed() == []
    core.complete()
    assert not (service.library.home / "trash").exists()
    assert DONE in Trash(service.library).marks()  # the id outlives the trash


def test_what_a_late_step_wrote_goes_too_and_replaces_nothing(service: Service) -> None:
    entry = service.items.entry(DONE)
    before = service.library.path(entry, ".json").read_bytes()
    (removed,) = service.removals.remove([DONE])
    service.library.write_metadata(entry.item, {"state": "failed"})
    service.search.reindex()
    assert service.library.find(DONE) is None
    assert service.queue.rows([DONE]) == []
    service.removals.undo([DONE])
    assert service.library.path(entry, ".json").read_bytes() == before
    assert service.items.transcript(DONE).words
    assert not removed.folder.exists()


# What cannot be removed

REFUSED: list[tuple[str, str, str]] = [
    ("file:no one", "item.unknown", "kb status --all"),
    ("zzzz", "item.unknown", "kb status --all"),
    ("", "item.ambiguous", "more of the id"),
    (QUEUED, "remove.active", f"kb cancel {QUEUED}"),
    (WAITING, "remove.active", f"kb cancel {WAITING}"),
    ("638ac", "remove.active", f"kb cancel {QUEUED}"),
    (QUEUED[:9], "remove.active", f"kb cancel {QUEUED}"),
]


@pytest.mark.parametrize(("item_id", "code", "hint"), REFUSED)
def test_a_refusal_changes_nothing_and_names_the_next_step(
    service: Service, item_id: str, code: str, hint: str
) -> None:
    before = snapshot(service)
    with pytest.raises(UsageError) as caught:
        service.removals.remove([DONE, item_id])
    assert caught.value.code == code
    assert hint in caught.value.hint
    assert snapshot(service) == before
    assert not (service.library.home / "trash").exists()


def test_a_second_removal_and_a_second_undoing_are_refused(service: Service) -> None:
    service.removals.remove([DONE.split(":")[1][:5], DONE])  # twice in one call is once
    with raises(UsageError, "remove.already"):
        service.removals.remove([DONE])
    service.removals.undo([DONE.split(":")[1][:5]])
    with raises(UsageError, "remove.not_in_trash"):
        service.removals.undo([DONE])


def test_a_name_that_is_taken_stops_the_undoing_before_its_first_step(service: Service) -> None:
    medium = service.items.entry(DONE).media_path
    assert medium is not None
    service.removals.remove([DONE])
    removed = snapshot(service)
    medium.write_bytes(b"another")
    with raises(KBError, "remove.name_taken"):
        service.removals.undo([DONE])
    medium.unlink()
    assert snapshot(service) == removed
    assert Trash(service.library).items()[0].state == REMOVED
    service.removals.undo([DONE])
    assert service.items.transcript(DONE).words


def test_another_item_with_a_longer_name_stays(service: Service) -> None:
    entry = service.items.entry(DONE)
    other = replace(entry.item, id="file:00000000000f", title="Other")
    service.library.write_metadata(other, stem=f"{entry.stem}.part")
    (service.library.media_folder / f"{entry.stem}.part.mp3").write_bytes(b"other")
    service.removals.remove([DONE])
    assert service.library.find(other.id) is not None
    assert (service.library.media_folder / f"{entry.stem}.part.mp3").exists()


# Requests for removed items


def test_a_removed_item_is_known_and_only_a_request_for_it_takes_it_in(service: Service) -> None:
    entry = service.items.entry(DONE)
    failed = service.queue.rows([FAILED])[0].item
    (row,) = service.queue.rows([DONE])
    service.removals.remove([DONE])
    assert DONE in KnownIds(service.queue.items, service.library)
    for asked_at in (None, 1.0, time.time() + 1):  # a list from before the removal, or after it
        queued, skipped = submit(
            service.queue.items, service.library, [entry.item], {}, lambda *_: None,
            asked_at=asked_at,
        )  # fmt: skip
        assert (queued, [each.code for each in skipped]) == ([], [SkipCode.REMOVED])
    report = service.ingest.enqueue([entry.item, failed], RunOptions())
    assert [(each.id, each.code) for each in report.skipped] == [(DONE, SkipCode.REMOVED)]
    assert service.queue.rows([DONE]) == []
    report = service.ingest.enqueue([entry.item], RunOptions())
    assert report.enqueued == (DONE,)
    (again,) = service.queue.rows([DONE])
    assert again.serial > row.serial  # a used workflow is not run a second time
    assert DONE not in Trash(service.library).marks()
    service.queue.cancel([DONE])
    with raises(UsageError, "remove.taken_again"):
        service.removals.undo([DONE])


@pytest.mark.slow
def test_a_folder_leaves_a_removed_file_out_and_its_path_takes_it_in(
    service: Service, tmp_path: Path
) -> None:
    folder = tmp_path / "talks"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"talk{number}.mp3").write_bytes(bytes([number]) * 4096)
    first = service.ingest.run([str(folder)], RunOptions())
    assert len(first.enqueued) == 2
    service.queue.cancel(first.enqueued)
    service.removals.remove([first.enqueued[0]])
    title = service.removals.listed()[0].title
    again = service.ingest.run([str(folder)], RunOptions())
    assert first.enqueued[0] not in again.enqueued
    assert SkipCode.REMOVED in {each.code for each in again.skipped}
    alone = service.ingest.run([str(folder / f"{title}.mp3")], RunOptions())
    assert alone.enqueued == (first.enqueued[0],)


def test_a_rebuilt_database_and_a_backup_keep_the_removed_ids(home: Path, tmp_path: Path) -> None:
    service = opened(home)
    service.removals.remove([DONE])
    report = service.backup.make(tmp_path / "backup.zip")
    service.close()
    for path in home.glob("kb.sqlite*"):
        path.unlink()
    rebuilt = opened(home)
    rebuilt.search.reindex()
    assert rebuilt.queue.rows([DONE]) == []
    assert DONE in KnownIds(rebuilt.queue.items, rebuilt.library)
    rebuilt.close()
    empty = opened(tmp_path / "new")
    empty.backup.restore(report.path)
    assert [each.id for each in empty.removals.listed()] == [DONE]
    assert DONE in KnownIds(empty.queue.items, empty.library)
    empty.removals.undo([DONE])
    assert empty.items.transcript(DONE).words
    empty.close()


# ODIN


@pytest.fixture
def at_odin(home: Path, tmp_path: Path) -> Iterator[tuple[Service, FakeOdin]]:
    with FakeOdin(tmp_path / "odin") as odin:
        service = Service(Settings(home=home, **odin.settings()))
        service.publisher.publish("odin", [DONE])
        yield service, odin
        service.close()


@pytest.mark.parametrize("remote", [False, True])
def test_the_remote_copy_goes_only_on_request(
    at_odin: tuple[Service, FakeOdin], remote: bool
) -> None:
    service, _ = at_odin
    assert service.publisher.odin.status(DONE).status != "missing"
    (removed,) = service.removals.remove([DONE], remote=remote)
    there = service.publisher.odin.status(DONE).status != "missing"
    assert there is not remote
    assert (removed.remote, removed.stays_in) == (remote, () if remote else ("odin",))
    service.removals.undo([DONE])
    (row,) = [r for r in service.queue.outbox.for_items([DONE])[DONE] if r.sink == "odin"]
    assert row.status == ("queued" if remote else "synced")


def test_an_unreachable_knowledge_base_leaves_the_item_whole(
    at_odin: tuple[Service, FakeOdin],
) -> None:
    service, odin = at_odin
    before = snapshot(service)
    away = Service(
        Settings(home=service.settings.home, **odin.settings(odin_base_url="http://127.0.0.1:9"))
    )
    with pytest.raises(KBError):
        away.removals.remove([DONE], remote=True)
    away.close()
    assert snapshot(service) == before
    assert service.publisher.odin.status(DONE).status != "missing"


# The command


@pytest.fixture
def command(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("KB_HOME", str(home))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.mark.usefixtures("command")
def test_the_command_removes_lists_and_undoes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["remove", DONE, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["removed"][0]["id"] == DONE
    assert run(["remove", "--list", "--json"]) == 0
    assert [each["id"] for each in json.loads(capsys.readouterr().out)] == [DONE]
    assert run(["status", "--json"]) == 0
    assert DONE not in capsys.readouterr().out
    assert run(["remove", "--undo", DONE]) == 0
    assert DONE in capsys.readouterr().err
    assert run(["remove", "--list"]) == 0
    assert "empty" in capsys.readouterr().err


@pytest.mark.usefixtures("command")
@pytest.mark.parametrize(
    "arguments", [[], ["--undo"], ["no-such"], ["--undo", "no-such"], [QUEUED]]
)
def test_a_wrong_call_ends_with_the_code_of_usage(arguments: list[str]) -> None:
    assert run(["remove", *arguments]) == 2


def test_nothing_is_looked_for_in_a_library_without_trash(service: Service) -> None:
    done = removal_service.complete_removals(service.settings, service.library, service.queue)
    assert done == []
