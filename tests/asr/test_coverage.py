"""The ledger of detected speech against words."""

from __future__ import annotations

import pytest

from kb.asr.coverage import coverage, without_words
from kb.types import SpeechSpan, Word


def word(start_s: float, end_s: float) -> Word:
    return Word(start_s, end_s, "x", 0.9)


def talk(start_s: int, end_s: int) -> list[Word]:
    """Return one word per second."""
    return [word(second, second + 0.9) for second in range(start_s, end_s)]


def spans(*pairs: tuple[float, float]) -> list[SpeechSpan]:
    return [SpeechSpan(*pair) for pair in pairs]


def test_no_speech_is_fully_covered() -> None:
    assert coverage([], []).ratio == 1.0
    assert coverage([], [word(1, 2)]).ratio == 1.0


def test_words_account_for_what_is_near_them() -> None:
    found = coverage(spans((0, 10)), [word(0.2, 0.6), *talk(1, 10)])
    assert (found.ratio, found.gaps) == (1.0, ())


@pytest.mark.parametrize(
    ("words", "gaps"),
    [
        ([], [(0, 10)]),
        (talk(2, 10), [(0, 1.9)]),
        (talk(0, 8), [(8.0, 10)]),
        ([*talk(0, 3), *talk(5, 10)], [(3.0, 4.9)]),
        ([*talk(0, 3), word(3.3, 5), *talk(5, 10)], []),  # 0.4 s between two words: a breath
        ([*talk(0, 3), word(3.35, 5), *talk(5, 10)], [(3.0, 3.25)]),  # 0.45 s: a short word
        ([*talk(0, 1), *talk(3, 4), *talk(6, 10)], [(1.0, 2.9), (4.0, 5.9)]),
        # A word that starts too early covers at most the length of the longest word.
        ([*talk(0, 2), word(2, 7), *talk(7, 10)], [(2.0, 4.9)]),
    ],
)
def test_a_stretch_without_a_word_is_a_gap(
    words: list[Word], gaps: list[tuple[float, float]]
) -> None:
    found = coverage(spans((0, 10)), words)
    assert [(gap.start_s, gap.end_s) for gap in found.gaps] == gaps
    missing = sum(end - start for start, end in gaps)
    assert found.speech_s == 10
    assert found.covered_s == pytest.approx(10 - missing)
    assert found.ratio == pytest.approx(1 - missing / 10)


@pytest.mark.parametrize(
    ("speech", "gaps"),
    [
        (((0, 2.14), (2.26, 5)), [(2.0, 2.14), (2.26, 2.35)]),  # 0.23 s: two short words
        (((0, 2.14), (2.30, 5)), []),  # a pause
        (((0, 2.09), (2.23, 5)), [(2.0, 2.09), (2.23, 2.35)]),
        (((0, 2.08), (2.23, 5)), []),  # 0.2 s
        (((0, 2.0), (2.12, 2.25), (2.25, 5)), []),  # behind a pause
    ],
)
def test_the_closure_of_a_plosive_is_no_pause(
    speech: tuple[tuple[float, float], ...], gaps: list[tuple[float, float]]
) -> None:
    found = coverage(spans(*speech), [*talk(0, 1), word(1, 1.9), word(2.45, 3), *talk(3, 5)])
    assert [(gap.start_s, gap.end_s) for gap in found.gaps] == gaps


def test_every_span_is_judged_and_silence_is_not() -> None:
    speech = spans((0, 2), (10, 12), (20, 22))
    found = coverage(speech, [word(0, 2), word(20, 22)], repaired=3)
    assert [(gap.start_s, gap.end_s) for gap in found.gaps] == [(10, 12)]
    assert (found.speech_s, found.covered_s, found.repaired) == (6, 4, 3)


def test_a_lost_phrase_counts_whatever_pauses_it_has() -> None:
    halting = spans((0, 2), (2.5, 3.0), (3.6, 4.2), (5, 7))
    found = coverage(halting, [*talk(0, 2), *talk(5, 7)])
    assert [(gap.start_s, gap.end_s) for gap in found.gaps] == [(2.5, 3.0), (3.6, 4.2)]
    assert found.covered_s == pytest.approx(5.1 - 1.1)
    # Short detections in a long silence are not added up.
    blips = spans((0, 2), *((second, second + 0.1) for second in range(10, 60, 3)), (70, 72))
    assert coverage(blips, [*talk(0, 2), *talk(70, 72)]).gaps == ()


def test_the_order_of_the_words_does_not_matter() -> None:
    speech = spans((0, 2), (3, 5), (6, 8))
    assert coverage(speech, [*talk(6, 8), *talk(0, 5)]).ratio == 1.0


@pytest.mark.parametrize(
    ("answered", "gaps"),
    [
        ([], [(4.0, 5.9)]),
        ([(3.8, 6.0)], []),
        ([(3.8, 5.0)], [(5.0, 5.9)]),
        ([(4.5, 5.0)], [(4.0, 4.5), (5.0, 5.9)]),
        ([(20.0, 21.0)], [(4.0, 5.9)]),
    ],
)
def test_no_word_is_missing_where_second_readings_found_none(
    answered: list[tuple[float, float]], gaps: list[tuple[float, float]]
) -> None:
    words = [*talk(0, 4), *talk(6, 10)]
    found = coverage(spans((0, 10)), words, answered=spans(*answered))
    assert [(gap.start_s, gap.end_s) for gap in found.gaps] == gaps


@pytest.mark.parametrize(
    ("speech", "warning"),
    [
        ([], "No speech was found in this medium."),
        ([SpeechSpan(0.0, 2.0)], "No speech was found in this medium."),
        ([SpeechSpan(0.0, 4.0), SpeechSpan(5.0, 13.0)],
         "The model silent wrote no word for 12 s of detected speech."),
    ],
)  # fmt: skip
def test_a_transcript_without_words_says_if_there_was_speech(
    speech: list[SpeechSpan], warning: str
) -> None:
    assert without_words(coverage(speech, []), "silent") == warning
