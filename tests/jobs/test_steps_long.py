"""Steps after the words in real workers: waited for, continued after a kill, made again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kb.enrich.speakers import weights
from kb.settings import get_settings
from tests.support.voices import VOICES, TrueTurn, require_weights, true_turns
from tests.support.workers import Lab, write_talks

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the speaker model that `make setup` has brought."""
    monkeypatch.delenv("KB_STEP_MODELS")
    get_settings.cache_clear()
    return require_weights().parent


def share_of(name: str, turns: list[TrueTurn], spans: list[tuple[float, float, str]]) -> float:
    """Return the share of a speaker's time in the turns of one voice, the best one."""
    own = [(a, b) for a, b, label in spans if label == name]
    total = sum(b - a for a, b in own)
    voices = {turn.voice for turn in turns}
    return max(
        sum(
            max(0.0, min(b, turn.end_s) - max(a, turn.start_s))
            for a, b in own
            for turn in turns
            if turn.voice == voice
        )
        / total
        for voice in voices
    )


def test_who_speaks_is_known_after_the_words(tmp_path: Path, models: Path) -> None:
    medium = Path(shutil.copy(VOICES / "flite2.opus", tmp_path / "panel.opus"))
    with Lab(tmp_path / "lab", KB_STEPS="auto", KB_STEP_MODELS=str(models)) as lab:
        worker = lab.start()
        asked = lab.kb("ingest", str(medium), "--to", "local,folder", "--json")
        (item_id,) = json.loads(asked.stdout)["enqueued"]

        def step() -> str:
            rows = lab.jobs.steps.for_items([item_id]).get(item_id, ())
            return rows[0].status if rows else ""

        # Killed as soon as the step is under way, or has just ended.
        lab.wait(lambda: step() in ("running", "done"), "the step at work")
        row = lab.jobs.items.read(item_id)
        assert row is not None and row.state in ("running", "done")
        lab.kill(worker)
        lab.kb("ingest", str(medium), "--wait")  # it waits for the steps of what is there, too
        status = json.loads(lab.kb("status", "--json").stdout)["items"][0]
        assert status["state"] == "done"
        assert [(each["step"], each["status"]) for each in status["steps"]] == [
            ("speakers", "done")
        ]
        (document,) = lab.home.glob("extras/*/speakers.json")
        assert json.loads(document.read_text("utf-8"))["speakers"] == ["Speaker 1", "Speaker 2"]

        # Its document was written once, after the step.
        lab.wait(lambda: list(lab.home.glob("markdown/**/*.md")) != [], "the document")
        (sent,) = lab.home.glob("markdown/**/*.md")
        assert sent.stat().st_mtime_ns >= document.stat().st_mtime_ns

        spans = [
            (float(fields[3]), float(fields[3]) + float(fields[4]), fields[7])
            for fields in map(
                str.split, lab.kb("export", item_id, "--format", "rttm").stdout.splitlines()
            )
        ]
        for name in ("Speaker_1", "Speaker_2"):
            assert share_of(name, true_turns("flite2"), spans) > 0.9

        # Made again with a hint, and kept when nothing has changed.
        lab.kb("enrich", item_id, "--speakers", "1", "--wait")
        assert json.loads(document.read_text("utf-8"))["speakers"] == ["Speaker 1"]
        again = json.loads(lab.kb("enrich", "--all", "--json").stdout)
        assert again["queued"] == [] and ["speakers", item_id] in again["current"]


def test_a_machine_without_the_model_says_so(tmp_path: Path) -> None:
    """The item is done; what is named is skipped with the command, what is automatic is not."""
    (medium,) = write_talks(tmp_path, 1, words=4)
    with Lab(tmp_path / "lab", KB_STEPS="speakers", KB_STEP_MODELS=str(tmp_path)) as lab:
        said = lab.kb("ingest", str(medium), "--wait")
        assert "kb models add speakers" in said.stdout
        status = json.loads(lab.kb("status", "--json").stdout)["items"][0]
        assert (status["state"], status["steps"][0]["status"]) == ("done", "skipped")
        assert status["steps"][0]["problem"]["code"] == weights.missing().code
        doctor = lab.kb("doctor", check=None, KB_STEPS="auto").stdout
        assert "kb models add speakers" in " ".join(doctor.split())
