"""The language of an item: a vote of its windows, weighted by their speech."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kb.asr.batching import batcher as batching
from kb.asr.batching.batcher import Batcher
from kb.asr.batching.language_vote import EARLY_WINDOWS, LanguageVote
from kb.asr.recognizer import Recognizer
from kb.asr.windows.windowing import Window
from kb.errors import SettingsError
from kb.types import MediaRef
from tests.support.batchers import MANAGER, window
from tests.support.compose import compose, random_plan
from tests.support.raising import raises
from tests.support.speech import Oracle, bank, blocks, detector, preset


def test_the_vote_counts_each_window_once_by_its_speech() -> None:
    vote = LanguageVote(None)
    vote.add(window(0, 10), {"en": -0.1, "de": -3.0})
    for _ in range(5):  # a repeated batch
        vote.add(window(20, 3), {"en": -6.0, "de": -0.01})
    assert vote.language == "en"
    vote.add(window(40, 20), {"en": -4.0, "de": -0.02})
    assert vote.language == "de"


def test_one_sure_window_does_not_outvote_the_rest() -> None:
    vote = LanguageVote(None)
    vote.add(window(0, 10), {"en": -300.0, "de": 0.0})
    for start_s in (20, 40):
        vote.add(window(start_s, 10), {"en": -0.05, "de": -5.0})
    assert vote.language == "en"


def test_a_window_in_another_language_is_read_in_it_unless_one_was_asked_for() -> None:
    sure, unsure = {"en": -5.0, "de": -0.01}, {"en": -0.9, "de": -0.5}
    vote = LanguageVote(None)
    vote.add(window(0, 60), {"en": -0.01, "de": -5.0})
    assert vote.choose(window(), sure) == "de"
    assert vote.choose(window(), unsure) == "en"
    assert LanguageVote("en").choose(window(), sure) == "en"
    assert LanguageVote(None).choose(window(), {}) == "en"  # a model with one language


KNOWN_BESIDE = {  # seconds of known words in German, those read in English, and the language
    "known alone": (60, 0, "de"),
    "a foreign minute in a known hour": (3600, 60, "de"),
    "a known minute in a foreign hour": (60, 3600, "en"),
}


@pytest.mark.parametrize("name", KNOWN_BESIDE)
def test_known_words_decide_about_the_language_as_others(name: str) -> None:
    known_s, read_s, language = KNOWN_BESIDE[name]
    vote, known, read = LanguageVote(None), window(0, known_s), window(known_s, read_s)
    vote.add_known(known, "de")
    assert vote.language == "de"
    if read_s:
        assert vote.choose(read, {"en": -0.01, "de": -5.0}) == "en"
        vote.add(read, {"en": -0.01, "de": -5.0})
    vote.settle([known, read])
    assert vote.language == vote.settled_language == vote.known_language == language
    assert vote.settled_choice(known) is None and vote.settled_choice(read) is None
    assert vote.best_guess(known) == ("", 0.0)
    probability = {"en": -0.01, "de": -5.0}[language]
    expected = pytest.approx(np.exp(probability)) if read_s else None
    assert vote.probability == expected


SURE_DE, UNSURE_DE, UNSURE_EN = (
    {"de": -0.01, "en": -5.0}, {"de": -0.6, "en": -0.8}, {"de": -1.5, "en": -0.25},
)  # fmt: skip
LIKELY_EN = {"de": -2.6, "en": -0.07}
MIXED = {
    "a foreign greeting": [SURE_DE, *[UNSURE_EN] * 5],
    "a foreign window in the middle": [UNSURE_EN, UNSURE_EN, SURE_DE, UNSURE_EN, UNSURE_EN],
    "an unsure beginning": [UNSURE_DE, UNSURE_DE, *[LIKELY_EN] * 6],
    "two halves": [*[UNSURE_EN] * 10, *[UNSURE_DE] * 4, *[SURE_DE] * 12, *[UNSURE_DE] * 3],
    "sure and unsure by turns": [SURE_DE, UNSURE_EN] * 9,
    "one window": [UNSURE_DE],
    "a foreign end": [*[LIKELY_EN] * 9, SURE_DE],
    "all unsure": [UNSURE_DE, UNSURE_EN] * 6,
    "a sure minority first": [*[SURE_DE] * 3, *[LIKELY_EN] * 9],
    "a sure minority last": [*[LIKELY_EN] * 9, *[SURE_DE] * 3, UNSURE_DE],
}


def settled(probabilities: list[dict[str, float]], order: list[int], batch: int) -> list[str]:
    """Return the languages of windows that arrive in this order, in batches, and are settled."""
    vote = LanguageVote(None)
    shown = [window(10.0 * n, 8.0) for n in range(len(probabilities))]
    chosen: dict[int, str] = {}
    for start in range(0, len(order), batch):
        numbers = order[start : start + batch]
        for n in numbers:
            vote.add(shown[n], probabilities[n])
        chosen |= {n: vote.choose(shown[n], probabilities[n]) for n in numbers}
    vote.settle(shown[:EARLY_WINDOWS])
    languages = []
    for n, each in enumerate(shown):
        vote.settle([each])
        languages.append(vote.settled_choice(each) or chosen[n])
    return [*languages, vote.settled_language, *vote.languages]


@pytest.mark.parametrize("probabilities", MIXED.values(), ids=MIXED)
def test_the_order_of_batches_does_not_change_the_language(
    probabilities: list[dict[str, float]],
) -> None:
    count = len(probabilities)
    in_order = settled(probabilities, list(range(count)), count)
    rng = np.random.default_rng(5)
    for batch in (1, 2, 3, 8):
        for _ in range(10):
            # A window is overtaken by those of the next two batches at most.
            order = sorted(range(count), key=lambda n: n + rng.uniform(0, 2 * batch))
            assert settled(probabilities, order, batch) == in_order
        assert settled(probabilities, list(reversed(range(count))), batch) == in_order


def test_a_foreign_first_window_does_not_change_the_next() -> None:
    found = settled(MIXED["a foreign greeting"], list(range(6)), 1)
    assert found[:6] == ["de", "en", "en", "en", "en", "en"]


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_the_text_of_every_window_is_the_same_for_every_batch(batch: int) -> None:
    """The first window is sure to be foreign, and with a batch of one it is alone at first."""
    rng = np.random.default_rng(3)
    said = compose(bank(), random_plan(bank(), 120, rng), rng=rng)

    def languages(shown: Window) -> dict[str, float]:
        return SURE_DE if shown.start_s < 5 else LIKELY_EN

    batcher = Batcher(Oracle(said.words, languages=languages), MANAGER, batch)
    recognizer = Recognizer(batcher, preset("stabil"), detector=detector())
    found = recognizer.transcribe(blocks(said.audio), MediaRef("x", "", 0.0))
    batcher.close()
    assert found.language == "en"
    assert [s.language for s in found.segments].count("de") == 1


@pytest.mark.slow
def test_every_window_is_read_in_its_language_and_the_item_named_by_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The vote counts the windows so far: all five are in one batch, however slow the machine is.
    monkeypatch.setattr(batching, "PATIENCE_S", 20.0)
    rng = np.random.default_rng(3)
    said = compose(bank(), random_plan(bank(), 120, rng), rng=rng)

    def languages(shown: Window) -> dict[str, float]:
        german = 20 < shown.start_s < 39
        return {"de": -0.01, "en": -4.6} if german else {"de": -2.0, "en": -0.15}

    oracle = Oracle(said.words, languages=languages)
    batcher = Batcher(oracle, MANAGER, 5)
    recognizer = Recognizer(batcher, preset("stabil"), detector=detector())
    found = recognizer.transcribe(blocks(said.audio), MediaRef("x", "", 0.0))
    batcher.close()
    assert oracle.batches == [5]
    assert found.language == "en"
    assert [s.language for s in found.segments].count("de") == 1


def test_an_unknown_language_is_refused_before_anything_is_read(
    opened: Callable[..., Batcher],
) -> None:
    with raises(SettingsError, "recognizer.language", language="xx") as caught:
        Recognizer(opened(Oracle(())), preset(), language="xx", detector=detector())
    assert caught.value.exit_code == 2
