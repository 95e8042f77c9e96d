"""The pace of an item: the line through letters and seconds, by script, and how robust it is."""

from __future__ import annotations

import numpy as np
import pytest

from kb.asr.quality.pace import DEFAULT, LEAST_WORDS, Line, Pace, PaceEstimate, fit
from kb.types import Word

LETTERS = "abcdefghijklmnop"


def rows(line: Line, count: int, noise_s: float = 0.03, seed: int = 1) -> list[tuple[int, float]]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 12, count)
    return [(int(n), line.expected_s(int(n)) + float(rng.normal(0, noise_s))) for n in lengths]


def spoken(pairs: list[tuple[int, float]], letter: str = "a", probability: float = 0.9):
    return [Word(0.0, seconds, letter * count, probability) for count, seconds in pairs]


@pytest.mark.parametrize("line", [Line(0.1, 0.06), Line(0.25, 0.03), Line(0.0, 0.12)])
def test_the_line_of_clean_words_is_found(line: Line) -> None:
    found = fit(rows(line, 100))
    assert found is not None
    assert found.letter_s == pytest.approx(line.letter_s, abs=0.01)
    assert found.expected_s(6) == pytest.approx(line.expected_s(6), abs=0.02)


@pytest.mark.parametrize("share", [0.1, 0.2])
def test_stretched_words_do_not_move_the_line(share: float) -> None:
    line = Line(0.1, 0.06)
    clean = rows(line, 100)
    stretched = [(n, s + 0.6) if i < share * 100 else (n, s) for i, (n, s) in enumerate(clean)]
    found = fit(stretched)
    assert found is not None
    assert found.expected_s(6) == pytest.approx(line.expected_s(6), abs=0.08)


def test_few_words_give_no_line() -> None:
    assert fit(rows(Line(0.1, 0.06), LEAST_WORDS - 1)) is None
    assert PaceEstimate().add(spoken(rows(Line(0.1, 0.06), LEAST_WORDS - 1))) == Pace()


def test_words_of_one_length_give_a_constant() -> None:
    found = fit([(5, 0.4)] * LEAST_WORDS)
    assert found == Line(0.4, 0.0)


@pytest.mark.parametrize("count", [5, 8, 19])
def test_few_words_have_the_usual_slope_and_their_own_base(count: int) -> None:
    estimate = PaceEstimate()
    pace = estimate.add(spoken(rows(Line(0.12, 0.055), count, noise_s=0.01)))
    assert pace.spaced.letter_s == 0.055
    assert pace.spaced.base_s == pytest.approx(0.12, abs=0.02)


def test_longer_words_never_take_less() -> None:
    found = fit([(n, 0.6 - 0.03 * n) for n in range(1, 11)] * 3)
    assert found is not None
    assert found.letter_s == 0.0


def test_each_script_has_its_own_line() -> None:
    estimate = PaceEstimate()
    estimate.add(spoken([(5, 0.4)] * 40))
    pace = estimate.add(spoken([(1, 0.2)] * 40, letter="水"))
    assert pace.spaced.expected_s(5) == pytest.approx(0.4)
    assert pace.unspaced.expected_s(1) == pytest.approx(0.2)
    assert pace.excess_s(Word(1.0, 1.9, "水", 0.9)) == pytest.approx(0.7)
    assert pace.excess_s(Word(1.0, 1.9, "water", 0.9)) == pytest.approx(0.5)


def test_unlikely_words_and_words_without_letters_are_left_out() -> None:
    estimate = PaceEstimate()
    pace = estimate.add(spoken([(5, 3.0)] * 40, probability=0.2) + spoken([(3, 3.0)] * 40, "?"))
    assert pace.spaced == DEFAULT[False]


def test_the_line_follows_the_last_words() -> None:
    estimate = PaceEstimate()
    estimate.add(spoken([(5, 0.8)] * 200))
    assert estimate.add(spoken([(5, 0.3)] * 200)).spaced.expected_s(5) == pytest.approx(0.3)
