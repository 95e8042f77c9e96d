"""Real worker processes on real audio: they are stopped, killed and given bad input.

Most tests share one library with a warm worker, because loading a recognizer takes longer than the
rest of a test. After a test has ended the worker, the next test starts a new one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from kb.database import items
from kb.errors import Cancelled
from kb.inference.line import Line, Request
from kb.options import RunOptions
from kb.service import ItemStatus, follow
from kb.settings import PROJECT_ROOT
from kb.sources.listing.filters import VideoFilters
from tests.support.commands import run_command
from tests.support.error_source import sentence
from tests.support.raising import raises
from tests.support.waiting import WAIT_S
from tests.support.workers import Lab, write_talks

pytestmark = pytest.mark.slow

LONG_WORDS = 800  # many batches of a window, so still running when checked


class Warm(Lab):
    """A library whose `worker` starts on demand."""

    _number = 0

    @property
    def worker(self) -> psutil.Process:
        running = [p for p in self.processes if p.is_running() and p.status() != "zombie"]
        return running[-1] if running else self.start()

    def talks(self, count: int, words: int = 8) -> list[Path]:
        """Write files that no other test has; return their paths."""
        Warm._number += 1
        return write_talks(self.folder / f"in{self._number}", count, words=words, seed=self._number)

    def running(self, item_id: str) -> bool:
        status = self.states([item_id])[item_id]
        return (status.state, status.stage) == ("running", "transcribe") and status.progress > 0

    def waiting(self, seconds: float) -> tuple[str, Path]:
        """Add an item that waits `seconds` for its retry; return its id and its file."""
        (path,) = self.talks(1)
        (item,) = self.jobs.source_factory.open(str(path), VideoFilters())
        self.jobs.items.submit([item], {"model": "demo"}, lambda *_: None)
        self.wait_until(item.id, time.time() + seconds)
        return item.id, path

    def wait_until(self, item_id: str, at: float) -> None:
        """Let an item wait for its retry until `at`, in epoch seconds."""
        with self.jobs.database.begin() as connection:
            connection.execute(
                sa.update(items)
                .where(items.c.id == item_id, items.c.state.in_(("queued", "waiting")))
                .values(state="waiting", wait_until=at)
            )

    def deaths(self, item_id: str) -> int:
        row = self.jobs.items.read(item_id)
        assert row is not None
        return row.deaths

    def begin_long(self, words: int = LONG_WORDS) -> str:
        """Queue a long item and wait until its transcription is running; return its id."""
        (item_id,) = self.ingest(self.talks(1, words), batch_size=1)
        self.wait(lambda: self.running(item_id), "a running transcription")
        return item_id

    def files_of(self, item_id: str) -> dict[str, int]:
        """Return the item's files with their modification times in ns."""
        short = item_id.split(":")[1]
        media = self.library.media_folder
        return {p.name: p.stat().st_mtime_ns for p in media.iterdir() if short in p.name}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    with Warm(tmp_path_factory.mktemp("warm"), KB_WORKER_TIMEOUT_S="3") as lab:
        yield lab


def test_ingest_to_done_and_the_same_sound_once(warm: Warm) -> None:
    _ = warm.worker
    first, second = warm.talks(2)
    copy = first.with_name("another name.wav")
    shutil.copy(first, copy)
    ids = warm.ingest([first, second])
    # Another process submits the same audio under the second name at the same time.
    report = json.loads(warm.kb("ingest", str(copy), "--json").stdout)
    assert report["enqueued"] == [] and report["skipped"][0]["id"] == ids[0]
    done = warm.wait_finished(ids)
    assert {(s.state, s.stage, s.progress, s.error) for s in done.values()} == {
        ("done", "publish", 1.0, "")
    }
    assert len(warm.files_of(ids[0])) == 4  # medium, metadata, text, exact transcript
    assert warm.words()[ids[0]]
    assert warm.leftovers() == []


def test_wait_follows_an_item_that_comes_back_soon_and_lists_one_that_does_not(
    warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ = warm.worker
    late, late_path = warm.waiting(3600.0)
    soon, soon_path = warm.waiting(follow.SHORT_WAIT_S - 1)
    is_worth_waiting, looks = follow._is_worth_waiting, list[str]()

    def looked_at(status: ItemStatus, now: float) -> bool:
        if status.id == soon and not looks:
            looks.append(status.state)
            warm.wait_until(soon, time.time())  # its time comes now, and not sooner
        return is_worth_waiting(status, now)

    monkeypatch.setattr(follow, "_is_worth_waiting", looked_at)
    arguments = ("ingest", str(soon_path), str(late_path), "--wait", "--json")
    done = run_command(arguments, warm.environment(), PROJECT_ROOT)
    report = json.loads(done.stdout)
    assert looks == ["waiting"]
    assert {each["id"]: each["code"] for each in report["skipped"]} == {
        soon: "waiting",
        late: "waiting",
    }
    assert {each["id"]: each["state"] for each in report["items"]} == {
        soon: "done",
        late: "waiting",
    }
    warm.kb("cancel", late)


@pytest.mark.long
def test_cancel_leaves_nothing_half_written_and_retry_completes_it(warm: Warm) -> None:
    _ = warm.worker
    item_id = warm.begin_long()
    warm.kb("cancel", item_id)
    assert warm.states([item_id])[item_id].state == "cancelled"
    time.sleep(2)
    before = warm.files_of(item_id)
    assert sorted(Path(name).suffix for name in before) == [".json", ".wav"]
    assert warm.leftovers() == []
    # The cancelled item does not delay another item.
    others = warm.ingest(warm.talks(1))
    assert {s.state for s in warm.wait_finished(others).values()} == {"done"}
    warm.kb("retry", item_id)
    assert warm.wait_finished([item_id])[item_id].state == "done"
    after = warm.files_of(item_id)
    (medium,) = [name for name in before if name.endswith(".wav")]
    assert after[medium] == before[medium]
    assert len(after) == 4


def test_a_clip_is_answered_while_a_talk_is_running(warm: Warm) -> None:
    _ = warm.worker
    (clip,) = warm.talks(1, 4)
    talk = warm.begin_long(3 * LONG_WORDS)
    line, stretches = Line(warm.home), []
    request = Request(clip, RunOptions(), shown_as="clip.wav")
    found = line.transcribe(request, on_text=stretches.append)
    assert warm.running(talk)  # and it goes on
    assert found.media.path == "clip.wav"
    assert [w for parts in stretches for part in parts for w in part.words] == list(found.words)
    with raises(Cancelled, "recognizer.stopped"):
        line.transcribe(request, cancelled=lambda: True)
    warm.kb("cancel", talk)
    (item_id,) = warm.ingest([clip])
    warm.wait_finished([item_id])
    assert [(word.text, round(word.start_s, 2)) for word in found.words] == warm.words()[item_id]


def test_a_paused_queue_starts_no_item(warm: Warm) -> None:
    _ = warm.worker
    warm.kb("pause")
    try:
        ids = warm.ingest(warm.talks(2))
        time.sleep(2.5)
        assert {s.state for s in warm.states(ids).values()} == {"queued"}
        shown = warm.kb("status").stdout
        assert "paused" in shown and "by hand" in shown
    finally:
        warm.kb("resume")
    assert {s.state for s in warm.wait_finished(ids).values()} == {"done"}


@pytest.mark.long
def test_a_paused_item_goes_on_when_it_is_resumed(warm: Warm) -> None:
    _ = warm.worker
    item_id = warm.begin_long()
    warm.kb("pause", item_id)
    assert warm.states([item_id])[item_id].state == "paused"
    others = warm.ingest(warm.talks(1))
    assert {s.state for s in warm.wait_finished(others).values()} == {"done"}
    assert warm.states([item_id])[item_id].state == "paused"
    warm.kb("resume", item_id)
    assert warm.wait_finished([item_id])[item_id].state == "done"


def test_failing_items_do_not_stop_others(warm: Warm) -> None:
    _ = warm.worker
    good, gone = warm.talks(2)
    text = good.with_name("no medium.mp4")
    text.write_text("these are words, but they are not spoken")
    ids = {path: warm.ingest([path])[0] for path in (text, gone) if warm.jobs.pause() == []}
    gone.unlink()
    warm.jobs.resume()
    ids[good] = warm.ingest([good])[0]
    states = warm.wait_finished(list(ids.values()))
    assert {path.name: states[i].state for path, i in ids.items()} == {
        good.name: "done", text.name: "failed", gone.name: "failed",
    }  # fmt: skip
    for path in (text, gone):
        failed = states[ids[path]]
        assert failed.error and failed.hint, failed
    listed = json.loads(warm.kb("status", "--state", "failed", "--json").stdout)
    assert {ids[text], ids[gone]} <= {item["id"] for item in listed["items"]}
    warm.kb("cancel", ids[text], check=0)  # the item has ended: no effect and no error
    assert warm.kb("ingest", str(text), "--wait", check=1).returncode == 1


def test_the_exit_code_says_that_an_item_is_held(warm: Warm) -> None:
    _ = warm.worker
    (whole,) = warm.talks(1)
    cut = whole.with_name("cut.wav")
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    done = warm.kb("ingest", str(cut), "--wait", "--json", check=1)
    assert [item["state"] for item in json.loads(done.stdout)["items"]] == ["held"]
    assert warm.kb("ingest", str(whole), "--wait").returncode == 0


def test_retry_does_not_repeat_what_was_finished(warm: Warm) -> None:
    """The index is not writable: only the publish stage fails, and only it is repeated."""
    _ = warm.worker
    index = warm.library.index_folder
    if not index.exists():  # this test may be the first one of its process
        warm.wait_finished(warm.ingest(warm.talks(1)))
    away = index.with_name("away")
    index.rename(away)
    index.write_text("in the way")
    try:
        ids = warm.ingest(warm.talks(1))
        failed = warm.wait_finished(ids)[ids[0]]
    finally:
        index.unlink()
        away.rename(index)
    assert (failed.state, failed.stage) == ("failed", "publish"), failed
    before = warm.files_of(ids[0])
    warm.kb("retry", "--failed")
    assert warm.wait_finished(ids)[ids[0]].state == "done"
    after = warm.files_of(ids[0])
    unchanged = [name for name in before if not name.endswith(".json")]
    unchanged += [name for name in before if name.endswith(".transcript.json")]
    assert len(unchanged) == 3
    assert {name: after[name] for name in unchanged} == {name: before[name] for name in unchanged}
    passages = warm.passages()
    assert len(set(passages)) == len(passages)


def test_again_replaces_and_doubles_nothing(warm: Warm) -> None:
    _ = warm.worker
    paths = warm.talks(1)
    (item_id,) = warm.ingest(paths)
    warm.wait_finished([item_id])
    before, held = warm.files_of(item_id), sorted(warm.passages())
    assert warm.ingest(paths) == []
    assert warm.ingest(paths, again=True, preset="optimiert") == [item_id]
    assert warm.wait_finished([item_id])[item_id].state == "done"
    after = warm.files_of(item_id)
    (exact,) = [name for name in before if name.endswith(".transcript.json")]
    assert after[exact] > before[exact]
    assert warm.service.items.transcript(item_id).preset == "optimiert"
    assert sorted(warm.passages()) == held


def test_a_killed_command_changes_nothing(warm: Warm) -> None:
    _ = warm.worker
    files = warm.talks(2, 60)
    before = set(warm.states())
    face = subprocess.Popen(
        [sys.executable, "-m", "kb.cli", "ingest", *map(str, files), "--wait"],
        env=warm.environment(), cwd=PROJECT_ROOT,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    warm.wait(lambda: len(set(warm.states()) - before) == 2, "two queued items")
    ids = sorted(set(warm.states()) - before)
    face.kill()
    face.wait()
    assert {s.state for s in warm.wait_finished(ids).values()} == {"done"}


def test_a_second_worker_of_the_same_name_is_refused(warm: Warm) -> None:
    first = warm.worker
    refused = warm.kb("worker", check=2)
    holder = f" (process {first.pid}"
    assert sentence("worker.running", name="one", holder=holder).rstrip(".") in refused.stderr
    assert "KB_EXECUTOR_ID" in refused.stderr
    assert first.is_running()


def test_a_locked_database_only_delays(warm: Warm) -> None:
    _ = warm.worker
    ids = warm.ingest(warm.talks(2))
    other = sqlite3.connect(warm.home / "kb.sqlite", isolation_level=None, timeout=30)
    other.execute("BEGIN EXCLUSIVE")
    time.sleep(4)
    other.execute("COMMIT")
    other.close()
    assert {s.state for s in warm.wait_finished(ids).values()} == {"done"}


def test_an_item_goes_on_when_its_inference_process_is_killed(warm: Warm) -> None:
    worker = warm.worker
    item_id = warm.begin_long()
    host = warm.inference_process_of(worker)
    assert host is not None
    host.kill()
    assert warm.wait_finished([item_id])[item_id].state == "done"
    assert worker.is_running()
    assert warm.deaths(item_id) == 0  # the item is done, so its deaths are reset


@pytest.mark.skipif(sys.platform == "win32", reason="open files cannot be moved there")
def test_a_library_that_moves_away_and_comes_back(warm: Warm) -> None:
    _ = warm.worker
    item_id = warm.begin_long()
    away = warm.home.with_name("away")
    warm.home.rename(away)
    time.sleep(3)
    assert not warm.home.exists()  # no empty library was created in its place
    away.rename(warm.home)
    warm.wait(lambda: warm.states([item_id])[item_id].state in ("done", "waiting"), "its end")
    warm.jobs.resume()
    warm.jobs.retry([item_id])
    assert warm.wait_finished([item_id])[item_id].state == "done"


@pytest.mark.long
def test_a_stopped_worker_releases_its_item_and_the_next_goes_on(warm: Warm) -> None:
    worker = warm.worker
    item_id = warm.begin_long()
    warm.kb("worker", "--stop")
    warm._reap(worker)
    assert not worker.is_running()
    assert warm.states([item_id])[item_id].state == "queued"
    assert warm.jobs.workers() == [] and warm.leftovers() == []
    assert len(warm.files_of(item_id)) == 2
    worker = warm.start()
    warm.wait(lambda: warm.running(item_id), "the item")
    warm.stop(worker)  # SIGTERM this time
    assert warm._popen[-1].returncode == 0
    _ = warm.worker
    done = warm.wait_finished([item_id])[item_id]
    assert (done.state, done.attempts) == ("done", 0)


@pytest.mark.long
def test_status_is_right_when_the_worker_is_dead(warm: Warm) -> None:
    worker = warm.worker
    item_id = warm.begin_long()
    host = warm.inference_process_of(worker)
    warm.kill(worker)
    document = json.loads(warm.kb("status", "--json").stdout)
    (shown,) = [item for item in document["items"] if item["id"] == item_id]
    assert shown["state"] == "queued"
    assert document["counts"]["running"] == 0
    assert document["counts"]["queued"] == 1
    assert host is not None
    warm.wait(lambda: not host.is_running(), "its end")  # an inference process ends with its worker
    # A worker with a different name takes over the items of the dead one.
    warm.start(name="two")
    done = warm.wait_finished([item_id])[item_id]
    assert (done.state, done.attempts) == ("done", 0)
    assert warm.leftovers() == []
    warm.kill_all()


@pytest.mark.long
def test_an_item_that_crashes_the_process_fails_after_three_crashes(warm: Warm) -> None:
    worker = warm.worker
    item_id = warm.begin_long(2 * LONG_WORDS)
    killed: list[psutil.Process | None] = [None]

    def in_another_life() -> bool:
        return warm.running(item_id) and warm.inference_process_of(worker) not in killed

    for death in range(3):
        warm.wait(in_another_life, "the item in another life")
        host = warm.inference_process_of(worker)
        assert host is not None, death
        host.kill()
        killed.append(host)
        warm.wait(lambda n=death: warm.deaths(item_id) > n, "a death")
    failed = warm.wait_finished([item_id])[item_id]
    assert failed.state == "failed"
    assert "died 3 times" in failed.error and "kb retry" in failed.hint
    others = warm.ingest(warm.talks(1))
    assert {s.state for s in warm.wait_finished(others).values()} == {"done"}
    # A retry by hand resets the number of crashes.
    assert warm.jobs.retry([item_id]) == [item_id]
    assert warm.deaths(item_id) == 0
    warm.jobs.cancel([item_id])


@pytest.mark.skipif(sys.platform == "win32", reason="sessions are of POSIX")
def test_a_detached_worker_survives_its_terminal(warm: Warm) -> None:
    warm.kill_all()
    # A shell in a separate session, like a terminal window; closing it signals all its processes.
    command = [sys.executable, "-m", "kb.cli", "worker", "--detach"]
    shell = subprocess.Popen(
        command, env=warm.environment(), cwd=PROJECT_ROOT, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    terminal = os.getsid(shell.pid)
    _, errors = shell.communicate(timeout=WAIT_S)
    assert shell.returncode == 0, errors
    warm.wait(warm.jobs.workers, "its heartbeat")
    (alive,) = warm.jobs.local_workers()
    worker = warm.track(alive.pid)
    assert os.getsid(worker.pid) not in (terminal, os.getsid(0))
    with pytest.raises(ProcessLookupError):  # no process of the terminal is left
        os.killpg(terminal, signal.SIGHUP)
    ids = warm.ingest(warm.talks(1))
    assert {s.state for s in warm.wait_finished(ids).values()} == {"done"}
    assert "running already" in warm.kb("worker", "--detach").stderr
    warm.kb("worker", "--stop")
    assert warm.jobs.workers() == []
