"""The library folder: names that every system takes, whole files or none, tolerant listing."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kb import storage
from kb.errors import LibraryError, MediaUnavailable
from kb.library import Library, deep_link
from kb.library.metadata import item_document, item_from_document
from kb.types import Availability, AvailabilityState, Chapter
from tests.support.library_files import leftovers, make_item, names
from tests.support.raising import raises

# Metadata


def test_metadata_comes_back_whole(library: Library) -> None:
    item = make_item(
        "Größe \udc80\n👩‍👩‍👧",
        duration_s=12.5,
        channel="C",
        description="long\n" * 100,
        tags=("a", "b"),
        chapters=(Chapter(0.0, "x"), Chapter(60.0, "y")),
        language="de",
        extra={"views": 3},
    )
    library.write_metadata(item, {"state": "running", "attempts": 2})
    entry = Library(library.home).find(item.id)
    assert entry is not None
    assert entry.item == item
    assert (entry.state, entry.attempts, entry.media_path) == ("running", 2, None)
    assert library.find("youtube:none") is None


def test_unknown_keys_stay_and_changes_merge(library: Library) -> None:
    item = make_item()
    entry = library.write_metadata(item, {"published": {"odin": {"id": 1}}, "error": "x"})
    path = library.path(entry, ".json")
    document = json.loads(path.read_text(encoding="utf-8"))
    document["mine"] = {"a": 1}
    document["item"]["rating"] = 5
    path.write_text("\ufeff" + json.dumps(document), encoding="utf-8")
    entry = library.write_metadata(item, {"published": {"local": {"n": 2}}, "error": None})
    record = library.read_metadata(entry)
    assert record["mine"] == {"a": 1} and record["item"]["rating"] == 5
    assert entry.published == {"odin": {"id": 1}, "local": {"n": 2}}
    assert "error" not in record and record["version"] == 1


def test_listing_is_newest_first_and_survives_damage(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    for number, date in enumerate(["2024-01-01", "2025-01-01", "2023-01-01"]):
        library.write_metadata(make_item(id=f"youtube:{number:011d}", published=date))
    folder = library.media_folder
    (folder / "2024-01-01_Bad_00000000009.json").write_text("{half", encoding="utf-8")
    (folder / "2024-01-01_Bin_00000000008.json").write_bytes(b"\xff\xfe\x00")
    (folder / "2024-01-01_List_00000000007.json").write_text("[]", encoding="utf-8")
    (folder / "2024-01-01_Type_00000000006.json").write_text(
        '{"version": 1, "item": {"id": "youtube:x", "title": 5}}', encoding="utf-8"
    )
    (folder / "2024-01-01_New_00000000005.json").write_text(
        '{"version": 99, "item": {"id": "youtube:y"}}', encoding="utf-8"
    )
    (folder / "2024-01-01_Dir_00000000004.json").mkdir()
    listing = library.scan()
    assert [e.item.published for e in listing.entries] == ["2025-01-01", "2024-01-01", "2023-01-01"]
    assert len(listing.problems) == 6
    assert all(problem.path.name in problem.message for problem in listing.problems)
    assert any("'title'" in problem.message for problem in listing.problems)
    assert all(problem.hint for problem in listing.problems)
    assert len(library.entries()) == 3
    assert "half" not in caplog.text and len(caplog.records) == 6


def test_an_empty_or_missing_library_lists_nothing(library: Library) -> None:
    assert library.scan().entries == ()
    assert library.find("youtube:x") is None
    assert not library.home.exists()


def test_damaged_metadata_is_kept_beside_the_new(library: Library) -> None:
    entry = library.write_metadata(make_item())
    path = library.path(entry, ".json")
    path.write_text("{half", encoding="utf-8")
    fresh = Library(library.home)
    assert fresh.write_metadata(make_item()).stem == entry.stem
    assert path.with_name(path.name + ".damaged").read_text(encoding="utf-8") == "{half"
    assert len(fresh.entries()) == 1


def test_metadata_of_a_newer_version_is_not_overwritten(library: Library) -> None:
    entry = library.write_metadata(make_item())
    path = library.path(entry, ".json")
    text = path.read_text(encoding="utf-8").replace('"version": 1', '"version": 2')
    path.write_text(text, encoding="utf-8")
    with raises(LibraryError, "library.newer", path=path, version=2, known=1):
        library.write_metadata(make_item())
    assert path.read_text(encoding="utf-8") == text


def test_metadata_cannot_point_out_of_the_folder(library: Library, tmp_path: Path) -> None:
    (tmp_path / "secret.mp4").write_bytes(b"x")
    entry = library.write_metadata(make_item(), {"files": {"media": "../../secret.mp4"}})
    assert entry.media_path is None


def test_facts(library: Library) -> None:
    assert library.read_facts() == {}
    library.write_facts({"follows": ["@a"], "gone": 1})
    assert library.write_facts({"gone": None}) == {"version": 1, "follows": ["@a"]}
    assert library.read_facts() == {"version": 1, "follows": ["@a"]}


# Media


def test_media_is_linked_and_never_twice(library: Library, medium: Path) -> None:
    entry = library.add_media(make_item(), medium, sha256="ab", duration_s=2.5)
    assert entry.media_path is not None
    assert entry.media_path.name.endswith("_-a_b-c_d-e_.mp4")
    assert entry.media_path.samefile(medium)
    assert (entry.sha256, entry.duration_s) == ("ab", 2.5)
    before = entry.media_path.stat()
    again = library.add_media(make_item("Other"), medium)
    assert again.media_path == entry.media_path
    assert again.media_path.stat().st_ctime_ns == before.st_ctime_ns
    assert len(names(library)) == 2 and not leftovers(library.home)


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_media_is_copied_where_links_cannot_be(
    library: Library, medium: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    entry = library.add_media(make_item(), medium)
    assert entry.media_path is not None and not entry.media_path.samefile(medium)
    assert entry.media_path.read_bytes() == medium.read_bytes()
    medium.write_bytes(b"changed" * 10)
    entry = library.add_media(make_item(), medium)
    assert entry.media_path is not None
    assert entry.media_path.read_bytes() == medium.read_bytes()


def test_a_copy_is_not_the_original(library: Library, medium: Path) -> None:
    entry = library.add_media(make_item(), medium, link=False)
    assert entry.media_path is not None and not entry.media_path.samefile(medium)
    assert int(entry.media_path.stat().st_mtime) == int(medium.stat().st_mtime)


def test_a_symbolic_link_is_followed(library: Library, medium: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.mp4"
    link.symlink_to(medium)
    entry = library.add_media(make_item(), link)
    assert entry.media_path is not None and not entry.media_path.is_symlink()
    assert entry.media_path.samefile(medium)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("a.json", ".media"), ("a", ".media"), ("a.TS", ".ts"), ("a.b c d", ".media")],
)
def test_a_medium_never_takes_the_name_of_its_metadata(
    library: Library, medium: Path, name: str, suffix: str
) -> None:
    entry = library.add_media(make_item(), medium.rename(medium.with_name(name)))
    assert entry.media_path is not None and entry.media_path.suffix == suffix
    assert library.find(entry.item.id) == entry and len(names(library)) == 2


def test_missing_medium(library: Library, tmp_path: Path) -> None:
    for path in (tmp_path / "none.mp4", tmp_path):
        with raises(MediaUnavailable, "library.medium_unreadable", path=path):
            library.add_media(make_item(), path)
    assert names(library) == []


# Leftovers and concurrency


def test_sweeping_removes_files_of_dead_processes(library: Library) -> None:
    library.prepare()
    killed = (
        "import os, sys; from pathlib import Path; from kb import storage\n"
        "with storage.atomic_path(Path(sys.argv[1]) / 'x.txt') as temporary:\n"
        "    temporary.write_text('half'); os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", killed, str(library.media_folder)], check=False)
    assert len(leftovers(library.home)) == 1
    with storage.atomic_path(library.path("stem", ".txt")) as mine:
        mine.write_text("being written", encoding="utf-8")
        other = library.media_folder / ".kb-ffffffff-1-abc.tmp"  # of another machine, fresh
        other.write_text("theirs", encoding="utf-8")
        old = library.home / ".kb-ffffffff-1-old.tmp"
        old.write_text("theirs, long ago", encoding="utf-8")
        os.utime(old, (time.time() - 2 * 86400,) * 2)
        removed = library.sweep_temporary()
        assert len(removed) == 2 and old in removed
        assert mine.exists() and other.exists()
    assert library.read_text("stem", ".txt") == "being written"


def write_many(home: Path, worker: int) -> None:
    library = Library(home)
    for turn in range(15):
        own = make_item(f"Own {worker}", id=f"youtube:own-{worker:07d}")
        library.write_metadata(own, {"attempts": turn})
        library.write_metadata(make_item(), {"attempts": worker, "note": str(worker) * 5000})


@pytest.mark.slow
def test_processes_write_at_once_without_damage(library: Library) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write_many, args=(library.home, n)) for n in range(3)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        assert not [p for p in library.scan().problems if p.path.exists()]
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    entries = {entry.item.id: entry for entry in library.entries()}
    assert len(entries) == 4 and not leftovers(library.home)
    shared = entries.pop(make_item().id)
    assert shared.record["note"] == str(shared.attempts) * 5000
    assert all(entry.attempts == 14 for entry in entries.values())


# Adoption


def test_adoption_of_an_older_tools_folder(library: Library) -> None:
    folder = library.media_folder
    folder.mkdir(parents=True)
    stem = "2023-07-09_Some_old_talk_-a_b-c_d-e_"
    (folder / f"{stem}.mp4").write_bytes(b"sound")
    (folder / f"{stem}.txt").write_text("[00:00 - 00:10] Hello.\n", encoding="utf-8")
    (folder / f"{stem}.json").write_text(
        json.dumps(
            {"title": "Some: old talk?", "channel": "C", "published": "x", "state": 5, "tags": [1]}
        ),
        encoding="utf-8",
    )
    (folder / "2023-01-01_By hand_name_x.MP4").write_bytes(b"other")
    (folder / "2022-01-01_Words only_0123456789ab.transcript.json").write_text("{}")
    (folder / "no-date.mp4").write_bytes(b"stranger")
    (folder / "notes.docx").write_bytes(b"")
    (folder / "2022-01-01_Bad_00000000009.json").write_text("{half", encoding="utf-8")
    before = {name: (folder / name).read_bytes() for name in names(library)}

    listing = library.adopt()
    entries = {entry.item.id: entry for entry in listing.entries}
    assert len(entries) == 3
    old = entries["youtube:-a_b-c_d-e_"]
    assert old.stem == stem and old.state == "new"  # done only when its text was read
    assert old.item.title == "Some: old talk?" and old.item.published == "2023-07-09"
    assert old.item.url == "https://www.youtube.com/watch?v=-a_b-c_d-e_"
    assert old.record["adopted"]["published"] == "x" and old.published == {}
    assert old.media_path is not None and old.text_path is not None
    by_hand = next(e for e in entries.values() if e.item.title == "By hand_name")
    assert by_hand.item.id == f"file:{by_hand.sha256[:12]}" and by_hand.state == "new"
    assert by_hand.media_path is not None and by_hand.media_path.suffix == ".MP4"
    assert entries["file:0123456789ab"].transcript_path is not None
    assert sorted(problem.path.stem for problem in listing.problems) == [
        "2022-01-01_Bad_00000000009",
        "no-date",
    ]
    for name, content in before.items():
        assert name == f"{stem}.json" or (folder / name).read_bytes() == content

    assert library.adopt().entries == ()
    fresh = Library(library.home)
    assert {entry.item.id for entry in fresh.entries()} == set(entries)
    assert fresh.stem(old.item) == stem


def test_adoption_does_not_make_an_item_twice(library: Library) -> None:
    entry = library.write_metadata(make_item("Known"))
    (library.media_folder / "2020-01-01_Again_-a_b-c_d-e_.mp4").write_bytes(b"x")
    listing = library.adopt()
    assert listing.entries == () and entry.stem in listing.problems[0].message


# Links


def test_deep_links() -> None:
    assert deep_link(make_item(), 123.9) == "https://youtu.be/-a_b-c_d-e_?t=123"
    assert deep_link(make_item(), -1) == "https://youtu.be/-a_b-c_d-e_?t=0"
    local = make_item(id="file:0123456789ab", source="file", url="file:///x.mp4")
    assert (
        deep_link(local, 60) == "http://127.0.0.1:8501/?tab=Library&item=file%3A0123456789ab&t=60"
    )
    web = make_item(id="web:vimeo:1", source="web", url="https://v.example/1?a=b#t=5")
    assert deep_link(web, 7) == "https://v.example/1?a=b#t=7"
    assert deep_link(replace(web, url="https://v.example/#/1"), 7) == "https://v.example/#/1"
    own_form = {"deep_link": "https://v.example/play?id=1&t={second}"}
    assert deep_link(replace(web, extra=own_form), 7.9) == "https://v.example/play?id=1&t=7"
    # A form without a place for the second is no form.
    assert deep_link(replace(web, extra={"deep_link": "https://v.example/"}), 7).endswith("b#t=7")


@pytest.mark.parametrize(
    ("extra", "availability"),
    [
        ({}, Availability()),
        ({"unavailable": "private"}, Availability(AvailabilityState.UNAVAILABLE, "private")),
        ({"unreadable": "No access"}, Availability(AvailabilityState.UNREADABLE, "No access")),
        ({"live": "live"}, Availability(AvailabilityState.LIVE)),
        (
            {"live": "upcoming", "available_at": 1_798_135_200.0},
            Availability(AvailabilityState.UPCOMING, starts_at=1_798_135_200.0),
        ),
    ],
)
def test_availability_is_stored_and_read_from_the_keys_of_the_version_before(
    extra: dict[str, Any], availability: Availability
) -> None:
    item = make_item(extra={"place": 2}, availability=availability)
    document = json.loads(json.dumps(item_document(item)))
    assert ("availability" in document) == bool(extra)
    assert item_from_document(document) == item
    document.pop("availability", None)
    document["extra"] |= extra
    assert item_from_document(document) == item


def test_an_unknown_availability_is_named_with_its_field() -> None:
    document = {**item_document(make_item()), "availability": {"state": "eaten"}}
    with raises(LibraryError, "json.field", where="talk.json, availability", name="state"):
        item_from_document(document, "talk.json")
