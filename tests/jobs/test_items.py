"""The items table on SQLite: every change has one owner, and nothing is queued twice."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.database import Database, items
from kb.jobs.queue import workflow_ids
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.dbos_client import DbosClient
from kb.jobs.queue.item_states import (
    CANCELLED,
    DONE,
    FAILED,
    FIRST,
    HELD,
    NORMAL,
    PAUSED,
    QUEUED,
    RUNNING,
    STATES,
    WAITING,
    LibraryRow,
    SkipCode,
    Skipped,
)
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.lanes import LanePause, LaneStore
from kb.library import Library
from kb.options import RunOptions
from kb.settings import PROJECT_ROOT, Settings
from tests.support.items import item
from tests.support.queue_store import ME, OTHER, Queue, queued
from tests.support.waiting import WAIT_S


def state_of(store: ItemStore, item_id: str) -> str:
    row = store.read(item_id)
    assert row is not None
    return row.state


def test_an_item_passes_through_its_states(store: ItemStore) -> None:
    (one,), queue = queued(store)
    assert queue.put == [(one, 1, NORMAL)]
    row = store.claim(one, 1, ME)
    assert row is not None and (row.state, row.executor) == (RUNNING, ME)
    assert store.advance(one, 1, ME, "transcribe", 0.5)
    assert store.finish(one, 1, ME, DONE)
    row = store.read(one)
    assert row is not None
    assert (row.state, row.stage, row.progress, row.executor) == (DONE, "transcribe", 1.0, "")
    assert store.counts() == {state: int(state == DONE) for state in STATES}


def test_unfinished_items_are_given_by_id(store: ItemStore) -> None:
    (done, running, held, waits), _ = queued(store, 4)
    for one in (done, running, held):
        store.claim(one, 1, ME)
    assert store.finish(done, 1, ME, DONE) and store.finish(held, 1, ME, HELD)
    rest = {held: HELD, waits: QUEUED}
    assert store.unfinished() == rest | {running: RUNNING}
    assert store.unfinished(live_workers=[OTHER]) == rest | {running: QUEUED}


@pytest.mark.parametrize("state", [DONE, HELD, FAILED])
def test_only_the_owner_changes_a_running_item(store: ItemStore, state: str) -> None:
    (one,), _ = queued(store)
    store.claim(one, 1, ME)
    assert not store.advance(one, 1, OTHER, "write", 1.0)
    assert not store.finish(one, 1, OTHER, state)
    assert not store.finish(one, 2, ME, state)
    assert state_of(store, one) == RUNNING
    assert store.finish(one, 1, ME, state)
    assert not store.finish(one, 1, ME, FAILED)
    assert not store.advance(one, 1, ME, "write", 0.1)
    assert store.claim(one, 1, ME) is None
    assert state_of(store, one) == state


def test_an_item_that_is_queued_or_done_is_not_queued_again(store: ItemStore) -> None:
    (one,), queue = queued(store)
    for state in (QUEUED, RUNNING):
        assert state_of(store, one) == state
        skipped = Skipped(one, "already queued", SkipCode.QUEUED)
        assert store.submit([item(0)], {}, queue) == ([], [skipped])
        store.claim(one, 1, ME)
    store.finish(one, 1, ME, DONE)
    skipped = Skipped(one, "already in the library", SkipCode.DONE)
    assert store.submit([item(0)], {}, queue) == ([], [skipped])
    assert len(queue.put) == 1


@pytest.mark.parametrize(
    ("state", "code", "is_pending"),
    [
        (QUEUED, SkipCode.QUEUED, True),
        (RUNNING, SkipCode.QUEUED, True),
        (WAITING, SkipCode.WAITING, True),
        (PAUSED, SkipCode.PAUSED, False),
        (DONE, SkipCode.DONE, False),
        (HELD, SkipCode.HELD, False),
    ],
)
def test_a_skipped_item_says_by_a_code_whether_it_is_pending(
    store: ItemStore, state: str, code: SkipCode, is_pending: bool
) -> None:
    (one,), queue = queued(store)
    with store.database.begin() as connection:
        connection.execute(sa.update(items).values(state=state))
    _, (skipped,) = store.submit([item(0)], {}, queue)
    assert (skipped.id, skipped.code, skipped.is_pending) == (one, code, is_pending)


def test_the_same_item_twice_in_one_request(store: ItemStore) -> None:
    taken, skipped = store.submit([item(1), item(1)], {}, Queue())
    assert len(taken) == 1
    assert skipped == [Skipped(taken[0], "already queued", SkipCode.QUEUED)]


def test_again_queues_a_new_run_and_counts_it(store: ItemStore) -> None:
    (one,), queue = queued(store)
    store.claim(one, 1, ME)
    store.finish(one, 1, ME, HELD, error="gaps")
    assert store.submit([item(0)], {}, queue) == (
        [],
        [Skipped(one, "held for review: gaps", SkipCode.HELD)],
    )
    renamed = item(0, title="A better title")
    assert store.submit([renamed], {"model": "m"}, queue, again=True) == ([one], [])
    row = store.read(one)
    assert row is not None
    assert (row.run, row.serial, row.state, row.error) == (2, 2, QUEUED, "")
    assert (row.title, row.options["model"]) == ("A better title", "m")
    assert store.summaries()[0].title == "A better title"
    assert queue.put[-1] == (one, 2, NORMAL)
    # The old workflow cannot claim the item; the new one can.
    assert store.claim(one, 1, ME) is None
    assert store.claim(one, 2, ME) is not None


def test_failed_items_are_queued_without_again(store: ItemStore) -> None:
    (one,), queue = queued(store)
    store.claim(one, 1, ME)
    store.finish(one, 1, ME, FAILED, error="gone", attempts=3)
    assert store.submit([item(0)], {}, queue) == ([one], [])
    row = store.read(one)
    assert row is not None and (row.run, row.serial, row.attempts) == (1, 2, 0)


def test_retry_queues_failed_and_cancelled_items(store: ItemStore) -> None:
    ids, queue = queued(store, 5)
    for item_id, state in zip(ids, (DONE, FAILED, WAITING, HELD), strict=False):
        store.claim(item_id, 1, ME)
        store.finish(item_id, 1, ME, state, attempts=2, wait_until=1.0)
    assert store.retry([*ids, "file:unknown"], queue) == [(ids[1], 1), (ids[2], 1)]
    row = store.read(ids[1])
    assert row is not None and (row.state, row.attempts, row.wait_until) == (QUEUED, 0, None)
    assert queue.put[-2:] == [(ids[1], 2, NORMAL + 1), (ids[2], 2, NORMAL + 2)]


def test_a_later_try_keeps_count(store: ItemStore) -> None:
    (one,), queue = queued(store)
    store.claim(one, 1, ME)
    now = time.time()
    store.finish(one, 1, ME, WAITING, attempts=2, wait_until=now + 60)
    assert store.due(now) == []
    assert store.due(now + 61) == [one]
    store.retry([one], queue, states=(WAITING,), fresh=False)
    row = store.read(one)
    assert row is not None and row.attempts == 2


def test_a_clock_that_was_set_back_keeps_no_item_waiting(store: ItemStore) -> None:
    (one,), _ = queued(store)
    store.claim(one, 1, ME)
    store.finish(one, 1, ME, WAITING, wait_until=time.time() + 60)
    last_year = time.time() - 365 * 86400
    assert store.due(last_year) == [one]
    lanes = LaneStore(store.database)
    lanes.pause(workflow_ids.ITEM_LANE, time.time() + 60, "the disk is full")
    assert lanes.find_pause(workflow_ids.ITEM_LANE, last_year) is None
    lanes.pause(workflow_ids.ITEM_LANE, workflow_ids.FOREVER, "paused by hand")
    assert lanes.find_pause(workflow_ids.ITEM_LANE, last_year) is not None


def test_cancel_ends_active_items_and_no_others(store: ItemStore) -> None:
    ids, _ = queued(store, 3)
    store.claim(ids[1], 1, ME)
    store.claim(ids[2], 1, ME)
    store.finish(ids[2], 1, ME, DONE)
    assert sorted(store.stop(ids)) == [(ids[0], 1), (ids[1], 1)]
    assert [state_of(store, i) for i in ids] == [CANCELLED, CANCELLED, DONE]
    # The worker that had the item can no longer change it, and sees that it must stop.
    assert not store.finish(ids[1], 1, ME, DONE)
    assert store.running(ME) == set()
    assert store.stop(ids) == []
    assert store.stop(ids, PAUSED) == []


def test_a_cancelled_item_loses_the_cause_that_it_waited_for(store: ItemStore) -> None:
    """Its next step, such as "It is fetched by itself when it is out.", does not come any more."""
    (waits, rests), _ = queued(store, 2)
    for item_id in (waits, rests):
        store.claim(item_id, 1, ME)
        store.finish(item_id, 1, ME, WAITING, error="not out", hint="by itself", wait_until=9e9)
    store.stop([waits])
    store.stop([rests], PAUSED)
    rows = [store.read(waits), store.read(rests)]
    assert [(row.error, row.hint) for row in rows if row] == [("", ""), ("not out", "by itself")]


def test_items_of_a_dead_worker_are_shown_as_queued(store: ItemStore) -> None:
    ids, _ = queued(store, 3)
    store.claim(ids[0], 1, ME)
    store.claim(ids[1], 1, OTHER)
    alive = {ME}
    shown = {brief.id: brief.state for brief in store.summaries(live_workers=alive)}
    assert shown == {ids[0]: RUNNING, ids[1]: QUEUED, ids[2]: QUEUED}
    assert store.counts(alive)[QUEUED] == 2
    assert [b.id for b in store.summaries(state=RUNNING, live_workers=alive)] == [ids[0]]
    assert len(store.summaries(state=QUEUED, limit=1, live_workers=alive)) == 1
    assert {row.state for row in store.rows([ids[1]], alive)} == {QUEUED}
    assert store.counts(set())[RUNNING] == 0


def test_a_listing_is_newest_first_and_bounded(store: ItemStore) -> None:
    queued(store, 40)
    days = [item(n).published for n in range(40)]
    found = store.summaries(limit=10)
    assert [int(b.title.split()[1]) % 28 for b in found[:2]] == [27, 26]
    assert len(found) == 10
    assert [row.item.published for row in store.rows([b.id for b in found])] == sorted(
        days, reverse=True
    )[:10]


def test_ids_by_their_beginning(store: ItemStore) -> None:
    store.submit([item(0xABC << 36), item(0xABD << 36), item(5)], {}, Queue())
    assert len(store.ids_with_prefix("ab")) == 2
    assert store.ids_with_prefix("abd") == ["file:abd000000000"]
    assert store.ids_with_prefix("file:abd0") == ["file:abd000000000"]
    assert store.ids_with_prefix("file:") == store.ids_with_prefix("fil") == []
    assert store.ids_with_prefix("%") == []


def test_the_longest_pause_of_a_lane_counts(database: Database) -> None:
    lanes, now = LaneStore(database), time.time()
    lanes.pause(workflow_ids.ITEM_LANE, workflow_ids.FOREVER, "paused by hand")
    lanes.pause(workflow_ids.ITEM_LANE, now + 60, "the disk is full")
    assert lanes.find_pause(workflow_ids.ITEM_LANE, now) == LanePause(
        workflow_ids.FOREVER, "paused by hand"
    )
    lanes.open(workflow_ids.ITEM_LANE)
    assert lanes.find_pause(workflow_ids.ITEM_LANE, now) is None
    lanes.pause(workflow_ids.ITEM_LANE, now + 60, "the disk is full")
    assert lanes.find_pause(workflow_ids.ITEM_LANE, now + 61) is None


@pytest.mark.slow
def test_five_hundred_in_one_transaction(database: Database, store: ItemStore) -> None:
    client = DbosClient(database)
    began = time.process_time()  # however busy the machine is
    taken, _ = store.submit([item(n) for n in range(500)], {}, client.ingest)
    assert len(taken) == 500
    assert time.process_time() - began < 10
    assert client.abandoned() == {}  # every item has a workflow

    def broken(connection: sa.Connection, item_id: str, serial: int, rank: int) -> None:
        if item_id == item(502).id:
            raise RuntimeError("power cut")
        client.ingest(connection, item_id, serial, rank)

    with pytest.raises(RuntimeError):
        store.submit([item(n) for n in range(500, 510)], {}, broken)
    assert store.counts()[QUEUED] == 500  # all or none
    with database.begin() as connection:
        workflows = connection.scalar(sa.text("SELECT count(*) FROM workflow_status"))
    assert workflows == 500


def test_items_without_a_workflow_are_found(database: Database, store: ItemStore) -> None:
    client = DbosClient(database)
    store.submit([item(1)], {}, client.ingest)
    store.submit([item(2)], {}, Queue())
    assert client.abandoned() == {item(2).id: 1}
    client.cancel([workflow_ids.ingest_id(item(1).id, 1)])
    assert client.abandoned() == {item(1).id: 1, item(2).id: 1}
    lost = client.abandoned()
    again = store.retry(list(lost), client.ingest, states=(QUEUED,), serials=lost)
    assert len(again) == 2 and client.abandoned() == {}


def test_priorities_move_queued_items(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    jobs = JobQueue(settings, Library(settings.home))
    jobs.submit([item(n) for n in range(3)], RunOptions())
    jobs.items.claim(item(0).id, 1, ME)
    moved = jobs.prioritise([item(n).id for n in (0, 2)], FIRST)
    assert moved == [item(2).id]
    row = jobs.items.read(item(2).id)
    assert row is not None and (row.priority, row.serial, row.state) == (FIRST, 2, QUEUED)
    with jobs.database.begin() as connection:
        found = connection.execute(sa.text("SELECT workflow_uuid, status FROM workflow_status"))
        status = dict(found.tuples().all())
    assert status[workflow_ids.ingest_id(item(2).id, 1)] == "CANCELLED"
    assert status[workflow_ids.ingest_id(item(2).id, 2)] == "ENQUEUED"
    jobs.close()


SUBMIT = """
import sys
from pathlib import Path
from kb.jobs.queue.client import JobQueue
from kb.options import RunOptions
from kb.library import Library
from kb.settings import Settings
from tests.support.items import item
settings = Settings(home=Path(sys.argv[1]))
jobs = JobQueue(settings, Library(settings.home))
taken, skipped = jobs.submit([item(n) for n in range(60)], RunOptions())
print(len(taken), len(skipped))
"""


@pytest.mark.slow
def test_two_processes_on_a_new_library_queue_everything_once(tmp_path: Path) -> None:
    """All create the database with the tables of the application and of DBOS, and submit items."""

    def submit(_: int) -> Sequence[int]:
        done = subprocess.run(
            [sys.executable, "-c", SUBMIT, str(tmp_path / "home")],
            cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=WAIT_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return [int(number) for number in done.stdout.split()]

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(submit, range(3)))
    assert sum(taken for taken, _ in results) == 60
    assert sum(skipped for _, skipped in results) == 120
    database = Database.open(Settings(home=tmp_path / "home"))
    assert DbosClient(database).abandoned() == {}


def test_transcripts_of_the_folder_are_added_to_the_table(tmp_path: Path) -> None:
    """A new database continues the run numbers of the folder, so that `--again` has an effect."""
    settings = Settings(home=tmp_path / "home")
    library = Library(settings.home)
    library.prepare()
    library.write_metadata(item(1), {"state": "done", "transcribed": {"run": 3}})
    library.write_text(library.stem(item(1)), ".transcript.json", '{"segments": []}')
    jobs = JobQueue(settings, library)
    taken, skipped = jobs.submit([item(1), item(2)], RunOptions())
    assert taken == [item(2).id]
    assert skipped == [Skipped(item(1).id, "already in the library", SkipCode.DONE)]
    taken, _ = jobs.submit([item(1)], RunOptions(again=True))
    row = jobs.items.read(item(1).id)
    assert row is not None and row.run == 4
    jobs.close()


@pytest.mark.parametrize(
    ("complete", "grade_in_folder", "kept"),
    [(True, "", ""), (True, "B", "A"), (False, "", "A")],
)
@pytest.mark.parametrize("state", [DONE, HELD])
def test_a_grade_goes_with_the_transcript_it_was_given_to(
    tmp_path: Path, state: str, complete: bool, grade_in_folder: str, kept: str
) -> None:
    """A damaged transcript was replaced by the text beside it, which nothing has checked."""
    store = ItemStore(Database.open(Settings(home=tmp_path)))
    medium = item(1)
    store.adopt([LibraryRow(medium, state, grade="A")])
    found = {medium.id: LibraryRow(medium, state, grade=grade_in_folder)}
    store.follow_library(found, {}, complete=complete)
    row = store.read(medium.id)
    assert row is not None and (row.state, row.grade) == (state, kept)


@pytest.mark.parametrize(
    ("complete", "before", "after", "kept"),
    [
        (True, None, 0.3, ("C", 0.3)),  # of a version that did not know it
        (True, 0.1, 0.3, ("C", 0.3)),  # by another calibration
        (True, 0.3, 0.3, ("A", 0.3)),
        (True, 0.3, None, ("A", 0.3)),
        (False, None, 0.3, ("A", None)),
    ],
)
def test_a_grade_follows_the_words_that_were_judged_again(
    tmp_path: Path,
    complete: bool,
    before: float | None,
    after: float | None,
    kept: tuple[str, float | None],
) -> None:
    store = ItemStore(Database.open(Settings(home=tmp_path)))
    medium = item(1)
    store.adopt([LibraryRow(medium, DONE, grade="A", expected_errors=before)])
    found = {medium.id: LibraryRow(medium, DONE, grade="C", expected_errors=after)}
    store.follow_library(found, {}, complete=complete)
    row = store.read(medium.id)
    assert row is not None
    assert (row.grade, row.expected_errors) == kept
    assert [(s.grade, s.expected_errors) for s in store.summaries()] == [kept]
