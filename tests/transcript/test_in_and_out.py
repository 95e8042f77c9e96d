"""What is written is read again: format × (out → in → out), equal or with a loss by nature.

A file is read under the name that it has beside a medium, with its language in the name.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import docx
import pytest
from openpyxl import load_workbook

from kb.errors import LibraryError
from kb.transcript import FORMATS, file_content, format_named, render_document
from kb.transcript.foreign import reader
from kb.types import CsvForm, MediaRef, Timestamps, Transcript, table_form
from tests.support.kept_transcripts import KEPT, said, transcript
from tests.support.random_transcripts import ITEM

# Chapters stand at the paragraph that they begin with: its own times may place it elsewhere.
FACTS = replace(ITEM, chapters=())
STEM = "2024-03-01_Old talk_0123456789ab"


def same(document: str) -> str:
    return document


def without_head(document: str) -> str:
    """The head names the file that the text was taken from."""
    return re.sub(r"^.*?(?=\n## |<div class=.part)", "", document, count=1, flags=re.DOTALL)


def without_breaks(document: str) -> str:
    """A cue is one line of text in a transcript, and is broken again."""
    return re.sub(r"\s+|\\N|<br/>", " ", document)


def words_of_document(document: bytes) -> list[str]:
    """The paragraphs of the text; the head names the file that the text was taken from."""
    paragraphs = docx.Document(io.BytesIO(document)).paragraphs
    return [p.text for p in paragraphs if p.style is None or p.style.name == "Normal"]


def cells(document: bytes) -> list[tuple[object, ...]]:
    """The cells; the second sheet names the file that the text was taken from."""
    sheet = load_workbook(io.BytesIO(document)).worksheets[0]
    rows = [tuple(cell if cell is not None else "" for cell in row) for row in sheet.values]
    return [row[:3] + tuple(c for c in row[3:] if c not in ("", 1)) for row in rows]


def without_figures(document: str) -> dict[str, Any]:
    """The words' probabilities are rounded, and a figure is made from them."""
    found: dict[str, Any] = json.loads(document)
    for segment in found["segments"]:
        del segment["avg_logprob"]
    return found


def without_chances(document: str) -> str:
    """Words whose text is not that of the segment have no probability; read, they have 1."""
    return re.sub(r",(?:1\.0000)?,(\d+)$", r",,\1", document, flags=re.MULTILINE)


def without_bars(document: str) -> str:
    """A bar ends the name of a marker."""
    return document.replace("|", "¦")


MODES: dict[str, dict[str, Any]] = {
    "segment": {"timestamps": "segment"},
    "word": {"timestamps": "word"},
    "each word": {"timestamps": "word", "times_each_word": True},
}
EACH = ("each word",)
WORD = ("word", "each word")
ALWAYS = ("segment", *WORD)


@dataclass(frozen=True)
class Kept:
    """What a format keeps: times to so many seconds, in words in some modes; and the rest."""

    within_s: float | None = 0.0011  # None: it has no times
    words: tuple[str, ...] = ()
    document: Callable[[Any], Any] = same
    item: bool = False  # written with the item's facts
    # Rows in order of time, a word each: two voices at once cannot be told apart.
    mixed: tuple[str, ...] = ()


KEEPS: dict[str, Kept] = {
    "txt": Kept(within_s=1.0, words=EACH, mixed=EACH),
    "plain": Kept(within_s=None),
    "md": Kept(within_s=1.0, words=EACH, document=without_head, item=True, mixed=EACH),
    "docx": Kept(within_s=1.0, document=words_of_document, item=True),
    "html": Kept(within_s=1.0, document=without_head, item=True),
    "srt": Kept(document=without_breaks, words=WORD, mixed=WORD),
    "vtt": Kept(document=without_breaks, words=WORD),
    "ass": Kept(within_s=0.011, document=without_breaks, words=WORD),
    "ttml": Kept(document=without_breaks, words=EACH),
    "sbv": Kept(document=without_breaks, words=WORD, mixed=WORD),
    # Two voices at once take turns in their lines.
    "lrc": Kept(within_s=0.011, words=EACH, mixed=ALWAYS),
    "csv": Kept(words=WORD, document=without_chances),
    "xlsx": Kept(words=WORD, document=cells),
    "json": Kept(words=ALWAYS),
    "verbose_json": Kept(words=ALWAYS, document=without_figures),
    "tsv": Kept(words=WORD, mixed=WORD),
    "textgrid": Kept(words=ALWAYS),
    # Two marks at one time are a frame apart.
    "edl": Kept(within_s=0.0601, document=without_bars),
    "markers": Kept(),
    "audacity": Kept(words=WORD, mixed=WORD),
}
# Formats without words, which cannot be read as a transcript.
NO_WORDS = {"rttm", "chapters", "notes", "notes_json", "screen"}


def test_every_format_is_in_this_table() -> None:
    assert set(FORMATS) == KEEPS.keys() | NO_WORDS


def name_of(format: str, language: str) -> str:
    return f"{STEM}.{language}.{format_named(format).suffix}"


def taken_in(folder: Path, format: str, document: str | bytes, original: Transcript) -> Transcript:
    path = folder / name_of(format, original.language)
    path.write_bytes(file_content(document, path.suffix))
    return reader.read(path, original.media)


_REPLACED = str.maketrans({"→": "-->", "¦": "|", "｛": "{", "｝": "}"})


def squeezed(text: str) -> str:
    """Return the text without white space; signs that a format has to replace are equal."""
    return "".join(text.split()).translate(_REPLACED)


def written() -> Iterator[tuple[str, str]]:
    """Yield each format with the modes in which its documents differ."""
    for format, kept in KEEPS.items():
        yield format, "segment"
        if kept.words in (EACH, WORD):
            yield format, kept.words[0]


@pytest.mark.parametrize(("format", "mode"), written())
@pytest.mark.parametrize("case", KEPT)
def test_out_in_out(tmp_path: Path, format: str, mode: str, case: str) -> None:
    kept, original = KEEPS[format], replace(KEPT[case], **MODES[mode])
    item = FACTS if kept.item else None
    first = render_document(original, format, item=item)
    read = taken_in(tmp_path, format, first, original)
    found = replace(read, media=original.media, **MODES[mode])
    assert found.language == original.language
    second = render_document(found, format, item=item)
    if mode in kept.mixed and case in ("two speak at once", "at one time"):
        assert sorted(squeezed(found.text)) == sorted(squeezed(original.text))
        return
    assert squeezed(found.text) == squeezed(original.text)
    assert kept.document(second) == kept.document(first)
    if kept.within_s is not None:
        compare_times(original, found, kept.within_s)
    # A file with one word does not show that its times are those of words.
    has_words = all(segment.words for segment in original.segments)
    if mode in kept.words and has_words and len(original.text.split()) > 1:
        assert squeezed("".join(word.text for word in found.words)) == squeezed(original.text)


def compare_times(original: Transcript, found: Transcript, within_s: float) -> None:
    """Each word, or else each segment, begins when its first letter was spoken."""
    began: dict[int, float] = {}
    at = 0
    for segment in original.segments:
        began[at] = segment.start_s
        inside = at
        for word in segment.words:
            began.setdefault(inside, word.start_s)
            inside += len(squeezed(word.text))
        at += len(squeezed(segment.text))
    at = compared = 0
    for segment in found.segments:
        inside = at
        for start_s, text in [
            (segment.start_s, ""),
            *((word.start_s, squeezed(word.text)) for word in segment.words),
        ]:
            if inside in began:
                assert abs(start_s - began[inside]) <= within_s, (segment, began[inside])
                compared += 1
            inside += len(text)
        at += len(squeezed(segment.text))
    assert compared or not original.segments


@pytest.mark.parametrize("format", ["json", "textgrid"])
def test_speakers_are_kept(tmp_path: Path, format: str) -> None:
    spoken = KEPT["speakers"]
    found = taken_in(tmp_path, format, render_document(spoken, format), spoken)
    assert [segment.speaker for segment in found.segments] == ["Anna", "Bob"]


@pytest.mark.parametrize("name", ["plain", "excel-en", "excel-de"])
@pytest.mark.parametrize("timestamps", ["segment", "word"])
def test_every_form_of_a_table(tmp_path: Path, name: CsvForm, timestamps: Timestamps) -> None:
    spoken = replace(KEPT["formulas"], table_form=table_form(name), timestamps=timestamps)
    found = taken_in(tmp_path, "csv", render_document(spoken, "csv"), spoken)
    assert [segment.text for segment in found.segments] == [s.text for s in spoken.segments]
    compare_times(spoken, found, 0.0011)


@pytest.mark.parametrize("format", KEEPS)
def test_an_empty_transcript(tmp_path: Path, format: str) -> None:
    """Without words there is nothing to take in, and no state but that of the exact document."""
    empty = transcript()
    document = render_document(empty, format)
    if format == "json":
        assert taken_in(tmp_path, format, document, empty).segments == ()
        return
    with pytest.raises(LibraryError) as raised:
        taken_in(tmp_path, format, document, empty)
    assert raised.value.code == "transcript.not_read"


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("talk.srt", ""), ("talk.en.srt", "en"), ("talk.de.srt", "de"), ("talk.eng.srt", "en"),
        ("talk.ger.srt", "de"), ("talk.deu.srt", "de"), ("talk.en-US.srt", "en"),
        ("talk.pt-BR.srt", "pt"), ("talk.zh-Hans.srt", "zh"), ("talk.German.srt", "de"),
        ("talk.en.forced.srt", "en"), ("talk.en.sdh.srt", "en"), ("talk.en.hi.srt", "en"),
        ("talk.hi.srt", "hi"), ("talk.en.auto.srt", "en"), ("talk.EN.srt", "en"),
        ("talk.forced.srt", ""), ("talk.v2.srt", ""), ("talk.final.srt", ""), ("en.srt", ""),
        ("talk.xy.srt", ""), ("talk.ja.SRT", "ja"),
    ],
)  # fmt: skip
def test_the_language_of_a_name(tmp_path: Path, name: str, language: str) -> None:
    path = tmp_path / name
    path.write_text("1\n00:00:01,000 --> 00:00:02,000\nfalcon harbour\n", "utf-8")
    assert reader.read(path, MediaRef("media/talk.wav", "", 20.0)).language == language


@pytest.mark.long
@pytest.mark.parametrize("format", KEEPS)
def test_ten_thousand_segments_are_complete(tmp_path: Path, format: str) -> None:
    """A recording of eleven hours: no word is lost on the way out or in."""
    spoken = transcript(
        *(said(f"Segment {n} of a long talk.", 4.0 * n, 0.5) for n in range(10_000))
    )
    found = taken_in(tmp_path, format, render_document(spoken, format), spoken)
    assert squeezed(found.text) == squeezed(spoken.text)
    if (within_s := KEEPS[format].within_s) is not None:
        compare_times(spoken, found, within_s)
