"""The floor of free space: no writer goes below it, and work goes on when there is room."""

from __future__ import annotations

import errno
import logging
import shutil
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from kb.errors import KBError, LibraryError, MediaUnavailable, RetryLater
from kb.inference.model_fetch import within_floor
from kb.jobs.queue import workflow_ids
from kb.jobs.queue.item_states import DONE, WAITING
from kb.jobs.worker import chores, retry_policy
from kb.jobs.worker.cause_log import CauseLog
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.item_steps import ItemSteps
from kb.library import Library
from kb.pipeline import stages
from kb.settings import Settings
from kb.sources.base import FetchResult, Progress, no_progress
from kb.storage.free_space import BELOW_FLOOR, NO_ROOM, FreeSpace
from kb.types import MediaItem
from tests.support.items import item

GB = 1_000_000_000
FLOOR = FreeSpace(2 * GB)
Usage = namedtuple("Usage", "total used free")
SetFree = Callable[[int], None]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SetFree:
    """Return a function that sets the free bytes of every disk."""
    free = [100 * GB]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(200 * GB, 0, free[0]))
    return lambda value: free.__setitem__(0, value)


@pytest.mark.parametrize(
    ("free", "need", "code"),
    [
        (2 * GB, 0, ""),
        (2 * GB + 5, 5, ""),
        (2 * GB + 5, 6, NO_ROOM),
        (2 * GB, 1, NO_ROOM),
        (2 * GB - 1, 0, BELOW_FLOOR),
        (2 * GB - 1, 10 * GB, BELOW_FLOOR),
        (0, 0, BELOW_FLOOR),
        (50 * GB, 49 * GB, NO_ROOM),
        (50 * GB, 48 * GB, ""),
    ],
)
def test_room_for_bytes(free: int, need: int, code: str, disk: SetFree, tmp_path: Path) -> None:
    disk(free)
    FreeSpace(0).require(tmp_path, need)
    try:
        FLOOR.require(tmp_path / "not" / "there", need)
    except KBError as error:
        assert error.code == code and error.retryable
        assert {"folder", "need"} <= error.values.keys()
        # Only the first concerns all work.
        assert isinstance(error, LibraryError) == (code == BELOW_FLOOR)
        assert retry_policy.is_systemic(error, tmp_path) == (code == BELOW_FLOOR)
    else:
        assert not code


class Site:
    """A source that sends a medium of `size` bytes in three parts and counts what it wrote."""

    name = "web"

    def __init__(self, size: int) -> None:
        self.size = size
        self.written = 0

    def fetch(self, item: MediaItem, folder: Path, progress: Progress = no_progress) -> FetchResult:
        for part in range(3):
            progress(part * self.size // 3, self.size)
            self.written += self.size // 3
        raise MediaUnavailable("media.empty", "sent")


@pytest.mark.parametrize(
    ("free", "size", "written", "code"),
    [
        (5 * GB, 3 * GB, 3 * GB, "media.empty"),
        (5 * GB, 3 * GB + 3, 0, NO_ROOM),
        (2 * GB + 9, 30, 0, NO_ROOM),
        (2 * GB - 9, 30, 0, BELOW_FLOOR),
    ],
)
def test_a_download_that_does_not_fit_is_not_begun(
    free: int, size: int, written: int, code: str, disk: SetFree, tmp_path: Path
) -> None:
    disk(free)
    site, library = Site(size), Library(tmp_path)
    with pytest.raises(KBError) as caught:
        stages.ensure_media(
            library, item(1), lambda *_: None, site,  # type: ignore[arg-type]
            lambda need: FLOOR.require(tmp_path, need),
        )  # fmt: skip
    assert (caught.value.code, site.written) == (code, written)


def test_downloads_beside_each_other_share_the_room(context: WorkerContext, disk: SetFree) -> None:
    disk(7 * GB)  # 5 GB above the floor
    first, second = ("youtube:a", 1), ("youtube:b", 1)
    context.reserve_room(first, 3 * GB)
    with pytest.raises(RetryLater) as caught:
        context.reserve_room(second, 3 * GB)
    assert caught.value.code == NO_ROOM and second not in context.arriving
    context.reserve_room(first, 2 * GB)
    context.reserve_room(second, 3 * GB)
    context.reserve_room(first, 0)  # it is complete
    assert context.arriving == {second: 3 * GB}


def test_a_disk_that_filled_pauses_the_items_and_opens_by_itself(
    context: WorkerContext, disk: SetFree, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    ids, _ = context.items.submit([item(1)], {}, context.client.ingest)
    disk(GB)
    for _ in range(50):
        chores.watch_room(context)
        disk(GB - 1)  # another number is no other cause
    assert context.lane_is_paused()
    ((name, pause),) = context.lanes.pauses(time.time())
    assert (name, (pause.problem or {}).get("code")) == (workflow_ids.ITEM_LANE, BELOW_FLOOR)
    assert {"folder", "need", "free"} <= (pause.problem or {})["values"].keys()
    assert len(caplog.messages) == 1
    disk(3 * GB)
    chores.watch_room(context)
    assert not context.lane_is_paused() and context.lanes.pauses(time.time()) == []
    # A pause by hand stays.
    context.lanes.pause(workflow_ids.ITEM_LANE, workflow_ids.FOREVER, "paused by hand")
    context.refresh_lane_pause()
    chores.watch_room(context)
    disk(GB)
    chores.watch_room(context)
    disk(3 * GB)
    chores.watch_room(context)
    assert [each.until for _, each in context.lanes.pauses(time.time())] == [workflow_ids.FOREVER]
    assert context.items.ids("queued") == ids


def test_a_step_below_the_floor_lets_its_item_wait(context: WorkerContext, disk: SetFree) -> None:
    (item_id,), _ = context.items.submit([item(1)], {}, context.client.ingest)
    disk(GB)
    ItemSteps(context, item_id, 1).fetch()
    row = context.items.read(item_id)
    assert row is not None and (row.state, row.attempts) == (WAITING, 0)
    assert row.problem is not None and row.problem["code"] == BELOW_FLOOR
    assert not list(context.library.home.glob("downloads/*"))
    context.items.submit([item(2)], {}, context.client.ingest)
    assert context.items.ids(DONE) == []


def full() -> LibraryError:
    error = LibraryError("full")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (full(), True),
        (LibraryError("database.disk_full", "{n}", n=1), True),
        (LibraryError("index.disk_full", "{n}", n=1), True),
        (LibraryError("library.newer", "{n}", n=1), False),
        (KBError("network"), False),
    ],
)
def test_a_full_disk_is_logged_once_an_hour(
    error: KBError, expected: bool, context: WorkerContext, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert retry_policy.is_full_disk(error) is expected
    now = float(round(time.monotonic()))  # sums of whole seconds are exact
    for minute in range(61):
        monkeypatch.setattr(time, "monotonic", lambda at=now + 60.0 * minute: at)
        context.warn_throttled(error)
    assert len(caplog.messages) == (2 if expected else 61)


@pytest.mark.parametrize(
    ("message", "cause", "lines"),
    [
        ("%s", "database or disk is full", 2),
        ("[Errno 28] No space left on device: %s", "/library", 2),
        ("Disk quota exceeded %s", "", 2),
        ("{folder} has 1.0 GB free, and 2.0 GB are to stay free there: %s", "1 GB", 2),
        ("The database is locked %s", "", 61),
        ("the disk is fast %s", "", 61),
    ],
)
def test_no_part_of_a_process_logs_a_full_disk_more_than_once_an_hour(
    message: str, cause: str, lines: int
) -> None:
    now, passed = [0.0], 0
    limit = CauseLog(lambda: now[0])
    for minute in range(61):
        now[0] = 60.0 * minute
        record = logging.LogRecord("dbos", logging.WARNING, "", 0, message, (cause,), None)
        passed += limit.filter(record)
    assert passed == lines
    error = OSError(errno.ENOSPC, "No space left on device")
    trace = (OSError, error, None)
    now[0] += 1
    hidden = logging.LogRecord("x", logging.ERROR, "", 0, "a chore failed", (), trace)
    assert limit.filter(hidden) is (lines == 61)


def test_a_fetch_of_a_model_leaves_the_floor() -> None:
    settings = Settings(KB_MIN_FREE_GB=2)
    assert within_floor(settings).room_bytes == 2 * GB
    assert within_floor(Settings(KB_MIN_FREE_GB=0)).room_bytes > 0
    assert settings.free_space == FLOOR
