"""The code and values of an error are stored wherever its sentence is stored."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from kb.database import Database, deliveries, items, lanes, subscriptions
from kb.errors import KBError, MediaUnavailable, restored
from kb.jobs.queue import views
from kb.jobs.queue.item_states import LibraryRow
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.lanes import LaneStore
from kb.jobs.queue.library_sync import library_row
from kb.jobs.queue.outbox import Outbox
from kb.jobs.queue.outbox_states import CANCELLED, FAILED, HELD, WAITING
from kb.library import Library
from kb.pipeline import hold, publish_record
from kb.settings import Settings
from kb.sources.subscriptions import Subscriptions
from kb.types import MediaItem

ITEM = MediaItem("file:abc", "file", "/a.mp4", "A", "2024-01-02")
EMPTY = MediaUnavailable(
    "media.empty", "{path} is empty (0 bytes).", hint="Download {path} again.", path="/a.mp4"
)
PROBLEM = {"code": "media.empty", "values": {"path": "/a.mp4"}}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(Settings(home=tmp_path))
    yield opened
    opened.close()


def _enqueue(*_: object) -> None:
    """Start no workflow."""


def _claimed(store: ItemStore) -> int:
    store.submit([ITEM], {}, _enqueue, again=True)
    row = store.read(ITEM.id)
    assert row is not None
    assert store.claim(ITEM.id, row.serial, "me") is not None
    return row.serial


def test_an_item_that_failed_has_its_problem_in_every_view(database: Database) -> None:
    store = ItemStore(database)
    assert store.finish(ITEM.id, _claimed(store), "me", "failed", attempts=1, **EMPTY.record())
    row = store.read(ITEM.id)
    assert row is not None
    (summary,), (line,) = store.summaries(), views.page(database, []).rows
    for found in (row, summary, line):
        assert (found.error, found.hint, found.problem) == (EMPTY.message, EMPTY.hint, PROBLEM)
    assert restored(row.error, row.hint, row.problem).problem == EMPTY.problem


def test_the_next_try_and_an_error_without_a_code_clear_it(database: Database) -> None:
    store = ItemStore(database)
    store.finish(ITEM.id, _claimed(store), "me", "failed", **EMPTY.record())
    serial = _claimed(store)
    row = store.read(ITEM.id)
    assert row is not None
    assert (row.error, row.problem) == ("", None)
    store.finish(ITEM.id, serial, "me", "failed", **KBError("Plain.").record())
    row = store.read(ITEM.id)
    assert row is not None
    assert (row.error, row.problem) == ("Plain.", None)
    with database.begin() as connection:  # NULL and not JSON's null
        assert connection.scalar(sa.select(items.c.id).where(items.c.problem.is_(None))) == ITEM.id


def test_a_delivery_keeps_the_problem_until_it_is_sent(database: Database) -> None:
    outbox = Outbox(database)
    outbox.record_error("odin", ITEM.id, EMPTY)
    (entry,) = outbox.for_items([ITEM.id])[ITEM.id]
    assert (entry.status, entry.error, entry.problem) == (FAILED, EMPTY.message, PROBLEM)
    serials: list[int] = []
    outbox.retry(
        lambda connection, sink, item_id, serial, priority: serials.append(serial), [FAILED]
    )
    claimed = outbox.claim("odin", ITEM.id, serials[0])
    assert claimed is not None
    assert claimed.problem is None
    assert outbox.finish(claimed, WAITING, **EMPTY.record(), due_at=time.time() + 60)
    assert outbox.for_items([ITEM.id])[ITEM.id][0].problem == PROBLEM
    outbox.cancel([ITEM.id])
    (entry,) = outbox.for_items([ITEM.id])[ITEM.id]
    assert (entry.status, entry.error, entry.problem) == (CANCELLED, "", None)
    outbox.hold("odin", ITEM.id, EMPTY)
    (entry,) = outbox.for_items([ITEM.id])[ITEM.id]
    assert (entry.status, entry.problem) == (HELD, PROBLEM)


def test_a_paused_lane_says_why_by_code(database: Database) -> None:
    lanes, now = LaneStore(database), time.time()
    lanes.pause("ingest", now + 60, EMPTY.message, EMPTY.problem)
    assert lanes.find_pause("ingest", now) == (now + 60, EMPTY.message, PROBLEM)
    assert lanes.pauses(now) == [("ingest", (now + 60, EMPTY.message, PROBLEM))]
    lanes.pause("ingest", now + 90, "by hand")
    assert lanes.find_pause("ingest", now) == (now + 90, "by hand", None)


def test_a_subscription_keeps_how_its_last_look_ended(database: Database, tmp_path: Path) -> None:
    followed = Subscriptions(database, None)
    key = followed.follow("https://www.youtube.com/@talks").key
    followed.record_result(key, error=EMPTY.message, problem=EMPTY.problem)
    assert followed.list()[0].problem == PROBLEM
    followed.record_result(key)
    assert (followed.list()[0].error, followed.list()[0].problem) == ("", None)


def test_the_library_folder_teaches_a_new_database_the_problem(
    database: Database, tmp_path: Path
) -> None:
    library = Library(tmp_path)
    library.prepare()
    library.write_metadata(ITEM, {})
    library.amend(ITEM.id, {"state": "failed", **EMPTY.record()})
    entry = library.find(ITEM.id)
    assert entry is not None
    assert entry.problem == PROBLEM
    publish_record.record_failure(library, ITEM, "odin", EMPTY)
    store, outbox = ItemStore(database), Outbox(database)
    entries = library.entries()
    assert store.adopt([library_row(each) for each in entries]) == 1
    assert outbox.adopt(entries) == 1
    assert store.summaries()[0].problem == PROBLEM
    assert outbox.for_items([ITEM.id])[ITEM.id][0].problem == PROBLEM
    # A success removes the stored error.
    library.amend(ITEM.id, hold.HoldDecision("done").metadata())
    entry = library.find(ITEM.id)
    assert entry is not None
    assert (entry.problem, entry.record.get("problem"), entry.error) == (None, None, "")


@pytest.mark.parametrize("damaged", ["media.empty", {"values": {}}, {"code": 3}, ["x"]])
def test_a_damaged_problem_in_a_metadata_file_is_none(tmp_path: Path, damaged: Any) -> None:
    library = Library(tmp_path)
    library.prepare()
    library.write_metadata(ITEM, {})
    library.amend(ITEM.id, {"error": "Plain.", "problem": damaged})
    entry = library.find(ITEM.id)
    assert entry is not None
    assert (entry.error, entry.problem) == ("Plain.", None)


def test_a_library_row_without_a_problem_is_adopted(database: Database) -> None:
    store = ItemStore(database)
    store.adopt([LibraryRow(ITEM, "failed", "Plain.")])
    assert store.summaries()[0].problem is None


def test_a_database_of_the_version_before_gets_the_columns(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    opened = Database.open(settings)
    store = ItemStore(opened)
    store.finish(ITEM.id, _claimed(store), "me", "failed", **KBError("Plain.").record())
    with opened.begin() as connection:
        for table in (items, lanes, subscriptions, deliveries):
            connection.execute(sa.text(f"ALTER TABLE {table.name} DROP COLUMN problem"))
        connection.execute(sa.text("DELETE FROM kb_schema WHERE version >= 7"))
    opened.close()
    opened = Database.open(settings)
    store = ItemStore(opened)
    assert [(row.error, row.problem) for row in store.summaries()] == [("Plain.", None)]
    store.finish(ITEM.id, _claimed(store), "me", "failed", **EMPTY.record())
    assert store.summaries()[0].problem == PROBLEM
    opened.close()
