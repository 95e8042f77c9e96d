"""A folder that cannot be written to: no item is to blame, and work goes on as soon as it can."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kb.errors import (
    KBError,
    KnowledgeBaseError,
    LibraryError,
    MediaUnavailable,
    TranscriptionError,
)
from kb.jobs.queue import workflow_ids
from kb.jobs.worker import chores, retry_policy
from kb.jobs.worker import context as context_module
from kb.jobs.worker.context import WorkerContext
from kb.sinks.local.errors import index_error

READ_ONLY = 'lance error: LanceError(IO): Read-only file system (os error 30) at path "/x"'


@contextmanager
def unwritable(context: WorkerContext) -> Iterator[None]:
    """Let a file lie in place of the media folder: this stops the administrator's account too."""
    folder = context.library.media_folder
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.write_text("")
    yield
    folder.unlink()
    aside.rename(folder)


@pytest.mark.skipif(os.name == "nt", reason="numbers of POSIX")
@pytest.mark.parametrize(
    ("reason", "systemic"),
    [
        (READ_ONLY, True),
        ("LanceError(IO): Stale file handle (os error 116)", errno.ESTALE == 116),
        ("LanceError(IO): Input/output error (os error 5)", True),
        ("LanceError(IO): No space left on device (os error 28)", True),
        ("LanceError(IO): Disk quota exceeded (os error 122)", errno.EDQUOT == 122),
        ("LanceError(IO): Permission denied (os error 13)", False),
        ("LanceError(IO): No such file or directory (os error 2)", False),
        ("Not a valid manifest at os error 30", False),
        ("the schema has no column text", False),
    ],
)
@pytest.mark.parametrize("action", ["write", "read", "rebuild"])
def test_an_index_on_a_bad_disk(reason: str, systemic: bool, action: str, tmp_path: Path) -> None:
    error = index_error(tmp_path, action, reason)  # type: ignore[arg-type]
    assert retry_policy.is_systemic(error, tmp_path) == systemic


@pytest.mark.parametrize(
    "error",
    [
        MediaUnavailable("media.unreadable", "unable to open for writing: [Errno 30]"),
        TranscriptionError("asr.odd", "odd"),
        KnowledgeBaseError("index.unwritable", "the index cannot be written"),
        KBError("item.unexpected", "OSError: [Errno 30] Read-only file system"),
    ],
)
def test_an_error_of_any_form_while_nothing_can_be_written(
    context: WorkerContext, error: KBError
) -> None:
    context.library.prepare()
    assert not context.is_systemic(error)
    with unwritable(context):
        assert context.is_systemic(error)
    assert not context.is_systemic(error)


@pytest.mark.parametrize(
    ("code", "opens"),
    [
        ("storage.not_allowed", True),
        ("storage.disk_full", True),
        ("storage.refused", True),
        ("index.unwritable", True),
        ("download.disk_full", True),
        ("database.lock_held", False),
        ("inference.crashed", False),
        ("", False),
    ],
)
def test_a_pause_ends_with_the_trouble_of_the_folder(
    context: WorkerContext, code: str, opens: bool
) -> None:
    context.library.prepare()
    with unwritable(context):
        context.pause_lane(time.time() + 60, LibraryError(code, "cannot write"))
        chores.watch_room(context)
        assert context.lane_is_paused()
    chores.watch_room(context)
    assert context.lane_is_paused() != opens
    assert bool(context.lanes.pauses(time.time())) != opens


def test_a_trouble_that_comes_back_keeps_its_pause(context: WorkerContext) -> None:
    """A small file can be written, and the work cannot: it is not tried every two seconds."""
    context.library.prepare()
    error = LibraryError("storage.disk_full", "full")
    context.pause_lane(time.time() + 60, error)
    chores.watch_room(context)
    assert not context.lane_is_paused()
    context.pause_lane(time.time() + 60, error)
    chores.watch_room(context)
    assert context.lane_is_paused()
    context.folder_opened_at -= retry_policy.LANE_PAUSE_S
    chores.watch_room(context)
    assert not context.lane_is_paused()


def test_a_pause_by_hand_stays(context: WorkerContext) -> None:
    context.library.prepare()
    context.pause_lane(time.time() + 60, LibraryError("storage.disk_full", "full"))
    context.lanes.pause(workflow_ids.ITEM_LANE, workflow_ids.FOREVER, "paused by hand")
    chores.watch_room(context)
    assert [each.until for _, each in context.lanes.pauses(time.time())] == [workflow_ids.FOREVER]


@pytest.mark.parametrize("method", ["until_accepted", "until_written"])
def test_a_wait_for_the_database_ends_when_it_answers(
    context: WorkerContext, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context_module, "LANE_POLL_S", 60.0)
    tries: list[float] = []

    def change() -> str:
        tries.append(time.monotonic())
        if len(tries) == 1:
            raise LibraryError("database.unreachable", "away", retryable=True)
        return "recorded"

    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(getattr(context, method)(change)))
    thread.start()
    ends_at = time.monotonic() + 10
    while thread.is_alive() and time.monotonic() < ends_at:
        context.report_database_returned()
        thread.join(0.02)
    assert found == ["recorded"] and len(tries) == 2
