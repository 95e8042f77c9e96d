"""Speakers that a transcript names: in each format that has a place for them, and read again."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import docx
import pysubs2
import pytest
import webvtt
from openpyxl import load_workbook

from kb.transcript import FORMATS, file_content, format_named, render, render_document
from kb.transcript.foreign import reader
from kb.transcript.formats.subtitle_cues import phrase_cues
from kb.types import MediaRef, Segment, Timestamps, Transcript
from tests.support.kept_transcripts import said, transcript
from tests.support.random_transcripts import ITEM

TALK = transcript(
    replace(said("Who is there?", 1.0), speaker="Anna"),
    replace(said("It is only me.", 2.3), speaker="Bob"),
    replace(said("Come in then, please.", 4.0), speaker="Anna"),
)
# Formats with a place for a name, and the modes in which they are tried.
NAMES: dict[str, tuple[Timestamps, ...]] = {
    "md": ("segment", "word"), "docx": ("segment",), "html": ("segment",),
    "vtt": ("segment", "word"), "ass": ("segment", "word"), "ttml": ("segment", "word"),
    "csv": ("segment", "word"), "xlsx": ("segment", "word"), "json": ("segment",),
    "verbose_json": ("segment", "word"), "textgrid": ("segment",),
}  # fmt: skip
# A name would be spoken text there, or they have no text.
NO_NAMES = {
    "txt", "plain", "srt", "sbv", "lrc", "tsv", "chapters", "edl", "markers", "audacity", "notes",
    "notes_json", "screen",
}  # fmt: skip
ONLY_NAMES = {"rttm"}
MEDIA = MediaRef("media/talk.wav", "", 20.0)
HOSTILE = [
    "SPEAKER_01", "O'Neil, Anna", "<b>Anna</b>", "A & B", 'Anna "Ann" Smith', "Größe 東京",
    "=SUM(A1)", "Anna: the first", "*Anna*", "Dr. {x} \\N Who", "مريم", "a" * 60,
]  # fmt: skip


def test_every_format_is_in_a_table() -> None:
    assert set(FORMATS) == NAMES.keys() | NO_NAMES | ONLY_NAMES


def in_mode(talk: Transcript, mode: Timestamps) -> Transcript:
    return replace(talk, timestamps=mode, times_each_word=mode == "word")


def read_again(folder: Path, format: str, talk: Transcript) -> Transcript:
    document = render_document(talk, format, item=ITEM if format in ("md", "html") else None)
    path = folder / f"talk.en.{format_named(format).suffix}"
    path.write_bytes(file_content(document, path.name))
    return reader.read(path, MEDIA)


@pytest.mark.parametrize(
    ("format", "mode"), [(name, mode) for name, modes in NAMES.items() for mode in modes]
)
def test_speakers_are_kept(tmp_path: Path, format: str, mode: Timestamps) -> None:
    found = read_again(tmp_path, format, in_mode(TALK, mode))
    assert [segment.speaker for segment in found.segments] == ["Anna", "Bob", "Anna"]
    assert [segment.text for segment in found.segments] == [s.text for s in TALK.segments]


@pytest.mark.parametrize("format", NAMES)
@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_kept_as_it_is(tmp_path: Path, format: str, name: str) -> None:
    talk = replace(TALK, segments=tuple(replace(s, speaker=name) for s in TALK.segments))
    found = read_again(tmp_path, format, talk)
    assert found.text == TALK.text
    kept = {segment.speaker for segment in found.segments}
    shown = name.replace(",", "") if format == "ass" else name
    assert kept == {shown}


@pytest.mark.parametrize(
    "format", [*NAMES, *sorted(NO_NAMES - {"chapters", "notes", "notes_json", "screen"})]
)
def test_without_speakers_nothing_is_said_of_them(format: str) -> None:
    nameless = replace(TALK, segments=tuple(replace(s, speaker=None) for s in TALK.segments))
    blank = replace(TALK, segments=tuple(replace(s, speaker=" \n ") for s in TALK.segments))
    first = render_document(nameless, format)
    if format != "json":
        assert render_document(blank, format) == first
    if isinstance(first, str):
        assert "speaker" not in first.lower().replace('"speaker": null', "")


@pytest.mark.parametrize("format", sorted(NO_NAMES - {"chapters", "notes", "notes_json", "screen"}))
def test_formats_without_a_place_have_the_spoken_words_alone(format: str) -> None:
    assert "Anna" not in render(TALK, format)


def test_a_cue_is_of_one_speaker() -> None:
    cues = phrase_cues(TALK)
    assert [(cue.speaker, cue.text) for cue in cues] == [
        ("Anna", "Who is there?"), ("Bob", "It is only me."), ("Anna", "Come in then, please."),
    ]  # fmt: skip


def test_players_show_the_words_alone() -> None:
    captions = webvtt.from_string(render(TALK, "vtt")).captions
    assert [caption.text for caption in captions] == [s.text for s in TALK.segments]
    assert [caption.voice for caption in captions] == ["Anna", "Bob", "Anna"]
    events = pysubs2.SSAFile.from_string(render(TALK, "ass")).events
    assert [(e.name, e.plaintext) for e in events] == [
        (s.speaker, s.text) for s in TALK.segments
    ]  # fmt: skip


def test_columns_and_keys() -> None:
    rows = render(TALK, "csv").splitlines()
    assert rows[0] == "start_s,end_s,text,language,speaker" and rows[1].endswith(",en,Anna")
    sheet = load_workbook(io.BytesIO(bytes(render_document(TALK, "xlsx")))).worksheets[0]
    assert [row[-1].value for row in sheet] == ["Speaker", "Anna", "Bob", "Anna"]
    document = json.loads(render(TALK, "verbose_json"))
    assert [segment["speaker"] for segment in document["segments"]] == ["Anna", "Bob", "Anna"]


def test_a_document_has_a_paragraph_for_each_speaker() -> None:
    document = docx.Document(io.BytesIO(bytes(render_document(TALK, "docx"))))
    lines = [paragraph.text for paragraph in document.paragraphs]
    assert lines[0] == "00:01  Anna: Who is there?" and lines[1] == "00:02  Bob: It is only me."


# (file name, text, speakers, words)
LABELS = [
    ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\n[SPEAKER_00]: Hello there\n", ["SPEAKER_00"],
     "Hello there"),
    ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n[SPEAKER_01]: Hello there\n", ["SPEAKER_01"],
     "Hello there"),
    ("a.tsv", "start\tend\ttext\n1000\t2000\t[SPEAKER_01]: Hello there\n", ["SPEAKER_01"],
     "Hello there"),
    ("a.txt", "[00:01 - 00:02] [SPEAKER_01]: Hello there\n", ["SPEAKER_01"], "Hello there"),
    ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\n[Anna]: Hi\n\n"
     "2\n00:00:02,000 --> 00:00:03,000\n[Bob]: Ho\n", ["Anna", "Bob"], "Hi Ho"),
    # A single label of another kind is text.
    ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\n[Anna]: Hi\n\n"
     "2\n00:00:02,000 --> 00:00:03,000\nno\n\n3\n00:00:03,000 --> 00:00:04,000\nyes\n",
     [None, None, None], "[Anna]: Hi no yes"),
    ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\n[Music] [SPEAKER_00] hello\n", [None],
     "[Music] [SPEAKER_00] hello"),
    ("a.ass", "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect,"
     " Text\nDialogue: 0,0:00:01.00,0:00:02.00,Default,Anna,0,0,0,,Hello\n", ["Anna"], "Hello"),
    ("a.ttml", '<tt xmlns="http://www.w3.org/ns/ttml" '
     'xmlns:ttm="http://www.w3.org/ns/ttml#metadata"><head><metadata><ttm:agent type="person" '
     'xml:id="x"><ttm:name type="full">Anna Smith</ttm:name></ttm:agent></metadata></head><body>'
     '<div><p begin="1s" end="2s" ttm:agent="x">Hello</p></div></body></tt>', ["Anna Smith"],
     "Hello"),
    ("a.csv", "start_s,end_s,text,speaker\n1,2,Hello,Anna\n", ["Anna"], "Hello"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "speakers", "words"), LABELS)
def test_labels_of_other_programs(
    tmp_path: Path, name: str, text: str, speakers: list[str | None], words: str
) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    found = reader.read(tmp_path / name, MEDIA)
    assert [segment.speaker for segment in found.segments] == speakers
    assert found.text == words


def test_two_speakers_at_once_have_cues_of_their_own() -> None:
    talk = transcript(
        Segment(1.0, 5.0, "I think that we should go", (), speaker="Anna"),
        Segment(1.5, 4.0, "No, wait", (), speaker="Bob"),
    )
    assert [(cue.speaker, cue.start_ms) for cue in phrase_cues(talk)] == [
        ("Anna", 1000), ("Bob", 1500),
    ]  # fmt: skip
