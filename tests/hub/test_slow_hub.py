"""A hub that sends drops, lists what no model needs, or lists without end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kb.hub.client import Deadlines
from tests.fakes.hub import LISTING, FakeHub, Fault
from tests.support.hub_cache import (
    NAME,
    QUICK,
    WEIGHTS,
    fetched,
    hub_at,
    outcome,
    rubbish,
    same_bytes,
    small_files,
)

pytestmark = pytest.mark.slow  # not one of them, but all of them together

HASTY = replace(
    QUICK,
    deadlines=Deadlines(connect_s=1.0, answer_s=0.3, stall_s=0.3, listing_s=0.4),
    patience_s=0.2,
)
WITHOUT_END_S = 60.0  # the drops last longer, and the fetch gives up after a second


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with hub_at(monkeypatch, tmp_path / "hub", FakeHub({NAME: small_files()})) as found:
        yield found


@pytest.mark.parametrize("file", [LISTING, WEIGHTS, "tokenizer.json"])
def test_drops_are_silence(hub: FakeHub, file: str) -> None:
    """Each byte comes within the deadline of a byte, and the whole never."""
    hub.always[file] = Fault(drip_s=0.05)
    began = time.monotonic()
    assert outcome(conduct=HASTY) == "model.hub_silent"
    assert time.monotonic() - began < WITHOUT_END_S
    hub.heal()
    assert same_bytes(fetched(), hub) and rubbish() == []


@pytest.mark.parametrize("file", [LISTING, WEIGHTS, "config.json"])
def test_headers_in_drops_are_silence(hub: FakeHub, file: str) -> None:
    """Each byte of the headers comes within the deadline, and their end never."""
    hub.always[file] = Fault(headers_s=0.05)
    began = time.monotonic()
    assert outcome(conduct=HASTY) == "model.hub_silent"
    assert time.monotonic() - began < WITHOUT_END_S
    hub.heal()
    assert same_bytes(fetched(), hub) and rubbish() == []


@pytest.mark.parametrize("file", [LISTING, WEIGHTS])
def test_drops_that_pass_are_waited_for(hub: FakeHub, file: str) -> None:
    hub.faults[file] = [Fault(drip_s=0.05)]
    patient = replace(HASTY, patience_s=60.0)
    assert same_bytes(fetched(conduct=patient), hub)


def test_what_no_recognizer_needs_is_neither_fetched_nor_a_reason_to_refuse(hub: FakeHub) -> None:
    """Logs of a training may have any size and number."""
    entry = {"type": "file", "path": "trainer_state.json", "size": 9 * 10**9, "oid": "0" * 40}
    hub.entries["trainer_state.json"] = entry
    files = {**small_files(), "trainer_state.json": b"{}", "all_results.json": b"{}"}
    hub.repositories[NAME] = files
    record = fetched()
    assert "trainer_state.json" not in record.files and "all_results.json" in record.files


def test_hundreds_of_descriptions_are_left_out(hub: FakeHub) -> None:
    many = {f"step_{n}.json": json.dumps({"n": n}).encode() for n in range(300)}
    hub.repositories[NAME] = {**small_files(), **many}
    assert not any(name.startswith("step_") for name in fetched().files)
    assert len(hub.sent) == 6


def test_a_file_that_is_listed_twice_is_refused(hub: FakeHub) -> None:
    first = {"type": "file", "path": "tokenizer.json", "size": 99, "oid": "0" * 40}
    hub.entries["README.md"] = first
    assert outcome() == "model.file_refused"
    assert hub.sent == []


def test_weights_that_an_index_names_and_the_hub_does_not_list(hub: FakeHub) -> None:
    index = {"metadata": {}, "weight_map": {"layer.0": WEIGHTS, "layer.1": "../../escape.st"}}
    hub.repositories[NAME] = {
        **small_files(), "model.safetensors.index.json": json.dumps(index).encode(),
    }  # fmt: skip
    assert outcome() == "model.incomplete_on_hub"
    assert not any(name.endswith(".safetensors") for name in hub.sent) and rubbish() == []


@pytest.mark.parametrize("size", [-1, 2**70, 1.5, True, None, "9", [], {}])
def test_a_size_that_is_none_is_refused(hub: FakeHub, size: object) -> None:
    hub.entries["config.json"] = {
        "type": "file", "path": "config.json", "size": size, "oid": "0" * 40,
    }  # fmt: skip
    assert outcome() == "model.file_refused" and hub.sent == []


@pytest.mark.parametrize("text", [b"", b"null", b"3", b'"x"', b"[1, 2]", b"[[]]", b"[{}]", b"{}"])
def test_a_listing_of_another_form_is_no_model(hub: FakeHub, text: bytes) -> None:
    hub.faults[LISTING] = [Fault(), Fault(page=text)]
    assert outcome(conduct=HASTY) in ("model.hub_foreign", "model.no_weights", "ready")
    hub.heal()
    assert same_bytes(fetched(), hub)
