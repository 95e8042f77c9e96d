"""Transcripts of other programs: every usual form, in every usual encoding."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from kb.errors import LibraryError
from kb.transcript import render
from kb.transcript.foreign import reader
from kb.transcript.foreign.suffixes import SUFFIXES, UNREAD_SUFFIXES
from kb.transcript.formats import json_document
from kb.types import MediaRef, Transcript

MEDIA = MediaRef("media/talk.wav", "", 20.0)
WORDS = ["mountain", "garden", "harbour", "river", "village", "island"]
SEGMENTS = [
    {"id": 0, "start": 0.5, "end": 4.0, "text": " mountain garden harbour"},
    {"id": 1, "start": 5.0, "end": 8.5, "text": " river village island"},
]
WHISPER_WORDS = [
    {"word": f" {word}", "start": 0.5 + n, "end": 1.0 + n, "probability": 0.9}
    for n, word in enumerate(WORDS)
]

# Every text has the six words; the second half is said from 5 s on.
TEXTS = {
    "ours": "[00:00 - 00:04] mountain garden harbour\n[00:05 - 00:08] river village island\n",
    "whisper": "[00:00.500 --> 00:04.000]  mountain garden harbour\n"
    "[00:05.000 --> 00:08.500]  river village island\n",
    "whisper.cpp": "[00:00:00.500 --> 00:00:04.000]   mountain garden harbour\n"
    "[00:00:05.000 --> 00:00:08.500]   river village island\n",
    "page copied": "0:00\nmountain garden harbour\n0:05\nriver village island\n",
    "page read aloud": "0:00\n0 seconds\nmountain garden harbour\n0:05\n5 seconds\n"
    "river village island\n",
    "one line each": "0:00 mountain garden harbour\n0:05 river village island\n",
    "dash after time": "00:00:00 - mountain garden harbour\n00:00:05 - river village island\n",
    "otter": "(0:00) Anna Smith\nmountain garden harbour\n\n"
    "(0:05) Speaker 2\nriver village island\n",
    "otter 2": "Anna Smith  0:00\nmountain garden harbour\n\n"
    "Speaker 2  0:05\nriver village island\n",
    "rev": "Speaker 1 (00:00):\nmountain garden harbour\n"
    "Speaker 2 (00:05):\nriver village island\n",
    "name with time": "Anna [00:00:00]: mountain garden harbour\n"
    "Bob [00:00:05]: river village island",
    "bracketed": "[00:00:00] mountain garden harbour\n[00:00:05] river village island\n",
    "srt in txt": "1\n00:00:00,500 --> 00:00:04,000\nmountain garden\nharbour\n\n"
    "2\n00:00:05,000 --> 00:00:08,500\nriver village island\n",
    "vtt in txt": "WEBVTT\n\n00:00.500 --> 00:04.000\n<v Anna>mountain garden harbour</v>\n\n"
    "00:05.000 --> 00:08.500 align:start position:0%\nriver <c>village</c> island\n",
    "sbv": "0:00:00.500,0:00:04.000\nmountain garden harbour\n\n"
    "0:00:05.000,0:00:08.500\nriver village island\n",
    "frames": "00:00:00:12 - 00:00:04:00\nmountain garden harbour\n\n"
    "00:00:05:00 - 00:00:08:12\nriver village island\n",
    "tsv": "start\tend\ttext\n500\t4000\tmountain garden harbour\n"
    "5000\t8500\triver village island\n",
    "comma decimals": "[00:00,5 -> 00:04,0] mountain garden harbour\n"
    "[00:05,0 -> 00:08,5] river village island\n",
}
JSONS = {
    "whisper": {"text": "…", "segments": SEGMENTS, "language": "en"},
    "openai verbose": {"task": "transcribe", "language": "english", "duration": 20.0,
                       "text": "…", "segments": SEGMENTS},
    "list of segments": SEGMENTS,
    "whisper.cpp": {
        "systeminfo": "x", "result": {"language": "en"},
        "transcription": [
            {"timestamps": {"from": "00:00:00,500", "to": "00:00:04,000"},
             "offsets": {"from": int(1000 * s["start"]), "to": int(1000 * s["end"])},
             "text": s["text"]}
            for s in SEGMENTS
        ],
    },
    "transformers": {"text": "…", "chunks": [
        {"timestamp": [s["start"], s["end"]], "text": s["text"]} for s in SEGMENTS
    ]},
    "transformers, open end": {"chunks": [
        {"timestamp": [0.5, 4.0], "text": SEGMENTS[0]["text"]},
        {"timestamp": [5.0, None], "text": SEGMENTS[1]["text"]},
    ]},
    "assembly": {"utterances": [
        {"start": int(1000 * s["start"]), "end": int(1000 * s["end"]), "text": s["text"],
         "speaker": "A"} for s in SEGMENTS
    ]},
    "youtube": {"events": [
        {"tStartMs": int(1000 * s["start"]), "dDurationMs": 3500, "segs": [{"utf8": s["text"]}]}
        for s in SEGMENTS
    ]},
    "times as text": [{**s, "start": str(s["start"]), "end": str(s["end"])} for s in SEGMENTS],
}  # fmt: skip


def read(tmp_path: Path, name: str, data: bytes) -> Transcript:
    path = tmp_path / name
    path.write_bytes(data)
    return reader.read(path, MEDIA)


def check(found: Transcript) -> None:
    said = " ".join(s.text for s in found.segments).split()
    assert [word for word in said if word in WORDS] == WORDS
    second = next(s for s in found.segments if "river" in s.text)
    assert 5.0 <= second.start_s < 6.0 and second.end_s > second.start_s
    assert "harbour" not in second.text
    assert found.grade == "" and found.engine == reader.ENGINE
    again = render(found, "json")
    assert json_document.from_document(json.loads(again)).segments == found.segments


@pytest.mark.parametrize("form", TEXTS)
def test_forms_of_text(tmp_path: Path, form: str) -> None:
    check(read(tmp_path, "talk.txt", TEXTS[form].encode()))


@pytest.mark.parametrize("form", JSONS)
def test_forms_of_json(tmp_path: Path, form: str) -> None:
    check(read(tmp_path, "talk.json", json.dumps(JSONS[form]).encode()))


@pytest.mark.parametrize("suffix", [".srt", ".vtt"])
@pytest.mark.parametrize("damage", ["", "no numbers", "no blank lines"])
def test_subtitles(tmp_path: Path, suffix: str, damage: str) -> None:
    text = TEXTS["srt in txt" if suffix == ".srt" else "vtt in txt"]
    if damage == "no numbers":
        text = text.replace("1\n00", "00").replace("\n2\n", "\n")
    if damage == "no blank lines":
        text = text.replace("\n\n", "\n")
    check(read(tmp_path, f"talk{suffix}", text.encode()))


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252",
                 "latin-1"]
)  # fmt: skip
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_encodings(tmp_path: Path, encoding: str, ends: str) -> None:
    text = TEXTS["whisper"].replace("mountain", "mountain Grüße déjà").replace("\n", ends)
    found = read(tmp_path, "talk.txt", text.encode(encoding))
    check(found)
    assert "Grüße déjà" in found.segments[0].text


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1251", "Съешь ещё этих мягких французских булок"),
        ("cp1253", "Γειά σου κόσμε, βουνό και κήπος"),
        ("shift_jis", "これは日本語のテキストです。山と庭"),
        ("gb18030", "这是一个测试文本，山和花园"),
        ("cp949", "한국어 텍스트입니다 산과 정원"),
    ],
)
def test_code_pages_of_other_scripts(tmp_path: Path, encoding: str, text: str) -> None:
    found = read(tmp_path, "talk.txt", f"[00:01 - 00:05] {text}\n".encode(encoding))
    assert found.text == text and found.segments[0].start_s == 1.0


def test_words_of_whisper_keep_their_times(tmp_path: Path) -> None:
    rows = [
        {**SEGMENTS[0], "words": WHISPER_WORDS[:3]},
        {**SEGMENTS[1], "words": WHISPER_WORDS[3:]},
    ]
    found = read(tmp_path, "talk.json", json.dumps({"segments": rows}).encode())
    assert [word.text for word in found.words] == WORDS
    assert [word.start_s for word in found.words] == [0.5 + n for n in range(6)]


def test_a_word_without_a_time_gets_that_of_its_neighbours(tmp_path: Path) -> None:
    words = [
        {"word": "in", "start": 1.0, "end": 1.2, "score": 0.8},
        {"word": "2024"},
        {"word": "we", "start": 2.0, "end": 2.1, "score": 0.9},
    ]
    row = {"start": 1.0, "end": 2.5, "text": "in 2024 we", "words": words}
    found = read(tmp_path, "talk.json", json.dumps({"segments": [row]}).encode())
    assert [(w.text, w.start_s, w.end_s) for w in found.words] == [
        ("in", 1.0, 1.2), ("2024", 1.2, 2.0), ("we", 2.0, 2.1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "mountain garden harbour\nriver village island",
        "mountain garden harbour\n\nriver village island\n",
        "10:30 mountain garden harbour\nriver village island, at 9:15\nbefore that",
        "We met at\n12:30 at the garden\nand at 9:15 harbour river",
    ],
)
def test_text_without_times_fills_the_medium(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, "talk.txt", text.encode())
    assert found.text.split() == text.split()
    assert found.segments[0].start_s == 0 and found.segments[-1].end_s == 20.0
    assert "estimated" in found.warnings[0]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", b""),
        ("a.txt", b" \n\n"),
        ("a.txt", b"[00:00 - 00:05]\n"),
        ("a.txt", bytes(range(32)) * 9),
        ("a.srt", b"1\n00:00:01,000 --> 00:00:02,000\n\n"),
        ("a.vtt", b"WEBVTT\n"),
        ("a.json", b"{}"),
        ("a.json", b"{half"),
        ("a.json", b"[]"),
        ("a.json", b"[" * 100_000),
        ("a.json", b'{"segments": [{"start": 1}]}'),
        ("a.json", b'{"title": "A talk", "text": "its description"}'),
        ("a.json", b'{"segments": "none"}'),
        *((f"a{suffix}", b"words") for suffix in UNREAD_SUFFIXES),
    ],
)
def test_what_is_no_transcript_is_named(tmp_path: Path, name: str, data: bytes) -> None:
    with pytest.raises(LibraryError) as raised:
        read(tmp_path, name, data)
    assert raised.value.code == "transcript.not_read" and name in raised.value.message


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_pipe_is_not_waited_for(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"talk{suffix}"
    os.mkfifo(path)
    with pytest.raises(LibraryError, match="pipe") as raised:
        reader.read(path, MEDIA)
    assert raised.value.code == "transcript.not_read"
