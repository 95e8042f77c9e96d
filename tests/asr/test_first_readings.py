"""The first reading of each stretch: every word once, in order, before the transcript is there."""

from __future__ import annotations

import numpy as np
import pytest

from kb.asr.quality.repair_plan import RepairPlan
from kb.types import Segment, Word
from tests.support.compose import compose, continuous_speech, join, random_plan
from tests.support.speech import Oracle, bank, preset, score, transcribe_with

NO_REPAIR = RepairPlan(share=0.0, temperatures=(), beams=1)


@pytest.mark.parametrize("kind", ["pauses", "unbroken", "a long pause"])
@pytest.mark.parametrize("jitter_s", [0.0, 0.12])
def test_the_stretches_give_the_words_of_the_transcript(kind: str, jitter_s: float) -> None:
    rng = np.random.default_rng(11)
    said = {
        "pauses": lambda: compose(bank(), random_plan(bank(), 90, rng), rng=rng),
        "unbroken": lambda: continuous_speech(bank(), 70, rng),
        "a long pause": lambda: join(
            compose(bank(), random_plan(bank(), 12, rng), rng=rng),
            compose(bank(), random_plan(bank(), 12, rng), rng=rng),
            pause=40,
        ),
    }[kind]()
    given: list[tuple[Segment, ...]] = []
    found = transcribe_with(
        Oracle(said.words, jitter_s=jitter_s), said, preset("stabil"),
        plan=NO_REPAIR, on_text=given.append,
    )  # fmt: skip
    words: list[Word] = [word for stretch in given for segment in stretch for word in segment.words]
    assert score(said.words, words).errors == 0
    assert [word.text for word in words] == [word.text for word in found.words]
    assert len(given) > 1 or kind == "a long pause"
    if not jitter_s:
        assert [word.start_s for word in words] == [word.start_s for word in found.words]
