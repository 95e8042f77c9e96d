"""Formats for reading and for subtitles, read back by libraries or by their definitions."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import docx
import pysubs2
import pytest

from kb.errors import UsageError
from kb.library import deep_link
from kb.transcript import FORMAT_GROUPS, FORMATS, format_named, render, render_document, unavailable
from kb.transcript.formats.facts import quality_remark
from kb.transcript.formats.paragraphs import paragraphs, sections
from kb.transcript.formats.subtitle_cues import phrase_cues
from kb.types import Chapter, Segment, Word
from tests.support.format_traps import SEEDS, TRAPS, TWELVE_HOURS_S, TWO, by_word, trap, words_of
from tests.support.hostile import hostile_item, hostile_transcript, problems
from tests.support.raising import raises
from tests.support.random_transcripts import (
    ITEM,
    letters,
    make_transcript,
    random_transcript,
    spoken,
)

# All formats


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_has_a_place_in_menus_and_a_name_for_files(name: str) -> None:
    found = format_named(name)
    assert found.group in FORMAT_GROUPS
    assert re.fullmatch(r"[A-Za-z.]+", found.suffix)
    assert "/" in found.mime_type


def test_formats_are_grouped_by_their_use() -> None:
    groups = {name: format_named(name).group for name in FORMATS}
    expected = {
        "reading": {"txt", "plain", "md", "docx", "html", "notes", "screen"},
        "subtitles": {"srt", "vtt", "ass", "ttml", "sbv", "lrc"},
        "programs": {"json", "verbose_json", "tsv", "textgrid", "rttm", "notes_json"},
        "cutting": {"chapters", "edl", "markers", "audacity"},
    }
    for group, names in expected.items():
        assert {name for name in groups if groups[name] == group} == names
    assert groups["csv"] == "spreadsheet"


def test_no_two_formats_share_a_file_name() -> None:
    suffixes = [format_named(name).suffix.lower() for name in FORMATS]
    assert len(set(suffixes)) == len(suffixes)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("timestamps", ["segment", "word"])
def test_an_empty_transcript_and_no_item_are_enough(name: str, timestamps: str) -> None:
    for segments in ((), (Segment(1.0, 2.0, " ", ()),)):
        transcript = make_transcript(segments, timestamps=timestamps)
        problem = unavailable(transcript, name)
        if problem is not None:
            assert problem.code in (
                "format.no_chapters", "format.no_speakers", "format.no_notes", "format.no_screen",
            )  # fmt: skip
        else:
            render_document(transcript, name)


def test_a_format_that_is_no_text_is_not_rendered_as_one() -> None:
    with raises(UsageError, "format.no_text", format="docx"):
        render(make_transcript(TWO), "docx")


# For reading


@pytest.mark.parametrize("seed", SEEDS)
def test_paragraphs_lose_and_repeat_nothing(seed: int) -> None:
    transcript = random_transcript(seed)
    for length_s in (0.0, 10.0, 30.0):
        found = list(paragraphs(transcript.segments, length_s))
        assert " ".join(part.text for part in found).split() == spoken(transcript)
    parts = [part for each in sections(transcript, ITEM) for part in each.paragraphs]
    assert " ".join(part.text for part in parts).split() == spoken(transcript)
    assert render(transcript, "plain", item=ITEM).split() == spoken(transcript)


def test_a_paragraph_ends_with_a_sentence_or_at_a_pause() -> None:
    segments = [
        Segment(float(start), start + 5.0, text, ())
        for start, text in (
            (0, "It begins here"), (5, "and ends. Then more."), (10, "A pause follows"),
            (40, "and the rest.”"), (45, "The last."),
        )
    ]  # fmt: skip
    found = [part.text for part in paragraphs(segments, 9.0)]
    assert found == [
        "It begins here and ends. Then more.", "A pause follows", "and the rest.” The last.",
    ]  # fmt: skip
    assert len(list(paragraphs(segments, 0.0))) == 5


def test_paragraphs_of_a_script_without_spaces() -> None:
    words = tuple(Word(i, i + 1.0, "東京", 1.0) for i in range(30))
    text = "。".join("東京" for _ in words) + "。"
    found = list(paragraphs([Segment(0.0, 30.0, text, words)], 8.0))
    assert "".join(part.text for part in found) == text


class _Page(HTMLParser):
    """The text that a page shows, and its links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self._part = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        values = dict(attrs)
        self.links += [values["href"] or ""] if tag == "a" else []
        self._part = tag if tag in ("p", "h1", "h2", "dd", "style", "title") else self._part

    def handle_data(self, data: str) -> None:
        if self._part == "p" and data.strip():
            self.parts.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._part = "" if tag == self._part else self._part


@pytest.mark.parametrize("seed", SEEDS)
def test_a_page_shows_the_words_with_links_to_their_times(seed: int) -> None:
    transcript = replace(random_transcript(seed), warnings=())
    page = _Page(render(transcript, "html", item=ITEM))
    shown = " ".join(page.parts).split(quality_remark(transcript))[-1]
    assert shown.split() == spoken(transcript)
    assert page.links[0] == ITEM.url
    starts = [p.start_s for each in sections(transcript, ITEM) for p in each.paragraphs]
    assert page.links[1:] == [deep_link(ITEM, start_s) for start_s in starts]


@pytest.mark.parametrize("text", TRAPS)
def test_a_page_shows_text_as_text(text: str) -> None:
    page = _Page(render(trap(text), "html"))
    assert " ".join(page.parts).split() == text.split()
    assert page.tags <= {
        "html", "head", "meta", "title", "style", "body", "main", "div", "p", "a",
    }  # fmt: skip


def test_a_page_runs_nothing_and_loads_nothing() -> None:
    page = render(hostile_transcript(), "html", item=hostile_item())
    assert "default-src 'none'" in page
    found = _Page(page)
    assert not found.tags & {"script", "img", "link", "iframe", "object", "form"}
    assert all(link.startswith(("http://", "https://")) for link in found.links)
    assert problems(page) == [] and ' lang="' not in page.split("<body>")[0]
    assert ' lang="en"' in render(make_transcript(TWO), "html")


def opened(data: str | bytes) -> docx.document.Document:
    assert isinstance(data, bytes)
    return docx.Document(io.BytesIO(data))


@pytest.mark.parametrize("seed", [0, 3, 7])
def test_a_document_has_the_words_with_links_to_their_times(seed: int) -> None:
    transcript = random_transcript(seed)
    document = opened(render_document(transcript, "docx", item=ITEM))
    assert document.core_properties.title == ITEM.title
    assert document.core_properties.author == ITEM.channel
    assert document.core_properties.language == "en"
    body = [p for p in document.paragraphs if p.style is not None and p.style.name == "Normal"]
    assert " ".join(p.text.split("  ", 1)[1] for p in body).split() == spoken(transcript)
    starts = [p.start_s for each in sections(transcript, ITEM) for p in each.paragraphs]
    links = [p.hyperlinks[0].url for p in body]
    assert links == [deep_link(ITEM, start_s) for start_s in starts]
    headings = [p.text for p in document.paragraphs if p.style and p.style.name == "Heading 1"]
    assert headings == [chapter.title for chapter in ITEM.chapters]


@pytest.mark.parametrize("text", [*TRAPS, "a\x00b\x1b[2J\x9b\ufffe\ud83d", "\uffff"])
def test_a_document_takes_any_text(text: str) -> None:
    item = replace(ITEM, title=text, channel=text, chapters=(Chapter(0.0, text),))
    document = opened(render_document(trap(f"word {text}"), "docx", item=item))
    assert "word" in document.paragraphs[-1].text


def test_a_document_of_a_script_from_right_to_left() -> None:
    transcript = replace(trap("שלום עולם"), language="he")
    document = opened(render_document(transcript, "docx", item=replace(ITEM, chapters=())))
    xml = document.paragraphs[-1]._p.xml
    assert "<w:bidi/>" in xml and "<w:rtl/>" in xml
    assert 'w:val="he"' in document.styles.element.xml


# Subtitles


@pytest.mark.parametrize("timestamps", ["segment", "word"])
@pytest.mark.parametrize("name", ["ass", "ttml"])
@pytest.mark.parametrize("seed", SEEDS)
def test_cues_are_read_by_pysubs2(seed: int, name: str, timestamps: str) -> None:
    transcript = by_word(random_transcript(seed), timestamps)
    events = pysubs2.SSAFile.from_string(render(transcript, name, item=ITEM)).events
    cues = phrase_cues(transcript)
    assert [letters(event.plaintext) for event in events] == [letters(cue.text) for cue in cues]
    for event, cue in zip(events, cues, strict=True):
        assert abs(event.start - cue.start_ms) <= 5 and abs(event.end - cue.end_ms) <= 5


@pytest.mark.parametrize("timestamps", ["segment", "word"])
@pytest.mark.parametrize("text", TRAPS)
def test_substation_shows_text_as_text(text: str, timestamps: str) -> None:
    (event,) = pysubs2.SSAFile.from_string(render(trap(text, timestamps), "ass")).events
    shown = event.plaintext.translate(str.maketrans("｛｝", "{}"))
    assert letters(shown) == letters(text)


@pytest.mark.parametrize("name", ["ass", "ttml", "sbv", "lrc", "srt", "vtt"])
def test_times_after_ten_hours_are_kept(name: str) -> None:
    transcript = make_transcript(
        (Segment(TWELVE_HOURS_S + 1.25, TWELVE_HOURS_S + 3.0, "Late words.", ()),)
    )
    text = render(transcript, name)
    written = {
        "ass": "12:00:01.25", "ttml": "12:00:01.250", "sbv": "12:00:01.250", "lrc": "720:01.25",
        "srt": "12:00:01,250", "vtt": "12:00:01.250",
    }[name]  # fmt: skip
    assert written in text


def test_karaoke_gives_each_word_its_time() -> None:
    words = tuple(Word(1 + i * 0.5, 1.4 + i * 0.5, f"w{i}", 1.0) for i in range(4))
    text = " ".join(word.text for word in words)
    transcript = make_transcript((Segment(1.0, 3.0, text, words),), timestamps="word")
    (line,) = re.findall(r"Dialogue: .*", render(transcript, "ass"))
    lengths = [int(found) for found in re.findall(r"\{\\k(\d+)\}", line)]
    assert lengths[:3] == [50, 50, 50] and sum(lengths) >= 190


TT = "{http://www.w3.org/ns/ttml}"
XML = "{http://www.w3.org/XML/1998/namespace}"


@pytest.mark.parametrize("text", [*TRAPS, "a\x00\x1b\ufffe"])
def test_timed_text_is_xml_with_a_language(text: str) -> None:
    root = ElementTree.fromstring(render(trap(text), "ttml", item=hostile_item()))
    assert root.tag == f"{TT}tt" and root.get(f"{XML}lang") == "en"
    ids = {each.get(f"{XML}id") for each in root.iter() if each.get(f"{XML}id")}
    body = root.find(f"{TT}body")
    assert body is not None and {body.get("style"), body.get("region")} <= ids
    (paragraph,) = root.iter(f"{TT}p")
    if text in TRAPS:
        assert letters("".join(paragraph.itertext())) == letters(text)


@pytest.mark.parametrize("seed", SEEDS)
def test_captions_of_youtube(seed: int) -> None:
    transcript = random_transcript(seed)
    text = render(transcript, "sbv")
    blocks = [block.split("\n", 1) for block in text.strip().split("\n\n")]
    clock = r"\d+:\d\d:\d\d\.\d{3}"
    assert all(re.fullmatch(rf"{clock},{clock}", times) for times, _ in blocks)
    assert letters("".join(words for _, words in blocks)) == words_of(transcript)


LRC = re.compile(r"\[(\d+):(\d\d\.\d\d)\](.*)")


@pytest.mark.parametrize("timestamps", ["segment", "word"])
@pytest.mark.parametrize("seed", SEEDS)
def test_lyrics_have_a_line_for_each_cue(seed: int, timestamps: str) -> None:
    transcript = by_word(random_transcript(seed), timestamps)
    lines = render(transcript, "lrc", item=ITEM).splitlines()
    assert lines[0] == "[ti:Why *we* <learn> (now) #1]"
    rows = [found.groups() for line in lines if (found := LRC.fullmatch(line))]
    starts = [int(minutes) * 60 + float(seconds) for minutes, seconds, _ in rows]
    assert starts == sorted(starts)
    shown = re.sub(r"<\d+:\d\d\.\d\d>", "", "".join(text for *_, text in rows))
    assert letters(shown) == words_of(transcript)


@pytest.mark.parametrize("text", TRAPS)
def test_lyrics_have_no_time_or_tag_in_their_text(text: str) -> None:
    line = render(trap(text), "lrc").splitlines()[1]
    found = LRC.fullmatch(line)
    assert found and letters(found[3]) == letters(text)
    assert not re.search(r"[\[<]\s*[\d:.]+\s*[\]>]", found[3])
    assert not re.match(r"\s*\[[^\u2060\]]*:", found[3])
