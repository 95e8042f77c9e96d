"""The rows and figures of the Queue tab: looks at followed sources are no items."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from kb.database import Database, items
from kb.jobs.queue import views
from kb.jobs.queue.item_states import ACTIVE, STATES
from kb.jobs.queue.items import ItemStore
from kb.settings import Settings
from kb.ui.tabs.queue.table import next_try, since
from tests.support.items import item

ME = "me"
LOOK, LISTING, MEDIUM = "look", "listing", "medium"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    found = Database.open(Settings(home=tmp_path_factory.mktemp("library")))
    ItemStore(found).submit([item(1)], {}, lambda *_arguments: None)
    yield found
    found.close()


def put(database: Database, kind: str, **values: Any) -> str:
    """Make the one row of the queue one of a kind; return its id."""
    document: dict[str, Any] = {"extra": {"followed": "channel:UC1" if kind == LOOK else ""}}
    with database.begin() as connection:
        row = {"source": "file" if kind == MEDIUM else "listing", "executor": ME, **values}
        connection.execute(sa.update(items).values(item=document, **row))
        return str(connection.scalar(sa.select(items.c.id)))


@pytest.mark.parametrize("kind", [LOOK, LISTING, MEDIUM])
@pytest.mark.parametrize("state", STATES)
def test_looks_and_listings_are_no_items_and_ended_looks_are_neither_rows_nor_counted(
    database: Database, kind: str, state: str
) -> None:
    item_id = put(database, kind, state=state, duration_s=None, ended_at=time.time())
    store, is_item = ItemStore(database), kind == MEDIUM
    # A look that ended otherwise than with an error is in the history of looks alone.
    is_listed = kind == LISTING or (kind == LOOK and (state in ACTIVE or state == "failed"))
    for listings, shown in ((False, is_item), (True, is_listed)):
        for states in ((), (state,)):
            page = views.page(database, [ME], states=states, listings=listings)
            assert (len(page.rows), page.total) == (shown, shown)
        found = store.summaries(listings=listings, live_workers=[ME])
        assert [row.id for row in found] == [item_id] * shown
    found = views.figures(database, [ME], 0.0)
    assert found.counts[state] == sum(found.counts.values()) == is_item
    assert found.listings[state] == sum(found.listings.values()) == is_listed
    assert found.done_since == (is_item and state in ("done", "held"))
    # It may bring nothing: no item of unknown length.
    assert found.unmeasured == (state in ACTIVE and is_item)
    assert store.counts([ME]) == found.counts
    assert store.listing_counts([ME]) == found.listings
    assert store.row_counts()[state] == 1
    assert [row.id for row in store.summaries(ids=[item_id])] == [item_id]
    # A selected row stays where it is when the look ends.
    (row,) = views.page(database, [ME], ids=[item_id]).rows
    assert row.state == state


@pytest.mark.parametrize(
    ("source", "stage", "progress", "waits"),
    [
        ("youtube", "fetch", 0.0, True), ("web", "fetch", 0.0, True),
        ("youtube", "fetch", 0.01, False), ("youtube", "transcribe", 0.0, False),
        ("file", "fetch", 0.0, False),
    ],
)  # fmt: skip
def test_what_waits_for_its_turn_is_found_with_what_waits_and_not_with_what_runs(
    database: Database, source: str, stage: str, progress: float, waits: bool
) -> None:
    place = {"source": source, "stage": stage, "progress": progress}
    put(database, MEDIUM, state="running", **place)

    def shown(*states: str) -> int:
        return views.page(database, [ME], states=states).total

    (row,) = views.page(database, [ME]).rows
    assert row.waits_its_turn == waits
    assert views.figures(database, [ME], 0.0).waiting_turn == waits
    assert (shown("running"), shown(*views.PENDING, views.TURN)) == (not waits, waits)
    assert shown(*views.PENDING) == 0
    # Of a dead worker it waits with the others.
    assert views.page(database, [], states=("running", views.TURN)).total == 0
    put(database, MEDIUM, state="queued", **place)
    assert (shown(views.TURN), shown("queued")) == (0, 1)


@pytest.mark.parametrize(
    ("state", "wait_until", "shown"),
    [
        ("failed", 1.0, True), ("failed", None, "–"), ("waiting", 1.0, True), ("waiting", None, ""),
        ("queued", None, ""), ("running", None, ""), ("paused", None, ""), ("done", None, ""),
        ("held", None, ""), ("cancelled", None, ""), ("dismissed", None, ""),
        # A time that is left of an earlier wait is no next try.
        ("running", 1.0, ""), ("done", 1.0, ""), ("cancelled", 1.0, ""), ("paused", 1.0, ""),
    ],
)  # fmt: skip
def test_the_next_try_of_a_row(
    database: Database, state: str, wait_until: float | None, shown: object
) -> None:
    put(database, MEDIUM, state=state, wait_until=wait_until and time.time() + 3600)
    (row,) = views.page(database, [ME]).rows
    assert (":" in next_try(row)) if shown is True else next_try(row) == shown


@pytest.mark.parametrize(
    ("state", "ended_at", "expected"),
    [
        ("done", 50.0, 50.0), ("failed", 50.0, 50.0), ("queued", None, 10.0),
        ("waiting", None, 10.0), ("running", None, 30.0), ("done", 9e9, None),
    ],
)  # fmt: skip
def test_since_when_a_row_has_its_state(
    database: Database, state: str, ended_at: float | None, expected: float | None
) -> None:
    put(database, MEDIUM, state=state, enqueued_at=10.0, updated_at=30.0, ended_at=ended_at)
    (row,) = views.page(database, [ME]).rows
    assert since(row) == expected
