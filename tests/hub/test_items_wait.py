"""Items whose model has trouble on its way: all are done without a hand, with the right words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.hub import LISTING, FakeHub, Fault
from tests.support.hub_cache import demo_files
from tests.support.workers import Lab, write_talks

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

STAYS = "some/stays"  # the hub is unwell until it is healed
PASSES = "some/passes"


def test_items_wait_for_their_model_and_go_on(tmp_path: Path) -> None:
    (first, second, third) = write_talks(tmp_path / "talks", 3)
    with FakeHub({STAYS: demo_files(), PASSES: demo_files()}) as hub:
        hub.faults["tokenizer.json"] = [Fault(status=500)]
        hub.faults["model.safetensors"] = [Fault(flip=100_000), Fault(cut=1_000_000)]
        hub.faults["config.json"] = [Fault(status=503)]
        environment = {
            "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0", "HF_TOKEN": "", "XDG_STATE_HOME": str(tmp_path / "state"),
            "KB_IN_FLIGHT": "1",  # an item that waits for its model uses no slot
        }  # fmt: skip
        with Lab(tmp_path, **environment) as lab:
            worker = lab.start()
            (passes,) = lab.ingest([first], model=PASSES)
            lab.wait(lambda: lab.states([passes])[passes].state == "done", "the first item")
            hub.always[LISTING] = Fault(status=503)
            (stays,) = lab.ingest([second], model=STAYS)
            lab.wait(lambda: lab.states([stays])[stays].stage == "model", "the fetch")
            (other,) = lab.ingest([third], model="demo")
            lab.wait(lambda: lab.states([other])[other].state == "done", "another model")
            # Queued for a moment, whenever its fetch is tried again.
            assert lab.states([stays])[stays].state in ("queued", "running", "waiting")
            hub.heal()
            lab.wait(lambda: lab.states([stays])[stays].state == "done", "the healed item")
            words = lab.words()
            assert all(words.values()) and not any(
                "<|" in word for row in words.values() for word, _ in row
            )
            blobs = [*(tmp_path / "hf").rglob("*.incomplete")]
            assert blobs == []
            assert worker.is_running()
