"""Items that wait because a machine lacks an engine or a model: which machines lack and have it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from kb.asr.engines.model_lookup import DEMO_FOLDER
from kb.cli.output.items import need_line
from kb.database import items, workers
from kb.enrich.speakers import weights
from kb.jobs.queue import heartbeat, machine_needs
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.machine_needs import OF_THIS_MACHINE, Need, UnmetNeed, need_of, unmet_needs
from kb.jobs.queue.request_settings import ASKED
from kb.jobs.worker import enrich_steps
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.serving import answer
from tests.jobs.test_steps import ITEM, carry_out, finished, request, row_of
from tests.support.items import item
from tests.support.machines import machines_of
from tests.support.postgres import database_url, server
from tests.support.queue_store import Queue
from tests.support.workers import write_talks

__all__ = ["database_url", "server"]

GONE = "/models/of another machine"


@pytest.mark.parametrize(
    ("need", "seen", "expected"),
    [
        (Need("", "demo", "model.unknown"), None, ""),
        (Need("", GONE, "model.unknown"), None, "model.unknown"),
        (Need("whisper", "demo", "engine.not_installed"), None, ""),
        (Need("whisper", GONE, "engine.not_installed"), None, "model.unknown"),
        (Need("of tomorrow", "demo", "engine.unknown"), None, "engine.unknown"),
        (Need("of tomorrow", "", "engine.unknown"), None, "engine.unknown"),
        (Need("whisper", "", "engine.not_installed"), None, ""),
        # Nothing is known before it was tried.
        (Need("", "", "engine.not_installed"), None, None),
        (Need("", "of/unknown-model", "engine.not_installed"), None, None),
        *(
            (Need("whisper", "demo", code), seen, seen)
            for code in ("engine.no_cublas", "engine.no_compiler", "model.aligner_missing",
                         "models.other_aligner", "models.other_machine")
            for seen in (None, code)
        ),
        # It was installed since it was tried.
        (Need("", "demo", "model.unknown"), "model.unknown", ""),
    ],
)  # fmt: skip
def test_the_answer_of_a_machine(need: Need, seen: str | None, expected: str | None) -> None:
    assert need.code in OF_THIS_MACHINE
    assert answer(need, seen) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({ASKED: {"settings": {"engine": "a", "model": "b"}}, "model": "c"}, ("a", "b")),
        ({"engine": "a", "model": "c"}, ("a", "c")),  # of a version before
        ({ASKED: {"settings": {"engine": None, "model": "b"}}}, ("", "b")),
        ({ASKED: None}, ("", "")),
        ({}, ("", "")),
    ],
)
def test_the_need_of_a_request(options: Mapping[str, Any], expected: tuple[str, str]) -> None:
    found = need_of(options, "model.unknown")
    assert (found.engine, found.model) == expected


def sign_on(store: ItemStore, name: str, *, silent_s: float = 0.0, ended: bool = False) -> None:
    now = store.database.time()
    with store.database.begin() as connection:
        connection.execute(
            sa.insert(workers).values(
                executor_id=name, host="elsewhere", started_at=now - 60, seen_at=now - silent_s,
                ended_at=now if ended else None, facts={"python": "3.11"},
            )
        )  # fmt: skip


def wait_with(store: ItemStore, number: int, model: str, code: str, state: str = "waiting") -> str:
    (item_id,), _ = store.submit([item(number)], {"model": model}, Queue())
    with store.database.begin() as connection:
        change = sa.update(items).where(items.c.id == item_id)
        connection.execute(change.values(state=state, problem={"code": code, "values": {}}))
    return item_id


def test_machines_are_named_by_their_answers(store: ItemStore) -> None:
    assert unmet_needs(store.database) == []
    ids = [wait_with(store, number, GONE, "model.unknown") for number in (1, 2)]
    wait_with(store, 3, GONE, "model.unknown", state="queued")
    wait_with(store, 4, GONE, "download.refused")
    need = Need("", GONE, "model.unknown")
    found = unmet_needs(store.database)
    assert found == [UnmetNeed(need, 2, tuple(sorted(ids)), (), ())]
    for name, answers, more in (
        ("has", {need.key: ""}, {}),
        ("lacks", {need.key: "model.unknown"}, {}),
        ("lacks too", {need.key: "engine.not_installed"}, {}),
        ("says nothing", {}, {}),
        ("has another", {Need("", "demo", "model.unknown").key: ""}, {}),
        ("is gone", {need.key: ""}, {"silent_s": 60.0}),
        ("ended", {need.key: ""}, {"ended": True}),
    ):
        sign_on(store, name, **more)  # type: ignore[arg-type]
        machine_needs.record_answers(store.database, name, answers)
    (unmet,) = unmet_needs(store.database)
    assert (unmet.lacking, unmet.having) == (("lacks", "lacks too"), ("has",))
    assert need_line(unmet) == (
        f"Waiting for a machine with model {GONE}: 2. Missing on lacks, lacks too. Present on has."
    )
    machine_needs.record_answers(store.database, "has", {need.key: "model.unknown"})
    (unmet,) = unmet_needs(store.database)
    assert unmet.having == () and need_line(unmet).endswith(
        "No machine at work is known to have it."
    )
    (kept,) = [w for w in heartbeat.list_workers(store.database) if w.executor_id == "has"]
    with store.database.begin() as connection:
        own = sa.select(workers.c.facts).where(workers.c.executor_id == kept.executor_id)
        assert connection.scalar(own)["python"] == "3.11"  # its other facts stay


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ({}, ("skipped", ())),
        ({"has": ["speakers"]}, ("waiting", ("speakers",))),
        ({"lacks": []}, ("skipped", ())),
        ({"has another": ["of tomorrow"], "has": ["speakers"]}, ("waiting", ("speakers",))),
        ({"is gone": ["speakers"]}, ("skipped", ())),
        ({"me": ["speakers"]}, ("skipped", ())),  # its part was removed since
    ],
)
def test_a_step_follows_where_some_machine_has_its_parts(
    context: WorkerContext,
    monkeypatch: pytest.MonkeyPatch,
    others: Mapping[str, list[str]],
    expected: tuple[str, tuple[str, ...]],
) -> None:
    """This machine lacks the model; `auto` is the same for whichever machine takes an item."""
    monkeypatch.setattr(weights, "find", lambda: None)
    finished(context)
    for name, steps in others.items():
        if name != context.executor:
            sign_on(context.items, name, silent_s=60.0 if name == "is gone" else 0.0)
        machine_needs.record_answers(context.items.database, name, {}, steps)
    row = context.items.read(ITEM.id)
    assert row is not None
    assert enrich_steps.wanted(context, row) == expected[1]
    request(context)
    assert carry_out(context) == expected[0]
    found = row_of(context.steps)
    assert "kb models add speakers" in found.hint and found.attempts == 0
    assert (found.due_at is not None) == (expected[0] == "waiting")


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="mounts")
def test_a_machine_without_the_model_and_one_with_it(database_url: str, tmp_path: Path) -> None:
    with machines_of(database_url, tmp_path / "lab") as machines:
        lab = machines.lab
        folder = lab.folder / "models"
        shutil.copytree(DEMO_FOLDER, folder / "own")
        hidden = ("unshare", "--mount", "sh", "-c",
                  f"mount -t tmpfs tmpfs '{folder}' && exec \"$@\"", "sh")  # fmt: skip
        one = machines.start_as("one", hidden)
        machines.wait_alive("one")
        (item_id,) = lab.ingest(write_talks(lab.folder / "in", 1), model=str(folder / "own"))

        def known(lacking: str, having: str) -> bool:
            found = lab.service.unmet_needs()
            return [(",".join(each.lacking), ",".join(each.having)) for each in found] == [
                (lacking, having)
            ]

        def says(*words: str) -> bool:
            said = lab.kb("status").stdout.replace("\n", " ")
            return all(each in said for each in words)

        lab.wait(lambda: known("one", ""), "the first lacks it")
        # A machine whose heartbeat is late for a moment is not named in this moment.
        lab.wait(lambda: says("Missing on one. No machine at work is known"), "it says so")
        machines.start("two")
        lab.wait(lambda: known("one", "two"), "the second has it")
        lab.wait(lambda: says("Missing on one.", "Present on two."), "it says so")
        lab.wait(lambda: '"having": [\n' in lab.kb("status", "--json").stdout, "the document")
        one.terminate()
        machines.wait_alive("two")
        lab.kb("retry", item_id)
        machines.require_complete([item_id])
        assert lab.service.unmet_needs() == []
        lab.kill_all()
