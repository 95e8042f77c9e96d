"""Tasks of the page: real processes, their records, and the state after a kill."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from kb.errors import UsageError
from kb.service import tasks
from kb.settings import Settings, get_settings
from tests.fakes.odin import KEY, SECRET, FakeOdin
from tests.support.library_pages import add_item
from tests.support.raising import check, raises

PATIENCE_S = 240.0


@pytest.fixture
def odin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOdin]:
    """Run a fake ODIN, and set it in the settings of this process and its children."""
    with FakeOdin(tmp_path / "odin") as fake:
        for name, value in fake.settings().items():
            monkeypatch.setenv(str(Settings.model_fields[name].alias), str(value))
        monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
        monkeypatch.setenv("KB_MODEL", "demo")
        get_settings.cache_clear()
        yield fake
        get_settings.cache_clear()


def finished(name: str) -> tasks.Task:
    """Wait until a task has ended; return it."""
    found = wait_for(name, lambda task: not task.running)
    assert found.state == "done", found
    return found


def wait_for(name: str, condition: Callable[[tasks.Task], bool]) -> tasks.Task:
    ends = time.monotonic() + PATIENCE_S
    while True:
        task = tasks.read(get_settings(), name)
        if task is not None and condition(task):
            return task
        assert time.monotonic() < ends, task
        time.sleep(0.1)


@pytest.mark.slow
def test_compare_sync_and_ask_as_processes_of_their_own(odin: FakeOdin) -> None:
    item_id = add_item()
    settings = get_settings()
    tasks.start(settings, "check")
    tasks.start(settings, "plan")
    assert finished("check").result["project"] == "Test project"
    plan = finished("plan").result
    assert [(s["kind"], s["item_id"]) for s in plan["steps"]] == [("missing", item_id)]
    tasks.start(settings, "sync", {"prune": False})
    done = finished("sync")
    assert done.result == {"done": [item_id], "waiting": [], "failed": {}}
    assert (done.done, done.total) == (1, 1)
    tasks.start(settings, "ask", {"question": "granite castle"})
    sources = finished("ask").result["sources"]
    assert any(source["item_id"] == item_id and source["start_s"] for source in sources)
    for path in (settings.home / ".tasks").iterdir():
        assert KEY not in path.read_text()
        assert SECRET not in path.read_text()


@pytest.mark.slow
def test_one_of_a_name_at_a_time_stopped_or_killed_it_can_begin_again(
    odin: FakeOdin, tmp_path: Path
) -> None:
    settings = get_settings()
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "one.txt").write_text("words")
    odin.index_s = 600.0
    tasks.start(settings, "upload", {"folder": str(folder)})
    with raises(UsageError, "task.running"):
        tasks.start(settings, "upload", {"folder": str(folder)})
    pid = wait_for("upload", lambda task: task.pid > 0).pid
    tasks.stop(settings, "upload")
    wait_for("upload", lambda task: task.state == "stopped")
    ended(pid)

    tasks.start(settings, "upload", {"folder": str(folder)})
    pid = wait_for("upload", lambda task: task.pid > 0).pid
    psutil.Process(pid).kill()
    lost = wait_for("upload", lambda task: task.state == "lost")
    assert lost.hint
    ended(pid)

    odin.finish_indexing()
    odin.index_s = 0.0
    tasks.start(settings, "upload", {"folder": str(folder)})
    (file,) = finished("upload").result["files"]
    assert (file["status"], file["error"]) == ("synced", "")


@pytest.mark.slow
def test_files_of_a_browser_are_sent_and_a_missing_one_is_said(odin: FakeOdin) -> None:
    settings = get_settings()
    upload_id = "0" * 31 + "a"
    folder = settings.home / "uploads" / upload_id
    folder.mkdir(parents=True)
    (folder / "one.txt").write_text("words")
    odin.index_s = 0.0
    tasks.start(settings, "upload", {"uploads": [upload_id], "folder": ""})
    (file,) = finished("upload").result["files"]
    assert (file["status"], Path(file["path"]).name) == ("synced", "one.txt")
    before = odin.count("POST", "/add/file")
    tasks.start(settings, "upload", {"uploads": [upload_id, "b" * 32], "folder": ""})
    failed = wait_for("upload", lambda task: task.state == "failed")
    assert failed.problem is not None and failed.problem["code"] == "upload.gone"
    assert str(settings.home) not in f"{failed.error} {failed.hint}"
    assert odin.count("POST", "/add/file") == before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a process has no SIGTERM there")
def test_a_stop_ends_the_program_that_a_task_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # an index that never answers
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        for name in ("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"):
            monkeypatch.setenv(name, index)
        monkeypatch.setenv("KB_STEP_MODELS", str(tmp_path / "steps"))
        monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
        get_settings.cache_clear()
        settings = get_settings()
        tasks.start(settings, "add_part", {"name": "speakers"})
        task = wait_for("add_part", lambda task: bool(task.pid))
        silent.settimeout(PATIENCE_S)
        with silent.accept()[0]:
            (program,) = psutil.Process(task.pid).children()
            tasks.stop(settings, "add_part")
            ended(task.pid)
            ended(program.pid)
    get_settings.cache_clear()


def ended(pid: int) -> None:
    ends = time.monotonic() + PATIENCE_S
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.mark.slow
def test_what_goes_wrong_is_told_with_the_next_step(
    odin: FakeOdin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = get_settings()
    tasks.start(settings, "upload", {"folder": str(tmp_path / "nowhere")})
    monkeypatch.setenv("API_SECRET", "wrong-secret")
    tasks.start(settings, "check")
    refused = wait_for("check", lambda task: not task.running)
    assert refused.state == "failed"
    check(refused.problem, "odin.credentials_refused")
    assert refused.hint
    assert "wrong-secret" not in f"{refused.error} {refused.hint}"
    missing = wait_for("upload", lambda task: not task.running)
    check(missing.problem, "upload.no_path", path=tmp_path / "nowhere")
    assert missing.hint


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before it reads its record", "after it has read its record"])
def test_a_task_stopped_while_its_process_starts_stays_stopped(
    odin: FakeOdin, tmp_path: Path, moment: str
) -> None:
    settings = get_settings()
    (tmp_path / "one.txt").write_text("words")
    now = time.time()
    request = {"folder": str(tmp_path / "one.txt")}
    tasks._write(
        settings, tasks.Task("upload", request, "running", now, now, host=socket.gethostname())
    )
    if moment.startswith("before"):
        tasks.stop(settings, "upload")
        assert tasks.run(settings, "upload") == 0
    else:
        process = tasks._TaskRun(settings, "upload")
        tasks.stop(settings, "upload")
        with pytest.raises(tasks._NotOurs):
            process.execute()
    assert wait_for("upload", lambda task: True).state == "stopped"
    assert not odin.documents()
    tasks.start(settings, "upload", request)
    assert finished("upload").result["files"]


@pytest.mark.parametrize("later", ["stopped", "started again"])
def test_the_process_of_an_ended_task_never_writes_into_the_record(
    tmp_path: Path, later: str
) -> None:
    settings = Settings(KB_HOME=tmp_path)
    first = tasks.Task("plan", {}, "running", 1.0, time.time(), host=socket.gethostname())
    tasks._write(settings, first)
    process = tasks._TaskRun(settings, "plan")
    process._record()
    changed = {"state": "stopped"} if later == "stopped" else {"started_at": 2.0, "pid": 0}
    tasks._write(settings, replace(first, **changed))
    for write in (
        lambda: process._progress(1, 1), process._record, lambda: process._record(state="done"),
    ):  # fmt: skip
        with pytest.raises(tasks._NotOurs):
            write()
    assert tasks.storage.read_json(tasks._file(settings, "plan")) == asdict(
        replace(first, **changed)
    )


def test_a_task_that_never_began_counts_as_lost_after_its_time(tmp_path: Path) -> None:
    settings = Settings(KB_HOME=tmp_path)
    long_ago = time.time() - 2 * tasks.START_TIMEOUT_S
    task = tasks.Task("plan", {}, "running", long_ago, long_ago, host=socket.gethostname())
    tasks._write(settings, task)
    found = tasks.read(settings, "plan")
    assert found is not None
    assert found.state == "lost"
    with raises(UsageError, "task.unknown", name="format_disk"):
        tasks.start(settings, "format_disk")
