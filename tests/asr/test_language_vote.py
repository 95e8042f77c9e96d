"""The language of an item: a vote of its windows, weighted by their speech."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kb.asr.batching import batcher as batching
from kb.asr.batching.batcher import Batcher
from kb.asr.batching.language_vote import LanguageVote
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
