"""The document that libass draws: times, karaoke, escapes, fonts and styles."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pysubs2
import pytest

from kb.cli.commands.video import STYLES
from kb.errors import UsageError
from kb.types import Transcript
from kb.video.caption_script import Size, caption_cues, caption_script, shown_text
from kb.video.caption_style import CaptionStyle, load_style, style_names
from kb.video.font_choice import FONT_FOLDER, FontChoice, choose_fonts
from kb.video.glyphs import read_font
from tests.support.films import spoken
from tests.support.raising import raises

SMALL = Size(640, 360)


def fonts_for(transcript: Transcript) -> FontChoice:
    return choose_fonts(shown_text(transcript), "Noto Sans", bold=False, folders=())


def script(
    transcript: Transcript, style: str = "plain", size: Size = SMALL, *, karaoke: bool = False
) -> str:
    return script_in(transcript, load_style(style), fonts_for(transcript), size, karaoke=karaoke)


def script_in(
    transcript: Transcript, style: CaptionStyle, fonts: FontChoice, size: Size = SMALL, *,
    karaoke: bool = False,
) -> str:  # fmt: skip
    cues = caption_cues(transcript, style, size, karaoke=karaoke)
    return caption_script(cues, style, fonts, size, karaoke=karaoke)


def events(document: str) -> list[pysubs2.SSAEvent]:
    return pysubs2.SSAFile.from_string(document, format_="ass").events


def test_karaoke_has_the_times_of_words_without_a_sum_of_errors() -> None:
    """Words of 0.333 s: rounded lengths would be 0.2 s late after sixty words."""
    transcript = spoken(
        ["one two three four five six"] * 10, word_s=0.333, gap_s=0.005, pause_s=0.005
    )
    found = events(script(transcript, "karaoke", karaoke=True))
    words = [word for segment in transcript.segments for word in segment.words]
    times: list[tuple[float, float]] = []
    for event in found:
        at = event.start / 10
        for kind, length in re.findall(r"\\(kf?)(\d+)", event.text):
            if kind == "kf":
                times.append((at / 100, (at + int(length)) / 100))
            at += int(length)
    assert len(times) == len(words) == 60
    for (start_s, end_s), word in zip(times, words, strict=True):
        assert start_s == pytest.approx(word.start_s, abs=0.0101)
        assert end_s == pytest.approx(word.end_s, abs=0.0101)


def test_a_time_after_ten_hours_is_written() -> None:
    """What pysubs2 itself writes at 9:59:59.99."""
    found = events(script(spoken(["late words"], start_s=14 * 3600.0)))
    assert found[0].start == pytest.approx(14 * 3600_000, abs=10)


# Text of a word, and how it must stand in the document: no command of libass may come of it.
@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("{\\b1}", r"\{" + "\\b1" + r"\}"),
        ("{x}", r"\{x\}"),
        ("a\\Nb", "a\\\N{WORD JOINER}Nb"),
        ("a\\nb", "a\\\N{WORD JOINER}nb"),
        ("a\\{b", "a\\\N{WORD JOINER}\\{b"),
        ("a\\", "a\\\N{WORD JOINER}"),
        ("100%", "100%"),
        ("it's:[x],;", "it's:[x],;"),
    ],
)
def test_text_is_no_command(text: str, written: str) -> None:
    for karaoke in (False, True):
        document = script(spoken([f"{text} end"]), karaoke=karaoke)
        line = document.splitlines()[-1].split(",", 9)[9]
        assert re.sub(r"\{\\kf?\d+\}", "", line) == f"{written} end"


def test_lines_fit_the_picture() -> None:
    """An upright picture gets shorter lines, not letters beyond its edge."""
    words = ["many words of a long sentence that would never fit on one line of a telephone"]
    wide, tall = script(spoken(words)), script(spoken(words), size=Size(360, 640))
    longest = [
        max(len(line) for event in events(each) for line in event.plaintext.split("\n"))
        for each in (wide, tall)
    ]
    assert longest[0] <= 42 and longest[1] <= 32
    assert " ".join(e.plaintext.replace("\n", " ") for e in events(tall)) == words[0]


def test_animations_and_colours() -> None:
    words = spoken(["some words"])
    assert "\\fad(150,150)" in script(words, "box")
    assert "\\t(0,150,\\fscx100\\fscy100)" in script(words, "bold")
    assert "\\move(320," in script(words, "slide")
    style = CaptionStyle(colour="#123456", box="#FFFFFF", box_opacity=0.5)
    document = script_in(words, style, fonts_for(words))
    assert "&H00563412" in document and "&H80FFFFFF" in document


def test_the_letters_of_the_shipped_fonts() -> None:
    for name, bold in (("NotoSans-Regular.ttf", False), ("NotoSans-Bold.ttf", True)):
        font = read_font(FONT_FOLDER / name)
        assert font is not None and (font.family, font.bold) == ("Noto Sans", bold)
        assert font.lacks("AzÄßéЖΩ漢😀✓") == {"漢", "😀", "✓"}
    licence = (FONT_FOLDER / "OFL.txt").read_text("utf-8")
    assert "SIL OPEN FONT LICENSE" in licence and "Google LLC" in licence


def test_letters_that_no_font_has_are_refused_and_emoji_left_out() -> None:
    with raises(UsageError, "video.no_font", characters="字 漢"):
        choose_fonts("漢字 and more", "Noto Sans", bold=False, folders=())
    words = spoken(["Good 😀 words"])
    found = fonts_for(words)
    assert [note.code for note in found.notes] == ["note.video_left_out"]
    assert "😀" not in script_in(words, CaptionStyle(), found)


def font_of(family: str, *ranges: tuple[int, int]) -> bytes:
    """Return a font file with a name and a table of characters, and no letters."""
    name = family.encode("utf-16-be")
    names = struct.pack(">3H6H", 0, 1, 18, 3, 1, 0x409, 1, len(name), 0) + name
    groups = b"".join(struct.pack(">3I", first, last, 1) for first, last in ranges)
    characters = struct.pack(">HH HHI HHIII", 0, 1, 3, 10, 12, 12, 0, 16 + len(groups), 0,
                             len(ranges)) + groups  # fmt: skip
    tables = {b"cmap": characters, b"glyf": b"\0" * 4, b"head": bytes(54), b"name": names}
    place, head, body = 12 + 16 * len(tables), b"", b""
    for tag, data in tables.items():
        head += struct.pack(">4sIII", tag, 0, place + len(body), len(data))
        body += data
    return b"\0\1\0\0" + struct.pack(">4H", len(tables), 0, 0, 0) + head + body


def test_another_font_is_taken_and_named(tmp_path: Path) -> None:
    """A font without the letters, in whose place the shipped one draws them."""
    (tmp_path / "lack.ttf").write_bytes(font_of("Lack Sans", (32, 126)))
    words = spoken(["Größe zählt"])
    found = choose_fonts(shown_text(words), "Lack Sans", bold=False, folders=(tmp_path,))
    assert found.main.family == "Lack Sans"
    assert [note.code for note in found.notes] == ["note.video_other_font"]
    assert set(found.others) == {"ö", "ß", "ä"} and len(found.files) == 2
    text = script_in(words, CaptionStyle(), found).splitlines()[-1]
    assert text.endswith(r"Gr{\fnNoto Sans}öß{\fn}e z{\fnNoto Sans}ä{\fn}hlt")
    absent = choose_fonts("Words", "No Such Font", bold=True, folders=())
    assert [note.code for note in absent.notes] == ["note.video_font_absent"]
    assert absent.main.bold


@pytest.mark.parametrize("data", [b"", b"\0\1\0\0", b"\0\1\0\0\xff\xff" + b"x" * 40, b"ttcf"])
def test_damaged_fonts_are_no_fonts(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "font.ttf"
    path.write_bytes(data)
    assert read_font(path) is None


def test_every_style_can_be_read() -> None:
    assert ", ".join(style_names()) == STYLES  # as the help of the command names them
    assert load_style("plain") == CaptionStyle()  # the file that explains the fields
    for name in style_names():
        load_style(name)


@pytest.mark.parametrize(
    ("text", "part"),
    [("size: [", "line"), ("sise: 3", "sise"), ("size: 0", "size"), ("colour: red", "colour"),
     ("- a\n- b", "list"), ("font: 'a{b'", "font"), ("&a [*a, *a]", "")],
)  # fmt: skip
def test_mistakes_in_a_style(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    with raises(UsageError, "video.style_mistake", path=path) as caught:
        load_style(str(path))
    assert part in str(caught.value)


def test_a_style_of_the_user(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("size: 12\ncolour: '#00FF00'\n", encoding="utf-8")
    assert load_style(str(path)) == CaptionStyle(size=12, colour="#00FF00")
    with raises(UsageError, "video.unknown_style", name="loud"):
        load_style("loud")
