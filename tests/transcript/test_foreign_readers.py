"""Every export through programs of others: they find the words that were put in, and no others.

The texts are made of what formats take for markup, and of any Unicode characters.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kb.transcript import FORMATS, file_content, render_document
from kb.types import Segment, Transcript, Word
from kb.types.safe_text import clean
from tests.support.foreign_readers import (
    READERS,
    WITHOUT_WORDS,
    bundled_ffmpeg,
    ffmpeg,
    letters,
    srt_library,
    webvtt_library,
)
from tests.support.random_transcripts import make_transcript

# What one of the formats, or one of the programs that read them, takes for something else.
FRAGMENTS = (
    "vector<int>", "x < y and y > z", "<i>it</i>", "a<b>c", "<b", "b>", "</b>", "<3 you > me",
    "<br>", "<c.x>", "<v Ann>", "<00:00:01.000>", "<!-- x -->", "<https://x.example>", "<", ">",
    "{\\an8} up", "{hello} a", "{Y:i}x", "{}", "{", "}", "\\{", "\\}", "\\N", "\\n", "\\h", "\\",
    "C:\\News\\House", "-->", "-- >", "12 --> 13", "00:00:01,000 --> 00:00:02,000",
    "00:00:01,000 00:00:02,000", "00:00:01.000 to 00:00:02.000", "0:00:01.00,0:00:02.00", "00:05",
    "[00:05]", "[00:05 - 00:07]", "[ti:x]", "2024", "1", "007", "1.044", "1/2", "TRUE", "NULL",
    "#N/A", "#DIV/0!", "_x0041_", "&", "&amp;", "&lt;b&gt;", "&#65;", "&nbsp;", "&copy=2",
    "=1+1", "+1", "-1", "@x", "＝1", "a;=1+1;b", "a,=1", "'-5", "'=1", "''=1", "'", "- Hello",
    "=HYPERLINK(\"http://x.example\")", "\"q\"", "“q”", "a\tb", "\t=1", "a\nb", "\n=1", "\n\n",
    "\r", "\r\n", "\x00", "a\x00b", "\x07", "\x0b", "\x0c", "\x1a", "\x1b[2J", "\x1c", "\x1f",
    "\x7f", "\x85", "\x9b31m", "\u2028", "\u2029", "\ud83d", "\ude00", "\ud83d\ude00", "\ufffe",
    "\uffff", "\ufeff", "\u200b", "\u200d", "\u200f", "\u202e", "\u2060", "\u2066", "\u00a0",
    "\u3000", "\u00ad", "\U000e0041", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067"
    "\U000e007f",
    "👩‍👩‍👧", "日本語。", "ﷺ", "שלום", "e\u0301", "กำ", "NOTE", "NOTE x", "STYLE", "REGION",
    "WEBVTT", "[Events]", "Dialogue: 0,1", "**b**", "_u_", "`c`", "| a |", "~~s~~", "==x==", "***",
    "---", "===", "# h", "> q", "1. x", "1) x", "+ x", "* x", "[x](y)", "![x](y)", "[x]: y", "$x$",
    "https://x.example/?a=1&b=2", "https://x.example/a_b_(c).", "(https://x.example/*)",
    "HTTPS://X.example/%41", "https://xn--mnchen-3ya.example/", "https://ann:pw@x.example/",
    "https://x.example/?a&copy;b", "www.x.example/a_b", "http://x.example/\\", "http://[::1]/",
    "ann_b@x.example", "javascript:alert(1)",
)  # fmt: skip

_TEXTS = st.lists(
    st.one_of(st.sampled_from(FRAGMENTS), st.text(st.characters(), min_size=1, max_size=6)),
    min_size=1,
    max_size=6,
).flatmap(lambda parts: st.sampled_from(["", " "]).map(lambda space: space.join(parts)))


def transcript_of(texts: Sequence[str], timestamps: str = "segment") -> Transcript:
    """Return a transcript of these texts; every second one has words with times."""
    segments: list[Segment] = []
    for number, text in enumerate(texts):
        start_s = 5.0 * number
        words = tuple(
            Word(start_s + 0.3 * place, start_s + 0.3 * place + 0.2, part, 0.5)
            for place, part in enumerate(text.split())
        )
        end_s = max(start_s + 4.0, words[-1].end_s if words else 0.0)
        segments.append(Segment(start_s, end_s, text, words if number % 2 else ()))
    made = make_transcript(tuple(segments), timestamps=timestamps)
    return replace(made, times_each_word=timestamps == "word")


def document(transcript: Transcript, format: str) -> bytes:
    return file_content(render_document(transcript, format), format)


def words_of(transcript: Transcript, format: str) -> str:
    """Return the letters that a format has to hold: all but what no program shows."""
    texts = [clean(segment.text) for segment in transcript.segments]
    if format == "srt":  # it has no escape for an arrow
        texts = [text.replace("-->", "→") for text in texts]
    return letters(texts)


def check(texts: Sequence[str], timestamps: str = "segment") -> None:
    transcript = transcript_of(texts, timestamps)
    for format in FORMATS:
        if format in WITHOUT_WORDS or format == "json":
            continue
        made = document(transcript, format)
        expected = words_of(transcript, format)
        for name, reader in READERS[format].items():
            assert letters(reader(made)) == expected, (format, name)


def test_every_format_has_a_foreign_reader() -> None:
    assert set(FORMATS) == READERS.keys() | WITHOUT_WORDS


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(texts=st.lists(_TEXTS, min_size=1, max_size=8))
def test_foreign_readers_find_the_same_words(texts: list[str]) -> None:
    check([*texts, "end"])  # pysubs2 takes digits of any script at the end for a cue's number


@pytest.mark.slow
@pytest.mark.parametrize("timestamps", ["segment", "word"])
def test_foreign_readers_find_each_kind_of_text(timestamps: str) -> None:
    check([f"before {fragment} after" for fragment in FRAGMENTS], timestamps)
    check([*FRAGMENTS, "end"], timestamps)


@pytest.mark.parametrize("last", ["2024", "In\n2024", "2024 2025"])
def test_a_number_at_the_end_is_no_number_of_a_cue(last: str) -> None:
    check(["one", "x" * 40 + f" {last}"])


@pytest.mark.parametrize("program", ["bundled", pytest.param("Debian's", marks=pytest.mark.long)])
def test_ffmpeg_finds_the_same_words(program: str) -> None:
    path = bundled_ffmpeg()
    if program != "bundled":
        path = shutil.which("ffmpeg") or ""
        if not path:
            pytest.skip("this machine has no ffmpeg of its own (Debian: apt-get install ffmpeg)")
    texts = [f"before {fragment} after" for fragment in FRAGMENTS]
    made = document(transcript_of(texts), "srt")
    assert letters(ffmpeg(made, "srt", path)) == letters(srt_library(made))
    # Of WebVTT, ffmpeg before version 6 takes these for breaks of SubStation.
    texts = [text for text in texts if not re.search(r"\\[Nnh]", text)]
    made = document(transcript_of(texts), "vtt")
    assert letters(ffmpeg(made, "webvtt", path)) == letters(webvtt_library(made))


SPEAKERS = (None, "Anna", "SPEAKER_01", "A & B", "<b>Anna</b>", "a > b", "O'Neil, Anna", "مريم")


@pytest.mark.browser
@pytest.mark.parametrize("speakers", [(None,), SPEAKERS])
def test_a_browser_shows_the_same_words(speakers: tuple[str | None, ...]) -> None:
    from tests.support import browser

    browser.require_browser()
    transcript = transcript_of([f"before {fragment} after" for fragment in FRAGMENTS])
    spoken = zip(transcript.segments, cycle(speakers), strict=False)
    transcript = replace(transcript, segments=tuple(replace(s, speaker=name) for s, name in spoken))
    made = document(transcript, "vtt").decode()
    with browser.browser() as running:
        page = running.new_page()
        page.set_content("<video><track default></video>")
        found = page.evaluate(
            """async text => {
              const track = document.querySelector("track");
              const file = new Blob([text], {type: "text/vtt"});
              track.track.mode = "showing";
              const loaded = new Promise((done, fail) => {
                track.onload = done;
                track.onerror = fail;
              });
              track.src = URL.createObjectURL(file);
              await loaded;
              return [...track.track.cues].map(cue => cue.getCueAsHTML().textContent);
            }""",
            made,
        )
    assert letters(found) == words_of(transcript, "vtt")
