"""A command that waits says once which pause keeps the work, and the next step."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from kb.cli.output.items import lane_text
from kb.database import Database
from kb.errors import KBError, LibraryError
from kb.jobs.queue import workflow_ids
from kb.jobs.queue.lanes import LaneStore
from kb.library.fencing import raise_mark
from kb.service import Service
from kb.service.follow import LaneWatch
from kb.service.views import LaneState
from kb.settings import PROJECT_ROOT, Settings
from kb.storage.free_space import FreeSpace
from tests.support.workers import Lab, write_talks

SOON = 1_800_000_000.0
NOT_WRITABLE = {"code": "storage.not_allowed", "values": {}, "hint": "Make it writable."}
SENTENCES = {
    "by hand": (
        LaneState("items", workflow_ids.FOREVER, "paused by hand"),
        "The items lane is paused: paused by hand. Go on with: kb resume",
    ),
    "until a time": (
        LaneState("download", SOON, "too many requests."),
        ": too many requests. It goes on by itself.",
    ),
    "with a next step": (
        LaneState("items@two", SOON, "its folder is read-only", NOT_WRITABLE),
        ": its folder is read-only. Make it writable.",
    ),
}


@pytest.mark.parametrize(("lane", "end"), SENTENCES.values(), ids=SENTENCES)
def test_a_pause_is_told_with_the_next_step(lane: LaneState, end: str) -> None:
    assert lane_text(lane).endswith(end)
    assert lane_text(lane).startswith(
        "Machine two takes no items until" if lane.machine else f"The {lane.name} lane is paused"
    )
    assert (" until " in lane_text(lane)) is (not lane.paused_by_hand)


def test_each_reason_is_told_once_whatever_its_figures_are(tmp_path: Path) -> None:
    service = Service(Settings(home=tmp_path / "home"))
    told: list[LaneState] = []
    watch, lanes = LaneWatch(service.queue, told.append), LaneStore(service.queue.database)
    watch.look()
    for needed in (1, 2):  # another figure is the same reason
        lanes.open(workflow_ids.ITEM_LANE)
        error = _no_room(tmp_path, needed)
        lanes.pause(
            workflow_ids.ITEM_LANE, time.time() + 60, error.message, error.problem, error.hint
        )
        watch.look()
    service.queue.pause()
    watch.look()
    watch.look()
    service.close()
    assert [lane.paused_by_hand for lane in told] == [False, True]
    assert "Free some space" in told[0].hint and not told[1].hint


def _no_room(folder: Path, need: int) -> KBError:
    with pytest.raises(LibraryError) as raised:
        FreeSpace(1 << 60).require(folder, need)
    return raised.value


def test_the_next_step_is_kept_with_the_pause(tmp_path: Path) -> None:
    database = Database.open(Settings(home=tmp_path))
    lanes, now = LaneStore(database), time.time()
    error = _no_room(tmp_path, 1)
    lanes.pause("items", now + 60, error.message, error.problem, error.hint)
    found = lanes.find_pause("items", now)
    lanes.pause("items", now + 90, "without a code", None, "a step")
    other = lanes.find_pause("items", now)
    database.close()
    assert found is not None and found.hint == error.hint and not found.is_by_hand
    assert found.problem is not None and found.problem["code"] == error.code
    assert other is not None and (other.hint, other.problem) == ("", None)


@pytest.mark.slow
def test_a_wait_names_an_older_database_and_a_pause_by_hand(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab") as lab:
        (talk,) = write_talks(tmp_path / "talks", 1)
        lab.ingest([talk])
        raise_mark(lab.home, 99)  # the files of a library whose database was put back alone
        said = tmp_path / "said.txt"
        with said.open("wb") as written:
            waiting = subprocess.Popen(
                [sys.executable, "-m", "kb.cli", "ingest", str(talk), "--wait"],
                env=lab.environment(), cwd=PROJECT_ROOT, stdin=subprocess.DEVNULL,
                stdout=written, stderr=written,
            )  # fmt: skip
        try:
            lab.wait(lambda: "kb reindex" in said.read_text(), "the next step")
            lab.kb("pause")
            lab.wait(lambda: "kb resume" in said.read_text(), "the pause by hand")
            lab.kb("reindex")
            lab.kb("resume")
            assert waiting.wait(120) == 0
        finally:
            waiting.kill()
            waiting.wait()
        text = " ".join(said.read_text().split())
    assert text.count("kb reindex") == text.count("kb resume") == 1, text
    assert "done" in text
