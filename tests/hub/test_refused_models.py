"""Complete models that a check refuses: shown so by the list, doctor and every later look."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kb.asr.engines.model_check import ITSELF, RECOGNIZER
from kb.cli.main import run
from kb.errors import ModelUnavailable
from kb.hub import cache, records
from kb.hub.models import ready
from kb.hub.refusals import remember
from kb.inference.downloads import model_refusal, model_state
from kb.inference.memory_fit import MemoryRoom
from kb.inference.model_trial import refusals_remembered
from kb.inference.needed_fetch import needed_fetch
from tests.fakes.hub import FakeHub
from tests.support.hub_cache import NAME, QUICK, demo_files, hub_at

pytestmark = pytest.mark.slow  # not one of them, but all of them together

UNCHECKED = replace(RECOGNIZER, check_descriptions=lambda name, folder: None)
CHANGES: dict[str, tuple[str, dict[str, object], str]] = {
    "code": ("config.json", {"auto_map": {"AutoConfig": "a.B"}}, "model.asks_for_code"),
    "bands": ("preprocessor_config.json", {"feature_size": 81}, "model.contradicts_itself"),
    "chunk": ("preprocessor_config.json", {"chunk_length": 0}, "model.contradicts_itself"),
    "ids": ("generation_config.json", {"no_timestamps_token_id": 10**7},
            "model.contradicts_itself"),
    "heads": ("generation_config.json", {"alignment_heads": [[99, 0]]}, "model.contradicts_itself"),
    "width": ("config.json", {"d_model": 7}, "model.contradicts_itself"),
    "adapter": ("adapter_config.json", {}, "model.contradicts_itself"),
    "tokenizer": ("tokenizer_config.json", {"tokenizer_class": "Qwen2Tokenizer"},
                  "model.contradicts_itself"),
}  # fmt: skip


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setenv("KB_DEVICE", "cpu")
    with hub_at(monkeypatch, tmp_path / "hub", FakeHub({NAME: demo_files()})) as found:
        yield found


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    capsys.readouterr()
    assert run(["models", "--json"]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}[NAME]


def change(hub: FakeHub, file: str, values: dict[str, object]) -> None:
    found = hub.bytes_of(NAME, file)
    document = {**json.loads(found or b"{}"), **values}
    hub.repositories[NAME] = {**demo_files(), file: json.dumps(document).encode()}


@pytest.mark.parametrize(("file", "values", "code"), CHANGES.values(), ids=CHANGES)
def test_a_whole_model_that_contradicts_itself_is_not_ready(
    hub: FakeHub, file: str, values: dict[str, object], code: str
) -> None:
    change(hub, file, values)
    record = ready(NAME, UNCHECKED, conduct=QUICK)
    if file not in record.files:
        (record.folder / file).write_bytes(hub.bytes_of(NAME, file) or b"")
    assert model_state(NAME) == "refused"
    assert model_refusal(NAME)["problem"]["code"] == code
    # Its files are here: a run fetches nothing.
    assert needed_fetch("whisper", NAME, MemoryRoom("CPU", 0)) is None


def test_the_list_and_doctor_name_it_until_other_files_are_here(
    hub: FakeHub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    change(hub, "preprocessor_config.json", {"feature_size": 81})
    ready(NAME, UNCHECKED, conduct=QUICK)
    row = listed(capsys)
    assert (row["where"], row["state"]) == ("cached", "refused")
    assert "feature_size is 81" in str(row["problem"])
    run(["models"])
    shown = capsys.readouterr()
    assert "refused" in shown.out and "feature_size" in shown.err.replace("\n", "")
    monkeypatch.setenv("KB_MODEL", NAME)
    run(["doctor", "--json"])
    (check,) = [each for each in json.loads(capsys.readouterr().out) if each["name"] == "Model"]
    assert check["state"] == "fail" and "feature_size" in check["detail"]
    hub.repositories[NAME] = demo_files()
    ready(NAME, RECOGNIZER, again=True, conduct=QUICK)
    row = listed(capsys)
    assert row["state"] == "ready" and not row["problem"]


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("model.not_finite", "refused"),
        ("model.cannot_speak", "refused"),
        ("model.fails_itself", "refused"),
        ("model.weights_missing", "refused"),
        ("model.hub_silent", "ready"),  # not the model's own
        ("model.not_loaded", "ready"),  # perhaps of another engine
    ],
)
def test_a_refusal_of_the_loaded_model_is_kept_until_it_passes(
    hub: FakeHub, code: str, state: str
) -> None:
    ready(NAME, RECOGNIZER, conduct=QUICK)
    error = ModelUnavailable(code, "Model {name} is refused.", hint="Another.", name=NAME)
    with pytest.raises(ModelUnavailable), refusals_remembered():
        raise error
    assert model_state(NAME) == state
    records.add_check(cache.repository_folder(NAME), ITSELF)
    assert model_state(NAME) == "ready"


def test_a_sound_model_is_read_once(hub: FakeHub) -> None:
    ready(NAME, RECOGNIZER, conduct=QUICK)
    assert model_state(NAME) == "ready"
    read: list[str] = []
    watched: Callable[[str, Path], None] = lambda name, folder: read.append(name)  # noqa: E731
    assert model_state(NAME, replace(RECOGNIZER, check_descriptions=watched)) == "ready"
    assert read == []


def test_a_refusal_without_a_record_is_not_kept(hub: FakeHub) -> None:
    place = cache.repository_folder(NAME)
    remember(place, ModelUnavailable("model.not_finite", "Refused.", hint="Another."))
    assert records.read(place) is None and model_refusal(NAME) == {}
