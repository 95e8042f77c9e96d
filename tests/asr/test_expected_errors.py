"""Expected errors: from the probabilities of the words to a share, passages, words and a grade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kb.asr.engines import ENGINES
from kb.asr.quality.expected_errors import (
    CALIBRATIONS,
    Calibration,
    estimate,
    interpolate,
    with_expected_errors,
)
from kb.types import Coverage, ExpectedErrors, MediaRef, Segment, SpeechSpan, Timing, Word
from kb.types.quality import grade_of, likely_wrong, one_word_in
from kb.types.transcript import Transcript

PLAIN = Calibration(words=((0.0, 1.0), (1.0, 0.0)), texts=((0.0, 0.0), (1.0, 1.0)))


def words_of(probabilities: Sequence[float]) -> tuple[Word, ...]:
    return tuple(Word(float(n), n + 0.8, f"w{n}", p) for n, p in enumerate(probabilities))


def transcript(engine: str, probabilities: Sequence[float]) -> Transcript:
    words = words_of(probabilities)
    segments = (Segment(0.0, len(words), " ".join(w.text for w in words), words, "en"),)
    return Transcript(
        MediaRef("talk.wav", "", 30.0), segments if words else (), "en", engine, "demo", "stabil",
        Coverage(20.0, 20.0), Timing(),
    )  # fmt: skip


@pytest.mark.parametrize("engine", CALIBRATIONS)
def test_a_calibration_is_made_of_two_monotone_maps(engine: str) -> None:
    found = CALIBRATIONS[engine]
    assert engine in ENGINES
    for points in (found.words, found.texts):
        places = [place for place, _ in points]
        assert places == sorted(set(places))
        assert all(0.0 <= number <= 1.0 for point in points for number in point)
    shares = [interpolate(n / 500, found.words) for n in range(501)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.005  # a sure word must not cost a good item its grade
    shares = [interpolate(n / 500, found.texts) for n in range(501)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("probability", "share"),
    [(0.0, 0.9), (0.2, 0.9), (0.4, 0.6), (0.6, 0.3), (0.8, 0.16), (1.0, 0.02), (0.3, 0.75)],
)
def test_the_share_is_on_the_line_between_two_points(probability: float, share: float) -> None:
    points = ((0.2, 0.9), (0.6, 0.3), (1.0, 0.02))
    assert interpolate(probability, points) == pytest.approx(share)


@pytest.mark.parametrize(
    ("probabilities", "share"),
    [([1.0], 0.0), ([0.0], 1.0), ([1.0, 0.5], 0.25), ([0.9] * 10, 0.1), ([0.0, 1.0] * 5, 0.5)],
)
def test_the_share_of_a_text_is_the_mean_of_its_words(
    probabilities: list[float], share: float
) -> None:
    assert estimate(words_of(probabilities), PLAIN).share == pytest.approx(share)


def test_the_texts_map_is_applied_to_the_mean() -> None:
    steep = replace(PLAIN, texts=((0.0, 0.0), (0.3, 0.3), (0.5, 0.8), (1.0, 1.0)))
    found = estimate(words_of([0.5] * 8), steep)
    assert found.share == pytest.approx(0.8)
    assert [passage.share for passage in found.passages] == [pytest.approx(0.8)]
    assert estimate(words_of([0.9] * 8), steep).share == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("probabilities", "spans"),
    [
        ([1.0] * 40, []),
        ([1.0] * 20 + [0.0] + [1.0] * 20, []),  # one unsure word between sure ones
        ([1.0] * 20 + [0.3] * 8 + [1.0] * 20, [(20, 27)]),
        ([0.3] * 8 + [1.0] * 20, [(0, 7)]),  # at the beginning
        ([1.0] * 20 + [0.3] * 8, [(20, 27)]),  # at the end
        ([0.5] * 30, [(0, 29)]),  # all of it
        ([0.3] * 6 + [1.0] * 20 + [0.3] * 6, [(0, 5), (26, 31)]),
        ([1.0] * 9 + [0.3, 1.0] * 5 + [1.0] * 9, [(11, 15)]),  # every second word
        ([0.9] * 40, []),
        ([0.2] * 3, []),  # too short to be marked
        ([0.2] * 4, [(0, 3)]),
        ([], []),
    ],
)
def test_passages_in_which_many_words_are_unsure(
    probabilities: list[float], spans: list[tuple[int, int]]
) -> None:
    words = words_of(probabilities)
    found = estimate(words, PLAIN).passages if words else ()
    assert [(p.start_s, p.end_s) for p in found] == [
        (words[first].start_s, words[last].end_s) for first, last in spans
    ]
    for passage, (first, last) in zip(found, spans, strict=True):
        own = [1 - p for p in probabilities[first : last + 1]]
        assert passage.share == pytest.approx(sum(own) / len(own), abs=1e-3)


@pytest.mark.parametrize("engine", ["parakeet", "qwen3-asr", "imported", "captions", ""])
def test_an_engine_without_a_calibration_is_not_measured(engine: str) -> None:
    assert with_expected_errors(transcript(engine, [0.4, 0.5])).expected_errors is None


def test_a_text_without_words_is_not_measured() -> None:
    assert with_expected_errors(transcript("whisper", [])).expected_errors is None


def test_sure_words_are_an_a_and_unsure_ones_are_not() -> None:
    sure, unsure = (
        with_expected_errors(transcript("whisper", [probability] * 50))
        for probability in (0.99, 0.4)
    )
    assert sure.grade == "A"
    assert unsure.grade == "C"
    # Words that a person writes are sure.
    edited = replace(unsure, segments=transcript("whisper", [1.0] * 50).segments)
    assert with_expected_errors(edited).grade == "A"


FULL, PART, POOR = Coverage(100.0, 100.0), Coverage(100.0, 97.0), Coverage(100.0, 80.0)
LOST = Coverage(100.0, 99.9, (SpeechSpan(1.0, 1.1),), lost=(SpeechSpan(1.0, 1.1),))


@pytest.mark.parametrize(
    ("coverage", "share", "grade"),
    [
        (FULL, None, "A"),
        (FULL, 0.0, "A"),
        (FULL, 0.05, "A"),
        (FULL, 0.0501, "B"),
        (FULL, 0.1999, "B"),
        (FULL, 0.2, "C"),
        (FULL, 1.0, "C"),
        (PART, None, "B"),
        (PART, 0.0, "B"),
        (PART, 0.1, "B"),
        (PART, 0.3, "C"),
        (POOR, None, "C"),
        (POOR, 0.0, "C"),
        (LOST, 0.01, "B"),
    ],
)
def test_the_grade_is_the_lower_one(coverage: Coverage, share: float | None, grade: str) -> None:
    errors = None if share is None else ExpectedErrors(share)
    assert grade_of(coverage, errors) == grade


@pytest.mark.parametrize(
    ("share", "one_in"),
    [
        (0.01, 100), (0.013, 80), (0.02, 50), (0.04, 25), (0.05, 20), (0.06, 15), (0.1, 10),
        (0.11, 9), (0.2, 5), (0.24, 4), (0.27, 4), (0.3, 3), (0.4, 2), (0.55, 2), (0.6, 1),
        (1.0, 1),
    ],
)  # fmt: skip
def test_one_word_in_so_many(share: float, one_in: int) -> None:
    assert one_word_in(share) == one_in


@pytest.mark.parametrize(
    ("share", "sentence"),
    [
        (0.0, "fewer than 1 word in 100 may be wrong"),
        (0.0099, "fewer than 1 word in 100 may be wrong"),
        (0.01, "about 1 word in 100 may be wrong"),
        (0.25, "about 1 word in 4 may be wrong"),
        (0.5, "about 1 word in 2 may be wrong"),
        (0.72, "most words may be wrong"),
    ],
)
def test_the_share_in_words(share: float, sentence: str) -> None:
    assert likely_wrong(share) == sentence
