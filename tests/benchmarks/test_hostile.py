"""The generated inputs of `benchmarks/hostile.py`: a few cases of each area, and its own checks."""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import hostile
from benchmarks.support import hostile_media, hostile_run
from benchmarks.support.hostile_areas import AREAS
from benchmarks.support.hostile_run import FAILED, PASSED, REFUSED, Area, Case, Fault, Runner
from benchmarks.support.hostile_values import damaged, damaged_text, mutated
from benchmarks.support.hostile_words import Said, account, occurrences, played_words
from kb.errors import LibraryError
from kb.settings import get_settings
from kb.types import Coverage, MediaRef, Segment, SpeechSpan, Timing, Transcript, Word
from tests.support.compose import SAMPLE_RATE, compose
from tests.support.speech import bank

pytestmark = pytest.mark.slow

SEED = 14


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    yield Runner(tmp_path, SEED)
    get_settings.cache_clear()


@pytest.mark.parametrize(("name", "count"), [("texts", 12), ("listings", 6), ("remote", 2)])
def test_cases_end_well_or_are_refused(runner: Runner, name: str, count: int) -> None:
    with AREAS[name]() as area:
        outcomes = [runner.run(area, number) for number in range(count)]
    assert {each.result for each in outcomes} <= {PASSED, REFUSED}, outcomes
    assert all(each.what for each in outcomes)


def test_there_are_enough_cases() -> None:
    counts = [area.cases for area in AREAS.values()]
    assert len(counts) == 5 and min(counts) >= hostile.LEAST and sum(counts) >= hostile.TOTAL


def test_the_same_seed_gives_the_same_case(tmp_path: Path) -> None:
    area = AREAS["texts"]()
    first, again, other = (
        [runner.case(area, number).rng.random() for number in range(3)]
        for runner in (Runner(tmp_path, 1), Runner(tmp_path, 1), Runner(tmp_path, 2))
    )
    assert first == again and not set(first) & set(other)


class Odd(Area):
    """An area of one case, which a test gives."""

    name = "odd"

    def __init__(self, body: object) -> None:
        self._body = body

    def run(self, case: Case) -> None:
        self._body(case)  # type: ignore[operator]


def _raises(error: Exception) -> object:
    def body(_case: Case) -> None:
        raise error

    return body


def _leaves_a_thread(_case: Case) -> None:
    threading.Thread(target=time.sleep, args=(8,), daemon=True).start()


def _leaves_a_temporary_file(_case: Case) -> None:
    tempfile.mkstemp()


@pytest.mark.parametrize(
    ("body", "result", "detail"),
    [
        (lambda _case: None, PASSED, ""),
        (_raises(LibraryError("json.damaged", "It is damaged.")), REFUSED, "json.damaged"),
        (_raises(LibraryError("a.b", "It holds {x}.", x=hostile_run.SECRET)), FAILED, "secret"),
        (_raises(LibraryError("")), FAILED, "without a sentence"),
        (_raises(KeyError("items")), FAILED, "traceback: KeyError"),
        (_raises(Fault("silent loss: a word")), FAILED, "silent loss"),
        (lambda _case: time.sleep(1), FAILED, "hang"),
        (_leaves_a_thread, FAILED, "threads"),
        (_leaves_a_temporary_file, FAILED, "files"),
    ],
)
def test_faults_are_noticed(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, body: object, result: str, detail: str
) -> None:
    if detail == "hang":
        monkeypatch.setattr(hostile_run, "LIMIT_S", 0.5)
    monkeypatch.setattr(hostile_run, "GRACE_S", 0.2)
    outcome = runner.run(Odd(body), 0)
    assert outcome.result == result
    assert detail in outcome.detail


def test_what_is_made_once_is_no_leak(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostile_run, "GRACE_S", 0.2)
    made: list[int] = []
    outcome = runner.run(Odd(lambda _: made or made.append(os.open(os.devnull, os.O_RDONLY))), 0)
    os.close(made[0])
    assert outcome.result == PASSED


def test_mutations_change_something() -> None:
    rng = random.Random(1)
    document = {"a": [{"b": 1, "c": "x"}], "d": {"e": None}}
    changed = [mutated(document, rng)[0] for _ in range(200)]
    assert document == {"a": [{"b": 1, "c": "x"}], "d": {"e": None}}
    assert sum(each != document for each in changed) > 180
    data, text = bytes(range(200)), "some words\nand more\n" * 5
    assert sum(damaged(data, rng)[0] != data for _ in range(200)) > 180
    assert sum(damaged_text(text, rng)[0] != text for _ in range(100)) > 80


@pytest.mark.parametrize("mutation", sorted({*hostile_media.MUTATIONS}, key=lambda m: m.__name__))
def test_media_are_written(tmp_path: Path, folder: Path, mutation: hostile_media.Mutation) -> None:
    data = (Path(__file__).parents[1] / "data" / "wordbank.flac").read_bytes()[:20_000]
    said = Said(compose(bank(), "mountain garden"))
    base = hostile_media.Base("a.flac", data, said)
    path, what = mutation(base, base, tmp_path, random.Random(4))
    assert path.is_file() and what


def test_words_are_found_where_they_are_played() -> None:
    said = compose(bank(), "mountain garden | river mountain", noise_db=30)
    words = dict(Said(said).words)
    assert list(words) == ["mountain", "garden", "river"]
    true = [start_s for word, start_s, _ in said.words if word == "mountain"]
    heard = sorted(at_s for _, at_s in occurrences(-0.3 * said.audio, words["mountain"]))
    assert heard == pytest.approx(true, abs=0.02)
    every = played_words(Said(said), [said.audio, said.audio])
    assert {word: len(places) for word, places in every.items()} == {
        "mountain": 2, "garden": 1, "river": 1,
    }  # fmt: skip
    assert occurrences(said.audio[SAMPLE_RATE // 2 * 3 :], words["garden"]) == []


@pytest.mark.parametrize(
    ("left_out", "changes", "counts"),
    [
        ("", {}, (4, 0, 0, 0)),
        ("garden", {}, (3, 0, 0, 1)),
        ("garden", {"coverage": Coverage(4.0, 3.0, (SpeechSpan(0.0, 9.0),))}, (3, 0, 1, 0)),
        ("garden", {"coverage": Coverage(4.0, 3.0, lost=(SpeechSpan(9.0, 11.0),))}, (3, 0, 1, 0)),
        ("garden", {"truncated": True}, (3, 0, 0, 1)),
        ("river", {"truncated": True}, (3, 0, 1, 0)),
        ("river", {"warnings": ("Sound track 1 was read; left out: 2.",)}, (3, 0, 1, 0)),
        ("said as castle", {}, (3, 1, 0, 0)),
    ],
)
def test_every_word_is_accounted_for(
    left_out: str, changes: dict[str, object], counts: tuple[int, ...]
) -> None:
    said = compose(bank(), "mountain | 2.0 | garden | 2.0 | mountain | 2.0 | river", noise_db=30)
    words = [Word(a, b, text, 0.9) for text, a, b in said.words if text != left_out]
    if left_out == "said as castle":
        words[1] = Word(words[1].start_s, words[1].end_s, "castle", 0.9)
    end_s = words[-1].end_s if "truncated" in changes else said.seconds
    found = Transcript(
        media=MediaRef("a.wav", "", end_s),
        segments=(Segment(0.0, end_s, "", tuple(words)),),
        language="en", engine="whisper", model="demo", preset="stabil", timing=Timing(),
        **{"coverage": Coverage(4.0, 4.0), **changes},
    )  # type: ignore[arg-type]  # fmt: skip
    sums, lost = account(Said(said), [said.audio], found)
    assert sums["words"] == 4
    assert tuple(sums[name] for name in ("found", "misread", "reported", "lost")) == counts
    assert len(lost) == counts[-1]
