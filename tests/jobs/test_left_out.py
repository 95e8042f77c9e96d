"""Acts of a person hold: no look, no list and no new database brings an item back by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from kb.cli import run
from kb.errors import LibraryError
from kb.jobs.queue.item_states import (
    CANCELLED,
    DISMISSED,
    DONE,
    FAILED,
    PAUSED,
    QUEUED,
    SkipCode,
)
from kb.jobs.queue.left_out import note_gone_files, why_left_out
from kb.jobs.queue.library_sync import library_row
from kb.jobs.queue.recovery import follow_acts
from kb.jobs.queue.submission import submit
from kb.library.left_out import LeftOut, Mark, Why
from kb.options import RunOptions
from kb.pipeline import stages
from kb.service import Service
from kb.types import Coverage, MediaItem, MediaRef, Segment, Timing, Transcript, Word
from tests.support.items import item

ONE, OTHER = item(1), item(2)


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    made.library.prepare()
    yield made
    made.close()


def add_transcribed(service: Service, media: MediaItem) -> None:
    """Add an item with its transcript to the folder and the table."""
    words = (Word(0.0, 1.0, "Hello", 0.9),)
    transcript = Transcript(
        media=MediaRef("a.wav", "0" * 64, 2.0),
        segments=(Segment(0.0, 1.0, "Hello", words=words),),
        language="en",
        engine="whisper",
        model="demo",
        preset="optimiert",
        coverage=Coverage(1.0, 1.0, ()),
        timing=Timing(total_s=1.0, media_s=2.0),
    )
    stages.write(service.library, media, transcript, 0.0)
    service.queue.items.adopt([library_row(service.library.find(media.id) or pytest.fail())])


def queued(service: Service, *media: MediaItem) -> None:
    service.queue.submit(list(media), RunOptions(language="de"))


def fail(service: Service, item_id: str) -> None:
    store = service.queue.items
    row = store.read(item_id)
    assert row is not None and store.claim(item_id, row.serial, "one") is not None
    error = LibraryError("item.unfinished", "It broke.", hint="Again.").record()
    assert store.finish(item_id, row.serial, "one", FAILED, **error)


def cancel(service: Service) -> None:
    queued(service, ONE)
    service.queue.cancel([ONE.id])


def cancel_all(service: Service) -> None:
    queued(service, ONE)
    assert service.queue.cancel_all() == [ONE.id]


def dismiss(service: Service) -> None:
    queued(service, ONE)
    fail(service, ONE.id)
    assert service.queue.dismiss([ONE.id]) == [ONE.id]


def remove(service: Service) -> None:
    add_transcribed(service, ONE)
    service.removals.remove([ONE.id])


def delete_files(service: Service) -> None:
    for each in (ONE, OTHER):
        add_transcribed(service, each)
    note_gone_files(service.queue.items, service.library, service.library.scan)
    for path in service.library.media_folder.glob(f"*{ONE.short_id}*"):
        path.unlink()
    note_gone_files(service.queue.items, service.library, service.library.scan)


ACTS: dict[Why, Callable[[Service], None]] = {
    Why.CANCELLED: cancel,
    Why.DISMISSED: dismiss,
    Why.REMOVED: remove,
    Why.FILES_GONE: delete_files,
}


def look(service: Service, *, asked_at: float | None = None) -> list[str]:
    """Queue ONE as a look at a followed source does; return the queued ids."""
    ids, skipped = submit(
        service.queue.items,
        service.library,
        [ONE],
        {},
        lambda *_: None,
        by_itself=asked_at is None,
        asked_at=asked_at,
    )
    assert bool(ids) != bool(skipped)
    return ids


def lose_database(service: Service) -> Service:
    service.close()
    for path in service.settings.home.glob("kb.sqlite*"):
        path.unlink()
    return Service()


@pytest.mark.parametrize("lost", [False, True], ids=["", "lost"])
@pytest.mark.parametrize("why", ACTS)
def test_no_look_brings_an_item_back(service: Service, why: Why, lost: bool) -> None:
    ACTS[why](service)
    if lost:
        service = lose_database(service)
    found = why_left_out(service.queue.items, service.library, [ONE.id, item(9).id])
    assert found == {ONE.id: why}
    assert look(service) == []
    service.close()


@pytest.mark.slow
@pytest.mark.parametrize("lost", [False, True], ids=["", "lost"])
@pytest.mark.parametrize("why", ACTS)
def test_a_request_by_name_takes_it_in_again(service: Service, why: Why, lost: bool) -> None:
    ACTS[why](service)
    if lost:
        service = lose_database(service)
    ids, skipped = service.queue.submit([ONE], RunOptions(), asked=[ONE.id])
    assert (ids, skipped) == ([ONE.id], [])
    assert LeftOut(service.library).find(ONE.id) is None
    assert why_left_out(service.queue.items, service.library, [ONE.id]) == {}
    follow_acts(service.queue.database, service.library)
    assert service.queue.counts()[QUEUED] == 1
    service.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("why", "state", "back"),
    [
        (Why.CANCELLED, CANCELLED, lambda queue: queue.retry_cancelled()),
        (Why.CANCELLED, CANCELLED, lambda queue: queue.retry([ONE.id])),
        (Why.DISMISSED, DISMISSED, lambda queue: queue.retry([ONE.id])),
    ],
)
def test_after_a_lost_database_the_act_is_taken_back_as_before(
    service: Service, why: Why, state: str, back: Callable[[object], list[str]]
) -> None:
    ACTS[why](service)
    service = lose_database(service)
    (row,) = service.queue.rows([ONE.id])
    assert (row.state, row.title, row.item.url) == (state, ONE.title, ONE.url)
    assert row.options["language"] == "de"
    assert service.queue.retry_failed() == []
    assert back(service.queue) == [ONE.id]
    assert LeftOut(service.library).marks() == {}
    # The number of the new workflow was not used before.
    (row,) = service.queue.rows([ONE.id])
    assert row.serial == 2
    service.close()


def test_a_dismissed_item_shows_its_error_again(service: Service) -> None:
    dismiss(service)
    assert service.queue.counts()[FAILED] == 0 and service.queue.retry_cancelled() == []
    service = lose_database(service)
    assert service.queue.restore_dismissed([ONE.id]) == [ONE.id]
    (row,) = service.queue.rows([ONE.id])
    assert (row.state, row.error, row.hint) == (FAILED, "It broke.", "Again.")
    assert LeftOut(service.library).marks() == {} and service.queue.dismiss([OTHER.id]) == []
    service.close()


def test_an_older_copy_of_the_database_follows_the_files(service: Service) -> None:
    queued(service, ONE, OTHER)
    service.queue.cancel([ONE.id])
    (row,) = service.queue.rows([ONE.id])
    # In the copy both are still queued.
    service.queue.items.end_as([ONE.id], QUEUED, [CANCELLED])
    follow_acts(service.queue.database, service.library)
    assert {each.id: each.state for each in service.queue.rows([ONE.id, OTHER.id])} == {
        ONE.id: CANCELLED,
        OTHER.id: QUEUED,
    }
    assert row.serial == 1


def test_acts_of_the_version_before_are_recorded(service: Service) -> None:
    queued(service, ONE)
    service.queue.items.stop([ONE.id])  # that version wrote the row only
    assert look(service) == []
    follow_acts(service.queue.database, service.library)
    service = lose_database(service)
    assert look(service) == []
    service.close()


@pytest.mark.parametrize(
    ("asked_before_s", "is_queued"),
    [(10.0, False), (-10.0, True), (1e7, False), (-1e8, False)],
    ids=["asked, then cancelled", "cancelled, then asked", "asked long ago", "asked in the future"],
)
def test_a_list_that_waits_brings_back_only_what_was_cancelled_before(
    service: Service, asked_before_s: float, is_queued: bool
) -> None:
    cancel(service)
    mark = LeftOut(service.library).marks()[ONE.id]
    assert bool(look(service, asked_at=mark.at - asked_before_s)) == is_queued


def test_a_list_by_hand_takes_a_cancelled_item_and_no_dismissed_one(service: Service) -> None:
    cancel(service)
    queued(service, OTHER)
    fail(service, OTHER.id)
    service.queue.dismiss([OTHER.id])
    ids, skipped = service.queue.submit([ONE, OTHER], RunOptions())
    assert ids == [ONE.id]
    assert [(each.id, each.code) for each in skipped] == [(OTHER.id, SkipCode.DISMISSED)]


def test_deleted_files_are_noticed_and_come_back(service: Service) -> None:
    for each in (ONE, OTHER):
        add_transcribed(service, each)
    aside = service.settings.home / "aside"
    aside.mkdir()
    moved = sorted(service.library.media_folder.glob(f"*{ONE.short_id}*"))
    for path in moved:
        path.rename(aside / path.name)
    states = {each.id: each.state for each in service.items.statuses()}
    assert states == {ONE.id: FAILED, OTHER.id: DONE}
    assert service.items.status(ONE.id).problem is not None
    assert service.queue.retry_failed() == []
    for path in moved:
        (aside / path.name).rename(path)
    follow_acts(service.queue.database, service.library)
    assert {each.state for each in service.items.statuses()} == {DONE}
    assert LeftOut(service.library).own_marks() == {}


def test_an_empty_folder_has_lost_nothing(service: Service) -> None:
    add_transcribed(service, ONE)
    follow_acts(service.queue.database, service.library)
    for path in service.library.media_folder.iterdir():
        path.unlink()
    follow_acts(service.queue.database, service.library)
    assert LeftOut(service.library).own_marks() == {}
    assert service.items.statuses()[0].state == DONE


@pytest.mark.parametrize(
    "text",
    [
        '{"version": 1}',
        '{"version": 1, "items": []}',
        '{"version": 9, "items": {"youtube:aaaaaaaaaaa": {"why": "of a later version"}}}',
        '{"version": 1, "items": {"youtube:aaaaaaaaaaa": 3}}',
    ],
)
def test_entries_of_a_later_version_leave_nothing_out(service: Service, text: str) -> None:
    path = service.settings.home / "left_out.json"
    path.write_text(text)
    assert LeftOut(service.library).marks() == {}
    cancel(service)
    assert set(json.loads(path.read_text())["items"]) == {ONE.id}


def test_a_damaged_record_is_named_and_not_overwritten(service: Service) -> None:
    path = service.settings.home / "left_out.json"
    path.write_text("{")
    with pytest.raises(LibraryError) as caught:
        look(service)
    assert caught.value.code == "json.damaged"
    assert path.read_text() == "{"
    findings = service.verification.run(mend=False).findings
    assert [each.subject for each in findings] == ["left_out.json"]


def test_long_texts_are_not_kept(service: Service) -> None:
    long = replace(ONE, description="x" * 5000, tags=("tag",) * 50, extra={"a": "y" * 5000, "b": 1})
    mark = Mark.of(Why.CANCELLED, 1.0, long)
    assert mark.media_item(ONE.id) == replace(ONE, extra={"b": 1})
    assert Mark(Why.CANCELLED, 1.0).media_item(ONE.id) is None


def test_the_commands(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    queued(service, ONE, OTHER)
    for each in (ONE, OTHER):
        fail(service, each.id)
    assert run(["dismiss"]) == 2
    assert run(["dismiss", ONE.short_id]) == 0
    assert service.queue.counts()[DISMISSED] == 1
    assert run(["dismiss", "--all"]) == 0
    assert service.queue.counts()[DISMISSED] == 2
    capsys.readouterr()
    assert run(["status"]) == 0
    assert "It broke." not in capsys.readouterr().out
    assert run(["dismiss", "--undo", OTHER.short_id]) == 0
    assert service.queue.counts()[FAILED] == 1
    assert run(["dismiss", "--undo", "--all"]) == 0
    assert service.queue.counts()[FAILED] == 2


def states(service: Service) -> dict[str, str]:
    return {row.id: row.state for row in service.queue.items.rows([ONE.id, OTHER.id])}


@pytest.mark.parametrize("lost", [False, True], ids=["", "lost"])
@pytest.mark.parametrize("again", ["resume", "resume all", "retry", "cancel", "by name"])
def test_a_paused_item_stays_paused_until_a_person_says_otherwise(
    service: Service, lost: bool, again: str
) -> None:
    queued(service, ONE, OTHER)
    assert service.queue.pause([ONE.id]) == [ONE.id]
    if lost:
        service = lose_database(service)
    assert look(service) == []
    assert states(service)[ONE.id] == PAUSED
    row = service.queue.items.read(ONE.id)
    assert row is not None and row.options["language"] == "de"
    if again == "by name":  # as with an item that waits
        _, skipped = service.queue.submit([ONE], RunOptions())
        assert [each.code for each in skipped] == [SkipCode.PAUSED]
    elif again == "cancel":
        assert service.queue.cancel([ONE.id]) == [ONE.id]
    else:
        service.queue.resume(None if again == "resume all" else [ONE.id])
    expected = {"by name": PAUSED, "cancel": CANCELLED}.get(again, QUEUED)
    assert states(service)[ONE.id] == expected
    mark = LeftOut(service.library).find(ONE.id)
    assert (mark.why if mark else None) == {
        PAUSED: Why.PAUSED, CANCELLED: Why.CANCELLED, QUEUED: None,
    }[expected]  # fmt: skip
    service = lose_database(service)
    assert states(service).get(ONE.id) == (None if expected == QUEUED else expected)
    service.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("after", "expected"),
    [("nothing", PAUSED), ("resumed", QUEUED), ("failed", FAILED), ("done", DONE)],
)
def test_an_older_copy_of_the_database_pauses_what_is_paused_only(
    service: Service, after: str, expected: str
) -> None:
    queued(service, ONE)
    service.queue.pause([ONE.id])
    store, record = service.queue.items, LeftOut(service.library)
    mark = record.find(ONE.id)
    assert mark is not None
    if after == "done":
        service.queue.resume([ONE.id])
        add_transcribed(service, ONE)
        row = store.read(ONE.id)
        assert row is not None and store.claim(ONE.id, row.serial, "one")
        store.finish(ONE.id, row.serial, "one", DONE, error="", hint="")
    elif after != "nothing":
        service.queue.resume([ONE.id])
    if after == "failed":
        fail(service, ONE.id)
    record.mark({ONE.id: mark})  # as a process that was killed between the two leaves it
    if after == "nothing":
        store.retry([ONE.id], lambda *_: None, states=(PAUSED,))
        record.mark({ONE.id: replace(mark, serial=9)})
    follow_acts(service.queue.database, service.library)
    assert states(service)[ONE.id] == expected
    assert why_left_out(store, service.library, [ONE.id]) == {}
