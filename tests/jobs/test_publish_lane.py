"""Remote publishing beside the items: a worker, real audio, and an ODIN on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes.odin import KEY, SECRET, FakeOdin
from tests.support.publish_lane import add_items, at_odin, environment
from tests.support.workers import Lab, write_talks

pytestmark = pytest.mark.slow


def state_of(lab: Lab, item_id: str) -> str:
    """Return the state at ODIN that is recorded in the metadata file beside the medium."""
    entry = lab.library.find(item_id)
    record = entry.published.get("odin") if entry else None
    return str(record.get("status")) if isinstance(record, dict) else "nothing"


def test_a_waiting_publication_is_taken_up_by_another_worker(tmp_path: Path) -> None:
    """One worker sends it and ends; a worker with a different name sees that it is indexed."""
    with (
        FakeOdin(tmp_path / "odin", index_s=3600) as odin,
        Lab(tmp_path / "lab", **environment(odin)) as lab,
    ):
        ids = add_items(lab, 3)
        first = lab.start(name="one")
        for item_id in ids:
            lab.jobs.send(item_id, ["odin"])
        lab.wait(lambda: all(at_odin(lab, i).get("status") == "syncing" for i in ids), "three sent")
        lab.stop(first)
        odin.finish_indexing()
        lab.start(name="two")
        lab.jobs.resume()  # without waiting for the next poll
        lab.wait(lambda: all(at_odin(lab, i).get("status") == "synced" for i in ids), "three sent")
        assert {state_of(lab, i) for i in ids} == {"synced"}
        assert {at_odin(lab, i)["status"] for i in ids} == {"synced"}
        assert len(odin.indexed()) == 3 == odin.count("POST", "/add/file")


def test_a_failed_publication_is_shown_and_tried_again_alone(tmp_path: Path) -> None:
    with FakeOdin(tmp_path / "odin") as odin, Lab(tmp_path / "lab", **environment(odin)) as lab:
        refused, held = add_items(lab, 2)
        lab.library.amend(held, {"state": "held", "error": "20 s are doubtful"})
        odin.queue_faults("422")
        lab.start()
        for item_id in (refused, held):
            lab.jobs.send(item_id, ["odin"])
        lab.wait(lambda: at_odin(lab, refused).get("status") == "failed", "a refusal")
        lab.wait(lambda: at_odin(lab, held).get("status") == "held", "a held item")
        said = at_odin(lab, refused)
        assert "422" in said["error"] and said["hint"] and said["attempts"] == 1
        shown = lab.kb("status").stdout
        assert "odin failed" in " ".join(shown.split()) and "422" in shown
        files = {p: p.stat().st_mtime_ns for p in lab.home.glob("media/*.transcript.json")}
        assert lab.kb("retry", "--failed").stderr.count(refused) == 1
        lab.wait(lambda: at_odin(lab, refused)["status"] == "synced", "the document")
        assert at_odin(lab, refused)["error"] == "" and len(odin.indexed()) == 1
        assert {p: p.stat().st_mtime_ns for p in files} == files
        # A retry does not release a held item; only a person does.
        assert lab.jobs.retry_failed() == [] == lab.jobs.retry([held])


def test_items_are_published_as_they_are_finished(tmp_path: Path) -> None:
    with FakeOdin(tmp_path / "odin") as odin, Lab(tmp_path / "lab", **environment(odin)) as lab:
        paths = [str(path) for path in write_talks(tmp_path / "talks", 3)]
        meta = ("--meta", "team=research", "--meta", "case=A 7")
        done = lab.kb("ingest", *paths, "--to", "local,odin", *meta, "--wait", "--json")
        ids = json.loads(done.stdout)["enqueued"]
        lab.wait(lambda: all(at_odin(lab, i).get("status") == "synced" for i in ids), "three sent")
        assert {state_of(lab, i) for i in ids} == {"synced"}
        assert len(odin.indexed()) == 3
        sent = [json.loads(row["metadata"]) for row in odin.documents().values()]
        assert {(m["team"], m["case"]) for m in sent} == {("research", "A 7")}
        # After a publication by hand and after a change, the analyst's fields are still present.
        assert lab.service.publisher.publish("odin", ids).ok
        assert odin.count("POST", "/add/file") == 3
        (entry, *_) = lab.library.entries()
        lab.service.revisions.edit(entry.item.id, 0, "other words")
        assert lab.service.publisher.publish("odin", ids).ok
        sent = [json.loads(row["metadata"]) for row in odin.documents().values()]
        assert len(sent) == 3 and {m["team"] for m in sent} == {"research"}
        assert any(b"other words" in content for content in odin.indexed().values())


def test_wrong_credentials_pause_the_lane_once_and_nothing_else(tmp_path: Path) -> None:
    wrong = "".join(("not", "-", "the", "-", "secret"))
    with FakeOdin(tmp_path / "odin") as odin:
        values = {**environment(odin), "API_SECRET": wrong}
        with Lab(tmp_path / "lab", **values) as lab:
            lab.start()
            paths = [str(path) for path in write_talks(tmp_path / "talks", 4)]
            done = lab.kb("ingest", *paths, "--to", "local,odin", "--wait", "--json")
            report = json.loads(done.stdout)
            # Transcription continues in spite of the refusal.
            assert {item["state"] for item in report["items"]} == {"done"}
            ids = report["enqueued"]
            lab.wait(lambda: all(state_of(lab, i) == "waiting" for i in ids), "the lane's rest")
            (lane,) = lab.jobs.lanes()
            assert lane.name == "publish:odin"
            said = lab.kb("status").stdout
            assert "publish:odin lane is paused" in " ".join(said.split())
            log = lab.log_file.read_text(encoding="utf-8")
            assert log.count("ERROR") == 1, log
            assert odin.indexed() == {}
            for text in (log, said, done.stdout, done.stderr):
                assert wrong not in text
                assert KEY not in text
            # With correct credentials, the items are sent without a second transcription.
            files = {p: p.stat().st_mtime_ns for p in lab.home.glob("media/*.transcript.json")}
            lab.kill_all()
            lab.values["API_SECRET"] = SECRET
            lab.kb("resume")
            lab.start()
            lab.wait(lambda: all(state_of(lab, i) == "synced" for i in ids), "four documents")
            assert len(odin.indexed()) == 4
            assert {p: p.stat().st_mtime_ns for p in files} == files
