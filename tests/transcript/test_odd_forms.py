"""Files as other programs, editors and translators leave them: encodings, line ends, odd times."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kb.transcript.foreign import reader
from kb.types import MediaRef

MEDIA = MediaRef("m.wav", "", 400_000.0)
SUBRIP = "1\n{}\nHello there\n\n2\n00:00:05,000 --> 00:00:06,500\nSecond line\n"
PLAIN = SUBRIP.format("00:00:01,000 --> 00:00:02,000")
HELLO = [(1.0, 2.0, "Hello there")]
BOTH = [*HELLO, (5.0, 6.5, "Second line")]
ASS = (
    "[Script Info]\nScriptType: v4.00+\n\n[Events]\n"
    "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)
DIALOGUE = "Dialogue: 0,0:00:01.00,0:00:02.00,D,,0,0,0,,"
TTML = (
    '<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter" {}>'
    "<body><div>{}</div></body></tt>"
)
P = '<p begin="1s" end="2s">Hello there</p>'
WORDS = [{"word": "Hello", "start": 1, "end": 1.5}, {"word": "there", "start": 1.5, "end": 2}]
SEGMENT = {"start": 1, "end": 2, "text": " Hello there"}
GRID = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 3\n'
    "tiers? <exists>\nsize = 1\nitem []:\n    item [1]:\n"
    '        class = "IntervalTier"\n        name = "s"\n        xmin = 0\n        xmax = 3\n'
    "        intervals: size = 1\n        intervals [1]:\n            xmin = 1\n"
    '            xmax = 2\n            text = "Hello there"\n'
)

# name -> (end of the file's name, its content, the segments)
CASES: dict[str, tuple[str, str | bytes, list[tuple[float, float, str]]]] = {
    "srt with CRLF": ("srt", PLAIN.replace("\n", "\r\n"), BOTH),
    "srt with CR": ("srt", PLAIN.replace("\n", "\r"), BOTH),
    "srt with a mark": ("srt", f"\ufeff{PLAIN}", BOTH),
    "srt in UTF-16 LE": ("srt", b"\xff\xfe" + PLAIN.encode("utf-16-le"), BOTH),
    "srt in UTF-16 BE": ("srt", b"\xfe\xff" + PLAIN.encode("utf-16-be"), BOTH),
    "srt in UTF-16 without a mark": ("srt", PLAIN.encode("utf-16-le"), BOTH),
    "srt in UTF-32": ("srt", PLAIN.encode("utf-32"), BOTH),
    "srt in cp1251": (
        "srt", PLAIN.replace("Hello there", "Привет как дела у вас сегодня").encode("cp1251"),
        [(1.0, 2.0, "Привет как дела у вас сегодня"), BOTH[1]],
    ),
    "points": ("srt", SUBRIP.format("00:00:01.000 --> 00:00:02.000"), BOTH),
    "comma and point": ("srt", SUBRIP.format("00:00:01,000 --> 00:00:02.000"), BOTH),
    "no milliseconds": ("srt", SUBRIP.format("00:00:01 --> 00:00:02"), BOTH),
    # ffmpeg, mpv and the library srt read what follows the comma as a number of milliseconds.
    "one digit of milliseconds": (
        "srt", SUBRIP.format("00:00:01,5 --> 00:00:02,5"), [(1.005, 2.005, "Hello there"), BOTH[1]],
    ),
    "two digits of milliseconds": (
        "srt", SUBRIP.format("0:0:1,50 --> 0:0:2,05"), [(1.05, 2.005, "Hello there"), BOTH[1]],
    ),
    "a point and one digit": (
        "srt", SUBRIP.format("00:00:01.5 --> 00:00:02.5"), [(1.005, 2.005, "Hello there"), BOTH[1]],
    ),
    "no hours and one digit": (
        "srt", SUBRIP.format("00:01,5 --> 00:02,5"), [(1.005, 2.005, "Hello there"), BOTH[1]],
    ),
    "no hours": ("srt", SUBRIP.format("00:01,000 --> 00:02,000"), BOTH),
    "no hours, points": ("srt", SUBRIP.format("0:01.000 --> 0:02.000"), BOTH),
    "spaces of a translator": ("srt", SUBRIP.format("00: 00: 01, 000 -> 00: 00: 02, 000"), BOTH),
    "spaces before the arrow's end": (
        "srt", SUBRIP.format("00:00:01,000 -- > 00:00:02,000"), BOTH,
    ),
    "a short arrow": ("srt", PLAIN.replace("-->", "->"), BOTH),
    "a sign as arrow": ("srt", PLAIN.replace("-->", "→"), BOTH),
    "places on the screen": (
        "srt", SUBRIP.format("00:00:01,000 --> 00:00:02,000 X1:100 X2:200 Y1:1 Y2:2"), BOTH,
    ),
    "no empty lines": ("srt", PLAIN.replace("\n\n", "\n"), BOTH),
    "no numbers": ("srt", PLAIN.replace("1\n00", "00").replace("2\n00", "00"), BOTH),
    "an empty line inside": ("srt", PLAIN.replace("Hello there", "Hello\n\nthere"), BOTH),
    "more than 99 hours": (
        "srt", SUBRIP.format("100:00:01,000 --> 100:00:02,000"),
        [BOTH[1], (360_001.0, 360_002.0, "Hello there")],
    ),
    "tags": (
        "srt", PLAIN.replace("Hello there", '<font color="red"><i>Hello</i></font> {\\an8}there'),
        BOTH,
    ),
    "all blocks of WebVTT": (
        "vtt", "WEBVTT - title\nKind: captions\n\nSTYLE\n::cue{color:red}\n\nREGION\nid:a\n\n"
        "NOTE hi\nthere\n\nid1\n00:01.000 --> 00:02.000 line:0 position:10%\n"
        "<c.red>Hello</c> <b>there</b>\n", HELLO,
    ),
    "vtt with CRLF and a mark": (
        "vtt", "\ufeffWEBVTT\r\n\r\n00:01.000 --> 00:02.000\r\nHello there\r\n", HELLO,
    ),
    "vtt with commas": ("vtt", "WEBVTT\n\n00:01,000 --> 00:02,000\nHello there\n", HELLO),
    "vtt of a stream": (
        "vtt", "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\n"
        "00:01.000 --> 00:02.000\nHello there\n", HELLO,
    ),
    "sbv with CRLF": ("sbv", "0:00:01.000,0:00:02.000\r\nHello there\r\n", HELLO),
    "sbv with its own breaks": ("sbv", "0:00:01.000,0:00:02.000\nHello[br]there\n", HELLO),
    "ass with a drawing": (
        "ass", f"{ASS}Dialogue: 0,0:00:00.00,0:00:09.00,D,,0,0,0,,{{\\p1}}m 0 0 l 100 0{{\\p0}}\n"
        f"{DIALOGUE}Hello\\Nthere\n", HELLO,
    ),
    "ass with a drawing before the text": (
        "ass", f"{ASS}{DIALOGUE}{{\\p1}}m 0 0 l 100 0{{\\p0}}Hello there\n", HELLO,
    ),
    "ass with a drawing behind the text": (
        "ass", f"{ASS}{DIALOGUE}Hello there{{\\an7\\p2}}m 0 0 l 100 0\n", HELLO,
    ),
    "ass with comments": (
        "ass", f"{ASS}{DIALOGUE.replace('Dialogue', 'Comment')}no\n{DIALOGUE}{{note}}Hello "
        "{\\i1}there{\\i0}\n", HELLO,
    ),
    "ass with a command like a drawing": (
        "ass", f"{ASS}{DIALOGUE}{{\\pos(1,2)}}Hello there\n", HELLO,
    ),
    "ass in UTF-16": ("ass", f"{ASS}{DIALOGUE}Hello there\n".encode("utf-16"), HELLO),
    "ttml by frames": (
        "ttml", TTML.format('ttp:frameRate="25"', P.replace("1s", "00:00:01:00")), HELLO,
    ),
    "ttml in UTF-16": (
        "ttml", f'<?xml version="1.0" encoding="UTF-16"?>{TTML.format("", P)}'.encode("utf-16"),
        HELLO,
    ),
    "ttml in Latin-1": (
        "ttml", ('<?xml version="1.0" encoding="ISO-8859-1"?>'
                 + TTML.format("", P.replace("there", "Größe"))).encode("latin-1"),
        [(1.0, 2.0, "Hello Größe")],
    ),
    "csv of German Excel": (
        "csv", '\ufeffstart_s;end_s;text\r\n1,0;2,0;"Hello\tthere"\r\n', HELLO,
    ),
    "csv in UTF-16": (
        "csv", "start_s\tend_s\ttext\n1.0\t2.0\tHello there\n".encode("utf-16"), HELLO,
    ),
    "csv with a line for Excel": ("csv", "sep=;\nstart_s;end_s;text\n1,0;2,0;Hello there\n", HELLO),
    "csv of whisper.cpp": ("csv", 'start,end,text\n1000,2000," Hello there"\n', HELLO),
    "csv in whole seconds": ("csv", "start,end,text\n1,2,Hello there\n", HELLO),
    "tsv with CRLF and a mark": (
        "tsv", "\ufeffstart\tend\ttext\r\n1000\t2000\tHello there\r\n", HELLO,
    ),
    "json with a mark": ("json", "\ufeff" + json.dumps({"segments": [SEGMENT]}), HELLO),
    "json in UTF-16": ("json", json.dumps({"segments": [SEGMENT]}).encode("utf-16"), HELLO),
    "a line of json for each segment": (
        "json", f"{json.dumps(SEGMENT)}\n{json.dumps({**SEGMENT, 'start': 5, 'end': 6})}\n",
        [*HELLO, (5.0, 6.0, "Hello there")],
    ),
    "json of whisperX": ("json", json.dumps({"segments": [{**SEGMENT, "words": WORDS}]}), HELLO),
    "a word without a time": (
        "json", json.dumps({"segments": [{**SEGMENT, "words": [WORDS[0], {"word": "there"}]}]}),
        HELLO,
    ),
    "words alone": ("json", json.dumps({"text": "Hello there", "words": WORDS}), HELLO),
    "a grid in UTF-16": ("TextGrid", GRID.encode("utf-16"), HELLO),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_it_is_read(tmp_path: Path, case: str) -> None:
    suffix, content, wanted = CASES[case]
    path = tmp_path / f"t.{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = reader.read(path, MEDIA)
    assert [(s.start_s, s.end_s, s.text) for s in found.segments] == wanted
