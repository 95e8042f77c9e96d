"""What recurs in a channel: on made fingerprints and words, and the step over a channel's files."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kb.enrich.base import Channel, ItemText, Peer, StepInput
from kb.enrich.recurring import phrases, step
from kb.enrich.recurring.stretches import LEAST_S, Span, joined, recurring, sound_spans
from kb.enrich.sound.fingerprint import HOP_S, Fingerprint, fingerprint, to_document
from kb.enrich.sound.index import Match, SoundIndex
from kb.enrich.sound.matching import Stretch
from kb.settings import Settings
from kb.transcript import render
from kb.transcript.recurring import read_recurring
from kb.types import MediaItem, MediaRef, Segment, Transcript, Word
from kb.types.recurring import RecurringStretch
from tests.support.compose import SAMPLE_RATE, join, write_wav
from tests.support.kept_transcripts import transcript
from tests.support.same_sound import coded
from tests.support.same_sound import talk as talk_of

VOCABULARY = [f"word{number}" for number in range(4000)]
_INTRO = "welcome to the harbour show today with news from all the ferries and boats"
_SPONSOR = (
    "this episode is brought to you by lantern insurance who look after sailors and their "
    "families in every port of the northern sea call them today and say hello"
)
INTRO, SPONSOR = _INTRO.split(), _SPONSOR.split()


def talk(seed: int, count: int = 200) -> list[str]:
    return random.Random(seed).choices(VOCABULARY, k=count)


def found_words(own: list[str], *others: list[str]) -> list[tuple[int, int, int]]:
    """Return first and last word and number of items of what recurs in these texts."""
    shared, copies = phrases.shared(
        phrases.hashes_of(own), [phrases.hashes_of(other) for other in others]
    )
    spans = [Span(e.first, e.last, str(e.text)) for e in shared if e.text not in copies]
    return [(int(a), int(b), n) for a, b, n in recurring(spans, {}, phrases.LEAST_WORDS)]


# Words


def test_a_sequence_recurs_from_three_items_on() -> None:
    own, second, third = (talk(n) for n in range(3))
    with_intro = [INTRO + each for each in (own, second, third)]
    assert found_words(with_intro[0], with_intro[1], third) == []
    assert found_words(*with_intro) == [(0, len(INTRO), 3)]
    # Anywhere, and more than one.
    own = talk(0)[:90] + SPONSOR + talk(0)[90:] + INTRO
    assert found_words(own, with_intro[1] + SPONSOR, SPONSOR + with_intro[2]) == [
        (90, 90 + len(SPONSOR), 3),
        (200 + len(SPONSOR), 200 + len(SPONSOR) + len(INTRO), 3),
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda said: [*said[:12], "misheard", *said[13:]],
        lambda said: said[:12] + said[13:],
        lambda said: [*said[:12], "added", "uh", *said[12:]],
        lambda said: [*said[:10], "one", *said[11:20], "two", *said[21:]],
    ],
    ids=["replaced", "left out", "added", "two"],
)
def test_a_word_that_differs_does_not_end_a_sequence(
    change: Callable[[list[str]], list[str]],
) -> None:
    others = [change(SPONSOR) + talk(1), talk(2) + change(SPONSOR)]
    ((first, last, items),) = found_words(SPONSOR + talk(0), *others)
    assert (first, last, items) == (0, len(SPONSOR), 3)


@pytest.mark.parametrize(
    "shared",
    [INTRO[:11], INTRO[:6] + talk(9, 20) + INTRO[6:12], ["yes"] * 40],
    ids=["eleven words", "two halves far apart", "one word again and again"],
)
def test_what_is_no_sequence_of_twelve_words_does_not_recur(shared: list[str]) -> None:
    if shared[0] == "yes":
        texts = [talk(n) + shared for n in range(3)]
    else:
        filler = [talk(20 + n, 20) for n in range(3)]
        half = shared[:6] if len(shared) > 12 else shared
        rest = shared[26:] if len(shared) > 12 else []
        texts = [talk(n) + half + filler[n] + rest for n in range(3)]
    assert found_words(*texts) == []


def test_a_copy_of_the_whole_is_no_intro() -> None:
    own = INTRO + talk(0)
    cut = own[: len(own) * 7 // 10]
    assert found_words(own, own, cut) == []
    assert found_words(own, own, cut, INTRO + talk(1), INTRO + talk(2)) == [(0, len(INTRO), 3)]


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert [phrases.plain(each) for each in ("Ähm,", "FERRIES!", "it's", "…", "ﬁne")] == [
        "ähm", "ferries", "its", "", "fine",
    ]  # fmt: skip
    own = phrases.hashes_of(talk(0))
    assert np.array_equal(phrases.from_text(phrases.to_text(own)), own)
    assert phrases.hashes_of(["one", "two"]).size == 0


# Spans


def test_copies_of_each_other_count_as_one_item() -> None:
    spans = [Span(0, 30, "a"), Span(0, 30, "b")]
    assert recurring(spans, {}, LEAST_S) == [(0, 30, 3)]
    same = phrases.groups({"a": ["b"], "c": ["d"], "b": ["d"]})
    assert len(set(same.values())) == 1
    assert recurring(spans, same, LEAST_S) == []
    assert recurring([*spans, Span(10, 40, "e")], same, LEAST_S) == [(10, 30, 3)]


@pytest.mark.parametrize(
    ("spans", "found"),
    [
        ([Span(0, 10, "a"), Span(6, 20, "b")], [(6, 10, 3)]),
        ([Span(0, 10, "a"), Span(6.5, 20, "b")], []),  # 3.5 s
        ([Span(0, 10, "a"), Span(0, 10, "a")], []),  # twice in one item
        ([Span(0, 10, "a"), Span(0, 10, "b"), Span(5, 20, "c")], [(0, 10, 4)]),
        ([Span(0, 10, "a"), Span(0, 5, "b"), Span(5.3, 10, "b")], [(0, 10, 3)]),  # a gap of 0.3 s
        ([Span(0, 30, "a"), Span(0, 8, "b"), Span(20, 30, "b")], [(0, 8, 3), (20, 30, 3)]),
        ([], []),
    ],
)
def test_the_parts_that_three_items_have(
    spans: list[Span], found: list[tuple[float, float, int]]
) -> None:
    assert recurring(spans, {}, LEAST_S) == found


def test_stretches_of_sound_and_words_that_overlap_are_one() -> None:
    assert joined([(0, 10, 5), (60, 80, 3)], [(1, 11, 3), (30, 40, 4)]) == (
        RecurringStretch(0, 11, 5, by_sound=True, by_text=True),
        RecurringStretch(30, 40, 4, by_text=True),
        RecurringStretch(60, 80, 3, by_sound=True),
    )


# Sound


def noise(seed: int, seconds: float) -> np.ndarray:
    """Return items of a fingerprint of sound that no other one has."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2**32, int(seconds / HOP_S), dtype=np.uint32)


def flipped(items: np.ndarray, seed: int, bits: float) -> np.ndarray:
    """Return items with a share of their bits changed, as another encoding does."""
    rng = np.random.default_rng(seed)
    change = (rng.random((items.size, 32)) < bits) @ (1 << np.arange(32, dtype=np.uint64))
    return items ^ change.astype(np.uint32)


class Shelf:
    """A channel on disk: fingerprints, transcripts and results of its items."""

    def __init__(self, home: Path) -> None:
        self.home, self.names = home, list[str]()
        (home / "extras").mkdir(parents=True)
        (home / "media").mkdir()

    def add(self, name: str, items: np.ndarray | None = None, said: Sequence[str] = ()) -> None:
        found = None
        if items is not None:
            found = Fingerprint(items, np.ones(items.size, np.bool_), items.size * HOP_S)
        self.add_found(name, found, said)

    def add_found(self, name: str, found: Fingerprint | None, said: Sequence[str] = ()) -> None:
        self.names.append(name)
        folder = self.home / "extras" / name
        folder.mkdir()
        if found is not None:
            about = {"version": 1, "id": name, "basis": {"sha256": name}}
            (folder / "sound.json").write_text(json.dumps({**about, **to_document(found)}))
        path = self.home / "media" / f"{name}.transcript.json"
        path.write_text(render(self.text(name, said).transcript, "json", item=self.item(name)))

    def item(self, name: str) -> MediaItem:
        return MediaItem(name, "file", "", name, "2026-01-31", channel="Harbour")

    def text(self, name: str, said: Sequence[str]) -> ItemText:
        words = tuple(Word(0.5 * n, 0.5 * n + 0.4, each + ",", 0.9) for n, each in enumerate(said))
        segments = (Segment(0.0, 0.5 * len(said), " ".join(w.text for w in words), words),)
        made = transcript(*(segments if said else ()))
        media = MediaRef(f"media/{name}.opus", name, 0.5 * len(said))
        return ItemText(self.item(name), replace(made, media=media), Settings(home=self.home))

    def run(self, name: str, said: Sequence[str] = ()) -> dict[str, Any]:
        """Carry the step out, and write its result."""
        at = self.names.index(name)
        order = sorted(self.names, key=lambda each: abs(self.names.index(each) - at))
        folder = self.home / "extras"
        peers = tuple(
            Peer(each, each, self.home / "media" / f"{each}.transcript.json", folder / each)
            for each in order
            if each != name
        )
        given = StepInput(
            None, name, text=self.text(name, said), channel=Channel(self.home, folder / name, peers)
        )
        made = step.Recurring().run(given, lambda _: None)
        about = {"version": 1, "id": name, "basis": {"sha256": name}}
        (folder / name / "recurring.json").write_text(json.dumps({**about, **made}))
        return made

    def stretches(self, name: str, said: Sequence[str] = ()) -> list[RecurringStretch]:
        return list(read_recurring(self.run(name, said)))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "home")


@pytest.mark.parametrize(
    ("seconds", "bits", "items", "recurs"),
    [
        (10, 0.05, 3, True),
        (10, 0.05, 2, False),
        (10, 0.20, 3, False),  # not surely the same sound
        (3, 0.0, 3, False),
        (100, 0.05, 3, True),
        (130, 0.05, 3, False),
    ],
)
def test_the_sound_of_an_intro(
    shelf: Shelf, seconds: float, bits: float, items: int, recurs: bool
) -> None:
    intro = noise(0, seconds)
    for number in range(4):
        own = [flipped(intro, number, bits / 2)] if number < items else []
        shelf.add(f"item{number}", np.concatenate([noise(10 + number, 300), *own,
                                                   noise(20 + number, 60)]))  # fmt: skip
    found = shelf.stretches("item0")
    assert bool(found) is recurs
    if recurs:
        (one,) = found
        assert abs(one.start_s - 300) < 2 and abs(one.end_s - (300 + seconds)) < 2
        assert (one.items, one.by_sound, one.by_text) == (items, True, False)
    assert shelf.stretches("item3") == []


@pytest.mark.slow
def test_the_sound_of_an_intro_in_real_media(shelf: Shelf, tmp_path: Path) -> None:
    intro, other = talk_of(24, 9), talk_of(24, 8)
    for number, rate in enumerate(("64k", "48k", "96k", "64k")):
        own = join(talk_of(40, number), intro if number < 3 else other, pause=0.5)
        plain = write_wav(tmp_path / f"{number}.wav", own)
        found = fingerprint(coded(plain, tmp_path / f"{number}.mp3", "-b:a", rate))
        shelf.add_found(f"item{number}", found)
    start_s = talk_of(40, 0).audio.size / SAMPLE_RATE + 0.5
    (one,) = shelf.stretches("item0")
    assert one.by_sound and one.items == 3
    assert abs(one.start_s - start_s) < 1.5
    assert abs(one.duration_s - intro.audio.size / SAMPLE_RATE) < 3
    assert shelf.stretches("item3") == []


def test_uploads_again_and_cuts_have_no_intro(shelf: Shelf) -> None:
    whole = noise(1, 120)
    for number, part in enumerate((whole, whole, whole[: whole.size * 2 // 3])):
        shelf.add(f"copy{number}", part)
    assert shelf.stretches("copy0") == []
    assert shelf.run("copy0")["copies"] == ["copy1", "copy2"]
    # A compilation has a part of each; the three are one recording.
    shelf.add("parts", np.concatenate([noise(5, 200), whole[:240], noise(6, 200)]))
    for name in ("copy1", "copy2"):
        shelf.run(name)
    assert shelf.stretches("parts") == []


@pytest.mark.parametrize(
    ("seconds", "errors", "drifts", "given"),
    [(10, 0.1, False, 1), (3.9, 0.1, False, 0), (120.1, 0.1, False, 0), (10, 0.15, False, 0),
     (10, 0.1, True, 0)],
)  # fmt: skip
def test_the_stretches_that_count(seconds: float, errors: float, drifts: bool, given: int) -> None:
    match = Match("other", "ab", 600.0, (Stretch(5.0, 5.0 + seconds, 0.0, errors, 80, drifts),))
    assert len(sound_spans([match])) == given


@pytest.mark.slow
def test_an_intro_of_a_thousand_items_is_found_in_bounded_time(shelf: Shelf) -> None:
    intro = noise(0, 10)
    texts = {}
    for number in range(1000):
        name = f"item{number:03d}"
        texts[name] = INTRO + talk(number, 60)
        shelf.add(name, np.concatenate([intro, noise(10 + number, 25)]), texts[name])
    assert SoundIndex(shelf.home, shelf.home / "extras").count() == 1000
    spent = time.process_time()
    for name in ("item000", "item500", "item999"):
        (one,) = shelf.stretches(name, texts[name])
        assert one.start_s == 0.0 and 9 < one.end_s < 12 and one.by_sound and one.by_text
        assert one.items >= 3
    # Hundreds of transcripts are not read, and not all thousand recordings are compared.
    assert time.process_time() - spent < 30


# The step over words


def test_items_without_a_result_are_read_and_those_with_one_are_not(shelf: Shelf) -> None:
    texts = {f"item{number}": talk(number)[:50] + SPONSOR for number in range(3)}
    for name, said in texts.items():
        shelf.add(name, None, said)
    expected = RecurringStretch(25.0, 25.0 + 0.5 * len(SPONSOR) - 0.1, 3, by_text=True)
    for name, said in texts.items():
        (found,) = shelf.stretches(name, said)
        assert found == expected
    for name in ("item1", "item2"):  # their results have the hashes of their words
        (shelf.home / "media" / f"{name}.transcript.json").write_text("damaged")
    assert shelf.stretches("item0", texts["item0"]) == [expected]
    (shelf.home / "extras" / "item1" / "recurring.json").write_text("damaged")
    assert shelf.stretches("item0", texts["item0"]) == []


def test_the_transcript_stays_as_it_is(shelf: Shelf) -> None:
    said: Transcript = shelf.text("item", talk(0)).transcript
    shelf.add("item", None, talk(0))
    assert step.Recurring().apply(shelf.run("item", talk(0)), said) is said
