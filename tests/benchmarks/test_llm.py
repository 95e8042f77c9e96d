"""The benchmark of language models on a small scale: quotes, bookings with faults and kills."""

from __future__ import annotations

import pytest

from benchmarks.llm import EACH, NEAR_S
from benchmarks.support.llm_calls import again, with_kills
from benchmarks.support.quoted_talk import cases, talk
from kb.transcript.quotes import QuoteFinder


def test_true_quotes_are_placed_and_no_others_are_shown() -> None:
    segments = talk()
    finder, placed = QuoteFinder(segments), 0
    for case in cases(segments, EACH):
        found = finder.find(case.quote, case.segment).quote
        if case.start_s is None:
            assert found is None, case
        else:
            placed += found is not None and abs(found.start_s - case.start_s) <= NEAR_S
    assert placed == EACH


@pytest.mark.slow
def test_what_is_booked_agrees_with_the_server() -> None:
    """One call for each kill may be lost or made twice, and no more."""
    found = with_kills(60, 1)
    booked = found.booked
    assert found.calls >= 60
    assert 0 <= found.usable - booked.calls <= found.kills
    assert found.repeated <= found.kills
    assert booked.tokens <= found.tokens <= booked.tokens + booked.unknown_tokens
    assert booked.unknown_calls > 0


@pytest.mark.slow
def test_a_second_run_makes_no_call() -> None:
    assert again(10) == 0
