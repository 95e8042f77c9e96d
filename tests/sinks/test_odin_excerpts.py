"""Excerpts of our documents in answers: the words of a passage, never the document's head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from kb.settings import Settings
from kb.sinks.odin.chat import Reference, ask, search
from kb.sinks.odin.documents import make_documents
from kb.sinks.odin.excerpts import without_head, words_of
from kb.sinks.odin.sink import OdinSink
from kb.types import DocumentFacts
from tests.fakes.odin import FakeOdin
from tests.support.each_case import check_each
from tests.support.odin_items import video
from tests.support.sink_contract import make_passages

ITEM = video(1, title="The harbour in winter", channel="Sea [and] land")
WORDS = (
    "Snow lay on the harbour in winter that year.",
    "The captain asked for the granite castle.",
    "Nobody *answered* him before the spring came.",
)
PASSAGES = make_passages(ITEM, WORDS)
FACTS = DocumentFacts(
    "en", "tiny", "whisper", "stabil", 0.99, "A", 90.0, 0.25, "Anna Weber", "", "youtube:other"
)
DOCUMENT = make_documents(ITEM, PASSAGES, FACTS).documents[0]
TEXT = DOCUMENT.content.decode()
HEAD = TEXT[: TEXT.index("## ")]
LINK = "https://youtu.be/vid_-EoT001?t="


def joined(text: str) -> str:
    """Return the text as a service that keeps no lines quotes it."""
    return " ".join(text.split())


@dataclass(frozen=True)
class Case:
    """An excerpt, and the second and the words that a page shows for it."""

    name: str
    excerpt: str
    start_s: float | None
    words: str


def upto(words: str) -> str:
    """Return the document from its beginning to the end of these words."""
    return TEXT[: TEXT.index(words) + len(words)]


CASES = (
    Case("the title alone", "# The harbour in winter", None, ""),
    Case("the head alone", HEAD, None, ""),
    Case("the head in one line", joined(HEAD), None, ""),
    Case("the head, cut in a name", upto("\n- Langu"), None, ""),
    Case("the head, cut in a value", upto("- Language: e"), None, ""),
    Case("a part of the head", HEAD[HEAD.index("- Date") :], None, ""),
    Case("head and heading", upto("## 00:00"), None, ""),
    Case("head and passage", upto("Snow lay on the harbour in winter"), 0.0, WORDS[0]),
    Case("the same in one line", joined(upto("Snow lay on the harbour")), 0.0, WORDS[0]),
    Case("cut after the first word", upto(") Snow"), 0.0, WORDS[0]),
    Case("cut in the link", upto("[00:00](https://you"), 0.0, WORDS[0]),
    Case("cut in the time", upto("[00:0"), None, ""),
    Case("heading and passage", TEXT[TEXT.index("## ") :][:60], 0.0, WORDS[0]),
    Case(
        "head and words without links",
        HEAD + "## 00:00\n\nThe captain asked for the granite",
        30.0,
        WORDS[1],
    ),
    Case(
        "the same in one line",
        joined(HEAD) + " The captain asked for the granite castle",
        30.0,
        WORDS[1],
    ),
    Case("a passage", f"[00:30]({LINK}30) The captain", 30.0, f"[00:30]({LINK}30) The captain"),
    Case(
        "a word that another passage has too", f"[00:30]({LINK}30) the", 30.0,
        f"[00:30]({LINK}30) the",
    ),
    Case("the end of a passage", "for the granite castle.", 30.0, "for the granite castle."),
    Case(
        "a passage of an earlier text",
        f"[00:07]({LINK}7) nobody answered him",
        60.0,
        f"[00:07]({LINK}7) nobody answered him",
    ),
)  # fmt: skip


@pytest.fixture
def odin(tmp_path: Path) -> Iterator[FakeOdin]:
    with FakeOdin(tmp_path / "odin") as service:
        yield service


@pytest.fixture
def sink(tmp_path: Path, odin: FakeOdin) -> OdinSink:
    found = OdinSink(Settings(home=tmp_path / "home", **odin.settings()))
    found.publish(ITEM, PASSAGES, FACTS)
    return found


def quoting(odin: FakeOdin, *rows: dict[str, Any]) -> None:
    """Let the service's next answers and searches quote these rows."""

    def rewrite(path: str, _request: dict[str, Any], body: Any) -> Any:
        if path == "/v3/chat/message":
            return {**body, "message": "They say so.", "sources": list(rows)}
        return {"results": list(rows)} if path.endswith("/search") else body

    odin.rewrite = rewrite


def test_an_excerpt_never_shows_the_head_of_its_document(odin: FakeOdin, sink: OdinSink) -> None:
    def check(case: Case) -> None:
        quoting(odin, {"name": DOCUMENT.name, "text": case.excerpt})
        by = {ITEM.id: PASSAGES}.__getitem__
        for found in (ask(sink, "Who?", passages=by).sources, search(sink, "who", passages=by)):
            (source,) = found
            assert (source.item_id, source.title) == (ITEM.id, ITEM.title)
            assert (source.start_s, words_of(source.text)) == (case.start_s, words_of(case.words))

    check_each(CASES, check, lambda case: case.name)


def test_without_the_library_the_head_is_cut(odin: FakeOdin, sink: OdinSink) -> None:
    quoting(odin, {"name": DOCUMENT.name, "text": upto("Snow lay on the")})
    (source,) = ask(sink, "Who?").sources
    assert source.text == f"[00:00]({LINK}0) Snow lay on the"
    assert (source.start_s, source.deep_link) == (0.0, f"{LINK}0")
    quoting(odin, {"name": DOCUMENT.name, "text": upto("[00:00](https://you")})
    (source,) = ask(sink, "Who?").sources
    assert (source.text, source.start_s) == ("", None)


def test_a_head_is_left_out_beside_a_passage_of_its_item(odin: FakeOdin, sink: OdinSink) -> None:
    quoting(
        odin,
        {"name": DOCUMENT.name, "text": HEAD},
        {"name": DOCUMENT.name, "text": f"[00:30]({LINK}30) The captain asked"},
    )
    sources = ask(sink, "Who?", passages={ITEM.id: PASSAGES}.__getitem__).sources
    assert [source.start_s for source in sources] == [30.0]


def test_a_document_of_a_colleague_is_quoted_as_it_is(odin: FakeOdin, sink: OdinSink) -> None:
    odin.put("colleague.md", b"# My notes\n\n- Date: never\n")
    text = "# My notes\n\n- Date: never"
    quoting(odin, {"name": "colleague.md", "text": text})
    assert ask(sink, "Who?").sources == (Reference("colleague.md", text),)


def test_all_facts_of_a_head_are_known() -> None:
    assert without_head(HEAD) == without_head(joined(HEAD)) == ""
    part = make_documents(ITEM, PASSAGES * 9, FACTS, limit=1000).documents[1].content.decode()
    assert "Part 2 of" in part and without_head(part).startswith("[00:")
    bare = make_documents(replace(ITEM, channel=""), ()).documents[0].content.decode()
    assert without_head(bare) == "No words were found in this medium."


def test_the_words_of_an_excerpt_are_plain() -> None:
    said = f"[00:30]({LINK}30) **Anna \\*W.\\*:** \\# Nobody \\*answered\\* him [1:00:00](<{LINK}3"
    assert words_of(said) == "Anna *W.*: # Nobody *answered* him"


def test_a_passage_keeps_its_own_marks(odin: FakeOdin, sink: OdinSink) -> None:
    said = r"He wrote \*no\* and [1:30](http://a) twice. Then he *left*."
    passages = make_passages(ITEM, (said,))
    quoting(odin, {"name": DOCUMENT.name, "text": f"{HEAD}[00:00]({LINK}0) He wrote"})
    (source,) = ask(sink, "Who?", passages={ITEM.id: passages}.__getitem__).sources
    assert words_of(source.text) == said
