"""Documents of knowledge bases have the results of steps; such a change alone sends nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kb.errors import UsageError
from kb.jobs.documents import build_sync_item, build_words, document_sha256
from kb.jobs.published_content import PublishedContent
from kb.library.extras import Extras
from kb.pipeline.publish_record import WORDS_SHA256, record_published
from kb.service import Service
from kb.service.enrichment import EnrichReport
from kb.sinks.odin.documents import make_documents, parse_passages
from kb.types import Published
from kb.types.passages import ON_SCREEN
from tests.support.raising import raises
from tests.support.spoken_items import (
    ITEM,
    SHA,
    TURNS,
    numbered,
    opened,
    panel,
    write,
    write_turns,
)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = opened(tmp_path / "home")
    write(made, panel())
    yield made
    made.close()


def show(service: Service, *titles: str) -> None:
    """Let the item have pages on its screen."""
    pages = [
        {
            "showings": [{"start": 10.0 * n, "end": 10.0 * n + 9}],
            "lines": [
                {"text": title, "start": 10.0 * n},
                {"text": "*2 %* more", "start": 10.0 * n},
            ],
        }
        for n, title in enumerate(titles)
    ]
    entry = service.items.entry(ITEM.id)
    guard = service.library.guard
    document = {"basis": {"sha256": SHA}, "pages": pages}
    Extras(service.library).write(entry, "screen", document, lambda: guard(ITEM.id))


def content(service: Service) -> PublishedContent:
    return PublishedContent(service.settings, service.library, service.queue.database)


def state(service: Service, sink: str) -> tuple[bool, bool]:
    """Return whether a knowledge base has another content, and is to get it unasked."""
    entry, known = service.items.entry(ITEM.id), content(service)
    return known.differs_since(entry, sink, 0.0), known.needs_sending_since(entry, sink, 0.0)


def test_a_document_has_speakers_and_screen_and_is_read_back(service: Service) -> None:
    write_turns(service, TURNS)
    before = build_sync_item(service.library, service.items.entry(ITEM.id))
    service.speakers.name(ITEM.id, "S1", "Anna *W*")
    show(service, "Timetable", "Harbour [plan]")
    source = build_sync_item(service.library, service.items.entry(ITEM.id))
    (document,) = make_documents(source.item, source.passages, source.facts).documents
    text = document.content.decode()
    assert "**Anna \\*W\\*:** lantern0" in text
    assert text.index("## On the screen\n") > text.index("lantern0")
    assert document.metadata["speakers"] == "Anna *W*"
    assert document.metadata["on_screen"] == "Timetable · Harbour [plan]"
    # Whoever reads a document gets the words and the pages, without the names before them.
    found = [(read.start_s, read.text) for read in parse_passages(document.content)]
    assert found == [(int(each.start_s), each.text) for each in source.passages]
    assert [each.origin for each in source.passages][-2:] == [ON_SCREEN, ON_SCREEN]
    # Without names and pages it is the document that it always was.
    words = build_words(service.library, service.items.entry(ITEM.id))
    assert make_documents(before.item, before.passages, before.facts).sha256 == (
        make_documents(words.item, words.passages, replace(words.facts, speakers="")).sha256  # type: ignore[type-var]
    )


def named_anna(service: Service) -> None:
    service.speakers.name(ITEM.id, "S1", "Anna")


def other_turns(service: Service) -> None:
    write_turns(service, [(0.0, 20.0, "Speaker 1"), (20.0, 36.0, "Speaker 2")])


# A change -> whether the document differs, and whether it is sent without being asked for.
CHANGES: dict[str, tuple[Callable[[Service], None], bool, bool]] = {
    "pages on the screen": (lambda service: show(service, "Timetable"), True, False),
    "other turns of a named speaker": (other_turns, True, False),
    "turns, and no name": (lambda service: write_turns(service, TURNS), False, False),
    "a name": (lambda s: s.speakers.name(ITEM.id, "S2", "Ben") and None, True, True),
    "a name taken away": (lambda s: s.speakers.unname(ITEM.id, "Anna") and None, True, True),
    "a word": (lambda s: s.revisions.edit(ITEM.id, 0, "other words") and None, True, True),
}


@pytest.mark.parametrize("form", ["now", "of the version before"])
@pytest.mark.parametrize("sink", ["folder", "odin"])
@pytest.mark.parametrize("case", CHANGES)
def test_what_is_shown_as_changed_and_what_is_sent_again(
    case: str, sink: str, form: str, service: Service
) -> None:
    change, differs, is_sent = CHANGES[case]
    write_turns(service, TURNS)
    named_anna(service)
    entry = service.items.entry(ITEM.id)
    limit = service.settings.odin_document_bytes
    words = build_words(service.library, entry)
    whole = build_sync_item(service.library, entry)
    sent = document_sha256(whole if form == "now" else words, sink, {}, limit)
    known = content(service).words_of(entry, sink, sent)
    assert bool(known) == (form == "now")
    record_published(service.library, ITEM, Published(sink, "x", sent, "synced"), known)
    record = service.items.entry(ITEM.id).published[sink]
    assert isinstance(record, dict) and (record[WORDS_SHA256] or "") == known
    # A document of the version before lacks who speaks: it is changed, and nothing is sent.
    assert state(service, sink) == (form != "now", False)
    change(service)
    assert state(service, sink) == (differs or form != "now", is_sent)


@pytest.mark.slow
def test_steps_over_many_published_items_are_asked_for(service: Service) -> None:
    items = [numbered(number) for number in range(21)]
    for each in items:
        write(service, panel(), each)
    service.queue.adopt_folder()

    def run(*, sure: bool = False) -> EnrichReport:
        ids = [each.id for each in items]
        return service.enrichment.run(ids, ("screen",), again=True, sure=sure)

    for each in items[:20]:
        record_published(service.library, each, Published("folder", "x", "00", "synced"))
    assert len(run().queued) == 21
    record_published(service.library, items[20], Published("odin", "x", "00", "syncing"))
    with raises(UsageError, "publish.many_changed", count=21) as caught:
        run()
    assert float(caught.value.problem["values"]["credits"]) > 0
    assert len(run(sure=True).queued) == 21
    # A correction of words in a channel, too.
    with raises(UsageError, "publish.many_changed"):
        service.corrections.apply(ITEM.channel, "lantern0", "candle")
    assert service.corrections.apply(ITEM.channel, "lantern0", "candle", sure=True).changes
