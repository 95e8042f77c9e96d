"""SubRip and WebVTT: cues that readers accept, comfortable to read, in step with the words."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from itertools import pairwise

import pytest
import srt
import webvtt

from kb.transcript import render
from kb.transcript.formats.line_breaks import columns
from kb.transcript.formats.subtitle_cues import phrase_cues
from kb.types import (
    Segment,
    Transcript,
    Word,
)
from tests.support.random_transcripts import (
    SEEDS,
    VOCABULARY,
    letters,
    make_transcript,
    random_transcript,
    spoken,
)


def shown_by_srt(transcript: Transcript) -> str:
    """Return the letters of the transcript; SubRip has no escape for its arrow."""
    return letters("".join(spoken(transcript))).replace("-->", "→")


def check_cues(spans: list[tuple[float, float]]) -> None:
    assert all(start < end for start, end in spans)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))


@pytest.mark.parametrize("seed", SEEDS)
def test_srt_cues_can_be_read(seed: int) -> None:
    transcript = random_transcript(seed)
    cues = list(srt.parse(render(transcript, "srt")))
    assert [cue.index for cue in cues] == list(range(1, len(cues) + 1))
    assert letters("".join(cue.content for cue in cues)) == shown_by_srt(transcript)
    spans = [(cue.start.total_seconds(), cue.end.total_seconds()) for cue in cues]
    check_cues(spans)
    for cue, (start, end) in zip(cues, spans, strict=True):
        lines = cue.content.replace("\u2060", "").split("\n")
        assert len(lines) <= 2
        assert all(fits(line) for line in lines)
        assert end - start <= 7.0 + 0.001


@pytest.mark.parametrize("seed", SEEDS)
def test_vtt_cues_can_be_read(seed: int) -> None:
    transcript = random_transcript(seed)
    captions = webvtt.from_string(render(transcript, "vtt")).captions
    shown = [unescape(caption.raw_text) for caption in captions]
    assert letters("".join(shown)) == letters("".join(spoken(transcript)))
    check_cues([(seconds(c.start), seconds(c.end)) for c in captions])
    assert all(fits(line) for text in shown for line in text.split("\n"))


def fits(line: str) -> bool:
    """Return True for at most 42 columns; a single longer word or address stays whole."""
    return columns(line) <= 42 or line in VOCABULARY


def unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def seconds(stamp: str) -> float:
    hours, minutes, rest = str(stamp).split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def steady_speech(count: int, *, per_word_s: float = 0.35) -> Transcript:
    """Ordinary speech in segments of a sentence each."""
    rng = random.Random(1)
    segments: list[Segment] = []
    words: list[Word] = []
    for number in range(count):
        start = number * per_word_s
        end_of_sentence = (number + 1) % 11 == 0 or number + 1 == count
        text = rng.choice(["people", "of", "the", "new", "house", "understand", "it"])
        words.append(Word(start, start + 0.3, text + ("." if end_of_sentence else ""), 0.9))
        if end_of_sentence:
            text = " ".join(word.text for word in words)
            segments.append(Segment(words[0].start_s, words[-1].end_s, text, tuple(words)))
            words = []
    return make_transcript(tuple(segments))


def test_ordinary_speech_makes_comfortable_cues() -> None:
    transcript = steady_speech(440)
    cues = phrase_cues(transcript)
    times = [(cue.end_ms - cue.start_ms) / 1000 for cue in cues]
    assert min(times) >= 0.8 and max(times) <= 7
    assert all(len(cue.text.split()) >= 3 for cue in cues)
    at_sentence_end = sum(cue.text.endswith(".") for cue in cues)
    assert at_sentence_end >= 0.5 * len(cues)
    speeds = [len(cue.text) / time for cue, time in zip(cues, times, strict=True)]
    assert max(speeds) <= 25


def test_cue_starts_with_its_first_word() -> None:
    transcript = steady_speech(100)
    starts = {round(word.start_s * 1000) for word in transcript.words}
    assert all(cue.start_ms in starts for cue in phrase_cues(transcript))


def test_a_lone_short_word_stays_long_enough_to_read() -> None:
    words = (Word(1.0, 1.2, "Yes.", 0.9),)
    (cue,) = phrase_cues(make_transcript((Segment(1.0, 1.2, "Yes.", words),)))
    assert (cue.start_ms, cue.end_ms) == (1000, 1834)


def test_word_srt_is_in_step() -> None:
    transcript = replace(steady_speech(60), timestamps="word")
    cues = list(srt.parse(render(transcript, "srt")))
    assert [cue.content for cue in cues] == [word.text for word in transcript.words]
    for cue, word in zip(cues, transcript.words, strict=True):
        assert abs(cue.start.total_seconds() - word.start_s) < 0.002
        assert cue.end.total_seconds() >= word.end_s - 0.002


@pytest.mark.parametrize("seed", SEEDS)
def test_word_srt_shows_every_word_once(seed: int) -> None:
    transcript = random_transcript(seed, timestamps="word")
    cues = list(srt.parse(render(transcript, "srt")))
    assert letters("".join(cue.content for cue in cues)) == shown_by_srt(transcript)
    check_cues([(cue.start.total_seconds(), cue.end.total_seconds()) for cue in cues])


def test_words_of_one_instant_share_the_time_until_the_next() -> None:
    words = tuple(
        Word(start, start, text, 0.9) for start, text in ((1.0, "a"), (1.0, "b"), (1.4, "c"))
    )
    transcript = make_transcript((Segment(1.0, 1.6, "a b c", words),), timestamps="word")
    cues = list(srt.parse(render(transcript, "srt")))
    assert [cue.start.total_seconds() for cue in cues] == [1.0, 1.15, 1.4]


@pytest.mark.parametrize("seed", SEEDS)
def test_word_vtt_times_lie_inside_their_cue(seed: int) -> None:
    transcript = random_transcript(seed, timestamps="word")
    captions = webvtt.from_string(render(transcript, "vtt")).captions
    shown = ""
    for caption in captions:
        inner = [seconds(stamp) for stamp in re.findall(r"<(\d\d:[\d:.]+)>", caption.raw_text)]
        assert inner == sorted(set(inner))
        assert all(seconds(caption.start) < stamp < seconds(caption.end) for stamp in inner)
        shown += unescape(re.sub(r"<\d\d:[\d:.]+>", "", caption.raw_text))
    assert letters(shown) == letters("".join(spoken(transcript)))


def test_word_vtt_marks_each_word() -> None:
    transcript = replace(steady_speech(60), timestamps="word")
    captions = webvtt.from_string(render(transcript, "vtt")).captions
    marked = [s for c in captions for s in re.findall(r"<(\d\d:[\d:.]+)>", c.raw_text)]
    assert len(marked) + len(captions) == len(transcript.words)
