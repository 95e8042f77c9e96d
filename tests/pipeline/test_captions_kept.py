"""Captions are kept beside the medium, and take the place of no other file there."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb.library import Library
from kb.pipeline import captions
from kb.types import CaptionFile
from tests.support.library_files import make_item

ITEM = make_item()


def fetched(folder: Path, text: str, *, automatic: bool = False) -> CaptionFile:
    path = folder / "captions.vtt"
    path.write_text(text)
    return CaptionFile(path, "en", automatic)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    library = Library(tmp_path / "home")
    library.write_metadata(ITEM)
    return library


def keep(library: Library, folder: Path, text: str, **how: bool) -> list[str]:
    """Keep captions; return the names of the item's captions."""
    entry = captions.keep(library, ITEM, [fetched(folder, text, **how)])
    assert entry is not None
    return sorted(captions.names_of(entry))


@pytest.mark.parametrize("automatic", [False, True])
def test_subtitles_of_others_stay(library: Library, tmp_path: Path, automatic: bool) -> None:
    stem, kind = library.stem(ITEM), ".auto" if automatic else ""
    mine = library.path(stem, f".en{kind}.vtt")
    mine.write_text("laid there by hand")
    second = f"{stem}.en-captions{kind}.vtt"
    assert keep(library, tmp_path, "fetched", automatic=automatic) == [second]
    assert keep(library, tmp_path, "fetched later", automatic=automatic) == [second]
    assert mine.read_text() == "laid there by hand"
    assert library.path(stem, f".en-captions{kind}.vtt").read_text() == "fetched later"


def test_captions_of_ours_are_replaced(library: Library, tmp_path: Path) -> None:
    stem = library.stem(ITEM)
    assert keep(library, tmp_path, "first") == [f"{stem}.en.vtt"]
    assert keep(library, tmp_path, "second") == [f"{stem}.en.vtt"]
    assert library.path(stem, ".en.vtt").read_text() == "second"


def test_a_file_that_a_kill_left_unrecorded_is_ours_by_content(
    library: Library, tmp_path: Path
) -> None:
    stem = library.stem(ITEM)
    library.path(stem, ".en.vtt").write_text("the same")
    assert keep(library, tmp_path, "the same") == [f"{stem}.en.vtt"]


def test_without_a_free_name_nothing_is_taken(library: Library, tmp_path: Path) -> None:
    stem = library.stem(ITEM)
    for suffix in (".en.vtt", ".en-captions.vtt"):
        library.path(stem, suffix).write_text("mine")
    assert keep(library, tmp_path, "fetched") == []
    for suffix in (".en.vtt", ".en-captions.vtt"):
        assert library.path(stem, suffix).read_text() == "mine"
