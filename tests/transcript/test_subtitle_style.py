"""Subtitles of every layout, checked for what a viewer sees: width, speed, gaps, times."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kb.export_options import LayoutOptions
from kb.transcript import render
from kb.types import LAYOUTS, LayoutName, SubtitleLayout
from tests.support.composed_talks import composed_talk, sample_talks
from tests.support.random_transcripts import SEEDS, random_transcript
from tests.support.subtitle_style import faults

BY_HAND = {
    "narrow": LayoutOptions(max_line_width=16, max_line_count=3),
    "one long line": LayoutOptions(max_line_width=120, max_line_count=1),
    "three words": LayoutOptions(max_words_per_line=3),
    "slow readers": LayoutOptions(max_chars_per_second=8),
    "wide gaps": LayoutOptions(cue_gap=0.25),
    "no gaps": LayoutOptions(cue_gap=0.0),
    "short cues": LayoutOptions(min_cue_duration=0.3, max_cue_duration=2.0),
    "netflix with a line of mine": LayoutOptions(layout="netflix", max_line_width=30),
}


def check(layout: SubtitleLayout, seeds: range) -> None:
    found: list[str] = []
    for seed in seeds:
        talk = replace(composed_talk(seed), layout=layout)
        found += [f"talk {seed}: {fault}" for fault in faults(render(talk, "srt"), talk, layout)]
    assert not found, "\n".join(found[:20])


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_composed_talks_have_no_fault(name: LayoutName) -> None:
    check(LAYOUTS[name], range(200))


@pytest.mark.parametrize("name", BY_HAND)
def test_a_layout_by_hand_is_kept(name: str) -> None:
    check(BY_HAND[name].resolve(), range(20))


@pytest.mark.parametrize("name", LAYOUTS)
def test_samples_have_no_fault(name: LayoutName) -> None:
    layout = LAYOUTS[name]
    for talk in sample_talks():
        assert not faults(render(replace(talk, layout=layout), "srt"), talk, layout)


@pytest.mark.parametrize("name", ["standard", pytest.param("one-word", marks=pytest.mark.slow)])
def test_random_transcripts_have_no_fault(name: LayoutName) -> None:
    for seed in SEEDS[::7]:
        talk = replace(random_transcript(seed), layout=LAYOUTS[name])
        found = faults(render(talk, "srt"), talk, LAYOUTS[name])
        assert not found
