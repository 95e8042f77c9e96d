"""The limits of a run hold for the steps that follow an ingest: all its items count together."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb.cli import run
from kb.jobs.worker.enrich_steps import EnrichSteps
from kb.service import Service
from kb.settings import get_settings
from tests.enrich.test_notes import answer_to
from tests.fakes.chat import KEY, ChatServer
from tests.support.inline_worker import InlineWorker
from tests.support.tones import tone


@pytest.mark.slow
def test_an_ingest_stays_within_the_limit_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        (tmp_path / f"talk {number}.wav").write_bytes(tone(2, number))
    # The first answer does not say what it used: its reservation stays booked.
    with ChatServer(answer_to, ["no_usage"]) as server:
        for name, value in {
            "KB_HOME": str(tmp_path / "library"), "KB_MODEL": "demo", "KB_LLM_URL": server.url,
            "KB_LLM_MODEL": "tiny", "KB_LLM_KEY": KEY, "KB_HOLD_BELOW": "0",
            # There is room for one reservation.
            "KB_LLM_TOKEN_CAPS": "run=9000", "KB_STEPS": "highlights",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        paths = [str(path) for path in sorted(tmp_path.glob("*.wav"))]
        assert run(["ingest", *paths]) == 0
        worker = InlineWorker(get_settings())
        assert worker.work() == 2
        service = Service()
        ids = [entry.item.id for entry in service.items.listing().entries]
        rows = {i: row for i, (row,) in service.queue.steps.for_items(ids).items()}
        assert len({row.options["run"] for row in rows.values()}) == 1 and len(rows) == 2
        ended = {
            item_id: EnrichSteps(worker.context, row.step, item_id, row.serial).run()
            for item_id, row in rows.items()
        }
        worker.close()
        assert sorted(ended.values()) == ["done", "failed"]
        assert len(server.asked) == 1
        refused = next(item_id for item_id, status in ended.items() if status == "failed")
        ((step,),) = [each.steps for each in service.items.statuses(ids=[refused])]
        assert step.problem is not None and step.problem["code"] == "llm.cap"
        # Each item is done, and the summary says what was refused and why.
        capsys.readouterr()
        assert run(["status", refused]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "limit of a run" in said and "Nothing was sent" in said
        # A later request is a run of its own.
        report = service.enrichment.run([refused], ["highlights"])
        assert report.queued
        service.close()
    get_settings.cache_clear()
