"""What recurs in a channel: made by the step, shown, left out on request, never deleted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kb.enrich.recurring import step as recurring_step
from kb.errors import UsageError
from kb.jobs.documents import build_sync_item, build_words
from kb.library.extras import Extras
from kb.pipeline import enrichment, stages
from kb.pipeline.publish_record import record_published
from kb.service import Service
from kb.service.item_filter import ItemFilter
from kb.settings import Settings
from kb.sinks.odin.documents import make_documents
from kb.transcript.recurring import read_recurring, without_recurring
from kb.types import MediaItem, Passage, Published, Segment
from kb.types.passages import ON_SCREEN
from kb.types.recurring import RecurringStretch
from tests.support.commands import run_command
from tests.support.raising import raises
from tests.support.spoken_items import ITEM, SHA, numbered, opened, panel, words, write

INTRO = (0.0, 20.0)
ITEMS = [ITEM, numbered(1), numbered(2)]


def said(number: int) -> tuple[Segment, ...]:
    """Return an intro of twenty words, then ones of the item alone."""
    return words(0, 20, "intro"), words(20, 38, f"own{'abc'[number]}")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = opened(tmp_path / "home")
    for number, item in enumerate(ITEMS):
        write(made, panel(*said(number)), item)
    made.search.reindex()
    yield made
    made.close()


def tag(
    service: Service, item: MediaItem = ITEM, start_s: float = 0.0, end_s: float = 20.0
) -> None:
    """Write the result of the step."""
    stretch = RecurringStretch(start_s, end_s, 3, by_text=True)
    Extras(service.library).write(
        service.items.entry(item.id),
        "recurring",
        {"basis": {"sha256": SHA}, "stretches": [stretch.as_dict()], "copies": [], "words": ""},
        lambda: service.library.guard(item.id),
    )


def with_setting(service: Service) -> Settings:
    return service.settings.model_copy(update={"leave_out_recurring": True})


@pytest.mark.slow
def test_the_step_finds_what_three_items_of_a_channel_have(service: Service) -> None:
    library, settings = service.library, service.settings
    before = stages.read_transcript(library, service.items.entry(ITEM.id))
    for item in ITEMS:
        enrichment.run_step(library, service.items.entry(item.id), "recurring", settings=settings)
    for item in ITEMS:
        (found,) = service.enrichment.recurring(service.items.entry(item.id))
        assert (found.start_s, found.end_s) == (0.0, 19.9)
        assert (found.items, found.by_sound, found.by_text) == (3, False, True)
    after = stages.read_transcript(library, service.items.entry(ITEM.id))
    assert after == before
    # An item more, or one less, is no sign at the item: the step is made again when asked for.
    assert not enrichment.is_current(library, service.items.entry(ITEM.id), "recurring")


def test_items_of_other_channels_are_not_compared(service: Service) -> None:
    entry = service.items.entry(ITEM.id)
    given = enrichment._input(service.library, entry, "recurring", {}, service.settings)
    assert given.channel is not None
    assert [peer.item_id for peer in given.channel.peers] == [each.id for each in ITEMS[1:]]
    other = MediaItem("file:x", "file", "", "Other", "2026-03-01", channel="Elsewhere")
    write(service, panel(*said(0)), other)
    given = enrichment._input(
        service.library, service.items.entry(other.id), "recurring", {}, service.settings
    )
    made = recurring_step.Recurring().run(given, lambda _: None)
    assert (made["stretches"], made["compared"]) == ([], 0)


def test_searches_tag_it_and_leave_it_out_on_request_alone(service: Service) -> None:
    for item in ITEMS[:2]:
        tag(service, item)
    found = service.search.run("intro3", "keyword")
    assert {hit.item_id: hit.recurring for hit in found.hits} == {
        ITEM.id: True, ITEMS[1].id: True, ITEMS[2].id: False,
    }  # fmt: skip
    assert found.left_out == 0
    less = service.search.run("intro3", "keyword", leave_out_recurring=True)
    assert [hit.item_id for hit in less.hits] == [ITEMS[2].id]
    assert less.left_out == 2
    # The first places do not hide what follows, however few are asked for.
    assert [
        hit.item_id
        for hit in service.search.run("intro3", "keyword", 1, leave_out_recurring=True).hits
    ] == [ITEMS[2].id]
    # Words of the item alone are found, also in a passage that begins with an intro.
    assert not service.search.run("owna2", "keyword", leave_out_recurring=True).hits[0].recurring
    # For assistants, too.
    passages, _, _, left_out = service.reading.search("intro3", ItemFilter(), 10, True)
    assert ([each.id for each in passages], left_out) == ([f"{ITEMS[2].id}#3"], 2)
    passages, _, _, left_out = service.reading.search("intro3", ItemFilter(), 10)
    assert (sorted(each.recurring for each in passages), left_out) == ([False, True, True], 0)
    # The setting is the default, which an option overrules.
    service.search.settings = with_setting(service)
    assert service.search.run("intro3", "keyword").left_out == 2
    assert len(service.search.run("intro3", "keyword", leave_out_recurring=False).hits) == 3


def test_documents_leave_it_out_on_request_alone(service: Service) -> None:
    tag(service)
    entry = service.items.entry(ITEM.id)

    def text(**options: bool) -> str:
        source = build_sync_item(service.library, entry, **options)
        (document,) = make_documents(source.item, source.passages, source.facts).documents
        return document.content.decode()

    assert "intro0" in text()
    less = text(leave_out_recurring=True)
    assert "intro" not in less and "owna0 owna1" in less and "owna17" in less
    assert "t=20" in less
    assert len(build_words(service.library, entry).passages) > 0
    assert "intro0" in " ".join(p.text for p in build_words(service.library, entry).passages)


def test_many_published_items_are_asked_for_where_it_is_left_out(service: Service) -> None:
    items = [numbered(number) for number in range(3, 24)]
    for each in items:
        write(service, panel(*said(0)), each)
        record_published(service.library, each, Published("odin", "x", "00", "synced"))
    service.queue.adopt_folder()
    ids = [each.id for each in items]
    shared = service.items.settings
    service.items.settings = with_setting(service)
    with raises(UsageError, "publish.many_changed", count=21):
        service.enrichment.run(ids, ("recurring",))
    service.items.settings = shared  # documents have all of it: nothing changes
    assert len(service.enrichment.run(ids, ("recurring",)).queued) == 21


def test_another_version_of_the_medium_has_no_tags(service: Service) -> None:
    tag(service)
    assert service.enrichment.recurring(service.items.entry(ITEM.id))
    service.library.amend(ITEM.id, {"media": {"sha256": "cd" * 32}})
    assert service.enrichment.recurring(service.items.entry(ITEM.id)) == ()


def test_a_damaged_result_tags_nothing_and_is_named(service: Service) -> None:
    tag(service)
    entry = service.items.entry(ITEM.id)
    path = Extras(service.library).path(entry.stem, "recurring")
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "stretches": [{"start": "0"}]}))
    assert not any(hit.recurring for hit in service.search.run("intro3", "keyword").hits)
    assert build_sync_item(service.library, entry, leave_out_recurring=True).passages
    (problem,) = enrichment.damaged_results(service.library, entry)
    assert "recurring.json" in problem.message and "kb enrich" in problem.hint


def test_the_commands_show_it(service: Service, tmp_path: Path) -> None:
    tag(service)
    environment = {**os.environ, "KB_HOME": str(service.library.home), "COLUMNS": "200"}

    def ran(*arguments: str, **settings: str) -> tuple[str, str]:
        found = run_command(arguments, {**environment, **settings}, tmp_path)
        assert found.returncode == 0, found.stderr
        return found.stdout, found.stderr

    assert json.loads(ran("show", ITEM.id, "--json")[0])["recurring"] == [
        {"start": 0.0, "end": 20.0, "items": 3, "by_sound": False, "by_text": True}
    ]
    said = "Recurs in the channel: 00:00-00:20 (in 3 items, by words)"
    assert said in " ".join("".join(ran("show", ITEM.id)).split())
    query = ("search", "intro3", "--mode", "keyword")
    tags = [hit.get("recurring") for hit in json.loads(ran(*query, "--json")[0])["hits"]]
    assert sorted(map(bool, tags)) == [False, False, True]
    assert "".join(ran(*query)).count("recurs in the channel") == 1
    less = json.loads(ran(*query, "--json", KB_LEAVE_OUT_RECURRING="true")[0])
    assert (len(less["hits"]), less["left_out"]) == (2, 1)
    assert "1 passage. With it: --with-recurring" in "".join(ran(*query, "--leave-out-recurring"))
    whole = ran(*query, "--with-recurring", "--json", KB_LEAVE_OUT_RECURRING="true")[0]
    assert len(json.loads(whole)["hits"]) == 3


# Passages


def passage(text: str, starts: tuple[float, ...], **more: object) -> Passage:
    return Passage("x#0", "x", 10.0, 20.0, text, "at 10", word_starts_s=starts, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "stretch", "left"),
    [
        (passage("a b c", (10, 12, 14)), (0, 10), [("a b c", 10, "at 10")]),
        (passage("a b c", (10, 12, 14)), (0, 13), [("c", 14, "at 14")]),
        (passage("a b c", (10, 12, 14)), (11, 13), [("a c", 10, "at 10")]),
        (passage("a b c", (10, 12, 14)), (13, 30), [("a b", 10, "at 10")]),
        (passage("a b c", (10, 12, 14)), (0, 15), []),
        (passage("a b c", ()), (0, 18.5), []),
        (passage("a b c", ()), (0, 17.5), [("a b c", 10, "at 10")]),
        (passage("a b c", (), origin=ON_SCREEN), (0, 30), [("a b c", 10, "at 10")]),
    ],
)
def test_passages_without_what_recurs(
    given: Passage, stretch: tuple[float, float], left: list[tuple[str, float, str]]
) -> None:
    found = without_recurring(
        [given], [RecurringStretch(*stretch, 3)], lambda second: f"at {second}"
    )
    assert [(each.text, each.start_s, each.deep_link) for each in found] == left
    assert all(not e.word_starts_s or len(e.word_starts_s) == len(e.text.split()) for e in found)


def test_a_stretch_is_read_as_it_is_written() -> None:
    stretch = RecurringStretch(1.25, 9.5, 4, by_sound=True)
    assert read_recurring({"stretches": [stretch.as_dict()]}) == (stretch,)
