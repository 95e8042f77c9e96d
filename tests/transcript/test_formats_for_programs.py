"""Formats for programs and for cutting, read back by libraries or by their definitions."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest

from kb.errors import UsageError
from kb.transcript import render, unavailable
from kb.types import (
    Chapter,
    DecodingAttempt,
    MediaItem,
    Segment,
    SegmentDecoding,
    WindowReport,
    Word,
)
from tests.support.format_traps import SEEDS, TRAPS, TWO, trap, words_of
from tests.support.raising import raises
from tests.support.random_transcripts import (
    ITEM,
    letters,
    make_transcript,
    random_transcript,
    spoken,
)

# For programs


def test_whispers_table() -> None:
    rows = list(csv.reader(io.StringIO(render(make_transcript(TWO), "tsv")), delimiter="\t"))
    assert rows == [["start", "end", "text"], ["0", "2000", "One two."], ["2500", "4000", "Three."]]


@pytest.mark.parametrize("timestamps", ["segment", "word"])
@pytest.mark.parametrize("seed", SEEDS)
def test_whispers_table_has_all_words(seed: int, timestamps: str) -> None:
    transcript = random_transcript(seed, timestamps=timestamps)
    rows = [line.split("\t") for line in render(transcript, "tsv").splitlines()[1:]]
    assert all(len(row) == 3 and int(row[0]) <= int(row[1]) for row in rows)
    shown = "".join(row[2] for row in rows).replace("'", "")
    assert letters(shown) == words_of(transcript).replace("'", "")


# The required fields of the answer's objects in OpenAI's API reference.
SEGMENT_FIELDS = {
    "id": int, "seek": int, "start": float, "end": float, "text": str, "tokens": list,
    "temperature": float, "avg_logprob": float, "compression_ratio": float, "no_speech_prob": float,
}  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_the_answer_of_openais_service(seed: int) -> None:
    transcript = random_transcript(seed)
    document = json.loads(render(transcript, "verbose_json"))
    assert document["task"] == "transcribe" and document["language"] == "english"
    assert document["duration"] == pytest.approx(transcript.media.duration_s)
    assert document["text"].split() == spoken(transcript)
    for number, segment in enumerate(document["segments"]):
        assert segment["id"] == number
        for name, kind in SEGMENT_FIELDS.items():
            assert isinstance(segment[name], kind), name
        assert segment["avg_logprob"] <= 0
    written = [(word["start"], word["end"]) for word in document["words"]]
    expected = [(round(word.start_s, 3), round(word.end_s, 3)) for word in transcript.words]
    assert written == expected


def test_words_are_written_as_whisper_writes_them() -> None:
    words = (Word(0, 1, "well", 0.5), Word(1, 2, "known", 1.0), Word(2, 3, "東京", 1.0))
    segment = Segment(0, 3, '"well-known" 東京。', words)
    (made,) = json.loads(render(make_transcript((segment,)), "verbose_json"))["segments"]
    assert [word["word"] for word in made["words"]] == [' "well-', 'known"', " 東京。"]
    assert "".join(word["word"] for word in made["words"]) == made["text"]
    assert made["avg_logprob"] == pytest.approx(-0.231, abs=0.001)


def intervals(grid: str) -> dict[str, list[tuple[float, float, str]]]:
    """Return the tiers of a TextGrid: by name, the intervals with start, end and text."""
    tiers: dict[str, list[tuple[float, float, str]]] = {}
    for part in re.split(r"\n    item \[\d+\]:\n", grid)[1:]:
        name = re.search(r'name = "((?:[^"]|"")*)"', part)
        assert name
        tiers[name[1].replace('""', '"')] = [
            (float(start), float(end), text.replace('""', '"'))
            for start, end, text in re.findall(
                r'xmin = ([\d.]+) \n +xmax = ([\d.]+) \n +text = "((?:[^"]|"")*)"', part
            )
        ]
    return tiers


@pytest.mark.parametrize("seed", SEEDS)
def test_a_grid_has_all_words_and_no_holes(seed: int) -> None:
    transcript = random_transcript(seed)
    tiers = intervals(render(transcript, "textgrid"))
    for found in tiers.values():
        assert found[0][0] == 0 and found[-1][1] >= transcript.media.duration_s
        assert all(start < end for start, end, _ in found)
        assert all(one[1] == following[0] for one, following in pairwise(found))
    for kind in ("segments", "words"):
        shown = "".join(text for name in tiers if name.startswith(kind) for *_, text in tiers[name])
        assert sorted(letters(shown)) == sorted(words_of(transcript))


def test_segments_that_overlap_are_on_tiers_of_their_own() -> None:
    segments = (
        Segment(0.0, 4.0, "I say", ()), Segment(2.0, 3.0, "No!", ()), Segment(4.05, 5.0, "so", ()),
    )  # fmt: skip
    tiers = intervals(render(make_transcript(segments), "textgrid"))
    assert [text for *_, text in tiers["segments"] if text] == ["I say", "so"]
    assert [row for row in tiers["segments 2"] if row[2]] == [(2.0, 3.0, "No!")]
    named = tuple(
        replace(segment, speaker=name)
        for segment, name in zip(segments, ("Ann", 'B "b"', "Ann"), strict=True)
    )
    tiers = intervals(render(make_transcript(named), "textgrid"))
    assert list(tiers) == ["Ann segments", "Ann words", 'B "b" segments', 'B "b" words']


def test_praat_reads_the_grid(tmp_path: object) -> None:
    parselmouth = pytest.importorskip("parselmouth")
    transcript = random_transcript(3)
    path = f"{tmp_path}/talk.TextGrid"
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(render(transcript, "textgrid"))
    grid = parselmouth.read(path)
    names = [
        parselmouth.praat.call(grid, "Get tier name", number)
        for number in range(1, parselmouth.praat.call(grid, "Get number of tiers") + 1)
    ]
    assert names == list(intervals(render(transcript, "textgrid")))
    assert grid.xmax == pytest.approx(transcript.media.duration_s)


def test_speakers_are_written_where_the_transcript_names_them() -> None:
    with raises(UsageError, "format.no_speakers", format="rttm"):
        render(make_transcript(TWO), "rttm", item=ITEM)
    segments = (
        Segment(0.0, 2.0, "One", (), speaker="Ann B"),
        Segment(2.01, 3.0, "two", (), speaker="Ann B"),
        Segment(2.5, 4.0, "No", (), speaker="SPEAKER_01"), Segment(5.0, 6.0, "?", ()),
        Segment(9.0, 9.5, "three", (), speaker="Ann B"),
    )  # fmt: skip
    transcript = make_transcript(segments)
    rows = [line.split() for line in render(transcript, "rttm", item=ITEM).splitlines()]
    assert all(len(row) == 10 and row[0] == "SPEAKER" and row[1] == ITEM.short_id for row in rows)
    assert [(row[3], row[4], row[7]) for row in rows] == [
        ("0.000", "3.000", "Ann_B"), ("2.500", "1.500", "SPEAKER_01"), ("9.000", "0.500", "Ann_B"),
    ]  # fmt: skip


# For cutting


def test_chapters_for_youtube_begin_at_zero() -> None:
    item = replace(
        ITEM,
        chapters=(Chapter(3700.0, "The\nend"), Chapter(61.4, "<One> & two"), Chapter(600.9, "")),
    )
    assert render(make_transcript(TWO), "chapters", item=item) == (
        "0:00:00 Why *we* ‹learn› [now] #1\n0:01:01 ‹One› & two\n0:10:00 –\n1:01:40 The end\n"
    )
    short = replace(item, chapters=(Chapter(0.0, "One"), Chapter(61.0, "Two")))
    assert render(make_transcript(TWO), "chapters", item=short) == "0:00 One\n1:01 Two\n"


@pytest.mark.parametrize("item", [None, replace(ITEM, chapters=())])
def test_chapters_are_offered_only_where_there_are_any(item: MediaItem | None) -> None:
    transcript = make_transcript(TWO)
    with raises(UsageError, "format.no_chapters", format="chapters"):
        render(transcript, "chapters", item=item)
    assert unavailable(transcript, "chapters", item=ITEM) is None


EDL_EVENT = re.compile(
    r"(\d{3,})  001      V     C        (\S+) (\S+) (\S+) (\S+)  \n"
    r" \|C:ResolveColor(\w+) \|M:([^|\n]*) \|D:(\d+)\n"
)


def frames(timecode: str) -> int:
    hours, minutes, seconds, rest = map(int, timecode.split(":"))
    assert minutes < 60 and seconds < 60 and rest < 25
    return ((hours - 1) * 3600 + minutes * 60 + seconds) * 25 + rest


@pytest.mark.parametrize("seed", SEEDS)
def test_markers_for_resolve(seed: int) -> None:
    transcript = random_transcript(seed)
    events = EDL_EVENT.findall(render(transcript, "edl", item=ITEM))
    assert [int(event[0]) for event in events] == list(range(1, len(events) + 1))
    starts = [frames(event[1]) for event in events]
    assert len(set(starts)) == len(starts)
    texts = [event[6] for event in events if event[5] == "Blue"]
    assert " ".join(texts).split() == [word.replace("|", "¦") for word in spoken(transcript)]
    at = [frames(event[1]) / 25 for event in events if event[5] == "Blue"]
    shown = [segment for segment in transcript.segments if segment.text.strip()]
    for start, segment in zip(at, shown, strict=True):
        assert abs(start - segment.start_s) < 0.2
    assert [event[6] for event in events if event[5] == "Green"] == ["Start", "The *end*"]


@pytest.mark.parametrize(
    ("rate", "time_code"),
    [
        (25.0, "02:00:00:12"), (24.0, "02:00:00:12"), (23.976, "01:59:56:22"),
        (29.97, "01:59:56:27"), (30.0, "02:00:00:15"), (59.94, "01:59:56:54"),
        (50.0, "02:00:00:25"), (23.98, "01:59:56:22"),
    ],
)  # fmt: skip
def test_markers_are_counted_in_frames_of_the_timeline(rate: float, time_code: str) -> None:
    segments = (Segment(3600.5, 3602.0, "here", ()),)
    transcript = replace(make_transcript(segments), frame_rate=rate)
    (event,) = EDL_EVENT.findall(render(transcript, "edl"))
    assert event[1] == time_code
    # The frame that the time code counts is shown within half a frame of the word.
    hours, minutes, seconds, rest = map(int, time_code.split(":"))
    count = round(rate)
    frame = ((hours - 1) * 3600 + minutes * 60 + seconds) * count + rest
    exact = count if abs(rate - count) < 0.01 else count * 1000 / 1001
    assert abs(frame / exact - 3600.5) <= 0.51 / exact


@pytest.mark.parametrize("text", TRAPS)
def test_markers_keep_their_lines(text: str) -> None:
    (event,) = EDL_EVENT.findall(render(trap(text), "edl"))
    assert event[6].replace("¦", "|").split() == text.split()
    rows = render(trap(text), "markers").splitlines()
    assert rows[0].split("\t")[:3] == ["Name", "Start", "Duration"]
    cells = rows[1].split("\t")
    assert len(rows) == 2 and cells[1:] == ["0:01.000", "0:05.000", "decimal", "Cue", ""]
    assert cells[0].removeprefix("'") == " ".join(text.split())
    (label,) = render(trap(text), "audacity").splitlines()
    assert label.split("\t") == ["1.000000", "6.000000", " ".join(text.split())]


def test_marker_times_after_an_hour() -> None:
    transcript = make_transcript((Segment(3725.5, 3726.0, "late", ()),))
    assert "late\t1:02:05.500\t0:00.500\t" in render(transcript, "markers")


def test_a_segment_has_the_window_and_temperature_of_its_decoding() -> None:
    decoded = SegmentDecoding(4.0, (7, 8), 0.4, 1.5e-7)
    segments = (
        Segment(0.5, 1.0, "one", (Word(0.5, 1.0, "one", 0.9),)),
        Segment(5.98, 6.5, "two", (Word(5.98, 6.5, "two", 0.9),)),
        Segment(7.0, 8.0, "three", (Word(7.0, 8.0, "three", 0.9),), decoding=decoded),
    )
    attempts = tuple(
        DecodingAttempt(method, (), (), 0.0) for method in ("first", "temperature 0.6")
    )
    windows = (
        WindowReport(0.26, 5.9, 1.0, 1.0),
        WindowReport(6.0, 9.0, 1.0, 1.0, attempts=attempts, chosen=1),
    )
    stored = replace(make_transcript(segments), windows=windows)
    made = json.loads(render(stored, "verbose_json"))["segments"]
    found = [(s["seek"], s["tokens"], s["temperature"], s["no_speech_prob"]) for s in made]
    assert found == [(26, [], 0.0, 0.0), (600, [], 0.6, 0.0), (400, [7, 8], 0.4, 1.5e-7)]
    edited = json.loads(render(make_transcript(segments[:1]), "verbose_json"))["segments"]
    assert (edited[0]["seek"], edited[0]["temperature"]) == (0, 0.0)
