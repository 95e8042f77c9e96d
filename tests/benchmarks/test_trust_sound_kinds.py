"""The table of twelve kinds of sound: its counting, its fit and its verdict."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.support.trust_sound_kinds import (
    CalibrationItem,
    SoundItem,
    SoundRow,
    fit,
    misses,
    rank_correlation,
    right_words,
    table,
)
from kb.asr.quality.expected_errors import interpolate
from kb.types import Word
from tests.support.compose import Composition

SAID = [("river", 1.0, 1.4), ("garden", 1.5, 2.0), ("river", 2.2, 2.6), ("castle", 3.0, 3.5)]
BESIDE = [("yellow", 1.6, 2.0), ("planet", 2.3, 2.8)]


def heard(*words: tuple[str, float]) -> list[Word]:
    return [Word(at, at + 0.4, text, 0.9) for text, at in words]


@pytest.mark.parametrize(
    ("words", "right", "own"),
    [
        (heard(("river", 1.0), ("garden", 1.5), ("river", 2.2), ("castle", 3.0)), {0, 1, 2, 3}, 4),
        (heard(("River,", 1.0), ("pardon", 1.5), ("river", 2.2)), {0, 2}, 2),  # substituted
        (heard(("river", 1.0), ("garden", 1.5), ("garden", 1.9)), {0, 1}, 2),  # inserted
        (heard(("river", 1.0), ("yellow", 1.6), ("river", 2.2)), {0, 1, 2}, 2),  # the other speaker
        (
            heard(
                ("castle", 1.0),
            ),
            set(),
            0,
        ),  # said elsewhere
        (heard(), set(), 0),
    ],
)
def test_words_are_right_where_they_were_said(words: list[Word], right: set[int], own: int) -> None:
    item = SoundItem("clean", "v", Composition(np.zeros(0, np.float32), SAID, "en"), BESIDE)
    assert right_words(item, words) == (right, own)


def test_the_fit_finds_the_share_of_wrong_words_and_is_monotone() -> None:
    rng = np.random.default_rng(5)
    items = []
    for highest in np.linspace(0.1, 1.0, 40):
        chances = rng.random(400) * highest
        words = [(float(p), bool(rng.random() < p**0.5)) for p in chances]
        # Texts of this engine have twice as many errors as the words alone say, up to all of them.
        items.append(CalibrationItem(words, min(1.0, 2 * (1 - float(np.mean(chances**0.5))))))
    found = fit(items)
    shares = [share for _, share in found.words]
    assert shares == sorted(shares, reverse=True)
    for chance in (0.05, 0.1, 0.3, 0.5, 0.7):
        assert interpolate(chance, found.words) == pytest.approx(1 - chance**0.5, abs=0.07)
    assert [value for _, value in found.texts] == sorted(value for _, value in found.texts)
    assert interpolate(0.4, found.texts) == pytest.approx(0.8, abs=0.07)


def row(kind: str, expected: float, wrong: float, grade: str = "A") -> SoundRow:
    made = SoundRow(kind, words=1000, expected=1000 * expected, said=1000)
    made.errors = made.wrong = round(1000 * wrong)
    made.items.append((expected, wrong, grade))
    return made


GOOD = [row("clean", 0.01, 0.0), row("fast", 0.1, 0.08, "B"), row("room", 0.5, 0.8, "C")]


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        (GOOD, 0),
        ([*GOOD, row("wide", 0.12, 0.19, "B")], 1),  # more than five points away
        ([*GOOD, row("awful", 0.5, 0.9, "C")], 0),  # above 30 % it may be
        ([*GOOD, row("wrong a", 0.11, 0.12, "A")], 1),
        ([*GOOD, row("unfair", 0.055, 0.02, "B")], 1),
        ([row("a", 0.1, 0.1, "B"), row("b", 0.12, 0.09, "B"), row("c", 0.13, 0.08, "B")], 1),
    ],
)
def test_what_is_not_kept_is_named(rows: list[SoundRow], count: int) -> None:
    assert len(misses(rows)) == count
    assert len(table(rows)) == len(rows) + 2


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ([1, 2, 3], [10, 20, 90], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 1, 2], [5, 5, 9], 1.0),
    ],
)
def test_rank_correlation(left: list[float], right: list[float], expected: float) -> None:
    assert rank_correlation(left, right) == pytest.approx(expected)
