"""Transcript formats: read back by other libraries, nothing lost, nothing twice."""

from __future__ import annotations

import csv
import io
import json
import random
import re

import pytest
import srt
import webvtt
from markdown_it import MarkdownIt

from kb.errors import UsageError
from kb.transcript import FORMATS, render
from kb.transcript.chunks import (
    chunks,
    collapse_whitespace,
    format_time_range,
    format_timestamp,
    join,
    pieces,
)
from kb.transcript.foreign import text_lines
from kb.transcript.formats import json_document
from kb.transcript.passages import passages
from kb.types import (
    Segment,
    Word,
)
from kb.types.spreadsheet_cells import exact_text
from tests.support.raising import raises
from tests.support.random_transcripts import (
    ITEM,
    SEEDS,
    letters,
    make_transcript,
    random_transcript,
    spoken,
)


def test_unknown_format_names_the_known_ones() -> None:
    with raises(UsageError, "format.unknown", format="nonsense") as caught:
        render(make_transcript(()), "nonsense")
    assert all(name in caught.value.hint for name in FORMATS)


@pytest.mark.parametrize("timestamps", ["segment", "word"])
@pytest.mark.parametrize("segments", [(), (Segment(1.0, 2.0, " ", ()),)])
def test_empty_transcripts_are_valid(segments: tuple[Segment, ...], timestamps: str) -> None:
    transcript = make_transcript(segments, timestamps=timestamps)
    assert render(transcript, "txt") == ""
    assert list(srt.parse(render(transcript, "srt"))) == []
    assert render(transcript, "vtt") == "WEBVTT\n"
    assert webvtt.from_string(render(transcript, "vtt")).captions == []
    assert json_document.from_document(json.loads(render(transcript, "json"))) == transcript
    assert render(make_transcript(()), "csv").count("\n") == 1
    assert render(transcript, "md") == ""
    assert render(transcript, "md", item=ITEM).startswith("# Why")
    assert passages(transcript, ITEM) == ()


# Clock, pieces and chunks


def test_clock() -> None:
    assert [format_timestamp(s) for s in (0, 59.99, 60, 3599.9, 3600, 36_061)] == [
        "00:00",
        "00:59",
        "01:00",
        "59:59",
        "1:00:00",
        "10:01:01",
    ]
    assert format_time_range(0.4, 30.9) == "00:00 - 00:30"
    assert format_time_range(3590, 3605) == "0:59:50 - 1:00:05"


@pytest.mark.parametrize("seed", SEEDS)
def test_pieces_are_the_text_in_order(seed: int) -> None:
    for segment in random_transcript(seed).segments:
        cut = pieces(segment)
        assert join(cut) == collapse_whitespace(segment.text)
        starts = [piece.start_s for piece in cut]
        assert starts == sorted(starts)


def test_pieces_keep_punctuation_with_its_word() -> None:
    words = tuple(
        Word(float(i), i + 0.5, text, 1.0)
        for i, text in enumerate(["He", "said", "well", "known", "yes"])
    )
    cut = pieces(Segment(0, 5, 'He said: "well-known" - yes!', words))
    assert [piece.text for piece in cut] == ["He", "said:", '"well-', 'known" -', "yes!"]
    assert [piece.glued for piece in cut] == [False, False, False, True, False]
    assert [piece.start_s for piece in cut] == [0, 1, 2, 3, 4]


def test_pieces_without_spaces() -> None:
    words = (Word(0, 1, "日本", 1.0), Word(1, 2, "語", 1.0))
    assert join(pieces(Segment(0, 2, "日本語。", words))) == "日本語。"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("limit_s", [5.0, 20.0, 60.0])
def test_chunks_lose_and_repeat_nothing(seed: int, limit_s: float) -> None:
    transcript = random_transcript(seed)
    cut = list(chunks(transcript, limit_s))
    assert " ".join(chunk.text for chunk in cut).split() == spoken(transcript)
    for chunk in cut:
        assert chunk.end_s - chunk.start_s <= limit_s + 1e-9 or " " not in chunk.text
        assert chunk.text
    assert [chunk.start_s for chunk in cut] == sorted(chunk.start_s for chunk in cut)


# txt


@pytest.mark.parametrize("seed", SEEDS)
def test_txt_lines(seed: int) -> None:
    transcript = random_transcript(seed, chunk_s=random.Random(seed).choice([20.0, 30.0, 60.0]))
    text = render(transcript, "txt")
    lines = text.splitlines()
    words: list[str] = []
    for line in lines:
        match = re.fullmatch(r"\[(?:\d+:)?\d\d:\d\d - (?:\d+:)?\d\d:\d\d\] (.+)", line)
        assert match, line
        words += match[1].split()
    assert words == spoken(transcript)


def test_txt_is_the_designs_line() -> None:
    transcript = make_transcript(
        (Segment(0.2, 12.0, "Hello there.", ()), Segment(12.5, 29.0, "More.", ())),
    )
    assert render(transcript, "txt") == "[00:00 - 00:29] Hello there. More.\n"


def test_txt_read_back() -> None:
    transcript = random_transcript(3)
    again = text_lines.parse(render(transcript, "txt"), transcript.media.duration_s)
    assert " ".join(row.text for row in again.rows).split() == spoken(transcript)
    expected = [int(chunk.start_s) for chunk in chunks(transcript, 30.0)]
    assert [row.start_s for row in again.rows] == expected


# csv


def test_csv_rows() -> None:
    transcript = random_transcript(7)
    rows = list(csv.DictReader(io.StringIO(render(transcript, "csv"), newline="")))
    assert len(rows) == len(transcript.segments)
    for row, segment in zip(rows, transcript.segments, strict=True):
        assert float(row["start_s"]) == pytest.approx(segment.start_s, abs=0.001)
        assert exact_text(row["text"]) == segment.text


def test_csv_by_word_and_without_formulas() -> None:
    words = tuple(Word(float(i), i + 0.5, t, 0.25) for i, t in enumerate(["=1+1", '"a,b"', "@x"]))
    transcript = make_transcript((Segment(0, 3, '=1+1 "a,b" @x', words),), timestamps="word")
    rows = list(csv.DictReader(io.StringIO(render(transcript, "csv"), newline="")))
    assert [row["word"] for row in rows] == ["'=1+1", '"a,b"', "'@x"]
    assert [row["segment"] for row in rows] == ["1", "1", "1"]
    assert rows[0]["probability"] == "0.2500"
    bare = make_transcript((Segment(0, 3, "no word times", ()),), timestamps="word")
    assert render(bare, "csv").count("\n") == 4


@pytest.mark.parametrize("seed", SEEDS)
def test_csv_by_word_loses_nothing(seed: int) -> None:
    transcript = random_transcript(seed, timestamps="word")
    rows = csv.DictReader(io.StringIO(render(transcript, "csv"), newline=""))
    shown = "".join(exact_text(row["word"]) for row in rows)
    assert letters(shown) == letters("".join(spoken(transcript)))


# md


def shown_markdown(text: str) -> str:
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    parts: list[str] = []
    for token in tokens:
        for child in token.children or ():
            parts.append("" if child.type != "softbreak" else " ")
            if child.type in ("text", "text_special", "code_inline", "html_inline"):
                parts.append(child.content)
        parts.append(" ")
    return "".join(parts)


@pytest.mark.parametrize("seed", SEEDS)
def test_markdown_shows_the_text_as_it_is(seed: int) -> None:
    transcript = random_transcript(seed)
    text = shown_markdown(render(transcript, "md"))
    text = re.sub(r"(?m)(^|(?<= ))(\d+:)?\d\d:\d\d - (\d+:)?\d\d:\d\d(?= |$)", "", text)
    assert text.split() == spoken(transcript)


def test_markdown_header_chapters_and_links() -> None:
    segments = tuple(Segment(i * 30.0, i * 30.0 + 29, f"Part {i}.", ()) for i in range(4))
    text = render(make_transcript(segments), "md", item=ITEM)
    assert text.startswith("# Why \\*we\\* \\<learn\\> \\[now\\] \\#1\n")
    assert "- Channel: Sample \\& Sons" in text
    assert "## The \\*end\\*\n\n### [01:00](https://youtu.be/-a_b-c_d-e_?t=60)\n\nPart 2." in text
    assert text.index("## Start") < text.index("Part 0.") < text.index("## The")
    assert "> The medium ends early." in text
    for line in ("1. one", "- dash", "+ plus", "# hash", "> quote", "=== x", "--- y", "12) z"):
        transcript = make_transcript((Segment(0, 1, line, ()),))
        assert line in shown_markdown(render(transcript, "md"))


# passages


@pytest.mark.parametrize("seed", SEEDS)
def test_passages_hold_every_word_once(seed: int) -> None:
    transcript = random_transcript(seed)
    found = passages(transcript, ITEM, target_s=30)
    assert " ".join(passage.text for passage in found).split() == spoken(transcript)
    assert len({passage.id for passage in found}) == len(found)
    assert passages(transcript, ITEM, target_s=30) == found
    for passage in found:
        assert passage.end_s - passage.start_s <= 30 + 1e-9 or " " not in passage.text
        assert passage.deep_link == f"https://youtu.be/-a_b-c_d-e_?t={int(passage.start_s)}"


def test_passages_end_at_long_silences_and_know_their_language() -> None:
    transcript = make_transcript(
        (
            Segment(0, 5, "one", (), "de"),
            Segment(5, 7, "two", (), "en"),
            Segment(20, 22, "three", ()),
        )
    )
    found = passages(transcript, ITEM, path="x.mp4")
    assert [(p.text, p.language) for p in found] == [("one two", "de"), ("three", "en")]
    assert found[0].id == "youtube:-a_b-c_d-e_#0000"
    assert found[0].path == "x.mp4" and found[0].title == ITEM.title
