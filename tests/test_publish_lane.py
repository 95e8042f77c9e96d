"""Remote publishing beside the items: a worker, real audio, and an ODIN on loopback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes.odin import KEY, SECRET, FakeOdin

from kb.settings import Settings
from tests.workers import Lab, speech

pytestmark = pytest.mark.slow


def environment(odin: FakeOdin, **more: Any) -> dict[str, str]:
    """The service's settings by their names in the environment."""
    known = Settings.model_fields
    given = odin.settings(**more).items()
    return {str(known[n].alias) if n in known else n: str(v) for n, v in given}


def state_of(lab: Lab, item_id: str) -> str:
    """What is noted beside the medium of its place in the project."""
    entry = lab.library.find(item_id)
    record = entry.published.get("odin") if entry else None
    return str(record.get("status")) if isinstance(record, dict) else "nothing"


def test_items_are_published_as_they_are_finished(tmp_path: Path) -> None:
    with FakeOdin(tmp_path / "odin") as odin, Lab(tmp_path / "lab", **environment(odin)) as lab:
        paths = [str(path) for path in speech(tmp_path / "talks", 3)]
        done = lab.kb("ingest", *paths, "--to", "local,odin", "--wait", "--json")
        ids = json.loads(done.stdout)["enqueued"]
        lab.wait(lambda: all(state_of(lab, i) == "synced" for i in ids), "three documents")
        assert len(odin.held()) == 3


def test_wrong_credentials_stop_the_lane_once_and_nothing_else(tmp_path: Path) -> None:
    wrong = "".join(("not", "-", "the", "-", "secret"))
    with FakeOdin(tmp_path / "odin") as odin:
        values = {**environment(odin), "API_SECRET": wrong}
        with Lab(tmp_path / "lab", **values) as lab:
            lab.start()
            paths = [str(path) for path in speech(tmp_path / "talks", 4)]
            done = lab.kb("ingest", *paths, "--to", "local,odin", "--wait", "--json")
            report = json.loads(done.stdout)
            # Transcription goes on, whatever the remote says.
            assert {item["state"] for item in report["items"]} == {"done"}
            ids = report["enqueued"]
            lab.wait(lambda: all(state_of(lab, i) == "waiting" for i in ids), "the lane's rest")
            (lane,) = lab.jobs.lanes()
            assert lane.name == "publish:odin"
            said = lab.kb("status").stdout
            assert "publish:odin lane is paused" in " ".join(said.split())
            log = lab.log_file.read_text(encoding="utf-8")
            assert log.count("ERROR") == 1, log
            assert odin.held() == {}
            for text in (log, said, done.stdout, done.stderr):
                assert wrong not in text
                assert KEY not in text
            # Mended, the same items are sent without being transcribed again.
            files = {p: p.stat().st_mtime_ns for p in lab.home.glob("media/*.transcript.json")}
            lab.kill_all()
            lab.values["API_SECRET"] = SECRET
            lab.kb("resume")
            lab.start()
            lab.wait(lambda: all(state_of(lab, i) == "synced" for i in ids), "four documents")
            assert len(odin.held()) == 4
            assert {p: p.stat().st_mtime_ns for p in files} == files
