"""Single words that an engine loses, doubles or squeezes: each is mended or reported.

The faults are injected into the first reading of every window (`tests/fakes/word_faults.py`), with
the word times of every recognizer (`tests/support/known_words.py`).
"""

from __future__ import annotations

from itertools import cycle, product

import pytest

from tests.fakes.word_faults import WORD_FAULTS, WordFault
from tests.support.known_words import TIMES, known_words
from tests.support.word_alignment import align, too_short
from tests.support.word_fault_cases import PRESETS, read, run_known, talk

SECONDS = 45.0


def _each_pair() -> list[tuple[str, WordFault, str, str]]:
    """Return every fault with every recognizer, in turn with the languages and presets."""
    presets = cycle(PRESETS)
    languages = {times: cycle(kind.languages) for times, kind in TIMES.items()}
    return [
        (times, fault, next(languages[times]), next(presets))
        for times, fault in product(TIMES, WORD_FAULTS)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("times", "fault", "language", "preset_name"),
    _each_pair(),
    ids=lambda value: str(value),
)
def test_a_fault_of_single_words_is_mended_or_reported(
    times: str, fault: WordFault, language: str, preset_name: str
) -> None:
    found = run_known(times, fault, language, preset_name, seconds=SECONDS)
    assert not found.missed
    assert found.injected == found.mended + found.reported > 0


@pytest.mark.parametrize("fault", WORD_FAULTS, ids=str)
def test_a_fault_in_an_item_of_a_few_words_is_mended_or_reported(fault: WordFault) -> None:
    # So few words give no pace of the item's own.
    assert not run_known("whisper", fault, "en", "optimiert", seconds=6.0).missed


@pytest.mark.parametrize(
    ("times", "language"), [(times, code) for times in TIMES for code in TIMES[times].languages]
)
def test_a_reading_without_a_fault_is_an_a_with_every_word(times: str, language: str) -> None:
    spoken = talk(language, SECONDS)
    found = read(known_words(spoken.said, times, language), spoken, "optimiert")
    aligned = align(spoken.said.words, found.words)
    assert (aligned.lost, aligned.inserted, too_short(found.words)) == ((), (), [])
    assert found.coverage.grade == "A"


@pytest.mark.long
@pytest.mark.parametrize(
    ("times", "language"), [(times, code) for times in TIMES for code in TIMES[times].languages]
)
def test_every_fault_is_mended_or_reported_in_windows_of_20_to_60_seconds(
    times: str, language: str
) -> None:
    """Half of the cells of faults, presets and languages, with other talk than above."""
    injected, missed = 0, list[str]()
    for number, (preset_name, fault) in enumerate(product(PRESETS, WORD_FAULTS)):
        if number % 2 == 0:
            found = run_known(times, fault, language, preset_name, seconds=SECONDS, seed=5)
            assert found.injected == found.mended + found.reported + len(found.missed)
            injected, missed = injected + found.injected, missed + found.missed
    assert missed == []
    assert injected > 50
