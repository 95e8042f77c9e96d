"""Notes of a language model as files: chapters, Markdown and JSON, with any text in them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from kb.errors import UsageError
from kb.library.transcript_names import may_hold_transcript
from kb.transcript import render
from kb.types import Chapter, Segment
from kb.types.notes import Answered, Cited, NotedChapter, Notes, QuotedWords, Term
from tests.support.raising import raises
from tests.support.random_transcripts import ITEM, make_transcript

HOSTILE = (
    "[a](http://evil.example) www.evil.example x@evil.example <img src=x> **bold** \x1b[31m\u202e "
    "# no\n## heading"
)
QUOTE = QuotedWords("the ferry leaves", 61.0, 63.0)
NOTES = Notes(
    {"short": (Cited(f"It leaves. {HOSTILE}", (QUOTE, replace(QUOTE, text=HOSTILE))),)},
    chapters=(NotedChapter("Ferries <here>", 61.0), NotedChapter(HOSTILE, 130.0)),
    highlights=(Cited("At noon.", (QUOTE,)),),
    terms=(Term("Kiruna", "place", 61.0, 2),),
    questions=(Answered("When?", Cited("At noon.", (QUOTE,))),),
    dropped=3, model="tiny", place="127.0.0.1:1", parts=2, parts_unread=1,
)  # fmt: skip
BARE = replace(ITEM, chapters=())
TALK = replace(make_transcript((Segment(0.0, 2.0, "One two.", ()),)), notes=NOTES)


def test_markdown_has_each_statement_with_its_words_as_text() -> None:
    found = render(TALK, "notes", item=BARE)
    for words in ("Written by tiny", "## Highlights", "### When?", "Kiruna", "3 statements"):
        assert words in found
    tokens = MarkdownIt("commonmark").parse(found)
    inline = [child for token in tokens for child in token.children or ()]
    links = {child.attrGet("href") for child in inline if child.type == "link_open"}
    assert links and all("evil" not in str(link) for link in links)
    assert {child.type for child in inline} <= {
        "text", "link_open", "link_close", "softbreak", "text_special",
    }  # fmt: skip
    headings = [token.tag for token in tokens if token.type == "heading_open"]
    assert headings.count("h1") == 1 and headings.count("h2") == 5
    assert "\x1b" not in found and "\u202e" not in found


def test_the_document_has_all_of_them_exactly() -> None:
    found = json.loads(render(TALK, "notes_json", item=BARE))
    assert found["id"] == BARE.id and found["written_by"] == {
        "model": "tiny", "place": "127.0.0.1:1",
    }  # fmt: skip
    (sentence,) = found["summary"]["short"]
    assert sentence["quotes"][0]["start"] == 61.0 and "61" in sentence["quotes"][0]["url"]
    assert found["summary"]["long"] == [] and found["dropped"] == 3 and found["parts_unread"] == 1
    assert found["questions"][0]["question"] == "When?" and found["terms"][0]["count"] == 2
    assert found["highlights"][0]["text"] == "At noon."
    assert json.loads(render(TALK, "notes_json"))["chapters"][0]["url"] == ""


def test_chapters_of_a_model_say_so_and_never_replace_those_of_the_source() -> None:
    lines = render(TALK, "chapters", item=BARE).splitlines()
    assert lines[0].startswith("0:00 Why") and lines[1] == "1:01 Ferries ‹here›"
    assert lines[-1] == "Chapters by a language model (tiny)" and len(lines) == 5
    own = replace(ITEM, chapters=(Chapter(0.0, "Its own"),))
    assert render(TALK, "chapters", item=own) == "0:00 Its own\n"
    for format in ("chapters", "notes", "notes_json"):
        code = "format.no_chapters" if format == "chapters" else "format.no_notes"
        with raises(UsageError, code):
            render(replace(TALK, notes=None), format, item=BARE)


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("Talk.notes.md", False), ("Talk.NOTES.json", False), ("Talk.notes.srt", True),
        ("Talk.chapters.txt", False), ("Talk.en.srt", True), ("My notes.md", True),
    ],
)  # fmt: skip
def test_such_a_file_is_not_taken_for_a_transcript(name: str, may: bool) -> None:
    assert may_hold_transcript(name) == may
