"""Subtitle lines by columns, cuts that part no syllable, and text that looks like markup."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
import srt
import webvtt
from imageio_ffmpeg import get_ffmpeg_exe

from kb.transcript import render
from kb.transcript.formats.line_breaks import columns, fitting, is_break
from kb.types import (
    LAYOUTS,
    Coverage,
    LayoutName,
    MediaRef,
    Segment,
    Timestamps,
    Timing,
    Transcript,
    Word,
)

JAPANESE = (
    "今日は冬の図書館で古い機械と村の庭について話しました。"
    "それから、ちょっと港まで歩いて行きました。"
)
CHINESE = "今天我们在图书馆谈论了冬天的花园和古老的机器，然后慢慢走到港口去看船。"
KOREAN = "오늘은 겨울 도서관에서 오래된 기계와 마을 정원에 대해 이야기했습니다"
THAI = "สวัสดีครับวันนี้เราจะพูดถึงการถอดเสียงและการแปลภาษาไทยให้เป็นข้อความที่อ่านง่ายสำหรับทุกคนในประเทศ"
THAI_WORDS = (
    "สวัสดี ครับ วันนี้ เรา จะ พูด ถึง การ ถอด เสียง และ การ แปล ภาษา ไทย ให้ เป็น ข้อความ ที่ อ่าน ง่าย สำหรับ ทุก "
    "คน ใน ประเทศ"
)
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
def test_a_cut_parts_no_syllable(words: int) -> None:
    found = lines(LAO, "srt", words)
    assert len(found) > 1
    for before, after in pairwise(found):
        assert before[-1] not in LEADING and is_break(before, after)


@pytest.mark.parametrize("words", [0, 12, 1000])
def test_a_cut_parts_no_word_of_thai(words: int) -> None:
    found = lines(THAI, "srt", words)
    assert len(found) > 1
    ends = set(accumulate(map(len, THAI_WORDS.split())))
    assert set(accumulate(map(len, found))) <= ends


@pytest.mark.parametrize("text", [JAPANESE, CHINESE])
@pytest.mark.parametrize("words", [0, 1000])
def test_no_line_begins_with_a_closing_mark(text: str, words: int) -> None:
    for line in lines(text, "srt", words):
        assert line[0] not in "、。，っょゃー" and line[-1] not in "「（"


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("abc", 3), ("日本", 4), ("ｱ", 1), ("Ａ", 2), ("한", 2), ("é", 1), ("", 0), ("e\u0301", 1),
        ("👩‍👩‍👧", 2), ("ก็", 1), ("हिन्दी", 4), ("a\x07b", 2), ("🇩🇪", 2), ("a\u200bb", 2),
    ],
)  # fmt: skip
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
        ("👩‍👩‍👧👩‍👩‍👧", 3, "👩‍👩‍👧"),
        ("e" + "\u0301" * 50, 10, "e" + "\u0301" * 50),
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
    assert shown.translate(str.maketrans("｛｝", "{}")) == text.replace("-->", "→")
    document = render(transcript(text), "srt")
    assert not re.search(r"</?\s*[a-z]+[^<>]*>|\{\\|\{y:", document, re.IGNORECASE)


@pytest.mark.parametrize("text", MARKUP)
def test_markup_in_webvtt_is_escaped(text: str) -> None:
    (cue,) = webvtt.from_string(render(transcript(text), "vtt"))
    body = cue.raw_text
    assert "<" not in body and ">" not in body
    assert body.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text


LONG_WORDS = [
    "Donaudampfschifffahrtsgesellschaftskapitänsmütze",
    "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz,",
    "https://example.org/a/very/long/address/that/no/line/can/hold?x=1&y=2#part",
    "https://example.org/a-b-c/d-e-f/" + "long-path/" * 20,
    "www.example.com/measuring-the-old-furnace-in-the-winter-garden/index.html",
    "someone.with.a.long.name@department.example-university.example",
    "превысокомногорассмотрительствующий-долгий-адрес@example.org",
    "antidisestablishmentarianism" * 3,
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("word", LONG_WORDS)
def test_long_words_and_addresses_stay_whole(word: str, layout: LayoutName) -> None:
    talk = replace(transcript(f"We read {word} there again."), layout=LAYOUTS[layout])
    found = [line for cue in srt.parse(render(talk, "srt")) for line in cue.content.split("\n")]
    assert word in found
    if layout != "one-word":
        assert "We read" in found


def test_a_word_wider_than_the_line_is_cut_after_its_hyphens() -> None:
    word = "Rechtsschutzversicherungsgesellschaften-Mitarbeiterinnen"
    assert lines(f"Die {word} sind da.", "srt", 0)[:3] == [
        "Die",
        "Rechtsschutzversicherungsgesellschaften-",
        "Mitarbeiterinnen sind da.",
    ]


@pytest.mark.parametrize("text", [JAPANESE, CHINESE])
@pytest.mark.parametrize("words", [0, 12, 1000])
def test_a_cue_of_a_script_without_spaces_ends_after_a_mark(text: str, words: int) -> None:
    cues = [cue.content for cue in srt.parse(render(transcript(text * 2, words=words), "srt"))]
    assert all(cue[-1] in "。，、" for cue in cues)


@pytest.mark.parametrize("words", [0, 12])
def test_speech_of_a_script_without_spaces_is_always_shown(words: int) -> None:
    cues = list(srt.parse(render(transcript(CHINESE * 5, words=words), "srt")))
    gaps = [b.start.total_seconds() - a.end.total_seconds() for a, b in pairwise(cues)]
    assert len(cues) > 3 and max(gaps) < 0.1


@pytest.mark.parametrize(("seconds", "needed"), [(0.3, 5 / 6), (2.0, 2.0)])
def test_a_short_cue_stays_five_sixths_of_a_second(seconds: float, needed: float) -> None:
    words = (Word(1.0, 1.0 + seconds, "Yes.", 0.9),)
    talk = replace(transcript("x"), segments=(Segment(1.0, 1.0 + seconds, "Yes.", words),))
    (cue,) = srt.parse(render(talk, "srt"))
    assert (cue.end - cue.start).total_seconds() == pytest.approx(needed, abs=0.001)


@pytest.mark.parametrize(
    ("pause_s", "gap_s"),
    [(0.0, 2 / 24), (0.05, 2 / 24), (0.1, 2 / 24), (0.5, 2 / 24), (0.6, 0.6), (3.0, 3.0)],
)
def test_small_gaps_are_closed_to_two_frames(pause_s: float, gap_s: float) -> None:
    def sentence(start_s: float) -> Segment:
        text = "This is a sentence that fills one line well."
        step = 4.0 / len(text.split())
        words = tuple(
            Word(start_s + n * step, start_s + (n + 1) * step, word, 0.9)
            for n, word in enumerate(text.split())
        )
        return Segment(start_s, start_s + 4.0, text, words)

    talk = replace(transcript("x"), segments=(sentence(1.0), sentence(5.0 + pause_s)))
    first, second = srt.parse(render(talk, "srt"))
    gap = (second.start - first.end).total_seconds()
    assert gap == pytest.approx(gap_s, abs=0.002)


@pytest.mark.parametrize(
    ("language", "text", "first"),
    [
        ("en", "Yesterday the engineer saw the wonderful bridge of copper.", "saw"),
        ("en", "We have walked slowly around the wonderful garden of roses.", "around"),
        ("de", "Wir haben gestern Abend lange über die Geschichte gesprochen.", "lange"),
        ("fr", "Nous avons parlé longtemps de la maison dans le village hier.", "longtemps"),
    ],
)
def test_a_line_does_not_end_after_an_article(language: str, text: str, first: str) -> None:
    segments = (Segment(0.0, 5.0, text, ()),)
    talk = replace(transcript(text), language=language, segments=segments)
    (cue,) = srt.parse(render(talk, "srt"))
    upper, _ = cue.content.split("\n")
    assert upper.split()[-1] == first


def test_a_break_in_a_phrase_makes_a_fast_cue_slow_enough() -> None:
    quick = "In the winter garden (behind the house) nobody spoke; the harbour was quiet."
    slow = "Then we all went home."
    words: list[Word] = []
    now_s = 1.0
    for text, letter_s in ((quick, 4.4 / len(quick)), (slow, 0.2)):
        for word in text.split():
            words.append(Word(now_s, now_s + letter_s * len(word), word, 0.9))
            now_s += letter_s * (len(word) + 1)
    segments = (Segment(1.0, now_s, f"{quick} {slow}", tuple(words)),)
    cues = list(srt.parse(render(replace(transcript("x"), segments=segments), "srt")))
    speeds = [len(cue.content) / (cue.end - cue.start).total_seconds() for cue in cues]
    assert max(speeds) <= 17.01
