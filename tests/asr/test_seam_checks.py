"""Words that two windows share and only one of their texts has: lost, misheard, or cut.

A word is written as `text@start-end`; the item's pace is 0.1 s and 0.05 s a letter: "bridge" and
"garden" need 0.4 s, "river" 0.35 s, "village" 0.45 s.
"""

from __future__ import annotations

import pytest

from kb.asr.quality.report import WindowResult
from kb.asr.quality.seam_checks import lost_words, with_seam_doubts
from kb.asr.stitching import WindowText, stitch
from tests.support.window_texts import PACE, decoded, words

# The first text has "bridge" below "river", which it ends 0.18 s late.
WITHOUT = "river@16.74-17.34 village@17.56-17.92 sunshine@17.96-18.48"
WITH = "river@16.86-17.16 bridge@17.16-17.48 village@17.52-17.96 sunshine@17.96-18.5"
CASES = {
    # name: (the words of one text, the joined words, those that the joined text lost)
    "lost below the word before it": (WITH, WITHOUT, "bridge"),
    "lost below the word behind it": (
        WITH,
        "river@16.86-17.16 village@17.16-17.96 sunshine@17.96-18.5",
        "bridge",
    ),
    "lost in a hole": (
        WITH,
        "river@16.86-17.16 village@17.52-17.96 sunshine@17.96-18.5",
        "bridge",
    ),
    "kept": (WITH, WITH, ""),
    "one text has fewer words": (WITHOUT, WITH, ""),
    "another reading of it": (
        WITH,
        "river@16.86-17.16 garden@17.1-17.5 village@17.52-17.96 sunshine@17.96-18.5",
        "",
    ),
    "the end of a word, read as a word": (
        "ver@16.9-17.2 village@17.56-17.92",
        "river@16.86-17.2 village@17.3-17.75",
        "",
    ),
    "no time for it": (WITH, "river@16.86-17.2 village@17.3-17.7 sunshine@17.9-18.5", ""),
    "the second of two equal words": (
        "bridge@16.7-17.1 bridge@17.1-17.5 evening@17.5-18.0",
        "bridge@16.7-17.3 evening@17.3-18.0",
        "bridge",
    ),
    "no word behind it": (WITH, "river@16.86-17.16", ""),
    "nothing": ("", "", ""),
}


@pytest.mark.parametrize("name", CASES)
def test_a_word_of_one_text_is_lost_where_the_other_has_its_time(name: str) -> None:
    own, joined, expected = CASES[name]
    found = lost_words(words(own), words(joined), PACE)
    assert " ".join(word.text for word in found) == expected


def text(index: int, spoken: str, start_s: float, overlap_s: float = 0.0) -> WindowText:
    return WindowText(index, start_s, overlap_s, decoded(spoken))


AFTER = " always@18.5-18.95 table@18.95-19.4 wooden@20.0-20.4"


@pytest.mark.parametrize(
    ("left", "right", "overlap_s", "flags"),
    [
        # The joined text has the words of the left one up to the middle of what both share.
        (WITHOUT, WITH, 3.0, {1: [("disagreement", 17.16, 17.48)]}),
        (WITH, WITH, 3.0, {}),
        (WITH, WITHOUT, 3.0, {}),
        (WITHOUT, WITH, 0.0, {}),  # they share nothing, so that both are kept
    ],
)
def test_a_word_that_only_one_of_two_windows_has_is_reported(
    left: str, right: str, overlap_s: float, flags: dict[int, list[tuple[str, float, float]]]
) -> None:
    texts = [
        text(0, f"music@16.2-16.7 {left} always@18.5-18.95", 0.0),
        text(1, right + AFTER, 16.74, overlap_s),
    ]
    results = [WindowResult(0, 0.0, 19.74), WindowResult(1, 16.74, 40.0)]
    found = with_seam_doubts(results, texts, stitch(texts), PACE)
    marked = {
        window.index: [(flag.name, flag.start_s, flag.end_s) for flag in window.flags]
        for window in found
        if window.flags
    }
    assert marked == flags
