"""The text on the screen in exports: as Markdown, and in the JSON of an item."""

from __future__ import annotations

import json

from markdown_it import MarkdownIt

from kb.enrich import get_step
from kb.errors import UsageError
from kb.library.transcript_names import may_hold_transcript
from kb.transcript import render
from kb.transcript.formats.json_document import from_document
from kb.types import Segment
from tests.support.kept_transcripts import transcript as make_transcript
from tests.support.raising import raises
from tests.transcript.test_notes_formats import BARE

ODD = "Ferries [in](https://evil) *May*"
PLAIN = make_transcript(Segment(0.0, 2.0, "One two.", ()))
RESULT = {
    "basis": {"sha256": PLAIN.media.sha256},
    "pages": [
        {
            "showings": [{"start": 0.0, "end": 4.0}, {"start": 61.0, "end": 70.5}],
            "lines": [
                {"text": f"{ODD}\x1b", "start": 0.0, "top": 0.1, "height": 0.1},
                {"text": "Monday", "start": 0.0, "top": 0.3, "height": 0.1},
                {"text": "12:30", "start": 2.0, "top": 0.32, "height": 0.08},
            ],
        },
        {"showings": [{"start": 4.0, "end": 61.0}], "lines": [{"text": "# Harbour", "start": 4.0}]},
    ],
}  # fmt: skip
TALK = get_step("screen").apply(RESULT, PLAIN)


def test_each_page_has_the_times_of_its_showings_and_its_lines_as_text() -> None:
    found = render(TALK, "screen", item=BARE)
    tokens = MarkdownIt("commonmark").parse(found)
    inline = [token for token in tokens if token.type == "inline"]
    texts = ["".join(child.content for child in token.children or ()) for token in inline]
    assert texts[1:] == [
        "00:00 - 00:04, 01:01 - 01:10", ODD, "Monday 12:30",
        "00:04 - 01:01", "# Harbour",
    ]  # fmt: skip
    links = [c.attrGet("href") for t in inline for c in t.children or () if c.type == "link_open"]
    assert len(links) == 3 and all("evil" not in str(link) for link in links)
    assert "61" in str(links[1])
    assert "\x1b" not in found
    assert "01:01" in render(TALK, "screen")  # without an item


def test_nothing_on_the_screen_is_no_document() -> None:
    with raises(UsageError, "format.no_screen", format="screen"):
        render(PLAIN, "screen")


def test_json_has_the_pages_and_no_other_format_has_them_among_its_words() -> None:
    document = json.loads(render(TALK, "json", item=BARE))
    assert [len(page["lines"]) for page in document["on_screen"]] == [3, 1]
    assert document["on_screen"][0]["showings"] == RESULT["pages"][0]["showings"]
    assert "on_screen" not in json.loads(render(PLAIN, "json", item=BARE))
    for format in ("txt", "md", "html", "srt", "vtt", "csv", "verbose_json"):
        assert "Harbour" not in render(TALK, format, item=BARE), format


def test_pages_are_no_words_where_a_file_is_taken_in() -> None:
    document = json.loads(render(TALK, "json", item=BARE))
    assert from_document(document).segments == PLAIN.segments
    assert not may_hold_transcript("talk.screen.md")
