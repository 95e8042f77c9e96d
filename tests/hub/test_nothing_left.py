"""The cache after a refused, failed or cancelled fetch: what was there before, and nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kb.hub import cache, fetch_state, records
from kb.hub.client import Deadlines
from kb.hub.conduct import Conduct
from kb.hub.models import ready
from kb.sinks.local.embedding_files import EMBEDDER
from tests.fakes.hub import FakeHub, Fault
from tests.support.hub_cache import (
    NAME,
    QUICK,
    WEIGHTS,
    demo_files,
    fetched,
    hub_at,
    outcome,
    rubbish,
    same_bytes,
    small_files,
)
from tests.support.waiting import WAIT_S, until

pytestmark = pytest.mark.slow  # not one of them, but all of them together

SECOND = "model-00002-of-00002.safetensors"
Files = dict[str, bytes | Path]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with hub_at(monkeypatch, tmp_path / "hub", FakeHub({NAME: small_files()})) as found:
        yield found


def document(file: str, **values: Any) -> Files:
    """Return the bundled recognizer with changed fields of a description."""
    files = demo_files()
    path = files.get(file)
    found = json.loads(path.read_text()) if isinstance(path, Path) else {}
    return {**files, file: json.dumps({**found, **values}).encode()}


def without(files: Files, *names: str) -> Files:
    return {name: data for name, data in files.items() if name not in names}


REFUSED: dict[str, tuple[Files, str]] = {
    "code": (document("config.json", auto_map={"AutoModel": "code.M"}), "model.asks_for_code"),
    "code in a list": (
        document("processor_config.json", parts=[{"auto_map": {"AutoProcessor": "code.P"}}]),
        "model.asks_for_code",
    ),
    "mel bands": (document("config.json", num_mel_bins=128), "model.contradicts_itself"),
    "an id": (document("generation_config.json", no_timestamps_token_id=10**9),
              "model.contradicts_itself"),
    "another tokenizer": (document("tokenizer_config.json", tokenizer_class="GPT2Tokenizer"),
                          "model.contradicts_itself"),
    "no object": ({**demo_files(), "config.json": b"[]"}, "model.contradicts_itself"),
    "no text": ({**demo_files(), "tokenizer.json": b"\xff\xfe"}, "model.contradicts_itself"),
    "another file": (document("config.json", transformers_weights="other.safetensors"),
                     "model.contradicts_itself"),
    "a kernel": (document("config.json", attn_implementation="evil/kernel"),
                 "model.contradicts_itself"),
    "no weights": (without(small_files(), WEIGHTS, SECOND, "pytorch_model.bin"),
                   "model.no_weights"),
    "a pickle": (without(small_files(), WEIGHTS, SECOND), "model.pickle_only"),
    "a part too few": (without(small_files(), SECOND), "model.parts_missing"),
    "no tokenizer": (without(small_files(), "tokenizer.json"), "model.incomplete_on_hub"),
    "no index": (without(small_files(), "model.safetensors.index.json"),
                 "model.incomplete_on_hub"),
    "weights that are a page": ({**small_files(), WEIGHTS: b"<html>"}, "model.incomplete_on_hub"),
    "empty weights": ({**small_files(), SECOND: b""}, "model.incomplete_on_hub"),
    "an empty description": ({**small_files(), "config.json": b""}, "model.contradicts_itself"),
}  # fmt: skip


@pytest.mark.parametrize(("files", "code"), REFUSED.values(), ids=REFUSED)
def test_a_refused_repository_leaves_nothing(hub: FakeHub, files: Files, code: str) -> None:
    hub.repositories[NAME] = files
    assert outcome() == code
    assert not cache.repository_folder(NAME).exists()
    assert records.read(cache.repository_folder(NAME)) is None
    state = fetch_state.read_state(cache.repository_folder(NAME))
    assert state is not None and (state.state, state.done) == ("failed", 0)
    if code in ("model.asks_for_code", "model.contradicts_itself"):
        assert not any(name.endswith(".safetensors") for name in hub.sent)


def test_a_refused_embedding_model_leaves_nothing(hub: FakeHub) -> None:
    modules = b'[{"type": "code.Model"}]'
    hub.repositories[NAME] = {**small_files(1), "modules.json": modules}
    with pytest.raises(Exception, match="run code"):
        ready(NAME, EMBEDDER, conduct=QUICK)
    assert not cache.repository_folder(NAME).exists()


@pytest.mark.parametrize("files", [REFUSED["code"][0], REFUSED["weights that are a page"][0]])
def test_the_files_of_another_program_stay_where_a_newer_commit_is_refused(
    hub: FakeHub, files: Files
) -> None:
    record = fetched()
    before = listed()
    hub.commit = "e" * 40
    hub.repositories[NAME] = {**small_files(), **files}
    with pytest.raises(Exception, match=NAME):
        from kb.asr.engines.model_check import RECOGNIZER

        ready(NAME, RECOGNIZER, again=True, conduct=QUICK)
    assert listed() == before and fetched() == record


def listed() -> set[str]:
    place = cache.repository_folder(NAME)
    return {path.relative_to(place).as_posix() for path in place.rglob("*")}


def _state() -> str:
    found = fetch_state.read_state(cache.repository_folder(NAME))
    return found.state if found else ""


def stopped_inside(hub: FakeHub, what: fetch_state.Request) -> None:
    """Stop a fetch by a request when a part of WEIGHTS has arrived."""
    hub.always[WEIGHTS] = Fault(stall=3000)
    patient = Conduct(deadlines=Deadlines(stall_s=60.0))
    thread = threading.Thread(target=lambda: outcome(conduct=patient))
    thread.start()
    # The parts of an earlier fetch are there before this one has started.
    until(lambda: hub.bytes_sent > 3000 and len(rubbish()) > 3 and _state() == "fetching")
    fetch_state.request(cache.repository_folder(NAME), what)
    thread.join(WAIT_S)
    hub.heal()


def test_a_cancelled_fetch_leaves_nothing_and_a_paused_one_what_has_arrived(hub: FakeHub) -> None:
    stopped_inside(hub, "pause")
    # No other program takes a part for a file, so the model is not there at all.
    assert rubbish() and all(name.endswith(cache.PART_SUFFIX) for name in rubbish())
    assert cache.current_snapshot(NAME) is None
    stopped_inside(hub, "cancel")
    assert not cache.repository_folder(NAME).exists()
    assert fetch_state.read_state(cache.repository_folder(NAME)) is None
    assert same_bytes(fetched(), hub) and rubbish() == []


def test_a_damaged_file_of_another_program_stays_until_the_right_one_is_here(
    hub: FakeHub,
) -> None:
    record = fetched()
    blob = (record.folder / WEIGHTS).resolve()
    blob.write_bytes(b"damaged")
    hub.always[WEIGHTS] = Fault(status=403)
    assert outcome() == "model.refused" and blob.read_bytes() == b"damaged"
    hub.heal()
    assert same_bytes(fetched(), hub)


@pytest.mark.parametrize("fault", [Fault(), Fault(flip=1), Fault(cut=1)])
def test_two_names_of_the_same_bytes_are_fetched_once(hub: FakeHub, fault: Fault) -> None:
    hub.faults["tokenizer_config.json"] = [fault]
    same = dict.fromkeys(("tokenizer_config.json", "special_tokens_map.json"), b'{"a": 1}')
    hub.repositories[NAME] = {**small_files(), **same}
    record = fetched()
    assert same_bytes(record, hub) and same.keys() <= record.files.keys()
    assert rubbish() == [] and "special_tokens_map.json" not in hub.sent


def test_two_names_of_the_same_bytes_without_links(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_given: object, **_more: object) -> None:
        raise OSError("no links")

    monkeypatch.setattr(Path, "symlink_to", no_links)
    same = dict.fromkeys(("tokenizer_config.json", "special_tokens_map.json"), b'{"a": 1}')
    hub.repositories[NAME] = {**small_files(), **same}
    assert same_bytes(fetched(), hub) and rubbish() == []
