"""Names of files: portable, unique, cut at whole characters, taken apart again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import regex
from pathvalidate import validate_filename

from kb.errors import LibraryError
from kb.library import Library
from kb.library.filenames import PATH_LIMIT, file_id, make_stem, split_stem
from tests.support.library_files import make_item, names
from tests.support.raising import raises

NASTY = [
    "CON",
    "aux.txt",
    "nul",
    "COM1",
    "LPT¹",
    "..",
    ".",
    "",
    "   ",
    "trailing dots...",
    "trailing space ",
    'a/b\\c:d*e?f"g<h>i|j',
    "new\nline\r\ntab\t\0nul\x1b[31m\x85\u2028end",
    "rtl \u202emp4.exe\u202c \u200fmark\u2066x\u2069",
    "ümläut e\u0301 \u00e9",
    "👩‍👩‍👧‍👦" * 100,
    "🇩🇪" * 200,
    "e" + "\u0301" * 400,
    "x" * 500,
    "日本語" * 100,
    "ก็ำ" * 100,
    "half \udc80 \ud800 surrogate",
    "-leading dash",
    "~tilde",
    "%PATH% $HOME `id`",
    "under_score_in_title",
    "a" * 3_000_000,
    "\ufeffbom\u200b zero width",
    "\\\\server\\share",
    "C:\\Windows",
]


def check_stem(stem: str, folder: Path, short_id: str) -> None:
    assert stem.endswith(f"_{short_id}")
    assert regex.fullmatch(r"\d{4}-\d\d-\d\d_.+", stem)
    for suffix in (".mp4", ".json", ".transcript.json"):
        name = stem + suffix
        validate_filename(name, platform="universal")
        assert len(f"{folder / name}".encode("utf-16-le")) // 2 <= PATH_LIMIT
        assert len(name.encode()) <= 255
    assert "  " not in stem
    assert stem.replace("\u200d", "").isprintable()
    parts = split_stem(stem)
    assert parts is not None and parts.short_id == short_id and parts.title


@pytest.mark.parametrize("title", NASTY, ids=range(len(NASTY)))
def test_nasty_titles_make_names(title: str, library: Library) -> None:
    item = make_item(title)
    stem = library.stem(item)
    check_stem(stem, library.media_folder, "-a_b-c_d-e_")
    path = library.write_text(stem, ".txt", "x")  # this system takes it too
    assert path.exists() and names(library) == [f"{stem}.txt"]


def test_random_titles_are_cut_at_whole_characters() -> None:
    rng = random.Random(7)
    alphabet = [
        "👩‍👩‍👧",
        "🇩🇪",
        "e\u0301",
        "日",
        "a",
        " ",
        ".",
        "_",
        "ô",
        "👍🏽",
        "\u202e",
        "/",
        "ß",
    ]
    for _ in range(300):
        title = "".join(rng.choices(alphabet, k=rng.randint(0, 300)))
        folder = Path("/") / ("f" * rng.randint(1, 180))
        item = make_item(title)
        stem = make_stem(item, folder)
        check_stem(stem, folder, "-a_b-c_d-e_")
        kept = split_stem(stem)
        assert kept is not None
        if kept.title not in ("Untitled", "_"):
            full = split_stem(make_stem(item, Path("/f")))
            assert full is not None
            clusters = regex.findall(r"\X", kept.title)
            assert regex.findall(r"\X", full.title)[: len(clusters)] == clusters


def test_folder_without_room_is_named() -> None:
    with raises(LibraryError, "library.path_too_long", folder="/" + "f" * 230) as caught:
        make_stem(make_item(), Path("/" + "f" * 230))
    assert "KB_HOME" in caught.value.hint


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("2024-05-01_A talk_dQw4w9WgXcQ", ("2024-05-01", "A talk", "dQw4w9WgXcQ")),
        ("2024-05-01_A_b_c_-_4w9WgXcQ_", ("2024-05-01", "A_b_c", "-_4w9WgXcQ_")),
        ("2024-05-01_A_b__________-__", ("2024-05-01", "A_b_", "________-__")),
        ("2024-05-01_Under_score_0123456789ab", ("2024-05-01", "Under_score", "0123456789ab")),
        ("0000-00-00_X_y", ("", "X", "y")),
    ],
)
def test_names_are_taken_apart(stem: str, expected: tuple[str, str, str]) -> None:
    parts = split_stem(stem)
    assert parts is not None
    assert (parts.published, parts.title, parts.short_id) == expected


@pytest.mark.parametrize("stem", ["talk", "2024-05-01_talk", "2024-5-1_a_b", "x2024-05-01_a_b"])
def test_other_names_are_not(stem: str) -> None:
    assert split_stem(stem) is None


def test_ids_with_other_characters_stay_apart() -> None:
    ids = ["web:generic:a/b?c=1", "web:generic:a-b-c-1/", "web:generic:" + "x" * 300, "web:g:日本"]
    short = [file_id(make_item(id=item_id)) for item_id in ids]
    assert len(set(short)) == len(ids)
    assert all(regex.fullmatch(r"[A-Za-z0-9-]{1,64}", name) for name in short)


def test_a_changed_title_renames_nothing(library: Library) -> None:
    first = library.write_metadata(make_item("Old title"))
    second = library.write_metadata(make_item("New title", published="2025-01-01"))
    assert second.stem == first.stem and second.item.title == "New title"
    assert library.stem(make_item("Third")) == first.stem
    assert Library(library.home).stem(make_item("Fourth")) == first.stem
    assert len(names(library)) == 1


def test_items_that_would_share_a_name_do_not(library: Library) -> None:
    stems = {
        library.write_metadata(make_item(id=item_id)).stem.casefold()
        for item_id in ("web:one:AbC", "web:two:AbC", "web:three:aBc")
    }
    assert len(stems) == 3
    assert all(stem.endswith("_abc") for stem in stems)
    assert len(library.entries()) == 3
