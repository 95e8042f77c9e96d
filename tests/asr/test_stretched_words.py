"""Words that lie over a lost one: how much longer than usual they are, and how likely.

The item's pace is 0.1 s and 0.05 s a letter: "harbour" and "weather" need 0.45 s.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from kb.asr.quality.window_context import Thresholds, WindowContext
from kb.asr.quality.word_checks import stretched
from kb.settings import Settings
from kb.types import Word
from tests.support.window_texts import context, words

LIMITS = Thresholds.of(Settings())
OTHERS = " ".join(f"garden@{5 + n}.0-{5 + n}.4" for n in range(8))  # "garden" needs 0.4 s


@pytest.mark.parametrize(
    ("text", "chances", "expected"),
    [
        # The limit is 0.3 s for a likely word, 0.18 s for another one.
        ("harbour@1.0-1.7", (0.99,), []),
        ("harbour@1.0-1.7", (0.6,), [(1.0, 1.7)]),
        ("harbour@1.0-1.7", (0.94,), [(1.0, 1.7)]),
        ("harbour@1.0-1.62", (0.6,), []),
        ("harbour@1.0-1.8", (0.99,), [(1.0, 1.8)]),
        # The border with a shorter neighbour is in the wrong place.
        ("harbour@1.0-1.7 weather@1.7-2.05", (0.6, 0.99), []),
        # Of two unlikely ones, the shorter one may be another word with a time of its own.
        ("harbour@1.0-1.7 weather@1.7-2.05", (0.4, 0.4), [(1.0, 1.7)]),
        ("harbour@1.0-1.7 weather@1.7-2.05", (0.4, 0.6), []),
        ("weather@1.0-1.35 harbour@1.35-2.05", (0.4, 0.4), [(1.35, 2.05)]),
        ("harbour@1.0-1.6 weather@1.6-2.05", (0.4, 0.4), []),  # it is not longer than the limit
        # Both have a part of the lost word: 0.375 s together.
        ("harbour@1.0-1.73 weather@1.73-2.3", (0.99, 0.9), [(1.0, 2.3)]),
        ("harbour@1.0-1.73 weather@1.73-2.3", (0.99, 0.99), []),
        ("harbour@1.0-1.73 weather@1.73-2.25", (0.99, 0.9), []),
        ("harbour@1.0-1.73 weather@1.8-2.37", (0.99, 0.9), []),  # they do not touch
        ("harbour@1.0-1.84 weather@1.84-2.31", (0.99, 0.9), [(1.0, 1.84)]),  # one has it all
        # The last of three is the longer one of the pair.
        (
            "weather@0.5-0.95 harbour@0.95-1.55 weather@1.55-2.25",
            (0.99, 0.9, 0.99),
            [(0.95, 2.25)],
        ),
    ],
)
def test_less_than_the_limit_counts_for_a_word_that_is_not_quite_likely(
    text: str, chances: tuple[float, ...], expected: list[tuple[float, float]]
) -> None:
    found = stretched(_with(f"{text} {OTHERS}", (*chances, *[0.99] * 8)), LIMITS)
    assert [(flag.start_s, flag.end_s) for flag in found] == expected


def test_where_most_words_are_misheard_only_the_whole_limit_counts() -> None:
    text = f"harbour@1.0-1.7 {OTHERS}"
    assert stretched(_with(text, (0.6, *[0.7] * 8)), LIMITS) == []
    assert len(stretched(_with(text, (0.6, *[0.9] * 8)), LIMITS)) == 1


def _with(text: str, chances: tuple[float, ...]) -> WindowContext:
    own: list[Word] = [replace(w, probability=p) for w, p in zip(words(text), chances, strict=True)]
    read = context(text, ((0.0, 15.0),))
    segment = replace(read.decoded.segments[0], words=tuple(own))
    return replace(read, decoded=replace(read.decoded, segments=(segment,)))
