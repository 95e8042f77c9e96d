"""Times of transcripts from elsewhere: voices that overlap, odd orders, and impossible values."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
import srt

from kb.errors import TranscriptionError
from kb.transcript import render
from kb.transcript.chunks import chunks, join, pieces
from kb.transcript.formats.subtitle_cues import Cue, phrase_cues, word_cues
from kb.transcript.time_order import in_time_order
from kb.types import STANDARD, Segment, Transcript, Word
from tests.support.composed_talks import composed_talk
from tests.support.raising import raises
from tests.support.random_transcripts import letters, make_transcript
from tests.support.subtitle_style import faults

Spoken = tuple[float, float, str]
TIMED = (  # formats that show times, as text
    "txt", "md", "html", "srt", "vtt", "ass", "ttml", "sbv", "lrc", "csv", "verbose_json", "tsv",
    "audacity", "markers", "edl",
)  # fmt: skip


def said(*words: Spoken, text: str = "") -> Segment:
    """Return the segment of these words; with `text` its text differs from them."""
    return Segment(
        min(word[0] for word in words),
        max(word[1] for word in words),
        text or " ".join(word[2] for word in words),
        tuple(Word(start, end, word, 0.9) for start, end, word in words),
    )


def plain(start_s: float, end_s: float, text: str) -> Segment:
    return Segment(start_s, end_s, text, ())


INTERVIEW = (
    said((1.0, 1.4, "Did"), (1.4, 1.6, "you"), (1.6, 2.2, "really"), (2.2, 3.4, "travel?")),
    said((2.6, 3.0, "Yes"), (3.0, 3.6, "indeed.")),
    said((3.9, 4.2, "Good."), (4.3, 5.0, "Where?")),
)
# name -> (segments, number of voices that speak at most at once)
TALKS: dict[str, tuple[tuple[Segment, ...], int]] = {
    "two speakers overlap": (INTERVIEW, 2),
    "unsorted segments": (INTERVIEW[::-1], 2),
    "three speakers at once": (
        (said((1, 3, "One.")), said((1.5, 3, "Two.")), said((2, 3.5, "Three."))), 3,
    ),
    "an interjection inside": (
        (said((0, 1, "A"), (1, 2, "long"), (2, 3, "sentence"), (3, 4, "here.")),
         said((1.5, 1.8, "Hm."))), 2,
    ),
    "the same time twice": ((said((1, 2, "Left.")), said((1, 2, "Right."))), 2),
    "a long second speaker": (
        (said((1, 1.5, "Short.")), said((1.2, 2, "A"), (9, 10, "pause.")), said((4, 5, "In."))), 2,
    ),
    "without word times": (
        (plain(1, 5, "Somebody speaks for a while."), plain(3, 6, "Another one as well.")), 2,
    ),
    "unsorted and alone": ((said((5, 6, "Late.")), said((1, 2, "Early."))), 1),
    "a step back of 80 ms": ((said((1, 2.08, "One")), said((2.0, 3, "two."))), 1),
    "touching": ((said((1, 2, "One")), said((2, 3, "two."))), 1),
    "words out of order": ((said((5, 6, "late"), (1, 2, "early"), (7, 8, "last")),), 1),
    "words outside of their segment": (
        (Segment(0, 1, "far away", (Word(4, 5, "far", 0.9), Word(5, 6, "away", 0.9))),), 1,
    ),
    "all words at one time": ((said(*[(2.0, 2.0, f"w{n}") for n in range(40)], (6, 7, "end")),), 1),
    "a word of ten seconds": ((said((1, 11, "Aaah"), (11, 11.4, "so.")),), 1),
    "words that end late": ((said((1, 4, "one"), (1.5, 4, "two"), (2.5, 5, "three")),), 1),
    "at the start": ((said((0, 0, "Zero"), (0, 0.3, "first.")),), 1),
    "a time rounded below zero": ((said((-0.0004, 0.5, "Hello.")),), 1),
    "only blank words": ((Segment(0, 1, " ", (Word(0, 1, " ", 0.9),)), said((2, 3, "Yes."))), 1),
    "text that the words are not": (
        (said((1, 2, "helo"), (2, 3, "big"), (30, 31, "world"), text="Hello, big old world!"),), 1,
    ),
}  # fmt: skip


def lag_s(cues: tuple[Cue, ...], segments: tuple[Segment, ...]) -> float:
    """Return the longest time from a word to the nearest cue that shows it, in seconds."""
    worst = 0.0
    for word in (word for segment in segments for word in segment.words if word.text.strip()):
        near = [
            max(cue.start_ms / 1000 - word.start_s, word.start_s - cue.end_ms / 1000, 0.0)
            for cue in cues
            if letters(word.text) in letters(cue.text)
        ]
        worst = max(worst, min(near, default=math.inf))
    return worst


@pytest.mark.parametrize("by_word", [False, True])
@pytest.mark.parametrize("name", [name for name in TALKS if name != "text that the words are not"])
def test_cues_follow_their_words(name: str, by_word: bool) -> None:
    segments, voices = TALKS[name]
    talk = in_time_order(make_transcript(segments))
    cues = word_cues(talk) if by_word else phrase_cues(talk)
    assert lag_s(cues, segments) <= 0.2 + (0.04 if name == "all words at one time" else 0)
    assert sorted(letters("".join(cue.text for cue in cues))) == sorted(
        letters("".join(segment.text for segment in segments))
    )
    assert [cue.start_ms for cue in cues] == sorted(cue.start_ms for cue in cues)
    assert all(0 <= cue.start_ms < cue.end_ms for cue in cues)
    at_once = max(
        sum(other.start_ms <= cue.start_ms < other.end_ms for other in cues) for cue in cues
    )
    assert at_once == voices


@pytest.mark.parametrize("name", TALKS)
def test_no_layout_fault(name: str) -> None:
    segments, _ = TALKS[name]
    talk = make_transcript(segments)
    found = faults(render(talk, "srt"), talk, STANDARD)
    if name == "text that the words are not":
        found = [fault for fault in found if "not in time" not in fault]
    assert not found


def test_a_corrected_text_keeps_the_times_of_the_words_that_it_has() -> None:
    (segment,) = TALKS["text that the words are not"][0]
    found = pieces(segment)
    assert [piece.text for piece in found] == ["Hello,", "big", "old", "world!"]
    assert [piece.start_s for piece in found] == [1, 2, 3, 30]


@pytest.mark.parametrize("format", TIMED)
def test_every_format_is_in_order_of_time(format: str) -> None:
    forward = render(make_transcript(INTERVIEW), format)
    assert render(make_transcript(INTERVIEW[::-1]), format) == forward
    assert forward.index("Did") < forward.index("Yes") < forward.index("Good")


def test_ordered_segments_stay_as_they_are() -> None:
    talk = make_transcript(INTERVIEW)
    assert in_time_order(talk) is talk


def test_a_segment_is_cut_where_its_words_go_back() -> None:
    talk = in_time_order(make_transcript(TALKS["words out of order"][0]))
    assert [(s.start_s, s.end_s, s.text) for s in talk.segments] == [
        (1, 8, "early last"), (5, 6, "late"),
    ]  # fmt: skip
    assert all(join(pieces(segment)) == segment.text for segment in talk.segments)


@pytest.mark.parametrize("limit_s", [3.0, 30.0])
@pytest.mark.parametrize("name", TALKS)
def test_every_word_is_in_a_chunk_of_its_time(name: str, limit_s: float) -> None:
    segments, _ = TALKS[name]
    found = list(chunks(in_time_order(make_transcript(segments)), limit_s))
    assert [chunk.start_s for chunk in found] == sorted(chunk.start_s for chunk in found)
    if name == "text that the words are not":
        return
    for word in (word for segment in segments for word in segment.words if word.text.strip()):
        assert any(
            word.text in chunk.text and chunk.start_s <= word.start_s + 0.05
            and word.start_s <= chunk.end_s + 0.05
            for chunk in found
        ), word  # fmt: skip


def test_an_interjection_stands_between_the_parts_of_a_long_segment() -> None:
    long = said(*[(float(n), n + 0.9, f"w{n}") for n in range(60)])
    talk = make_transcript((long, said((10.0, 10.5, "really?")), said((45.0, 45.5, "no!"))))
    found = {chunk.text.split()[-1]: chunk for chunk in chunks(talk, 30.0)}
    (really,) = (chunk for chunk in found.values() if "really?" in chunk.text)
    (no,) = (chunk for chunk in found.values() if "no!" in chunk.text)
    assert really.start_s <= 10.0 <= really.end_s and no.start_s <= 45.0 <= no.end_s


@pytest.mark.parametrize("name", [*TALKS, *(f"talk {seed}" for seed in (0, 15, 30, 33, 45))])
def test_a_line_of_lyrics_lasts_until_the_next_and_has_its_words_in_time(name: str) -> None:
    """Lines of lyrics have no end, so that those of people who speak at once take turns."""
    if name == "text that the words are not":
        return
    segments = TALKS[name][0] if name in TALKS else composed_talk(int(name.split()[1])).segments
    document = render(make_transcript(segments), "lrc")
    found = [
        (int(minutes) * 60 + float(seconds), letters(text))
        for minutes, seconds, text in re.findall(r"(?m)^\[(\d+):(\d+\.\d+)\](.*)$", document)
    ]
    lines = [(start, after, text) for (start, text), (after, _) in pairwise(found)]
    lines.append((found[-1][0], math.inf, found[-1][1]))
    for word in (word for segment in segments for word in segment.words if word.text.strip()):
        assert any(
            letters(word.text) in text and start - 0.2 <= word.start_s <= after + 0.2
            for start, after, text in lines
        ), word
    assert sorted("".join(text for _, _, text in lines)) == sorted(
        letters("".join(segment.text for segment in segments))
    )


GOOD = said((1, 2, "Good."))
# name -> (segment, code, place)
IMPOSSIBLE: dict[str, tuple[Segment, str, str]] = {
    "a start of 1e300": (plain(1e300, 1e300, "x"), "impossible_time", "segment_place"),
    "an end of 1e300": (plain(3, 1e300, "x"), "impossible_time", "segment_place"),
    "a start that is no number": (plain(math.nan, 4, "x"), "impossible_time", "segment_place"),
    "an end that is no number": (plain(3, math.nan, "x"), "impossible_time", "segment_place"),
    "an endless end": (plain(3, math.inf, "x"), "impossible_time", "segment_place"),
    "before the beginning": (plain(-math.inf, 4, "x"), "impossible_time", "segment_place"),
    "a negative start": (plain(-2, 4, "x"), "impossible_time", "segment_place"),
    "both negative": (plain(-4, -2, "x"), "impossible_time", "segment_place"),
    "1001 hours": (plain(3, 1001 * 3600, "x"), "impossible_time", "segment_place"),
    "an end before its start": (plain(4, 3, "x"), "end_before_start", "segment_place"),
    "a word of 1e300": (
        Segment(3, 4, "x", (Word(1e300, 1e300, "x", 1),)), "impossible_time", "word_place",
    ),
    "a word that is no number": (
        Segment(3, 4, "x", (Word(3, math.nan, "x", 1),)), "impossible_time", "word_place",
    ),
    "a negative word": (
        Segment(3, 4, "x", (Word(-1, 4, "x", 1),)), "impossible_time", "word_place",
    ),
    "a word that ends before its start": (
        Segment(3, 4, "x", (Word(4, 3, "x", 1),)), "end_before_start", "word_place",
    ),
}  # fmt: skip


@pytest.mark.parametrize("format", TIMED)
@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_an_impossible_time_is_an_error_with_its_place(name: str, format: str) -> None:
    segment, code, place = IMPOSSIBLE[name]
    talk = make_transcript((GOOD, segment))
    with raises(TranscriptionError, f"transcript.{code}", path=talk.media.path) as caught:
        render(talk, format)
    stored = caught.value.values["place"]
    assert stored["code"] == f"transcript.{place}"
    assert stored["values"]["segment"] == 2
    assert "segment 2" in caught.value.message and caught.value.hint


@pytest.mark.parametrize("text", ["", " "])
@pytest.mark.parametrize("format", [*TIMED, "json"])
def test_a_transcript_without_words_is_a_valid_document(format: str, text: str) -> None:
    empty = make_transcript((plain(0, 1, text),)) if text else make_transcript(())
    document = render(empty, format)
    assert isinstance(document, str | bytes)
    if format == "srt":
        assert not list(srt.parse(document))


def test_cues_of_one_speaker_never_overlap() -> None:
    segments = tuple(
        said((n * 1.0, n * 1.0 + 1.05, "word"), (n + 0.5, n + 1.05, "more.")) for n in range(30)
    )
    talk: Transcript = make_transcript(segments)
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(phrase_cues(talk)))
