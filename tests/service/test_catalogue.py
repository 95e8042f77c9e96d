"""The list of the library: facets, counts, order, titles, and what a person writes about items."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kb.database import deliveries
from kb.errors import UsageError
from kb.jobs.queue.outbox_states import SYNCED, WAITING
from kb.library.metadata import item_document
from kb.service import Service
from kb.service.catalogue import ListFilter, ListRow
from kb.service.quotes import export_hits, places, quote_of
from kb.settings import get_settings
from tests.support.library_pages import ROOT, add_item
from tests.support.raising import raises

SAMPLES = sorted((ROOT / "samples").glob("*.mp4"))


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Three talks of two channels, in two languages and years; the last one has doubts."""
    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    monkeypatch.setenv("KB_MODEL", "demo")
    monkeypatch.setenv("KB_SINKS", "local")
    get_settings.cache_clear()
    add_item(SAMPLES[0], title="A castle of granite", channel="North", published="2025-03-01")
    add_item(SAMPLES[1], title="Harbours", channel="North", published="2026-01-05")
    add_item(SAMPLES[2], title="Zoo", channel="South", published="2026-02-01", covered_s=40.0,
             change=lambda made: replace(made, language="de"))  # fmt: skip
    found = Service()
    yield found
    found.close()
    get_settings.cache_clear()


def titles(rows: tuple[ListRow, ...] | list[ListRow]) -> list[str]:
    return [row.entry.item.title for row in rows]


def test_counts_beside_hits_are_those_of_the_list(service: Service) -> None:
    catalogue = service.catalogue
    for chosen in (ListFilter(), ListFilter(channel=("North",)), ListFilter(grade=("C",))):
        rows = catalogue.by_id()
        for ids in (None, tuple(rows), tuple(rows)[:2], ("web:none",)):
            page = catalogue.page(chosen, ids=ids)
            for _ in range(2):  # the second time what was kept
                assert catalogue.counted(rows, chosen, ids) == (frozenset(page.ids), page.counts)
    rows = catalogue.by_id()
    in_order = catalogue.counted(rows, ListFilter(), tuple(rows)[-2:])[1]["year"]
    assert len(in_order) == 2
    for ids in (tuple(rows)[-2:], tuple(rows)[:-3:-1]):  # hits come in any order
        years = catalogue.counted(rows, ListFilter(), ids)[1]["year"]
        assert list(years) == list(in_order)
    add_item(SAMPLES[0], title="Moved", channel="South", published="2026-03-01")
    changed = catalogue.counted(catalogue.by_id(), ListFilter())[1]["channel"]
    assert changed == {"North": 1, "South": 2}


@pytest.mark.parametrize(
    ("chosen", "shown"),
    [
        (ListFilter(), ["Zoo", "Harbours", "A castle of granite"]),
        (ListFilter(channel=("North",)), ["Harbours", "A castle of granite"]),
        (ListFilter(channel=("North", "South"), year=("2026",)), ["Zoo", "Harbours"]),
        (ListFilter(language=("de",)), ["Zoo"]),
        (ListFilter(grade=("A",)), ["Harbours", "A castle of granite"]),
        (ListFilter(review=("to_review",)), ["Zoo"]),
        (ListFilter(after="2025-03-01", before="2026-02-01"), ["Harbours", "A castle of granite"]),
        (ListFilter(after="2025-03-02", before="2026-01-05"), []),
        (ListFilter(channel=("East",)), []),
    ],
)
def test_a_filter_shows_what_all_of_its_fields_allow(
    service: Service, chosen: ListFilter, shown: list[str]
) -> None:
    page = service.catalogue.page(chosen)
    assert titles(page.rows) == shown
    assert page.total == len(shown)
    assert page.ids == tuple(row.id for row in page.rows)
    assert ListFilter.from_dict(json.loads(json.dumps(chosen.as_dict()))) == chosen


def test_a_facet_is_counted_under_the_choices_of_the_others(service: Service) -> None:
    counts = service.catalogue.page(ListFilter(channel=("South",))).counts
    assert counts["channel"] == {"North": 2, "South": 1}  # as if no channel were chosen
    assert counts["year"] == {"2026": 1}
    assert counts["language"] == {"de": 1}
    counts = service.catalogue.page(ListFilter(channel=("South",), year=("2025",))).counts
    assert counts["channel"] == {"North": 1, "South": 0}  # what is chosen can be given up
    assert counts["year"] == {"2026": 1, "2025": 0}


@pytest.mark.parametrize(
    ("sort", "reverse", "shown"),
    [
        ("published", False, ["Zoo", "Harbours", "A castle of granite"]),
        ("published", True, ["A castle of granite", "Harbours", "Zoo"]),
        ("title", False, ["A castle of granite", "Harbours", "Zoo"]),
        ("title", True, ["Zoo", "Harbours", "A castle of granite"]),
        ("doubtful", False, ["Zoo", "Harbours", "A castle of granite"]),
        ("coverage", False, ["Zoo", "Harbours", "A castle of granite"]),
    ],
)
def test_the_list_is_sorted(service: Service, sort: str, reverse: bool, shown: list[str]) -> None:
    page = service.catalogue.page(sort=sort, reverse=reverse)  # type: ignore[arg-type]
    assert titles(page.rows) == shown
    part = service.catalogue.page(sort=sort, reverse=reverse, offset=1, limit=1)  # type: ignore[arg-type]
    assert titles(part.rows) == shown[1:2]
    assert part.total == 3


def test_unknown_facets_and_orders_are_refused(service: Service) -> None:
    with raises(UsageError, "list.sort_unknown"):
        service.catalogue.page(sort="colour")  # type: ignore[arg-type]
    with raises(UsageError, "list.facet_unknown"):
        ListFilter.from_dict({"colour": ["red"]})
    with raises(UsageError, "reading.day"):
        ListFilter(after="yesterday")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("castle", ["A castle of granite"]),
        ("gran cast", ["A castle of granite"]),  # words may be beginnings, in any order
        ("NORTH", ["Harbours", "A castle of granite"]),
        ("harb*", ["Harbours"]),
        ("castle south", []),
        ("old stones", ["Harbours"]),  # a tag
        ("remember", ["Zoo"]),  # a note
        ("", []),
    ],
)
def test_titles_channels_tags_and_notes_are_searched(
    service: Service, query: str, shown: list[str]
) -> None:
    by_title = {row.entry.item.title: row.id for row in service.catalogue.rows()}
    service.labels.tag([by_title["Harbours"]], ["Old stones"])
    service.labels.note(by_title["Zoo"], "To remember.")
    assert titles(service.catalogue.titled(query)) == shown


def test_tags_are_added_removed_and_counted(service: Service) -> None:
    first, second, third = (row.id for row in service.catalogue.rows())
    assert service.labels.tag([first, second], ["Sea", " sea ", "#Winter"]) == [first, second]
    assert service.labels.tag([first], ["SEA"]) == []  # the same tag
    assert service.labels.tags() == {"Sea": 2, "Winter": 2}
    assert titles(service.catalogue.page(ListFilter(tag=("Winter",))).rows) == ["Zoo", "Harbours"]
    service.labels.tag([second], remove=["sea"])
    assert service.catalogue.page().counts["tag"] == {"Winter": 2, "Sea": 1}
    for bad in ("", "#", "a, b", "x" * 61):
        with raises(UsageError, "labels.long" if len(bad) > 60 else "labels.tag"):
            service.labels.tag([third], [bad])
    with raises(UsageError, "item.unknown"):
        service.labels.tag([third, "file:nothing"], ["Half"])
    assert "Half" not in service.labels.tags()


def test_a_title_of_a_person_is_shown_and_searched_and_the_sources_stays(service: Service) -> None:
    row = service.catalogue.rows()[1]
    service.labels.rename(row.id, "Ships \n of winter")
    entry = service.items.entry(row.id)
    assert (entry.item.title, entry.source_title) == ("Ships of winter", "Harbours")
    (hit,) = service.search.run("railway", "keyword", limit=1, ids=[row.id]).hits
    assert hit.title == "Ships of winter"
    # What writes the record later with the item as it is shown does not overwrite the source's.
    service.library.write_metadata(entry.item, {"state": "done"})
    assert service.items.entry(row.id).source_title == "Harbours"
    # The source may give another title; a person's own stays on top of it.
    service.library.write_metadata(replace(entry.item, title="Harbours, new"))
    again = service.items.entry(row.id)
    assert (again.item.title, again.source_title) == ("Ships of winter", "Harbours, new")
    service.labels.rename(row.id, "")
    assert service.items.entry(row.id).item.title == "Harbours, new"
    assert "user" not in service.items.entry(row.id).record
    with raises(UsageError, "labels.long"):
        service.labels.rename(row.id, "x" * 301)


def test_what_a_person_writes_survives_the_loss_of_database_and_index(service: Service) -> None:
    row = service.catalogue.rows()[1]
    service.labels.tag([row.id], ["Sea"])
    service.labels.note(row.id, "Listen again.")
    service.labels.rename(row.id, "Ships")
    service.close()
    service.library.database_path.unlink()
    again = Service()
    again.search.reindex()
    entry = again.items.entry(row.id)
    assert (entry.user_tags, entry.user_note, entry.item.title) == (
        ("Sea",),
        "Listen again.",
        "Ships",
    )
    assert again.search.run("railway", "keyword", ids=[row.id]).hits[0].title == "Ships"
    again.close()


def test_items_are_known_by_their_state_in_the_remote_knowledge_base(service: Service) -> None:
    first, second, _ = (row.id for row in service.catalogue.rows())
    with service.queue.database.begin() as connection:
        for item_id, status in ((first, SYNCED), (second, WAITING)):
            connection.execute(deliveries.insert().values(
                sink="odin", item_id=item_id, status=status, since=1.0, updated_at=1.0
            ))  # fmt: skip
    assert service.catalogue.page().counts["sent"] == {"sent": 1, "sending": 1, "not_sent": 1}


def test_a_search_keeps_to_the_items_of_a_filter(service: Service) -> None:
    everywhere = {hit.item_id for hit in service.search.run("every", "keyword", limit=50).hits}
    assert len(everywhere) == 3
    assert service.search.items_with("every") == everywhere
    north = service.catalogue.page(ListFilter(channel=("North",)), ids=everywhere)
    assert north.counts["channel"] == {"North": 2, "South": 1}
    found = service.search.run("every", "keyword", limit=50, ids=north.ids)
    assert {hit.item_id for hit in found.hits} == set(north.ids)
    assert service.search.run("every", "keyword", ids=()).hits == ()
    assert service.search.items_with("submarine") == frozenset()
    assert service.search.items_with("every submarine") == frozenset()


def test_a_quote_names_its_source(service: Service) -> None:
    result = service.search.run("harbour", "keyword", limit=50)
    hit = next(hit for hit in result.hits if len(places(hit)) > 1)
    entry = service.items.entry(hit.item_id)
    quotes = [quote_of(hit, entry, place) for place in places(hit)]
    assert len({int(quote.at_s) for quote in quotes}) == len(quotes)
    for quote in quotes:
        assert "harbour" in quote.text.lower()
        assert quote.render("plain").startswith(f"“{quote.text}” — ")
        assert entry.item.channel in quote.render("plain")
        assert f"[{quote.at}]({quote.link})" in quote.render("markdown")
        text, note = quote.render("footnote").split("\n\n")
        mark = text.rpartition("[^")[2]
        assert note.startswith(f"[^{mark}:")
    entries = {hit.item_id: service.items.entry(hit.item_id) for hit in result.hits}
    table = export_hits(result.hits, entries, "csv").splitlines()
    assert len(table) == 1 + sum(len(places(hit)) for hit in result.hits)
    document = export_hits(result.hits, entries, "md", "harbour")
    assert document.startswith("# harbour\n")
    assert document.count("\n## ") == len(entries)


def test_a_quote_of_strangers_is_no_markup_and_no_formula(service: Service) -> None:
    hit = service.search.run("harbour", "keyword", limit=1).hits[0]
    hit = replace(hit, title="=HYPERLINK(1) [x](javascript:1)", deep_link="javascript:alert(1)")
    quote = quote_of(hit, None)
    assert quote.link == ""
    assert r"\[x\](javascript" in quote.render("markdown")
    assert "\"'=HYPERLINK" in export_hits([hit], {}, "csv")


def test_the_record_of_an_item_without_words_of_a_person_is_as_before(service: Service) -> None:
    entry = service.catalogue.rows()[0].entry
    assert "user" not in entry.record
    assert {**entry.record["item"], **item_document(entry.item)} == entry.record["item"]
