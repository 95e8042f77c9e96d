"""Times that no recording has: the file is refused, with the place of the time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kb.errors import LibraryError
from kb.transcript import render
from kb.transcript.foreign import reader
from kb.types import MediaRef, Segment, Transcript
from tests.support.kept_transcripts import said, transcript

MEDIA = MediaRef("media/talk.wav", "", 20.0)
FINE = {"start": 0.5, "end": 1.0, "text": "falcon"}


def rows(**second: object) -> str:
    return json.dumps({"segments": [FINE, {"start": 2.0, "end": 3.0, "text": "river", **second}]})


def words(*found: object) -> str:
    return rows(words=list(found))


def own(*segments: Segment) -> str:
    return render(transcript(*segments), "json")


CUES = "1\n00:00:00,500 --> 00:00:01,000\nfalcon\n\n2\n{}\nriver\n"
VTT = "WEBVTT\n\n00:00.500 --> 00:01.000\nfalcon\n\n{}\nriver\n"
TTML = (
    '<tt xmlns="http://www.w3.org/ns/ttml"><body><div>'
    '<p begin="0.5s" end="1s">falcon</p>{}</div></body></tt>'
)
WORD_TABLE = "start_s,end_s,word,probability,segment\n0.5,1,falcon,1,1\n{},river,1,1\n"

# (file name, content, place in the file)
IMPOSSIBLE = [
    ("a.srt", CUES.format("00:00:05,000 --> 00:00:02,000"), "line 6"),
    ("a.srt", CUES.format("-00:00:02,000 --> 00:00:03,000"), "line 6"),
    ("a.srt", CUES.format("00:00:02,000 --> -00:00:03,000"), "line 6"),
    ("a.srt", CUES.format("9999:00:02,000 --> 9999:00:03,000"), "line 6"),
    ("a.vtt", VTT.format("00:05.000 --> 00:02.000"), "line 6"),
    ("a.vtt", VTT.format("-00:02.000 --> 00:03.000"), "line 6"),
    ("a.sbv", "0:00:00.500,0:00:01.000\nfalcon\n\n0:00:05.000,0:00:02.000\nriver\n", "line 4"),
    ("a.sbv", "0:00:00.500,0:00:01.000\nfalcon\n\n-0:00:05.000,0:00:02.000\nriver\n", "line 4"),
    ("a.txt", "[00:00 - 00:01] falcon\n[00:05 - 00:02] river\n", "line 2"),
    ("a.txt", "0.5\t1.0\tfalcon\n5.0\t2.0\triver\n", "line 2"),
    ("a.txt", "-0.5\t1.0\tfalcon\n5.0\t7.0\triver\n", "line 1"),
    ("a.tsv", "start\tend\ttext\n500\t1000\tfalcon\n5000\t2000\triver\n", "line 3"),
    ("a.tsv", "start\tend\ttext\n-500\t1000\tfalcon\n5000\t7000\triver\n", "line 2"),
    ("a.csv", "start_s,end_s,text\n0.5,1,falcon\n5,2,river\n", "row 3"),
    ("a.csv", "start_s,end_s,text\n0.5,1,falcon\n1e300,1e300,river\n", "row 3"),
    ("a.csv", "start_s,end_s,text\n0.5,1,falcon\nnan,2,river\n", "row 3"),
    ("a.csv", WORD_TABLE.format("-1,2"), "words[1]"),
    ("a.ttml", TTML.format('<p begin="5s" end="2s">river</p>'), "paragraph 2"),
    ("a.ttml", TTML.format('<p begin="-5s" end="2s">river</p>'), "paragraph 2"),
    ("a.json", rows(start=-1.0), "segments[1]"),
    ("a.json", rows(start=5.0, end=3.0), "segments[1]"),
    ("a.json", rows(start=1e300, end=2e300), "segments[1]"),
    ("a.json", rows(start=float("nan")), "segments[1]"),
    ("a.json", rows(end=float("inf")), "segments[1]"),
    ("a.json", rows(start=10**400, end=10**401), "segments[1]"),
    ("a.json", rows(start="-1.5"), "segments[1]"),
    ("a.json", words({"word": "river", "start": -1, "end": 3}), "segments[1].words[0]"),
    ("a.json", words({"word": "river", "start": 2.9, "end": 2.1}), "segments[1].words[0]"),
    ("a.json", json.dumps({"text": "falcon", "words": [{"word": "falcon", "start": 3, "end": 1}]}),
     "words[0]"),
    ("a.json", json.dumps({"chunks": [{"text": "falcon", "timestamp": [5.0, 1.0]}]}), "chunks[0]"),
    ("a.json", json.dumps({"transcription": [
        {"text": "falcon", "offsets": {"from": 500, "to": 100}}]}), "transcription[0]"),
    ("a.json", json.dumps([FINE, {**FINE, "start": 7}]), "segments[1]"),
    ("a.json", own(said("falcon"), Segment(5.0, 2.0, "river", ())), "segments[1]"),
    ("a.json", own(Segment(1e300, 2e300, "river", ())), "segments[0]"),
    ("a.transcript.json", own(Segment(-5.0, 2.0, "river", ())), "segments[0]"),
]  # fmt: skip


def read(folder: Path, name: str, content: str) -> Transcript:
    path = folder / name
    path.write_text(content, "utf-8")
    return reader.read(path, MEDIA)


@pytest.mark.parametrize(("name", "content", "place"), IMPOSSIBLE)
def test_an_impossible_time_is_refused(tmp_path: Path, name: str, content: str, place: str) -> None:
    with pytest.raises(LibraryError) as raised:
        read(tmp_path, name, content)
    assert raised.value.code == "transcript.foreign_time"
    values = raised.value.values
    assert str(values["path"]).endswith(name) and values["place"].endswith(place), values
    assert name in raised.value.message and place in raised.value.message


# Odd times that recordings have: the file is read.
POSSIBLE = {
    "no length": ("a.srt", CUES.format("00:00:02,000 --> 00:00:02,000")),
    "rounded end": ("a.json", rows(start=2.0, end=1.98)),
    "rounded start": ("a.json", rows(start=-0.02, end=1.0)),
    "rounded word": ("a.json", words({"word": "river", "start": -0.02, "end": 0.3})),
    "rounded end of a word": ("a.csv", WORD_TABLE.format("2.03,2.0")),
    "after the medium's end": ("a.srt", CUES.format("00:00:25,000 --> 00:00:26,000")),
    "not in order": ("a.srt", CUES.format("00:00:00,100 --> 00:00:00,300")),
    "at the same time": ("a.srt", CUES.format("00:00:00,500 --> 00:00:01,000")),
    "a long recording": ("a.srt", CUES.format("47:59:02,000 --> 47:59:03,000")),
    "without an end": ("a.json", rows(end=None)),
    "without times": ("a.json", json.dumps({"segments": [{"text": "falcon river"}]})),
    "a word without a time": ("a.json", words({"word": "river"}, {"word": "x", "start": 2.5})),
    "a word outside its segment": ("a.json", words({"word": "river", "start": 7, "end": 8})),
    "an arrow in the text": ("a.srt", CUES.format("00:00:02,000 --> 00:00:03,000\na --> b")),
    "a minus in the text": ("a.srt", CUES.format("00:00:02,000 --> 00:00:03,000\n- 10:30")),
    "whole seconds": ("a.txt", "[00:00 - 00:00] falcon\n[00:00 - 00:00] river\n"),
}


@pytest.mark.parametrize("case", POSSIBLE)
def test_an_odd_time_is_no_impossible_one(tmp_path: Path, case: str) -> None:
    found = read(tmp_path, *POSSIBLE[case])
    assert {"falcon", "river"} <= set(found.text.split())
    times = [*found.segments, *found.words]
    assert all(0 <= part.start_s <= part.end_s for part in times)
    assert [segment.start_s for segment in found.segments] == sorted(
        segment.start_s for segment in found.segments
    )
