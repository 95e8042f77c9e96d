"""No export shows a word more than 0.2 s from its sound, in any layout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from kb.export_options import LayoutOptions
from kb.transcript.formats.subtitle_cues import Cue, phrase_cues
from kb.transcript.time_order import in_time_order
from kb.types import LAYOUTS, SubtitleLayout, Transcript
from tests.support.composed_talks import composed_talk, sample_talks
from tests.support.crowded_talks import crowded_talk
from tests.support.random_transcripts import SEEDS, random_transcript

LIMIT_MS = 200.5  # with half a millisecond of rounding

LAYOUTS_TRIED: Mapping[str, SubtitleLayout] = {
    **LAYOUTS,
    **{
        f"{columns} columns, {lines} lines": LayoutOptions(
            max_line_width=columns, max_line_count=lines
        ).resolve()
        for columns in (4, 8, 12, 20, 42)
        for lines in (1, 2, 3)
    },
    "three words": LayoutOptions(max_words_per_line=3).resolve(),
    "a word a line": LayoutOptions(max_words_per_line=1, max_line_count=3).resolve(),
    "short": LayoutOptions(max_cue_duration=0.2, max_line_count=1, max_line_width=12).resolve(),
    "half a second": LayoutOptions(max_cue_duration=0.5).resolve(),
    "wide gaps": LayoutOptions(cue_gap=2).resolve(),
    "wide gaps, narrow": LayoutOptions(cue_gap=2, max_line_width=10, max_line_count=1).resolve(),
    "no gaps": LayoutOptions(cue_gap=0).resolve(),
    "long": LayoutOptions(min_cue_duration=20, max_cue_duration=60).resolve(),
    "slow readers": LayoutOptions(max_chars_per_second=4).resolve(),
}
# Of the crowded talks, in which a cue was moved behind the one that follows it.
HARD = (0, 30, 40, 64, 98, 121, 124, 129, 146)


def late_words(talk: Transcript, layout: SubtitleLayout) -> list[str]:
    """Return the words that are shown too long before or after their time."""
    ordered = in_time_order(replace(talk, layout=layout))
    times = {word.text: word.start_s for part in ordered.segments for word in part.words}
    # Where a word is said several times, its part of the cue has the time of the right one.
    once = len(times) == len(talk.words)
    return [
        f"{late_ms:.0f} ms: {text!r} in {cue}"
        for cue in phrase_cues(ordered)
        for text, late_ms in _lags(cue, times if once else {})
        if late_ms > LIMIT_MS
    ]


def _lags(cue: Cue, times: Mapping[str, float]) -> Iterable[tuple[str, float]]:
    for number, piece in enumerate(piece for line in cue.lines for piece in line):
        at_ms = 1000 * times.get(piece.text, piece.start_s)
        early_ms = at_ms - cue.start_ms if number == 0 else 0.0
        yield piece.text, max(cue.start_ms - at_ms, at_ms - cue.end_ms, early_ms)


@pytest.mark.parametrize("name", LAYOUTS_TRIED)
def test_words_that_crowd(name: str) -> None:
    for seed in HARD:
        assert not late_words(crowded_talk(seed), LAYOUTS_TRIED[name])


@pytest.mark.parametrize("name", LAYOUTS_TRIED)
def test_cues_of_a_voice_follow_each_other(name: str) -> None:
    for seed in HARD:
        ordered = in_time_order(replace(crowded_talk(seed), layout=LAYOUTS_TRIED[name]))
        cues = phrase_cues(ordered)
        assert all(cue.start_ms < cue.end_ms for cue in cues)
        assert [cue.start_ms for cue in cues] == sorted(cue.start_ms for cue in cues)


@pytest.mark.long
@pytest.mark.parametrize("name", LAYOUTS_TRIED)
def test_no_word_is_late_in_any_layout(name: str) -> None:
    talks = [
        *sample_talks(),
        *map(composed_talk, range(200)),
        *map(random_transcript, SEEDS),
        *map(crowded_talk, range(200)),
    ]
    for talk in talks:
        assert not late_words(talk, LAYOUTS_TRIED[name])


def test_samples_have_no_late_word() -> None:
    for talk in sample_talks():
        for layout in LAYOUTS_TRIED.values():
            assert not late_words(talk, layout)
