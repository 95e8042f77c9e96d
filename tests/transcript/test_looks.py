"""Plain subtitles by default; word times and highlighted words on request."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest
import srt
import webvtt

from kb.transcript import render
from kb.transcript.formats.subtitle_cues import phrase_cues
from kb.types import STANDARD, Segment, Transcript, Word
from tests.support.foreign_readers import bundled_ffmpeg, ffmpeg, letters
from tests.support.random_transcripts import ITEM, SEEDS, make_transcript, random_transcript

BRACES = str.maketrans("｛｝", "{}")
HIGHLIGHTED = replace(STANDARD, highlight_words=True)


def talk() -> Transcript:
    line = "We have <b> and {x y} here, and then there is a second line of words."
    texts = line.split()
    words = tuple(Word(0.4 * n, 0.4 * n + 0.3, text, 0.9) for n, text in enumerate(texts))
    return make_transcript((Segment(0.0, words[-1].end_s, " ".join(texts), words),))


@pytest.mark.parametrize("highlight", [False, True])
@pytest.mark.parametrize("timestamps", ["segment", "word"])
def test_no_file_begins_with_a_style(timestamps: str, highlight: bool) -> None:
    layout = replace(STANDARD, highlight_words=highlight)
    transcript = replace(talk(), timestamps=timestamps, layout=layout)
    text = render(transcript, "vtt")
    assert "STYLE" not in text
    assert text.startswith("WEBVTT\n\n00:00:00.000 --> ")
    assert ("<00:" in text) == (timestamps == "word" and not highlight)
    assert ("<u>" in text) == highlight


def test_a_player_finds_as_many_cues_with_word_times() -> None:
    plain = render(talk(), "vtt")
    timed = render(replace(talk(), timestamps="word"), "vtt")
    program = bundled_ffmpeg()
    expected = ffmpeg(plain.encode(), "webvtt", program)
    assert len(expected) == plain.count("-->")
    assert ffmpeg(timed.encode(), "webvtt", program) == expected


def seconds(stamp: str) -> float:
    hours, minutes, rest = stamp.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


@pytest.mark.parametrize("format", ["srt", "vtt"])
def test_the_spoken_word_is_marked(format: str) -> None:
    transcript = replace(talk(), layout=HIGHLIGHTED)
    text = render(transcript, format)
    if format == "srt":
        shown = [
            (c.start.total_seconds(), c.end.total_seconds(), c.content) for c in srt.parse(text)
        ]
    else:
        shown = [
            (seconds(c.start), seconds(c.end), c.raw_text)
            for c in webvtt.from_string(text).captions
        ]
    marked = [re.findall(r"<u>(.*?)</u>", content) for _, _, content in shown]
    assert all(len(each) == 1 for each in marked)
    words = [word.text for word in transcript.words]
    found = [each[0].replace("&lt;", "<").replace("&gt;", ">") for each in marked]
    assert [each.replace("\u2060", "").translate(BRACES) for each in found] == words
    for (start_s, _, _), word in zip(shown, transcript.words, strict=True):
        assert abs(start_s - word.start_s) < 0.002
    assert all(before[1] <= after[0] for before, after in pairwise(shown))
    plain = [cue.text for cue in phrase_cues(transcript)]
    assert {letters([re.sub(r"</?u>", "", c)]).replace("&lt;", "<").replace("&gt;", ">")
            for _, _, c in shown} == {letters([each]) for each in plain}  # fmt: skip


@pytest.mark.parametrize("seed", list(SEEDS)[:8])
def test_marked_cues_last_as_long_as_their_cue(seed: int) -> None:
    transcript = random_transcript(seed)
    text = render(replace(transcript, layout=HIGHLIGHTED), "vtt")
    captions = webvtt.from_string(text).captions
    spans = [(round(seconds(c.start) * 1000), round(seconds(c.end) * 1000)) for c in captions]
    assert all(start < end for start, end in spans)
    covered = sum(end - start for start, end in spans)
    assert covered == sum(cue.end_ms - cue.start_ms for cue in phrase_cues(transcript))


def test_words_of_one_instant_are_marked_together() -> None:
    words = (Word(0.0, 0.5, "one", 1.0), Word(0.5, 0.5, "two", 1.0), Word(0.5, 1.5, "three", 1.0))
    transcript = make_transcript((Segment(0.0, 1.5, "one two three", words),))
    text = render(replace(transcript, layout=HIGHLIGHTED), "srt")
    assert [cue.content for cue in srt.parse(text)] == [
        "<u>one</u> two three",
        "one <u>two</u> <u>three</u>",
    ]


def test_text_with_the_time_of_each_word() -> None:
    words = (Word(0.25, 0.5, "Hello", 0.9), Word(3661.0, 3661.5, "there.", 0.9))
    transcript = make_transcript((Segment(0.25, 3661.5, "Hello there.", words),))
    asked = replace(transcript, times_each_word=True)
    assert render(asked, "txt") == (
        "[00:00.250 - 00:00.500] Hello\n[1:01:01.000 - 1:01:01.500] there.\n"
    )
    assert "- 00:00.250 Hello\n" in render(asked, "md")
    assert "- [00:00.250](https://youtu.be/-a_b-c_d-e_?t=0) Hello\n" in render(
        asked, "md", item=ITEM
    )
    # The text beside a medium is by chunk, whatever a preset says about exports.
    assert render(replace(transcript, timestamps="word"), "txt") == render(transcript, "txt")
