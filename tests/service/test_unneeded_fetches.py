"""Failed fetches of models that nothing needs are a quiet note; all others are shown first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from huggingface_hub import constants

from kb.asr.engines.model_table import KINDS, load_models
from kb.cli.main import run
from kb.database import items
from kb.hub import cache, errors, fetch_state
from kb.hub.fetch_state import FetchState
from kb.inference.model_fetch import targets
from kb.jobs.queue.request_settings import with_settings
from kb.service import Service
from kb.settings import Settings
from tests.support.hub_cache import use_hub
from tests.support.items import item

TINY, BASE, QWEN = "openai/whisper-tiny", "openai/whisper-base", "Qwen/Qwen3-ASR-0.6B"
EMBEDDER = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    found = Service(Settings(home=tmp_path_factory.mktemp("library"), model=BASE))
    found.queue.items.submit([item(1)], {}, lambda *_arguments: None)
    yield found
    found.close()


def failed(*names: str) -> list[FetchState]:
    return [FetchState(name, "https://hub", "/cache", "failed") for name in names]


def put(service: Service, options: Mapping[str, Any], **values: Any) -> None:
    with service.queue.database.begin() as connection:
        row = {"state": "queued", "stage": "", "problem": None, "source": "file", **values}
        connection.execute(sa.update(items).values(options=dict(options), **row))


@pytest.mark.parametrize(
    ("options", "values", "needed"),
    [
        # Items that are to be transcribed, by their run's choice, its short name or its address.
        ({"model": TINY}, {}, True),
        ({"model": "tiny"}, {}, True),
        ({"model": f"https://huggingface.co/{TINY}"}, {}, True),
        ({"model": BASE}, {}, False),
        ({"model": "demo"}, {}, False),
        ({"model": "no such model"}, {}, False),
        ({"model": TINY, "engine": "an earlier engine"}, {}, False),
        # In every state that goes on.
        ({"model": TINY}, {"state": "running", "stage": "fetch"}, True),
        ({"model": TINY}, {"state": "running", "stage": "transcribe"}, True),
        ({"model": TINY}, {"state": "waiting"}, True),
        ({"model": TINY}, {"state": "paused"}, True),
        # It has its transcript already, or ended.
        ({"model": TINY}, {"state": "running", "stage": "write"}, False),
        ({"model": TINY}, {"state": "running", "stage": "publish"}, False),
        ({"model": TINY}, {"state": "done"}, False),
        ({"model": TINY}, {"state": "held"}, False),
        ({"model": TINY}, {"state": "cancelled"}, False),
        ({"model": TINY}, {"state": "dismissed"}, False),
        # Failed for another reason, or because of the model.
        ({"model": TINY}, {"state": "failed", "problem": {"code": "media.empty"}}, False),
        ({"model": TINY}, {"state": "failed"}, False),
        ({"model": TINY}, {"state": "failed", "problem": {"code": "model.hub_error"}}, True),
        ({"model": BASE}, {"state": "failed", "problem": {"code": "model.hub_error"}}, False),
        # A look reads no sound.
        ({"model": TINY}, {"source": "listing"}, False),
        # The model of the request's settings; this machine's default for an earlier version's row.
        ({"asked": {"settings": {"model": TINY, "engine": "whisper"}}}, {}, True),
        ({"asked": {"settings": {"model": "demo", "engine": "whisper"}}}, {}, False),
        ({}, {}, False),
    ],
)  # fmt: skip
def test_who_needs_a_failed_fetch(
    service: Service, options: dict[str, Any], values: dict[str, Any], needed: bool
) -> None:
    put(service, options, **values)
    assert service.models.unneeded(failed(TINY)) == (frozenset() if needed else {TINY})


def test_the_default_of_each_kind_of_machine_is_needed(tmp_path: Path) -> None:
    with closing(Service(Settings(home=tmp_path, model=""))) as service:
        service.queue.items.submit([item(1)], {}, lambda *_arguments: None)
        table = load_models(service.settings)
        names = {name for kind in KINDS for name in targets("whisper", table.default(kind).model)}
        assert len(names) == 2
        assert service.models.unneeded(failed(TINY, *names)) == {TINY}


def test_the_choice_of_the_run_decides_over_the_settings(service: Service) -> None:
    settings = service.settings.replace(model=BASE)
    put(service, with_settings({"model": "tiny"}, settings))
    assert service.models.unneeded(failed(TINY, BASE)) == {BASE}
    put(service, with_settings({}, settings))
    assert service.models.unneeded(failed(TINY, BASE)) == {TINY}


def test_every_model_of_an_engine_is_needed(service: Service) -> None:
    put(service, {"model": QWEN, "engine": "qwen3-asr"})
    assert not service.models.unneeded(failed(QWEN, "Qwen/Qwen3-ForcedAligner-0.6B-hf"))


@pytest.mark.parametrize("state", ["starting", "waiting", "fetching", "paused", "stopped"])
def test_only_failed_fetches_are_notes(service: Service, state: Any) -> None:
    put(service, {}, state="done")
    assert not service.models.unneeded([FetchState(TINY, "https://hub", "/cache", state)])


@pytest.mark.parametrize("named", [EMBEDDER, "all-MiniLM-L6-v2"])
def test_the_embedding_model_of_the_settings_is_needed(service: Service, named: str) -> None:
    put(service, {}, state="done")
    with_meaning = Service(service.settings.replace(embedding_model=named))
    assert not with_meaning.models.unneeded(failed(EMBEDDER))
    with_meaning.close()
    assert service.models.unneeded(failed(EMBEDDER)) == {EMBEDDER}


def test_without_a_library_nothing_is_needed_and_none_is_made(tmp_path: Path) -> None:
    service = Service(Settings(home=tmp_path / "none"))
    assert service.models.unneeded(failed(TINY)) == {TINY}
    service.close()
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("model", "needed"), [(TINY, True), ("demo", False)])
def test_status_says_first_what_is_waited_for(
    model: str, needed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    use_hub(monkeypatch, tmp_path / "hub", "http://127.0.0.1:9")
    place = cache.repository_folder(TINY)
    problem = errors.hub_status(TINY, 503).error.record()
    fetch_state.write_state(
        place, FetchState(TINY, "https://hub", str(place), "failed", problem=problem)
    )
    service = Service()
    service.queue.items.submit([item(1)], {"model": model}, lambda *_arguments: None)
    service.close()
    capsys.readouterr()
    for words in (["status"], ["status", "--all"]):
        assert run(words) == 0
        _, *lines = capsys.readouterr().out.splitlines()
        line = lines[0 if needed else -1]
        assert f"odel {TINY}" in line and ("failed" in line) is needed
        assert (f"kb models pull {TINY}" in line) is not needed
    assert run(["status", "--json"]) == 0
    (fetch,) = json.loads(capsys.readouterr().out)["fetches"]
    assert fetch["needed"] is needed


def test_status_loads_no_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_hub(monkeypatch, tmp_path / "hub", "http://127.0.0.1:9")
    place = cache.repository_folder(BASE)
    fetch_state.write_state(place, FetchState(BASE, "https://hub", str(place), "failed"))
    with closing(Service()) as service:
        service.queue.items.submit([item(1)], {}, lambda *_arguments: None)
    status = (
        "import sys; from kb.cli.main import run; run(['status']); print('torch' in sys.modules)"
    )
    environment = {**os.environ, "KB_MODEL": "", "HF_HUB_CACHE": constants.HF_HUB_CACHE}
    done = subprocess.run(
        [sys.executable, "-c", status], env=environment, capture_output=True, text=True, timeout=120
    )
    assert f"Model {BASE}" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "False"
