"""The log of who did what."""

from __future__ import annotations

import json
import stat
import sys
import threading
from pathlib import Path

import pytest

from kb.cli.main import run
from kb.library.audit import AuditLog
from kb.options import RunOptions
from kb.service import Service
from kb.settings import get_settings
from tests.support.hostile import EVIL, problems
from tests.support.library_pages import HARBOUR, add_item


def test_every_action_is_recorded_with_its_person(capsys: pytest.CaptureFixture[str]) -> None:
    item = add_item(covered_s=20.0)
    service = Service(who="ann@example.org")
    service.queue.send(item, ["odin"])
    service.queue.cancel_publications([item])
    transcript = service.items.transcript(item)
    service.revisions.edit(item, 0, f"{transcript.segments[0].text} more")
    service.review.accept(item)
    (queued,) = service.ingest.run([str(HARBOUR)], RunOptions(again=True)).enqueued
    service.queue.pause([queued])
    service.queue.resume([queued])
    service.queue.cancel([queued])
    service.queue.retry([queued])
    service.queue.pause()
    service.close()
    lines = AuditLog(get_settings().home, "").read()
    assert {line["who"] for line in lines} == {"ann@example.org"}
    done = [line["what"] for line in lines]
    assert [each for each in done if each != "publish"] == [
        "correct", "accept", "ingest", "pause", "resume", "cancel", "retry", "pause the queue",
    ]  # fmt: skip
    assert "publish" in done
    assert lines[-2]["items"] == [queued]
    capsys.readouterr()
    assert run(["audit", "--limit", "3", "--json"]) == 0
    assert [line["what"] for line in json.loads(capsys.readouterr().out)] == done[-3:]


def test_lines_are_only_appended_whole_and_private(tmp_path: Path) -> None:
    def append(name: str) -> None:
        for _ in range(50):
            AuditLog(tmp_path, name).record("x")

    threads = [threading.Thread(target=append, args=(f"person {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log = AuditLog(tmp_path, "")
    assert len(log.read()) == 200
    assert len(log.read(7)) == 7
    if sys.platform != "win32":
        assert stat.S_IMODE(log.path.stat().st_mode) & 0o077 == 0


def test_hostile_and_damaged_lines_are_shown_safely(capsys: pytest.CaptureFixture[str]) -> None:
    home = get_settings().home
    home.mkdir(parents=True)
    log = AuditLog(home, EVIL)
    log.record("upload", ["a\ud83d"] * 80, name=EVIL)
    with log.path.open("ab") as file:
        file.write(b"\xff\x1b[2J no json\n{\n[1]\n\n")
    assert run(["audit"]) == 0
    printed = capsys.readouterr()
    assert problems(printed.out) == []
    assert "no json" in printed.out
    assert log.read()[0]["count"] == 80
    assert len(log.read()[0]["items"]) == 50


def test_a_missing_library_or_an_unwritable_log_stops_no_action(tmp_path: Path) -> None:
    AuditLog(tmp_path / "unplugged", "x").record("ingest")
    assert not (tmp_path / "unplugged").exists()
    (tmp_path / "logs").write_text("a file in the way")
    AuditLog(tmp_path, "x").record("ingest")
    assert AuditLog(tmp_path, "x").read() == []
    assert (tmp_path / "logs").is_file()
