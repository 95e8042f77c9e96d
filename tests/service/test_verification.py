"""`kb verify`: each damage is found and named once, a whole library gives no finding."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kb.cli import run
from kb.database import DATABASE_NAME
from kb.service import Service
from kb.service.verification import VerifyReport
from kb.settings import Settings, get_settings
from kb.sinks.local.sink import LocalSink
from kb.sinks.local.tables import schema
from tests.library.test_version_before import ARCHIVE, CORRECTED, DONE, HELD
from tests.support.items import item

NEW = "file:000000000001"


def opened(home: Path) -> Service:
    return Service(Settings.model_validate({"KB_HOME": str(home), "KB_MODEL": "demo"}))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of the version before, indexed, with one item edited (its hashes are recorded)."""
    folder = tmp_path_factory.mktemp("whole")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    service = opened(folder / "home")
    service.search.reindex()
    service.revisions.edit(DONE, 0, "quite other words")
    entry = service.items.entry(DONE)
    assert entry.media_path is not None
    shutil.copy(entry.media_path, folder / "source.mp3")
    service.library.amend(HELD, {"files": {"media": None}})  # it was left out of the archive
    document = service.library.read_metadata(entry)
    document["item"]["url"] = (folder / "source.mp3").as_uri()
    (service.library.path(entry, ".json")).write_text(json.dumps(document), "utf-8")
    service.search.reindex()
    service.close()
    return folder / "home"


@pytest.fixture
def home(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "home"))


def verify(home: Path, **options: bool) -> VerifyReport:
    service = opened(home)
    try:
        return service.verification.run(**options)
    finally:
        service.close()


def kinds(report: VerifyReport) -> list[tuple[str, bool]]:
    return sorted((each.kind, each.mended) for each in report.findings)


def test_a_whole_library_gives_no_finding(home: Path) -> None:
    shown: list[tuple[int, int]] = []
    service = opened(home)
    report = service.verification.run(progress=lambda *at: shown.append(at))
    service.close()
    assert report.findings == []
    assert report.items >= 3 and report.files >= 8
    assert shown[-1][0] == shown[-1][1] == max(total for _, total in shown)


def file(home: Path, item_id: str, suffix: str) -> Path:
    (path,) = (home / "media").glob(f"*_{item_id.split(':')[1]}{suffix}")
    return path


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()  # a hard link of it elsewhere stays as it is
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"")


def other_word(home: Path) -> None:
    path = file(home, DONE, ".transcript.json")
    path.write_bytes(path.read_bytes().replace(b"quite", b"quote"))


def without_files(home: Path) -> None:
    for path in (home / "media").glob(f"*_{CORRECTED.split(':')[1]}.*"):
        path.unlink()


def lost_row(home: Path) -> None:
    with sqlite3.connect(home / DATABASE_NAME) as database:
        database.execute("DELETE FROM kb_items WHERE id = ?", [DONE])


def lost_passages(home: Path) -> None:
    LocalSink(Settings(KB_HOME=str(home))).delete(DONE)


def other_passages(home: Path) -> None:
    """The head row of the item is right, and a passage is missing."""
    sink = LocalSink(Settings(KB_HOME=str(home)))
    sink._tables.write(lambda table: table.delete(f"item_id = '{DONE}' AND seq = 0"), schema)


def leftover(home: Path) -> None:
    sink = LocalSink(Settings(KB_HOME=str(home)))
    other = item(9)
    moved = [
        replace(each, id=each.id.replace(DONE, other.id), item_id=other.id)
        for each in sink.passages(DONE)
    ]
    sink.publish(other, moved)


def lost_index(home: Path) -> None:
    shutil.rmtree(home / "index.lance")
    (home / "index.lance").write_text("a file")


def lost_medium(home: Path) -> None:
    file(home, DONE, ".mp3").unlink()


def damaged_source(home: Path) -> None:
    flip(file(home, DONE, ".mp3"))
    path = file(home, DONE, ".json")
    path.write_text(path.read_text("utf-8").replace("source.mp3", "gone.mp3"), "utf-8")


def folder_at(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("nothing.mp3")


# damage, the finding, and if it is mended: by itself, with --repair
CASES: dict[str, tuple[Callable[[Path], object], str, bool, bool]] = {
    "medium, one bit": (lambda h: flip(file(h, DONE, ".mp3")), "medium_changed", False, True),
    "medium, no source": (damaged_source, "medium_changed", False, False),
    "medium, empty": (
        lambda h: empty(file(h, DONE, ".mp3")),
        "medium_changed",
        False,
        True,
    ),
    "medium gone": (lost_medium, "medium_missing", False, True),
    "transcript cut": (
        lambda h: file(h, DONE, ".transcript.json").write_bytes(b'{"media": {'),
        "transcript_damaged",
        False,
        False,
    ),
    "transcript of zeros": (
        lambda h: file(h, CORRECTED, ".transcript.json").write_bytes(bytes(4000)),
        "transcript_damaged",
        False,
        False,
    ),
    "transcript, other word": (other_word, "transcript_changed", False, False),
    "transcript gone": (
        lambda h: file(h, DONE, ".transcript.json").unlink(),
        "transcript_missing",
        False,
        False,
    ),
    "text gone": (lambda h: file(h, DONE, ".txt").unlink(), "text_missing", True, True),
    "text, one bit": (lambda h: flip(file(h, DONE, ".txt")), "text_changed", False, True),
    "old text of zeros": (
        lambda h: file(h, CORRECTED, ".txt").write_bytes(bytes(300)),
        "text_changed",
        False,
        True,
    ),
    "old text, empty": (
        lambda h: file(h, CORRECTED, ".txt").write_bytes(b""),
        "text_changed",
        False,
        True,
    ),
    "metadata damaged": (
        lambda h: file(h, DONE, ".json").write_text("{"),
        "metadata_damaged",
        False,
        False,
    ),
    "metadata gone": (lambda h: file(h, DONE, ".json").unlink(), "metadata_missing", False, False),
    "metadata is a folder": (
        lambda h: folder_at(file(h, DONE, ".json")),
        "metadata_damaged",
        False,
        False,
    ),
    "medium, a link to nothing": (
        lambda h: link_to_nothing(file(h, DONE, ".mp3")),
        "medium_missing",
        False,
        True,
    ),
    "text is a folder": (
        lambda h: folder_at(file(h, DONE, ".txt")),
        "item_unreadable",
        False,
        False,
    ),
    "library.json empty": (
        lambda h: (h / "library.json").write_bytes(b""),
        "library_damaged",
        False,
        False,
    ),
    "row without files": (without_files, "row_without_files", False, False),
    "row gone": (lost_row, "row_missing", True, True),
    "passages gone": (lost_passages, "index_missing", True, True),
    "a passage gone": (other_passages, "index_differs", True, True),
    "passages of no item": (leftover, "index_leftover", True, True),
    "index gone": (lost_index, "index_damaged", True, True),
    "database damaged": (
        lambda h: (h / DATABASE_NAME).write_bytes(bytes(9000)),
        "database_damaged",
        False,
        False,
    ),
}
BESIDES = {  # what a damage brings with it, in other places
    "row without files": {"index_leftover"},
    "metadata damaged": {"file_unknown"},
    "metadata is a folder": {"file_unknown"},
    "metadata gone": {"file_unknown"},
    "transcript gone": {"index_leftover"},
}


@pytest.mark.parametrize("repair", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_damage_is_found_and_mended_where_it_can_be(home: Path, case: str, repair: bool) -> None:
    damage, kind, by_itself, with_repair = CASES[case]
    damage(home)
    mended = with_repair if repair else by_itself
    dry = verify(home, mend=False)
    assert not any(each.mended for each in dry.findings)
    assert kind in {each.kind for each in dry.findings}
    report = verify(home, repair=repair)
    found = {each.kind: each for each in report.findings}
    assert found[kind].mended == mended, report.findings
    assert found.keys() <= {kind, *BESIDES.get(case, set())}, report.findings
    assert all(each.hint or each.mended for each in report.findings)
    # The others were checked all the same: a second damage is found beside the first.
    after = verify(home, repair=repair)
    assert (kind in {each.kind for each in after.findings}) == (not mended)
    if mended:
        assert not after.faults


def not_ours(path: Path) -> None:
    path.write_text(path.read_text("utf-8").replace('"version"', '"wersion"', 1), "utf-8")


@pytest.mark.parametrize("damage", [Path.unlink, not_ours])
def test_an_item_without_its_metadata_stays_in_the_search(
    home: Path, damage: Callable[[Path], object]
) -> None:
    damage(file(home, DONE, ".json"))
    verify(home)
    service = opened(home)
    assert DONE in {each.remote_id for each in LocalSink(service.settings).list()}
    assert service.search.reindex().problems == ()  # taken in again by its name
    assert DONE in {each.remote_id for each in LocalSink(service.settings).list()}
    assert service.items.status(DONE).state == "done"
    service.close()


def test_a_missing_folder_of_media_takes_nothing_out_of_the_search(home: Path) -> None:
    (home / "media").rename(home / "elsewhere")
    assert kinds(verify(home)) == [("folder_missing", False)]
    (home / "elsewhere").rename(home / "media")
    assert verify(home).findings == []


def test_one_name_that_is_a_folder_does_not_end_the_reindex(home: Path) -> None:
    folder_at(file(home, DONE, ".transcript.json"))
    service = opened(home)
    (problem,) = service.search.reindex().problems
    assert DONE.split(":")[1] in problem
    assert CORRECTED in {each.remote_id for each in LocalSink(service.settings).list()}
    service.close()


def test_many_damages_are_found_in_one_run_and_replaced_files_are_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, medium = file(home, DONE, ".txt"), file(home, DONE, ".mp3")
    flip(text)
    flip(medium)
    damaged = text.read_bytes(), medium.read_bytes()
    file(home, CORRECTED, ".transcript.json").write_bytes(b"{")
    lost_passages(home)
    monkeypatch.setenv("KB_HOME", str(home))
    get_settings.cache_clear()
    try:
        assert run(["verify", "--json"]) == 1
        first = json.loads(capsys.readouterr().out)
        assert {each["kind"] for each in first["findings"]} >= {
            "text_changed", "medium_changed", "transcript_damaged", "index_missing",
        }  # fmt: skip
        assert run(["verify", "--repair"]) == 1
        assert "transcript_damaged" in capsys.readouterr().out
    finally:
        get_settings.cache_clear()
    kept = [path.with_name(f"{path.name}.damaged").read_bytes() for path in (text, medium)]
    assert tuple(kept) == damaged
    assert {each.kind for each in verify(home).findings} == {"transcript_damaged"}


def test_an_edit_that_was_killed_before_its_record_is_no_damage(home: Path) -> None:
    path = file(home, DONE, ".json")
    before = path.read_text("utf-8")
    service = opened(home)
    service.revisions.edit(DONE, 0, "still other words")
    service.close()
    path.write_text(before, "utf-8")  # text and transcript are new, the record is old
    assert not verify(home).faults
