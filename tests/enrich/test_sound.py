"""Fingerprints, their comparison and their index, on real sound and real ffmpeg."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kb import storage
from kb.enrich.sound.fingerprint import Fingerprint, fingerprint, from_document, to_document
from kb.enrich.sound.index import AT_ONCE, LOOK_S, MOST_PER_KEY, SMALL, Match, SoundIndex
from kb.enrich.sound.matching import Stretch, compare
from kb.errors import Cancelled, LibraryError, MediaUnavailable
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
        return list(self.index.find("new", found).matches)


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
@pytest.mark.parametrize(("suffix", "rate"), [("m4a", "64k"), ("opus", "24k")])
def test_short_clips_are_found(suffix: str, rate: str, studio: Path, index: Index) -> None:
    """A clip of 8 s has 43 items, few of which stay the same bit by bit."""
    for at_s in np.linspace(2.03, FIRST.seconds - 10.0, 7).tolist():
        options = ("-ss", f"{at_s:.3f}", "-t", "8", "-b:a", rate)
        clip = fingerprint(coded(studio / "first.wav", studio / f"clip.{suffix}", *options))
        (match,) = index.find(clip)
        assert match.item_id == "first", at_s
        (stretch,) = match.stretches
        assert stretch.is_same and stretch.other_s - stretch.start_s == pytest.approx(at_s, abs=0.1)


LIMITS = [(20, 0.09, True), (22, 0.107, False), (30, 0.12, True), (43, 0.14, True),
          (43, 0.15, False), (400, 0.14, True)]  # fmt: skip


@pytest.mark.parametrize(("items", "errors", "is_same"), LIMITS)
def test_fewer_items_must_be_more_alike(items: int, errors: float, is_same: bool) -> None:
    assert Stretch(0.0, 5.0, 0.0, errors, items).is_same == is_same


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
    with raises(MediaUnavailable, "media.text"):
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


def unlike(number: int, items: int = 60) -> Fingerprint:
    """Return the fingerprint of a sound that no other number has."""
    made = np.random.default_rng((5, number)).integers(0, 2**32, items, dtype=np.uint32)
    return Fingerprint(made, np.ones(items, np.bool_), items * 1365 / 11025)


@pytest.mark.slow
def test_a_lost_index_is_made_again_in_parts_that_stay(tmp_path: Path) -> None:
    """A query that may not take long, a cancelled one and the next process each go on."""
    index, count = Index(tmp_path), 3 * AT_ONCE + 7
    for number in range(count):
        index.add(f"{number:04}", unlike(number))
    found = index.index.find("new", unlike(count - 1), most_s=0.0)
    assert found.left == count - AT_ONCE
    asked: list[int] = []

    def one_part() -> bool:
        asked.append(1)
        return len(asked) <= 1

    with raises(Cancelled, "step.cancelled"):
        index.index.find("new", unlike(0), is_wanted=one_part)
    again = Index(tmp_path)
    found = again.index.find("new", unlike(count - 1), most_s=0.0)
    assert found.left == count - 3 * AT_ONCE
    for number in (0, count - 1):
        whole = again.index.find("new", unlike(number))
        assert whole.left == 0
        assert [match.item_id for match in whole.matches] == [f"{number:04}"]


@pytest.mark.slow
def test_a_large_library_is_not_looked_at_for_each_query(tmp_path: Path) -> None:
    """What this program writes is entered at once, and what has changed is never an answer."""
    index = Index(tmp_path)
    for number in range(SMALL + 1):
        index.add(f"{number:04}", unlike(number))
    began = time.monotonic()
    assert index.index.count() == SMALL + 1
    index.add("written by another machine", unlike(1000))
    seen = index.find(unlike(1000))
    if time.monotonic() - began < LOOK_S:
        assert seen == []
    assert index.index.update() == 0
    assert [match.item_id for match in index.find(unlike(1000))] == ["written by another machine"]
    index.add("written here", unlike(1001))
    index.index.enter("written here")
    assert [match.item_id for match in index.find(unlike(1001))] == ["written here"]
    storage.remove_file(index.extras / "written here" / "sound.json")
    index.add("0003", unlike(1002))
    assert index.find(unlike(1001)) == [] and index.find(unlike(3)) == []
    assert [match.item_id for match in index.find(unlike(1002))] == ["0003"]


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
    assert places < count * 60 / 2 * 1.2 + MOST_PER_KEY * intro
    found = index.find(video())
    assert 3 <= len(found) <= 4 * MOST_PER_KEY
    assert all(match.stretches[0].end_s <= 12 for match in found)
