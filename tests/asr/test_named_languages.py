"""The choice of the language among some that a caller names."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kb.asr.batching.language_vote import LanguageVote
from kb.asr.windows.windowing import Window

HEARD = {"en": 0.6, "de": 0.3, "nl": 0.06, "fr": 0.04}


def window(index: int = 0) -> Window:
    return Window(index, 30.0 * index, np.zeros(16_000, np.float32))


def logs(chances: dict[str, float]) -> dict[str, float]:
    return {code: math.log(chance) for code, chance in chances.items()}


@pytest.mark.parametrize(
    ("allowed", "language", "probability"),
    [
        ((), "en", 0.6),
        (("de", "nl"), "de", 0.3 / 0.36),
        (("fr",), "fr", 1.0),
        (("en", "de", "nl", "fr"), "en", 0.6),
        (("xx",), "en", 0.6),  # the engine knows none of them: refused before
    ],
)
def test_the_likeliest_of_the_allowed_is_chosen(
    allowed: tuple[str, ...], language: str, probability: float
) -> None:
    vote = LanguageVote(None, allowed)
    vote.add(window(), logs(HEARD))
    vote.settle([window()])
    assert vote.choose(window(), logs(HEARD)) == language == vote.settled_language
    assert vote.probability == pytest.approx(probability)
    assert vote.best_guess(window()) == (language, pytest.approx(probability))


def test_a_window_that_is_certain_of_another_language_stays_among_the_allowed() -> None:
    vote = LanguageVote(None, ("en", "de"))
    certain = logs({"fr": 0.97, "en": 0.02, "de": 0.01})
    for index in range(2):
        vote.add(window(index), certain)
    assert vote.choose(window(1), certain) == "en"


def test_without_a_vote_there_is_no_probability() -> None:
    assert LanguageVote("de").probability is None
    assert LanguageVote(None).probability is None
