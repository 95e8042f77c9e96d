"""`kb models`: fetch, verify, remove, pause and cancel, in the process of the test."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kb.cli.main import run
from kb.hub import cache, fetch_state
from kb.hub.fetch_state import FetchState
from kb.hub.models import known_ready
from kb.inference.downloads import model_state
from kb.inference.memory_fit import MemoryRoom
from kb.inference.needed_fetch import needed_fetch
from tests.fakes.hub import LISTING, FakeHub, Fault
from tests.support.hub_cache import NAME, WEIGHTS, hub_at, rubbish, small_files

pytestmark = pytest.mark.slow

ROOM = MemoryRoom("CPU", 16 * 2**30, 4)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setenv("KB_DEVICE", "cpu")
    with hub_at(monkeypatch, tmp_path / "hub", FakeHub({NAME: small_files()})) as found:
        yield found


@pytest.fixture
def kb(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["models", *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


Kb = Callable[..., tuple[int, str, str]]


def test_a_model_is_fetched_verified_repaired_and_removed(hub: FakeHub, kb: Kb) -> None:
    assert model_state(NAME) == ""
    code, out, err = kb("pull", NAME, "--json")
    assert code == 0 and json.loads(out)["ready"]
    assert f"Fetching {NAME}" in err and hub.url in err and "17 kB" in err
    assert model_state(NAME) == "ready"
    code, out, _ = kb("verify", NAME, "--json")
    (found,) = json.loads(out)
    assert code == 0 and found["whole"] and found["damaged"] == []
    blob = next((cache.current_snapshot(NAME) or Path()).glob(WEIGHTS)).resolve()
    blob.write_bytes(b"cut")
    assert model_state(NAME) == "damaged"
    code, out, _ = kb("verify", NAME, "--json")
    assert code == 1 and json.loads(out)[0]["damaged"] == [WEIGHTS]
    hub.sent.clear()
    assert kb("pull", NAME)[0] == 0 and hub.sent == [WEIGHTS]
    assert kb("verify", NAME)[0] == 0
    code, out, _ = kb("remove", NAME, "--json")
    assert code == 0 and json.loads(out)["bytes"] > 10_000
    assert model_state(NAME) == "" and not cache.repository_folder(NAME).exists()


def test_a_listed_model_has_its_state(hub: FakeHub, kb: Kb) -> None:
    kb("pull", NAME)
    rows = {row["name"]: row for row in json.loads(kb("--json")[1])}
    assert (rows[NAME]["where"], rows[NAME]["state"]) == ("cached", "ready")
    assert rows["demo"]["state"] == "ready" and rows["tiny"]["state"] == ""
    assert NAME in kb()[1]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("verify", "some/absent"), 2),
        (("remove", "some/absent"), 2),
        (("remove", "demo"), 2),
        (("pause", NAME), 2),
        (("cancel", NAME), 2),
        (("pull", "large-v99"), 2),
        (("pull", "some/absent"), 2),
    ],
)
def test_what_cannot_be_done_is_said(
    hub: FakeHub, kb: Kb, arguments: tuple[str, ...], code: int
) -> None:
    found, _, err = kb(*arguments)
    assert found == code and "→" in err and "Traceback" not in err


def test_a_stopped_fetch_is_cancelled_with_its_parts(hub: FakeHub, kb: Kb) -> None:
    hub.faults[WEIGHTS] = [Fault(cut=3000)]
    hub.always[WEIGHTS] = Fault(status=404)
    assert kb("pull", NAME)[0] == 2
    assert any(name.endswith(cache.PART_SUFFIX) for name in rubbish(NAME))
    rows = {state.name: state for state in fetch_state.all_states()}
    assert rows[NAME].state == "failed" and rows[NAME].problem["error"]
    assert "failed" in kb()[1]
    assert kb("cancel", NAME)[0] == 0
    assert rubbish(NAME) == [] or all(not n.endswith(cache.PART_SUFFIX) for n in rubbish(NAME))
    assert NAME not in {state.name for state in fetch_state.all_states()}


def test_a_folder_is_verified_by_its_headers(hub: FakeHub, kb: Kb, tmp_path: Path) -> None:
    folder = tmp_path / "copied"
    folder.mkdir()
    for name, data in small_files().items():
        assert isinstance(data, bytes)
        (folder / name).write_bytes(data)
    assert kb("verify", str(folder))[0] == 0
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1])
    code, out, _ = kb("verify", str(folder), "--json")
    assert code == 1 and json.loads(out)[0]["damaged"] == [WEIGHTS]


def test_a_fetch_of_an_ended_process_is_stopped(hub: FakeHub) -> None:
    place = cache.repository_folder(NAME)
    fetch_state.write_state(place, FetchState(NAME, hub.url, str(place), "fetching", 100, 40, 10.0))
    found = fetch_state.read_state(place)
    assert found is not None and (found.state, found.share) == ("stopped", 0.4)
    assert found.left_s is None
    hub.always[LISTING] = Fault()


def test_what_a_run_fetches_first_is_known_before(hub: FakeHub, kb: Kb, tmp_path: Path) -> None:
    base = needed_fetch("whisper", "base", ROOM)
    assert base is not None and base.name == "openai/whisper-base"
    assert 2.5e8 < base.size < 3.5e8 and base.source == hub.url
    assert base.folder == str(tmp_path / "hub") and base.free > 0
    both = needed_fetch("qwen3-asr", "qwen3-asr-0.6b", ROOM)
    assert both is not None and both.name.count("Qwen/") == 2  # and its aligner
    assert both.is_least and both.size > 1e9  # the aligner's figures are unknown
    assert 4e8 < base.memory_bytes < both.memory_bytes and base.fits_memory and base.fits_disk
    small = MemoryRoom("Small card", base.memory_bytes - 1, 4)
    tight = needed_fetch("whisper", "base", small)
    assert tight is not None and not tight.fits_memory
    unmeasured = needed_fetch("whisper", "base", MemoryRoom("CPU", 0))
    assert unmeasured is not None and unmeasured.fits_memory
    assert needed_fetch("whisper", "demo", ROOM) is None
    assert needed_fetch("whisper", "no such name", ROOM) is None
    unknown = needed_fetch("whisper", NAME, ROOM)
    assert unknown is not None and not unknown.is_least
    kb("pull", NAME)
    record = known_ready(NAME)
    assert record is not None and unknown.size == record.size
    assert needed_fetch("whisper", NAME, ROOM) is None


def test_the_size_of_an_unknown_model_is_asked_once_and_briefly(hub: FakeHub) -> None:
    hub.always[LISTING] = Fault(headers_s=0.05)
    began = time.monotonic()
    silent = needed_fetch("whisper", NAME, ROOM)
    assert silent is not None and silent.size == 0 and silent.is_least
    assert time.monotonic() - began < 4
    asked = len(hub.requests)
    hub.heal()
    again = needed_fetch("whisper", NAME, ROOM)
    assert again == replace(silent, free=again.free if again else 0)
    assert len(hub.requests) == asked  # not again within five minutes


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(status=404), Fault(page=b"<html>")])
def test_a_hub_that_does_not_say_the_size_keeps_no_run(hub: FakeHub, fault: Fault) -> None:
    hub.always[LISTING] = fault
    found = needed_fetch("whisper", "some/other", ROOM)
    assert found is not None and found.size == 0


def test_the_size_of_a_fetch_that_was_stopped_is_known(hub: FakeHub) -> None:
    place = cache.repository_folder(NAME)
    fetch_state.write_state(place, FetchState(NAME, hub.url, str(place), "paused", 777, 40))
    found = needed_fetch("whisper", NAME, ROOM)
    assert found is not None and found.size == 777 and hub.requests == []
