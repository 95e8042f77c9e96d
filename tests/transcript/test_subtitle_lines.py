"""Subtitle lines by columns, cuts that part no syllable, and text that looks like markup."""

from __future__ import annotations

import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import srt
import webvtt
from imageio_ffmpeg import get_ffmpeg_exe

from kb.transcript import render
from kb.transcript.formats.line_breaks import columns, fitting, is_break
from kb.types import Coverage, MediaRef, Segment, Timestamps, Timing, Transcript, Word

JAPANESE = (
    "今日は冬の図書館で古い機械と村の庭について話しました。"
    "それから、ちょっと港まで歩いて行きました。"
)
CHINESE = "今天我们在图书馆谈论了冬天的花园和古老的机器，然后慢慢走到港口去看船。"
KOREAN = "오늘은 겨울 도서관에서 오래된 기계와 마을 정원에 대해 이야기했습니다"
THAI = "สวัสดีครับวันนี้เราจะพูดถึงการถอดเสียงและการแปลภาษาไทยให้เป็นข้อความที่อ่านง่ายสำหรับทุกคนในประเทศ"
LAO = "ສະບາຍດີມື້ນີ້ພວກເຮົາຈະເວົ້າກ່ຽວກັບການແປພາສາລາວແລະການຖອດສຽງເປັນຂໍ້ຄວາມ"
FULL_WIDTH = "ＡＢＣＤＥＦＧＨ１２３４５６７８" * 4
LEADING = "เแโใไເແໂໃໄ"


def transcript(text: str, *, timestamps: Timestamps = "segment", words: int = 0) -> Transcript:
    """Return one segment of text; with `words` it is spoken in so many parts without spaces."""
    length_s = max(2.0, len(text) / 8)
    size = -(-len(text) // words) if words else 1
    parts = [text[at : at + size] for at in range(0, len(text), size)] if words else []
    step = length_s / max(1, len(parts))
    spoken = tuple(Word(n * step, (n + 1) * step, part, 0.9) for n, part in enumerate(parts))
    segment = Segment(0.0, length_s, text, spoken)
    return Transcript(
        MediaRef("a.wav", "ab" * 32, length_s), (segment,), "ja", "whisper", "demo", "optimiert",
        Coverage(length_s, length_s), Timing(0, 0, 0, 0, 0, 0, length_s), timestamps=timestamps,
    )  # fmt: skip


def lines(text: str, format: str, words: int) -> list[str]:
    document = render(transcript(text, words=words), format)
    if format == "srt":
        return [line for cue in srt.parse(document) for line in cue.content.split("\n")]
    return [line for cue in webvtt.from_string(document) for line in cue.text.split("\n")]


@pytest.mark.parametrize("format", ["srt", "vtt"])
@pytest.mark.parametrize("words", [0, 12, 1000])
@pytest.mark.parametrize(
    "text", [JAPANESE, CHINESE, KOREAN, THAI, LAO, FULL_WIDTH, "日" * 200, "ー" * 90, "เ" * 90]
)
def test_lines_fit_and_lose_nothing(text: str, words: int, format: str) -> None:
    found = lines(text, format, words)
    assert max(map(columns, found)) <= 42
    assert "".join("".join(found).split()) == "".join(text.split())


@pytest.mark.parametrize("words", [0, 12, 1000])
@pytest.mark.parametrize("text", [THAI, LAO])
def test_a_cut_parts_no_syllable(text: str, words: int) -> None:
    found = lines(text, "srt", words)
    assert len(found) > 1
    for before, after in pairwise(found):
        assert before[-1] not in LEADING and is_break(before, after)


@pytest.mark.parametrize("text", [JAPANESE, CHINESE])
@pytest.mark.parametrize("words", [0, 1000])
def test_no_line_begins_with_a_closing_mark(text: str, words: int) -> None:
    for line in lines(text, "srt", words):
        assert line[0] not in "、。，っょゃー" and line[-1] not in "「（"


@pytest.mark.parametrize(
    ("text", "width"), [("abc", 3), ("日本", 4), ("ｱ", 1), ("Ａ", 2), ("한", 2), ("é", 1), ("", 0)]
)
def test_columns(text: str, width: int) -> None:
    assert columns(text) == width


@pytest.mark.parametrize(
    ("text", "room", "part"),
    [
        ("https://example.org/a/very/long", 12, "https://"),
        ("xxxxxxxxxxxxxx", 6, "xxxxxx"),
        ("日本語日本語", 5, "日本"),
        ("日本。語", 4, "日"),
        ("การเดินทาง", 6, "การ"),
        ("👩‍👩‍👧👩‍👩‍👧", 8, "👩‍👩‍👧"),
        ("e" + "\u0301" * 50, 10, "e" + "\u0301" * 9),
        ("日", 1, "日"),
        ("short", 42, "short"),
        ("[" * 50, 10, "[" * 10),
        ("…" * 50, 10, "…" * 10),
        ("(((日", 3, "((("),
    ],
)
def test_the_beginning_that_fits(text: str, room: int, part: str) -> None:
    assert fitting(text, room) == part


@pytest.mark.parametrize("letter", ["[", "x", "。", "日", "\u0301", "เ"])
def test_a_long_word_has_few_lines(letter: str) -> None:
    text, pieces = letter * 2_000, []
    while rest := text[sum(map(len, pieces)) :]:
        pieces.append(fitting(rest, 42))
    assert len(pieces) <= 2_000 // 20


MARKUP = [
    "a <i>loud</i> word", r"{\an8}above", "x {y:i} z", "<font color=red>red</font>",
    "<b>", "<unknown> tag", r"{\pos(10,10)}", "{plain} braces", "</i>", "< i > spaced",
    "3 < 5 and 7 > 2", "a --> b", "R&D &amp; more", "<00:01.000> time", "<c.red>class</c>",
    r"{\an8",
]  # fmt: skip


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return the text that a player's parser shows for each text of MARKUP, by format."""
    shown: dict[str, list[str]] = {}
    folder: Path = tmp_path_factory.mktemp("subtitles")
    for format in ("srt", "vtt"):
        shown[format] = []
        for text in MARKUP:
            path = folder / f"a.{format}"
            path.write_text(render(transcript(text), format), encoding="utf-8")
            ass = subprocess.run(
                [get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "ass", "-"],
                capture_output=True, check=True,
            ).stdout.decode()  # fmt: skip
            cues = [
                line.split(",", 9)[9] for line in ass.splitlines() if line.startswith("Dialogue")
            ]
            shown[format].append(" ".join(cues))
    return shown


@pytest.mark.parametrize("text", MARKUP)
def test_markup_in_a_transcript_is_shown_as_text(played: dict[str, list[str]], text: str) -> None:
    shown = played["srt"][MARKUP.index(text)].replace(r"\N", " ").replace("\u2060", "")
    assert shown.translate(str.maketrans("｛｝", "{}")) == text
    document = render(transcript(text), "srt")
    assert not re.search(r"</?\s*[a-z]+[^<>]*>|\{\\|\{y:", document, re.IGNORECASE)


@pytest.mark.parametrize("text", MARKUP)
def test_markup_in_webvtt_is_escaped(text: str) -> None:
    (cue,) = webvtt.from_string(render(transcript(text), "vtt"))
    body = cue.raw_text
    assert "<" not in body and ">" not in body
    assert body.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text
