"""Transcript formats: read back by other libraries, nothing lost, nothing twice."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import srt
import webvtt
from markdown_it import MarkdownIt

from kb.errors import LibraryError, TranscriptionError, UsageError
from kb.transcript import FORMATS, render
from kb.transcript.chunks import (
    chunks,
    collapse_whitespace,
    format_time_range,
    format_timestamp,
    join,
    pieces,
)
from kb.transcript.foreign import text_lines
from kb.transcript.formats import json_document
from kb.transcript.formats.subtitle_cues import phrase_cues
from kb.transcript.passages import passages
from kb.types import (
    Chapter,
    Coverage,
    MediaItem,
    MediaRef,
    Segment,
    SpeechSpan,
    Timing,
    Transcript,
    Word,
)
from tests.support.raising import raises

WORDS = (
    "we the a knowledge base, models -- learn & grow; don't stop. Why? “Because” <b>it</b> is "
    "3.14 *bold* _under_ =SUM(A1) -5 +49 @home Größe naïve 东京 日本語 👩‍👩‍👧 --> 12 "
    "https://example.org/a/very/long/address/that/no/line/can/hold?x=1 \\back `tick` [x](y) $5 #1"
)
VOCABULARY = WORDS.split()


def make_transcript(
    segments: tuple[Segment, ...], *, timestamps: str = "segment", chunk_s: float = 30.0
) -> Transcript:
    return Transcript(
        media=MediaRef("talks/Größe.mp4", "ab" * 32, 4000.5),
        segments=segments,
        language="en",
        engine="whisper",
        model="demo",
        preset="optimiert",
        coverage=Coverage(100.1, 99.7, (SpeechSpan(3.3, 3.7),), 2),
        timing=Timing(0.1, 0.2, 0.3, 4.4, 0.5, 6.6, 4000.5),
        chunk_s=chunk_s,
        timestamps="word" if timestamps == "word" else "segment",
        warnings=("The medium ends early.",),
    )


def random_transcript(seed: int, **options: Any) -> Transcript:
    """Speech at natural rates with everything that recognizers get up to."""
    rng = random.Random(seed)
    segments: list[Segment] = []
    now = rng.choice([0.0, 0.0, 3580.0])
    for _ in range(rng.randint(1, 40)):
        now += rng.choice([0.0, 0.0, 0.05, 0.4, 2.0, 15.0])
        words: list[Word] = []
        for _ in range(rng.choice([1, 1, 3, 8, 15, 40, 150])):
            start = now
            now += rng.choice([0.0, 0.1, 0.2, 0.3, 0.45, 0.6])
            words.append(Word(start, now, rng.choice(VOCABULARY), rng.random()))
            now += rng.choice([0.0, 0.0, 0.02, 0.1, 1.5])
        text = " ".join(word.text for word in words)
        kind = rng.random()
        start, end = words[0].start_s, words[-1].end_s
        if kind < 0.1:
            words = []  # an engine without word times
        elif kind < 0.2:
            words = words[: len(words) // 2]  # words that do not make up the text
        elif kind < 0.3:
            text = f"  {text}\n"
        language = rng.choice([None, None, "en", "de"])
        segments.append(Segment(start, end, text, tuple(words), language))
    return make_transcript(tuple(segments), **options)


SEEDS = range(35)
ITEM = MediaItem(
    id="youtube:-a_b-c_d-e_",
    source="youtube",
    url="https://www.youtube.com/watch?v=-a_b-c_d-e_",
    title="Why *we* <learn> [now] #1",
    published="2024-05-01",
    channel="Sample & Sons",
    chapters=(Chapter(0.0, "Start"), Chapter(60.0, "The *end*")),
)


def spoken(transcript: Transcript) -> list[str]:
    return " ".join(segment.text for segment in transcript.segments).split()


def letters(text: str) -> str:
    """Without any space, as cues may break where none is, and without the joiner in a tag."""
    return re.sub(r"[\s\u2060]+", "", text)


def test_unknown_format_names_the_known_ones() -> None:
    with raises(UsageError, "format.unknown", format="docx") as caught:
        render(make_transcript(()), "docx")
    assert all(name in caught.value.hint for name in FORMATS)


@pytest.mark.parametrize("timestamps", ["segment", "word"])
@pytest.mark.parametrize("segments", [(), (Segment(1.0, 2.0, " ", ()),)])
def test_empty_transcripts_are_valid(segments: tuple[Segment, ...], timestamps: str) -> None:
    transcript = make_transcript(segments, timestamps=timestamps)
    assert render(transcript, "txt") == ""
    assert list(srt.parse(render(transcript, "srt"))) == []
    assert render(transcript, "vtt") == "WEBVTT\n"
    assert webvtt.from_string(render(transcript, "vtt")).captions == []
    assert json_document.from_document(json.loads(render(transcript, "json"))) == transcript
    assert render(make_transcript(()), "csv").count("\n") == 1
    assert render(transcript, "md") == ""
    assert render(transcript, "md", item=ITEM).startswith("# Why")
    assert passages(transcript, ITEM) == ()


# Clock, pieces and chunks


def test_clock() -> None:
    assert [format_timestamp(s) for s in (0, 59.99, 60, 3599.9, 3600, 36_061)] == [
        "00:00",
        "00:59",
        "01:00",
        "59:59",
        "1:00:00",
        "10:01:01",
    ]
    assert format_time_range(0.4, 30.9) == "00:00 - 00:30"
    assert format_time_range(3590, 3605) == "0:59:50 - 1:00:05"


@pytest.mark.parametrize("seed", SEEDS)
def test_pieces_are_the_text_in_order(seed: int) -> None:
    for segment in random_transcript(seed).segments:
        cut = pieces(segment)
        assert join(cut) == collapse_whitespace(segment.text)
        starts = [piece.start_s for piece in cut]
        assert starts == sorted(starts)


def test_pieces_keep_punctuation_with_its_word() -> None:
    words = tuple(
        Word(float(i), i + 0.5, text, 1.0)
        for i, text in enumerate(["He", "said", "well", "known", "yes"])
    )
    cut = pieces(Segment(0, 5, 'He said: "well-known" - yes!', words))
    assert [piece.text for piece in cut] == ["He", "said:", '"well-', 'known" -', "yes!"]
    assert [piece.glued for piece in cut] == [False, False, False, True, False]
    assert [piece.start_s for piece in cut] == [0, 1, 2, 3, 4]


def test_pieces_without_spaces() -> None:
    words = (Word(0, 1, "日本", 1.0), Word(1, 2, "語", 1.0))
    assert join(pieces(Segment(0, 2, "日本語。", words))) == "日本語。"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("limit_s", [5.0, 20.0, 60.0])
def test_chunks_lose_and_repeat_nothing(seed: int, limit_s: float) -> None:
    transcript = random_transcript(seed)
    cut = list(chunks(transcript, limit_s))
    assert " ".join(chunk.text for chunk in cut).split() == spoken(transcript)
    for chunk in cut:
        assert chunk.end_s - chunk.start_s <= limit_s + 1e-9 or " " not in chunk.text
        assert chunk.text
    assert [chunk.start_s for chunk in cut] == sorted(chunk.start_s for chunk in cut)


# txt


@pytest.mark.parametrize("seed", SEEDS)
def test_txt_lines(seed: int) -> None:
    transcript = random_transcript(seed, chunk_s=random.Random(seed).choice([20.0, 30.0, 60.0]))
    text = render(transcript, "txt")
    lines = text.splitlines()
    words: list[str] = []
    for line in lines:
        match = re.fullmatch(r"\[(?:\d+:)?\d\d:\d\d - (?:\d+:)?\d\d:\d\d\] (.+)", line)
        assert match, line
        words += match[1].split()
    assert words == spoken(transcript)


def test_txt_is_the_designs_line() -> None:
    transcript = make_transcript(
        (Segment(0.2, 12.0, "Hello there.", ()), Segment(12.5, 29.0, "More.", ())),
    )
    assert render(transcript, "txt") == "[00:00 - 00:29] Hello there. More.\n"


def test_txt_read_back() -> None:
    transcript = random_transcript(3)
    again = text_lines.parse(render(transcript, "txt"), transcript.media.duration_s)
    assert " ".join(row.text for row in again.rows).split() == spoken(transcript)
    expected = [int(chunk.start_s) for chunk in chunks(transcript, 30.0)]
    assert [row.start_s for row in again.rows] == expected


# json


@pytest.mark.parametrize("seed", SEEDS)
def test_json_is_exact(seed: int) -> None:
    transcript = random_transcript(seed, timestamps="word" if seed % 2 else "segment")
    document = json.loads(render(transcript, "json"))
    assert json_document.from_document(document) == transcript
    assert json_document.to_document(json_document.from_document(document)) == document


def test_json_has_the_promised_fields() -> None:
    segment = Segment(0.0, 1.0, "Hi", (Word(0.1, 0.9, "Hi", 0.5),))
    document = json_document.to_document(make_transcript((segment,)))
    assert document["media"] == {
        "path": "talks/Größe.mp4",
        "sha256": "ab" * 32,
        "duration_s": 4000.5,
    }
    assert document["segments"] == [
        {
            "start": 0.0,
            "end": 1.0,
            "text": "Hi",
            "words": [{"start": 0.1, "end": 0.9, "text": "Hi", "probability": 0.5}],
        }
    ]
    assert set(document["coverage"]) == {
        *("speech_s", "covered_s", "ratio", "gaps", "repaired", "suspect_s", "trusted", "grade")
    }
    assert {"load_s", "decode_s", "vad_s", "asr_s", "total_s", "rtfx"} <= set(document["timing"])
    assert {"language", "engine", "model", "preset", "chunk_s", "timestamps", "warnings"} <= set(
        document
    )
    assert document["truncated"] is False


def damaged() -> Iterator[tuple[str, Any]]:
    good = json_document.to_document(random_transcript(5))
    yield "segments", {**good, "segments": None}
    yield "segments", {key: value for key, value in good.items() if key != "segments"}
    yield "segments[0]", {**good, "segments": ["text"]}
    yield "start", {**good, "segments": [{"end": 1, "text": "x"}]}
    yield "text", {**good, "segments": [{"start": 0, "end": 1, "text": 5}]}
    yield (
        "words[0]",
        {
            **good,
            "segments": [{"start": 0, "end": 1, "text": "x", "words": [{"start": "0"}]}],
        },
    )
    yield "speech_s", {**good, "coverage": {"speech_s": True}}
    yield "timestamps", {**good, "timestamps": "letters"}
    yield "warnings", {**good, "warnings": [1]}
    yield "truncated", {**good, "truncated": "yes"}
    yield "chunk_s", {**good, "chunk_s": float("nan")}
    yield "media", {**good, "media": []}


@pytest.mark.parametrize(("field", "document"), list(damaged()))
def test_damaged_json_names_file_and_field(field: str, document: dict[str, Any]) -> None:
    with pytest.raises(LibraryError) as caught:
        json_document.from_document(document, source="talk.transcript.json")
    assert "talk.transcript.json" in caught.value.message
    assert field in caught.value.message
    assert caught.value.hint


def test_json_of_an_older_version_and_of_a_newer_one() -> None:
    transcript = json_document.from_document(
        {"segments": [{"start": 0, "end": 1, "text": "x"}], "a": 1}
    )
    assert transcript.text == "x" and transcript.chunk_s == 30.0


@pytest.mark.parametrize(
    ("warning", "truncated"),
    [
        ("The file ends at 0:03 of 0:06 declared: it looks truncated.", True),
        ("The sound ends at 0:03 of 0:06 declared: the file may be truncated.", True),
        ("The file breaks off at 0:03: it looks truncated.", True),
        ("The file is damaged in places (truncated packet): words may be missing there.", False),
        ("No speech was found in this medium.", False),
    ],
)
def test_truncation_is_read_from_the_warning_of_a_document_without_the_key(
    warning: str, truncated: bool
) -> None:
    document = json_document.to_document(make_transcript(()))
    document["warnings"] = [warning]
    assert not json_document.from_document(document).truncated
    del document["truncated"]
    assert json_document.from_document(document).truncated is truncated


def test_json_keeps_that_a_medium_is_truncated() -> None:
    transcript = replace(make_transcript(()), truncated=True)
    assert json_document.from_document(json_document.to_document(transcript)).truncated


def test_json_refuses_what_is_no_number() -> None:
    with pytest.raises(TranscriptionError):
        render(make_transcript((Segment(float("nan"), 1.0, "x", ()),)), "json")


def test_json_of_a_name_that_is_no_utf8() -> None:
    transcript = make_transcript(())
    transcript = replace(transcript, media=replace(transcript.media, path="talk\udcff.mp4"))
    stored = render(transcript, "json").encode("utf-8", "backslashreplace")
    assert json_document.from_document(json.loads(stored)) == transcript


# srt and vtt


def check_cues(spans: list[tuple[float, float]]) -> None:
    assert all(start < end for start, end in spans)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))


@pytest.mark.parametrize("seed", SEEDS)
def test_srt_cues_can_be_read(seed: int) -> None:
    transcript = random_transcript(seed)
    cues = list(srt.parse(render(transcript, "srt")))
    assert [cue.index for cue in cues] == list(range(1, len(cues) + 1))
    assert letters("".join(cue.content for cue in cues)) == letters("".join(spoken(transcript)))
    spans = [(cue.start.total_seconds(), cue.end.total_seconds()) for cue in cues]
    check_cues(spans)
    for cue, (start, end) in zip(cues, spans, strict=True):
        lines = cue.content.replace("\u2060", "").split("\n")
        assert len(lines) <= 2
        assert max(map(len, lines)) <= 42
        assert end - start <= 7.0 + 0.001


@pytest.mark.parametrize("seed", SEEDS)
def test_vtt_cues_can_be_read(seed: int) -> None:
    transcript = random_transcript(seed)
    captions = webvtt.from_string(render(transcript, "vtt")).captions
    shown = [unescape(caption.raw_text) for caption in captions]
    assert letters("".join(shown)) == letters("".join(spoken(transcript)))
    check_cues([(seconds(c.start), seconds(c.end)) for c in captions])
    assert all(len(line) <= 42 for text in shown for line in text.split("\n"))


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
    assert (cue.start_ms, cue.end_ms) == (1000, 1800)


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
    assert letters("".join(cue.content for cue in cues)) == letters("".join(spoken(transcript)))
    check_cues([(cue.start.total_seconds(), cue.end.total_seconds()) for cue in cues])


def test_words_of_one_instant_share_the_time_until_the_next() -> None:
    words = tuple(
        Word(start, start, text, 0.9) for start, text in ((1.0, "a"), (1.0, "b"), (1.4, "c"))
    )
    transcript = make_transcript((Segment(1.0, 1.6, "a b c", words),), timestamps="word")
    cues = list(srt.parse(render(transcript, "srt")))
    assert [cue.start.total_seconds() for cue in cues] == [1.0, 1.2, 1.4]


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


# csv


def test_csv_rows() -> None:
    transcript = random_transcript(7)
    rows = list(csv.DictReader(io.StringIO(render(transcript, "csv"), newline="")))
    assert len(rows) == len(transcript.segments)
    for row, segment in zip(rows, transcript.segments, strict=True):
        assert float(row["start_s"]) == pytest.approx(segment.start_s, abs=0.001)
        assert row["text"].removeprefix("'") == segment.text


def test_csv_by_word_and_without_formulas() -> None:
    words = tuple(Word(float(i), i + 0.5, t, 0.25) for i, t in enumerate(["=1+1", '"a,b"', "@x"]))
    transcript = make_transcript((Segment(0, 3, '=1+1 "a,b" @x', words),), timestamps="word")
    rows = list(csv.DictReader(io.StringIO(render(transcript, "csv"), newline="")))
    assert [row["word"] for row in rows] == ["'=1+1", '"a,b"', "'@x"]
    assert [row["segment"] for row in rows] == ["1", "1", "1"]
    assert rows[0]["probability"] == "0.2500"
    bare = make_transcript((Segment(0, 3, "no word times", ()),), timestamps="word")
    assert render(bare, "csv").count("\n") == 4


@pytest.mark.parametrize("seed", SEEDS)
def test_csv_by_word_loses_nothing(seed: int) -> None:
    transcript = random_transcript(seed, timestamps="word")
    rows = csv.DictReader(io.StringIO(render(transcript, "csv"), newline=""))
    shown = "".join(row["word"].removeprefix("'") for row in rows)
    assert letters(shown) == letters("".join(spoken(transcript)))


# md


def shown_markdown(text: str) -> str:
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    parts: list[str] = []
    for token in tokens:
        for child in token.children or ():
            parts.append("" if child.type != "softbreak" else " ")
            if child.type in ("text", "text_special", "code_inline", "html_inline"):
                parts.append(child.content)
        parts.append(" ")
    return "".join(parts)


@pytest.mark.parametrize("seed", SEEDS)
def test_markdown_shows_the_text_as_it_is(seed: int) -> None:
    transcript = random_transcript(seed)
    text = shown_markdown(render(transcript, "md"))
    text = re.sub(r"(?m)(^|(?<= ))(\d+:)?\d\d:\d\d - (\d+:)?\d\d:\d\d(?= |$)", "", text)
    assert text.split() == spoken(transcript)


def test_markdown_header_chapters_and_links() -> None:
    segments = tuple(Segment(i * 30.0, i * 30.0 + 29, f"Part {i}.", ()) for i in range(4))
    text = render(make_transcript(segments), "md", item=ITEM)
    assert text.startswith("# Why \\*we\\* \\<learn\\> \\[now\\] \\#1\n")
    assert "- Channel: Sample \\& Sons" in text
    assert "## The \\*end\\*\n\n### [01:00](https://youtu.be/-a_b-c_d-e_?t=60)\n\nPart 2." in text
    assert text.index("## Start") < text.index("Part 0.") < text.index("## The")
    assert "> The medium ends early." in text
    for line in ("1. one", "- dash", "+ plus", "# hash", "> quote", "=== x", "--- y", "12) z"):
        transcript = make_transcript((Segment(0, 1, line, ()),))
        assert line in shown_markdown(render(transcript, "md"))


# passages


@pytest.mark.parametrize("seed", SEEDS)
def test_passages_hold_every_word_once(seed: int) -> None:
    transcript = random_transcript(seed)
    found = passages(transcript, ITEM, target_s=30)
    assert " ".join(passage.text for passage in found).split() == spoken(transcript)
    assert len({passage.id for passage in found}) == len(found)
    assert passages(transcript, ITEM, target_s=30) == found
    for passage in found:
        assert passage.end_s - passage.start_s <= 30 + 1e-9 or " " not in passage.text
        assert passage.deep_link == f"https://youtu.be/-a_b-c_d-e_?t={int(passage.start_s)}"


def test_passages_end_at_long_silences_and_know_their_language() -> None:
    transcript = make_transcript(
        (
            Segment(0, 5, "one", (), "de"),
            Segment(5, 7, "two", (), "en"),
            Segment(20, 22, "three", ()),
        )
    )
    found = passages(transcript, ITEM, path="x.mp4")
    assert [(p.text, p.language) for p in found] == [("one two", "de"), ("three", "en")]
    assert found[0].id == "youtube:-a_b-c_d-e_#0000"
    assert found[0].path == "x.mp4" and found[0].title == ITEM.title
