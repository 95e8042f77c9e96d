"""Many items are found with one listing of the folder, and every file is seen after a change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kb.library import Library, directory
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
