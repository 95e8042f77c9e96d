"""The formats of other programs, read back by libraries of theirs or by their definitions."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import docx
import pysubs2
import pytest

from kb.errors import UsageError
from kb.library import deep_link
from kb.transcript import FORMAT_GROUPS, FORMATS, format_named, render, render_document, unavailable
from kb.transcript.formats.paragraphs import paragraphs, sections
from kb.transcript.formats.subtitle_cues import phrase_cues
from kb.types import Chapter, MediaItem, Segment, Transcript, Word
from tests.support.hostile import hostile_item, hostile_transcript, problems
from tests.support.raising import raises
from tests.support.random_transcripts import (
    ITEM,
    letters,
    make_transcript,
    random_transcript,
    spoken,
)

SEEDS = range(0, 12, 2)
# Texts that one of the formats takes for something of its own.
TRAPS = (
    "{\\an8}up {b} here", r"a\Nb \h c:\new", "[12:34] he said", "[ar:not an artist] x",
    "<00:10.00> then <i>so</i>", "a | b |C:Red", 'he said "so" and ""', "a\tb  c", "R&D &amp; <b>",
    "=1+1", "0:00 not a chapter", "Ω≈ç 東京 שלום 👩‍🚀", "001  001  V  C",
)  # fmt: skip
TWO = (Segment(0.0, 2.0, "One two.", ()), Segment(2.5, 4.0, "Three.", ()))
TWELVE_HOURS_S = 12 * 3600.0


def trap(text: str, timestamps: str = "segment") -> Transcript:
    return make_transcript((Segment(1.0, 6.0, text, ()),), timestamps=timestamps)


def by_word(transcript: Transcript, timestamps: str) -> Transcript:
    """Return the transcript as of an export that asks for these timestamps."""
    asked = timestamps == "word"
    return replace(transcript, timestamps="word" if asked else "segment", times_each_word=asked)


def words_of(transcript: Transcript) -> str:
    return letters("".join(spoken(transcript)))


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
        "reading": {"txt", "plain", "md", "docx", "html"},
        "subtitles": {"srt", "vtt", "ass", "ttml", "sbv", "lrc"},
        "programs": {"json", "verbose_json", "tsv", "textgrid", "rttm"},
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
            assert problem.code in ("format.no_chapters", "format.no_speakers")
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
    shown = " ".join(page.parts).split("detected speech.")[-1]
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


# For programs


def test_whispers_table() -> None:
    rows = list(csv.reader(io.StringIO(render(make_transcript(TWO), "tsv")), delimiter="\t"))
    assert rows == [["start", "end", "text"], ["0", "2000", "One two."], ["2500", "4000", "Three."]]


@pytest.mark.parametrize("timestamps", ["segment", "word"])
@pytest.mark.parametrize("seed", SEEDS)
def test_whispers_table_has_all_words(seed: int, timestamps: str) -> None:
    transcript = random_transcript(seed, timestamps=timestamps)
    rows = [line.split("\t") for line in render(transcript, "tsv").splitlines()[1:]]
    assert all(len(row) == 3 and int(row[0]) <= int(row[1]) for row in rows)
    shown = "".join(row[2] for row in rows).replace("'", "")
    assert letters(shown) == words_of(transcript).replace("'", "")


# The required fields of the answer's objects in OpenAI's API reference.
SEGMENT_FIELDS = {
    "id": int, "seek": int, "start": float, "end": float, "text": str, "tokens": list,
    "temperature": float, "avg_logprob": float, "compression_ratio": float, "no_speech_prob": float,
}  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_the_answer_of_openais_service(seed: int) -> None:
    transcript = random_transcript(seed)
    document = json.loads(render(transcript, "verbose_json"))
    assert document["task"] == "transcribe" and document["language"] == "english"
    assert document["duration"] == pytest.approx(transcript.media.duration_s)
    assert document["text"].split() == spoken(transcript)
    for number, segment in enumerate(document["segments"]):
        assert segment["id"] == number
        for name, kind in SEGMENT_FIELDS.items():
            assert isinstance(segment[name], kind), name
        assert segment["avg_logprob"] <= 0
    told = [(word["start"], word["end"]) for word in document["words"]]
    expected = [(round(word.start_s, 3), round(word.end_s, 3)) for word in transcript.words]
    assert told == expected


def test_words_are_written_as_whisper_writes_them() -> None:
    words = (Word(0, 1, "well", 0.5), Word(1, 2, "known", 1.0), Word(2, 3, "東京", 1.0))
    segment = Segment(0, 3, '"well-known" 東京。', words)
    (made,) = json.loads(render(make_transcript((segment,)), "verbose_json"))["segments"]
    assert [word["word"] for word in made["words"]] == [' "well-', 'known"', " 東京。"]
    assert "".join(word["word"] for word in made["words"]) == made["text"]
    assert made["avg_logprob"] == pytest.approx(-0.231, abs=0.001)


def intervals(grid: str) -> dict[str, list[tuple[float, float, str]]]:
    """Return the tiers of a TextGrid: by name, the intervals with start, end and text."""
    tiers: dict[str, list[tuple[float, float, str]]] = {}
    for part in re.split(r"\n    item \[\d+\]:\n", grid)[1:]:
        name = re.search(r'name = "((?:[^"]|"")*)"', part)
        assert name
        tiers[name[1].replace('""', '"')] = [
            (float(start), float(end), text.replace('""', '"'))
            for start, end, text in re.findall(
                r'xmin = ([\d.]+) \n +xmax = ([\d.]+) \n +text = "((?:[^"]|"")*)"', part
            )
        ]
    return tiers


@pytest.mark.parametrize("seed", SEEDS)
def test_a_grid_has_all_words_and_no_holes(seed: int) -> None:
    transcript = random_transcript(seed)
    tiers = intervals(render(transcript, "textgrid"))
    for found in tiers.values():
        assert found[0][0] == 0 and found[-1][1] >= transcript.media.duration_s
        assert all(start < end for start, end, _ in found)
        assert all(one[1] == following[0] for one, following in pairwise(found))
    for kind in ("segments", "words"):
        shown = "".join(text for name in tiers if name.startswith(kind) for *_, text in tiers[name])
        assert sorted(letters(shown)) == sorted(words_of(transcript))


def test_segments_that_overlap_are_on_tiers_of_their_own() -> None:
    segments = (
        Segment(0.0, 4.0, "I say", ()), Segment(2.0, 3.0, "No!", ()), Segment(4.05, 5.0, "so", ()),
    )  # fmt: skip
    tiers = intervals(render(make_transcript(segments), "textgrid"))
    assert [text for *_, text in tiers["segments"] if text] == ["I say", "so"]
    assert [row for row in tiers["segments 2"] if row[2]] == [(2.0, 3.0, "No!")]
    named = tuple(
        replace(segment, speaker=name)
        for segment, name in zip(segments, ("Ann", 'B "b"', "Ann"), strict=True)
    )
    tiers = intervals(render(make_transcript(named), "textgrid"))
    assert list(tiers) == ["Ann segments", "Ann words", 'B "b" segments', 'B "b" words']


def test_praat_reads_the_grid(tmp_path: object) -> None:
    parselmouth = pytest.importorskip("parselmouth")
    transcript = random_transcript(3)
    path = f"{tmp_path}/talk.TextGrid"
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(render(transcript, "textgrid"))
    grid = parselmouth.read(path)
    names = [
        parselmouth.praat.call(grid, "Get tier name", number)
        for number in range(1, parselmouth.praat.call(grid, "Get number of tiers") + 1)
    ]
    assert names == list(intervals(render(transcript, "textgrid")))
    assert grid.xmax == pytest.approx(transcript.media.duration_s)


def test_speakers_are_written_where_the_transcript_names_them() -> None:
    with raises(UsageError, "format.no_speakers", format="rttm"):
        render(make_transcript(TWO), "rttm", item=ITEM)
    segments = (
        Segment(0.0, 2.0, "One", (), speaker="Ann B"),
        Segment(2.01, 3.0, "two", (), speaker="Ann B"),
        Segment(2.5, 4.0, "No", (), speaker="SPEAKER_01"), Segment(5.0, 6.0, "?", ()),
        Segment(9.0, 9.5, "three", (), speaker="Ann B"),
    )  # fmt: skip
    transcript = make_transcript(segments)
    rows = [line.split() for line in render(transcript, "rttm", item=ITEM).splitlines()]
    assert all(len(row) == 10 and row[0] == "SPEAKER" and row[1] == ITEM.short_id for row in rows)
    assert [(row[3], row[4], row[7]) for row in rows] == [
        ("0.000", "3.000", "Ann_B"), ("2.500", "1.500", "SPEAKER_01"), ("9.000", "0.500", "Ann_B"),
    ]  # fmt: skip


# For cutting


def test_chapters_for_youtube_begin_at_zero() -> None:
    item = replace(
        ITEM,
        chapters=(Chapter(3700.0, "The\nend"), Chapter(61.4, "<One> & two"), Chapter(600.9, "")),
    )
    assert render(make_transcript(TWO), "chapters", item=item) == (
        "0:00:00 Why *we* ‹learn› [now] #1\n0:01:01 ‹One› & two\n0:10:00 –\n1:01:40 The end\n"
    )
    short = replace(item, chapters=(Chapter(0.0, "One"), Chapter(61.0, "Two")))
    assert render(make_transcript(TWO), "chapters", item=short) == "0:00 One\n1:01 Two\n"


@pytest.mark.parametrize("item", [None, replace(ITEM, chapters=())])
def test_chapters_are_offered_only_where_there_are_any(item: MediaItem | None) -> None:
    transcript = make_transcript(TWO)
    with raises(UsageError, "format.no_chapters", format="chapters"):
        render(transcript, "chapters", item=item)
    assert unavailable(transcript, "chapters", item=ITEM) is None


EDL_EVENT = re.compile(
    r"(\d{3,})  001      V     C        (\S+) (\S+) (\S+) (\S+)  \n"
    r" \|C:ResolveColor(\w+) \|M:([^|\n]*) \|D:(\d+)\n"
)


def frames(timecode: str) -> int:
    hours, minutes, seconds, rest = map(int, timecode.split(":"))
    assert minutes < 60 and seconds < 60 and rest < 25
    return ((hours - 1) * 3600 + minutes * 60 + seconds) * 25 + rest


@pytest.mark.parametrize("seed", SEEDS)
def test_markers_for_resolve(seed: int) -> None:
    transcript = random_transcript(seed)
    events = EDL_EVENT.findall(render(transcript, "edl", item=ITEM))
    assert [int(event[0]) for event in events] == list(range(1, len(events) + 1))
    starts = [frames(event[1]) for event in events]
    assert len(set(starts)) == len(starts)
    texts = [event[6] for event in events if event[5] == "Blue"]
    assert " ".join(texts).split() == [word.replace("|", "¦") for word in spoken(transcript)]
    at = [frames(event[1]) / 25 for event in events if event[5] == "Blue"]
    shown = [segment for segment in transcript.segments if segment.text.strip()]
    for start, segment in zip(at, shown, strict=True):
        assert abs(start - segment.start_s) < 0.2
    assert [event[6] for event in events if event[5] == "Green"] == ["Start", "The *end*"]


@pytest.mark.parametrize(
    ("rate", "time_code"),
    [
        (25.0, "02:00:00:12"), (24.0, "02:00:00:12"), (23.976, "01:59:56:22"),
        (29.97, "01:59:56:27"), (30.0, "02:00:00:15"), (59.94, "01:59:56:54"),
        (50.0, "02:00:00:25"), (23.98, "01:59:56:22"),
    ],
)  # fmt: skip
def test_markers_are_counted_in_frames_of_the_timeline(rate: float, time_code: str) -> None:
    segments = (Segment(3600.5, 3602.0, "here", ()),)
    transcript = replace(make_transcript(segments), frame_rate=rate)
    (event,) = EDL_EVENT.findall(render(transcript, "edl"))
    assert event[1] == time_code
    # The frame that the time code counts is shown within half a frame of the word.
    hours, minutes, seconds, rest = map(int, time_code.split(":"))
    count = round(rate)
    frame = ((hours - 1) * 3600 + minutes * 60 + seconds) * count + rest
    exact = count if abs(rate - count) < 0.01 else count * 1000 / 1001
    assert abs(frame / exact - 3600.5) <= 0.51 / exact


@pytest.mark.parametrize("text", TRAPS)
def test_markers_keep_their_lines(text: str) -> None:
    (event,) = EDL_EVENT.findall(render(trap(text), "edl"))
    assert event[6].replace("¦", "|").split() == text.split()
    rows = render(trap(text), "markers").splitlines()
    assert rows[0].split("\t")[:3] == ["Name", "Start", "Duration"]
    cells = rows[1].split("\t")
    assert len(rows) == 2 and cells[1:] == ["0:01.000", "0:05.000", "decimal", "Cue", ""]
    assert cells[0].removeprefix("'") == " ".join(text.split())
    (label,) = render(trap(text), "audacity").splitlines()
    assert label.split("\t") == ["1.000000", "6.000000", " ".join(text.split())]


def test_marker_times_after_an_hour() -> None:
    transcript = make_transcript((Segment(3725.5, 3726.0, "late", ()),))
    assert "late\t1:02:05.500\t0:00.500\t" in render(transcript, "markers")
