"""Many items are found with one listing of the folder, and every file is seen after a change."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kb.library import Library, directory
from kb.library.cache import MANY_FILES, LibraryCache
from kb.library.directory import DirectorySnapshot, MetadataIndex
from tests.support.library_files import make_item


@pytest.fixture
def listings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return a list that gets the folder of each listing."""
    made: list[Path] = []
    real = directory.list_directory

    def counted(folder: Path) -> list[str]:
        made.append(folder)
        return real(folder)

    monkeypatch.setattr(directory, "list_directory", counted)
    return made


def ids_of(library: Library, *ids: str) -> set[str]:
    return {entry.item.id for entry in library.find_all(ids)}


def test_many_items_need_one_listing(library: Library, listings: list[Path]) -> None:
    items = [replace(make_item(), id=f"youtube:{number:011}") for number in range(20)]
    for item in items:
        library.write_metadata(item)
    listings.clear()
    known, unknown = [item.id for item in items], [f"web:none:{n}" for n in range(30)]
    assert ids_of(Library(library.home), *known, *unknown) == set(known)
    assert len(listings) == 1
    listings.clear()
    assert ids_of(library, *known) == set(known) and listings == []
    assert library.find_all([]) == [] and listings == []


def test_what_a_listing_has_read_is_not_read_again(
    library: Library, listings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A visitor's first search would read the metadata of every item for those of its hits."""
    items = [replace(make_item(), id=f"youtube:{number:011}") for number in range(20)]
    for item in items:
        library.write_metadata(item)
    other = Library(library.home)
    other.learn(LibraryCache(library.media_folder).listing())
    read: list[Path] = []
    real = directory.storage.read_json
    monkeypatch.setattr(
        directory.storage, "read_json", lambda path: read.append(path) or real(path)
    )
    listings.clear()
    assert ids_of(other, items[3].id, items[7].id) == {items[3].id, items[7].id}
    assert listings == [] and len(read) == 2
    library.path(library.find(items[3].id), ".json").unlink()
    assert ids_of(other, items[3].id, items[7].id) == {items[7].id}


@pytest.mark.parametrize("change", ["renamed", "added again", "one of two copies"])
def test_an_item_that_another_process_gave_another_name_is_found(
    change: str, library: Library
) -> None:
    one = replace(make_item(), id="youtube:aaaaaaaaaaa")
    page = Library(library.home)
    path = library.path(library.write_metadata(one), ".json")
    copy = path.with_name("2026-01-01_Elsewhere_x.json")
    if change == "one of two copies":
        copy.write_bytes(path.read_bytes())
    page.learn(library.scan())
    found = page.find(one.id)
    assert found is not None
    if change == "renamed":
        path.rename(copy)
    elif change == "one of two copies":
        page.path(found, ".json").unlink()
    else:
        library.path(path.stem, ".json").unlink()
        library.write_metadata(replace(one, title="Another title"))
    (now,) = (entry.stem for entry in library.entries())
    page.learn(library.scan())
    for _ in range(2):
        assert (entry := page.find(one.id)) is not None and entry.stem == now
    assert page.stem(one) == now  # no second set of files


def test_names_that_were_exchanged_are_found(library: Library) -> None:
    one, other = (replace(make_item(), id=f"youtube:{letter * 11}") for letter in "ab")
    page = Library(library.home)
    paths = [library.path(library.write_metadata(item), ".json") for item in (one, other)]
    page.learn(library.scan())
    texts = [path.read_bytes() for path in paths]
    for path, text in zip(paths, reversed(texts), strict=True):
        path.write_bytes(text)
    page.learn(library.scan())
    assert [page.path(page.find(item.id), ".json") for item in (other, one)] == paths


def test_what_is_known_is_not_stored_again(tmp_path: Path) -> None:
    """While items are being added, each rerun of a page has a new listing of the same names."""

    class Written(dict[str, Any]):
        def __setitem__(self, name: str, item_id: Any) -> None:
            written.append(name)
            super().__setitem__(name, item_id)

    written: list[str] = []
    index = MetadataIndex(tmp_path, _id_of=Written())
    ids = {f"talk {number}": f"youtube:{number:011}" for number in range(20)}
    index.learn(ids)
    assert len(written) == 20
    index.learn({**ids, "new": "youtube:new"})
    assert written[20:] == ["new.json"]


@pytest.mark.parametrize("change", ["damaged", "removed", "another item", "renamed"])
def test_a_changed_file_is_seen_whatever_was_listed_before(change: str, library: Library) -> None:
    one, other = (replace(make_item(), id=f"youtube:{letter * 11}") for letter in "ab")
    entry = library.write_metadata(one)
    assert ids_of(library, one.id, other.id) == {one.id}
    path = library.path(entry, ".json")
    whole = path.read_bytes()
    changed = {
        "damaged": b"{",
        "another item": whole.replace(one.id.encode(), other.id.encode()),
        "renamed": whole,
    }
    if change in ("removed", "renamed"):
        path.unlink()
    place = path.with_name("2026-01-01_Elsewhere_x.json") if change == "renamed" else path
    if change in changed:
        place.write_bytes(changed[change])
    expected = {"another item": {other.id}, "renamed": {one.id}}.get(change, set())
    assert ids_of(library, one.id, other.id) == expected
    path.write_bytes(whole)  # repaired
    if place != path:
        place.unlink()
    assert ids_of(library, one.id, other.id) == {one.id}


@pytest.mark.parametrize(
    ("names", "medium"),
    [
        (["talk.mp3"], "talk.mp3"),
        (["talk.mp3", "talk.mp4"], "talk.mp4"),
        (["talk.MP4", "talk.mp4"], "talk.mp4"),
        (["talk.MKV", "talk.wav"], "talk.MKV"),
        (["talk.Mp4"], None),  # as it was: lower or upper case
        (["talk.txt", "talk.json"], None),
        (["talk.two.mp4", "talk.mp3.mp3"], None),
        (["talk"], None),
        ([".mp4"], None),
    ],
)
def test_medium_of_a_stem(tmp_path: Path, names: list[str], medium: str | None) -> None:
    for name in names:
        (tmp_path / name).touch()
    expected = tmp_path / medium if medium else None
    assert DirectorySnapshot(tmp_path, frozenset(names)).media_of("talk") == expected
    assert DirectorySnapshot(tmp_path).media_of("talk") == expected


def test_count_of_many_items_does_not_wait_for_the_first_reading(tmp_path: Path) -> None:
    folder = tmp_path / "media"
    folder.mkdir()
    cache = LibraryCache(folder)
    assert cache.is_quick()
    for number in range(MANY_FILES):
        (folder / f"{number}.txt").touch()
    assert not cache.is_quick()
    cache.listing()
    assert cache.is_quick()
    assert LibraryCache(tmp_path / "missing").is_quick()


def test_the_first_reading_of_many_items_looks_for_no_garbage(tmp_path: Path) -> None:
    """Every object that it makes stays; to look through them takes half of the time."""
    library = Library(tmp_path / "home")
    items = [replace(make_item(), id=f"youtube:{number:011}") for number in range(200)]
    for item in items[1:]:
        library.write_metadata(item)
    for number in range(MANY_FILES):
        (library.media_folder / f"{number}.txt").touch()
    cache, looks = LibraryCache(library.media_folder), list[str]()

    def look(phase: str, _info: dict[str, int]) -> None:
        looks.append(phase)

    often = gc.get_threshold()
    gc.callbacks.append(look)
    gc.set_threshold(50, 2, 2)
    try:
        assert len(cache.listing().entries) == 199
        # Those of the first call, before it is known that there are many files, are few.
        first = looks.count("start")
        assert gc.isenabled()
        # Another reading of all of them looks for garbage as usual.
        other = LibraryCache(library.media_folder)
        other._was_read = True
        looks.clear()
        assert len(other.listing().entries) == 199
        assert looks.count("start") > 5 * max(1, first)
    finally:
        gc.set_threshold(*often)
        gc.callbacks.remove(look)
