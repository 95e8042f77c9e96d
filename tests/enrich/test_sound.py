"""Fingerprints, their comparison and their index, on real sound and real ffmpeg."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kb import storage
from kb.enrich.sound.fingerprint import Fingerprint, fingerprint, from_document, to_document
from kb.enrich.sound.index import MOST_PER_KEY, Match, SoundIndex
from kb.enrich.sound.matching import compare
from kb.errors import LibraryError, MediaUnavailable
from tests.support.compose import SAMPLE_RATE, write_wav
from tests.support.raising import raises
from tests.support.same_sound import coded, talk

FIRST, OTHER = talk(90, 1), talk(90, 2)


class Index:
    """An index over documents that are written without a library."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.extras = folder / "extras"
        self.index = SoundIndex(folder, self.extras)

    def add(self, name: str, found: Fingerprint) -> None:
        about = {"version": 1, "id": name, "basis": {"sha256": name}}
        storage.write_json(self.extras / name / "sound.json", {**about, **to_document(found)})

    def find(self, found: Fingerprint) -> list[Match]:
        return self.index.find("new", found)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    write_wav(folder / "first.wav", FIRST)
    write_wav(folder / "other.wav", OTHER)
    return folder


@pytest.fixture(scope="module")
def first(studio: Path) -> Fingerprint:
    return fingerprint(studio / "first.wav")


@pytest.fixture(scope="module")
def other(studio: Path) -> Fingerprint:
    return fingerprint(studio / "other.wav")


@pytest.fixture
def index(tmp_path: Path, first: Fingerprint, other: Fingerprint) -> Index:
    made = Index(tmp_path)
    made.add("first", first)
    made.add("other", other)
    return made


WAYS: list[tuple[str, float, Sequence[str]]] = [
    ("mp3", 0.0, ["-b:a", "48k"]),
    ("opus", 0.0, ["-b:a", "24k"]),
    ("opus", 0.0, ["-b:a", "16k"]),
    ("m4a", 21.07, ["-ss", "21.07", "-t", "20", "-b:a", "64k"]),
    ("m4a", 8.4, ["-ss", "8.4", "-t", "8", "-b:a", "64k"]),
    ("m4a", 0.0, ["-af", "volume=-9dB,highpass=200", "-b:a", "64k"]),
    ("mp3", 0.0, ["-af", "aeval=val(0)+0.01*sin(2*PI*440*t)", "-b:a", "64k"]),
    ("mkv", 0.0, ["-f", "matroska", "-c:a", "flac"]),
]


@pytest.mark.slow
def test_the_same_sound_is_found_with_its_offset(studio: Path, index: Index) -> None:
    for number, (suffix, offset_s, options) in enumerate(WAYS):
        path = coded(studio / "first.wav", studio / f"{number}.{suffix}", *options)
        found = fingerprint(path)
        (match,) = index.find(found)
        assert match.item_id == "first", options
        for stretch in match.stretches:
            assert stretch.is_same and stretch.errors < 0.1, options
            assert stretch.other_s - stretch.start_s == pytest.approx(offset_s, abs=0.06), options
        assert match.same_s >= 0.9 * found.duration_s, options


@pytest.mark.slow
def test_other_sound_is_not_found(studio: Path, index: Index, first: Fingerprint) -> None:
    assert index.find(fingerprint(write_wav(studio / "new.wav", talk(90, 3)))) == []
    # Another speed is no match: the times would be wrong.
    fast = coded(studio / "first.wav", studio / "fast.mp3", "-af", "atempo=1.04")
    for match in index.find(fingerprint(fast)):
        assert match.item_id == "first" and match.same_s == 0 and match.doubtful_s > 5


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.3, 0.6, 2.0])
def test_a_word_that_was_replaced_is_in_no_stretch(
    seconds: float, studio: Path, first: Fingerprint
) -> None:
    at, size = 20 * SAMPLE_RATE, int(seconds * SAMPLE_RATE)
    said, start_s, _ = OTHER.words[5]
    audio = FIRST.audio.copy()
    begin = int(start_s * SAMPLE_RATE)
    audio[at : at + size] = OTHER.audio[begin : begin + size]
    path = coded(write_wav(studio / "cut.wav", audio), studio / "cut.mp3", "-b:a", "64k")
    stretches = compare(fingerprint(path), first, 0)
    assert len(stretches) == 2, said
    assert stretches[0].end_s <= 20.1 and stretches[1].start_s >= 20 + seconds - 0.1


def test_times_hold_for_hours() -> None:
    """A wrong rate of items would be 0.9 s an hour."""
    rng = np.random.default_rng(1)
    items = rng.integers(0, 2**32, 29_000, dtype=np.uint32)
    heard = np.ones(items.size, np.bool_)
    found = Fingerprint(items, heard, items.size * 1365 / 11025)
    (stretch,) = compare(replace(found, items=items[28_000:], heard=heard[28_000:]), found, 28_000)
    assert stretch.other_s == pytest.approx(28_000 * 1365 / 11_025, abs=0.01)


@pytest.mark.slow
def test_an_item_is_at_its_place(studio: Path) -> None:
    """The rate of items, measured: the second half of a long sound is found at its time."""
    path = coded(studio / "first.wav", studio / "long.flac", "-af", "aloop=loop=19:size=2e9")
    whole = fingerprint(path)
    seconds = 20 * FIRST.seconds
    assert whole.duration_s == pytest.approx(seconds, abs=0.3)


DAMAGED: list[tuple[str, object]] = [
    ("fingerprint", "AAAA"),
    ("items", 5),
    ("items", -1),
    ("items", 10**15),
    ("items", float("inf")),
    ("heard", None),
    ("duration_s", "long"),
]


@pytest.mark.slow
def test_documents(studio: Path, first: Fingerprint) -> None:
    document = to_document(first)
    again = from_document(document)
    assert (again.items == first.items).all() and (again.heard == first.heard).all()
    for name, value in DAMAGED:
        with raises(LibraryError, "sound.damaged"):
            from_document({**document, name: value})
    text = studio / "text.mp3"
    text.write_text("no sound")
    with raises(MediaUnavailable, "sound.not_decodable"):
        fingerprint(text)


@pytest.mark.slow
def test_the_index_follows_the_documents(index: Index, first: Fingerprint) -> None:
    """Removed, replaced and damaged documents; a damaged index is made again."""
    assert index.index.count() == 2
    assert [match.item_id for match in index.find(first)] == ["first"]
    storage.remove_file(index.extras / "first" / "sound.json")
    assert index.find(first) == []
    index.add("renamed", first)
    assert [match.item_id for match in index.find(first)] == ["renamed"]
    (index.extras / "renamed" / "sound.json").write_text("{}")
    assert index.find(first) == []
    index.add("renamed", first)
    index.index.path.write_bytes(b"no database" * 1000)
    assert [match.item_id for match in index.find(first)] == ["renamed"]
    index.index.clear()
    assert [match.item_id for match in index.find(first)] == ["renamed"]


@pytest.mark.slow
def test_an_index_that_lost_one_table_is_made_again(index: Index, first: Fingerprint) -> None:
    """Nothing waits for the disk: after a loss of power, only one table may have been written."""
    assert [match.item_id for match in index.find(first)] == ["first"]
    with index.index._open() as connection:
        number = connection.execute("SELECT number FROM items WHERE stem = 'first'").fetchone()[0]
        rows = connection.execute("SELECT * FROM places WHERE item = ?", (number,)).fetchall()
        assert rows
        connection.executemany(
            "INSERT INTO places VALUES (?, 999, ?)", [(k, p) for k, _, p in rows]
        )
    assert [match.item_id for match in index.find(first)] == ["first"]
    assert index.index.count() == 2


@pytest.mark.slow
def test_an_intro_of_very_many_does_not_grow_the_index(tmp_path: Path, first: Fingerprint) -> None:
    """Recordings that all begin alike: their places stay bounded, and the intro is still found."""
    intro, rng = 81, np.random.default_rng(1)
    index, count = Index(tmp_path), 3 * MOST_PER_KEY

    def video() -> Fingerprint:
        own = rng.integers(0, 2**32, 60, dtype=np.uint32)
        items = np.concatenate([first.items[:intro], own])
        return Fingerprint(items, np.ones(items.size, np.bool_), items.size * 1365 / 11025)

    for number in range(count):
        index.add(f"video {number:04}", video())
    assert index.index.count() == count
    with index.index._open() as connection:
        places = connection.execute("SELECT count(*) FROM places").fetchone()[0]
    assert places < count * 60 / 4 * 1.3 + MOST_PER_KEY * intro
    found = index.find(video())
    assert 3 <= len(found) <= 4 * MOST_PER_KEY
    assert all(match.stretches[0].end_s <= 12 for match in found)
