"""Steps of items, their results and their speakers over HTTP and by the tools of assistants."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from kb.library.extras import Extras
from kb.service import Service
from kb.settings import Settings
from tests.library.test_extras import RESULTS
from tests.library.test_version_before import ARCHIVE, DONE
from tests.support.api_server import Held, served
from tests.support.mcp_calls import call

MISSING = "file:ffffffffffff"


@dataclass
class Site:
    """A served library with one item that has speakers and a page of the screen."""

    address: str
    settings: Settings

    def ask(self, method: str, path: str, status: int = 200, **more: Any) -> dict[str, Any]:
        answer = httpx.request(method, f"{self.address}/v1/items/{path}", timeout=60, **more)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("items")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    settings = Settings.model_validate(
        {"KB_HOME": str(folder / "home"), "KB_MODEL": "demo", "KB_MCP_WRITE": "1"}
    )
    service = Service(settings)
    service.search.reindex()
    entry = service.items.entry(DONE)
    basis = {"sha256": service.items.transcript(DONE).media.sha256}
    for kind in ("speakers", "screen", "recurring"):
        Extras(service.library).write(
            entry, kind, {"basis": basis, **RESULTS[kind]}, lambda: service.library.guard(DONE)
        )
    service.close()
    with served(folder / "home", Held()) as server:
        yield Site(server.address, settings)


def shown(document: dict[str, Any]) -> list[str]:
    return [each["speaker"] for each in document["data"]]


def test_a_speaker_is_named_and_the_name_is_taken_away(site: Site) -> None:
    path = f"{DONE}/speakers"
    (first,) = site.ask("GET", path)["data"]
    assert first["speaker"] == "Speaker 1" and not first["is_named"]
    assert first["excerpts"][0]["text"] and first["excerpts"][0]["deep_link"]
    act = {"act": "name", "speaker": "S1", "name": "Anna Weber"}
    assert shown(site.ask("POST", path, json=act)) == ["Anna Weber"]
    assert shown(site.ask("GET", path)) == ["Anna Weber"]
    start = first["excerpts"][0]["start_s"]
    part = {"act": "assign", "start_s": start, "end_s": start + 2, "name": "Ben"}
    assert set(shown(site.ask("POST", path, json=part))) == {"Anna Weber", "Ben"}
    both = {"act": "merge", "speaker": "Ben", "into": "Anna Weber"}
    assert shown(site.ask("POST", path, json=both)) == ["Anna Weber"]
    gone = {"act": "unname", "speaker": "Anna Weber"}
    assert "Speaker 1" in shown(site.ask("POST", path, json=gone))


@pytest.mark.parametrize(
    "body",
    [
        {}, {"act": "rename", "speaker": "S1"}, {"act": "name", "speaker": "S1"},
        {"act": "name", "name": "Anna"}, {"act": "merge", "speaker": "S1"},
        {"act": "assign", "name": "Anna"}, {"act": "unname", "speaker": "S1", "more": 1},
        {"act": "name", "speaker": "S77", "name": "Anna"}, {"act": "confirm", "speaker": "S1"},
        {"act": "assign", "start_s": 5, "end_s": 1, "name": "Anna"},
        {"act": "name", "speaker": "S1", "name": "Speaker 9"},
    ],
)  # fmt: skip
def test_a_wrong_act_changes_nothing(site: Site, body: dict[str, Any]) -> None:
    before = site.ask("GET", f"{DONE}/speakers")
    refused = site.ask("POST", f"{DONE}/speakers", 400, json=body)
    assert refused["error"]["message"]
    assert site.ask("GET", f"{DONE}/speakers") == before


def test_what_was_on_the_screen_has_its_times(site: Site) -> None:
    found = site.ask("GET", f"{DONE}/screen")
    assert found["read"] and found["picture"]
    assert found["data"] == [
        {"text": "Timetable of ferries", "showings": [{"start_s": 1.0, "end_s": 2.0}]}
    ]


def test_what_recurs_in_the_channel_has_its_times(site: Site) -> None:
    assert site.ask("GET", f"{DONE}/recurring")["data"] == [
        {"start_s": 0.0, "end_s": 5.0, "items": 3, "by_sound": True, "by_text": False}
    ]


def test_an_item_without_a_fingerprint_has_no_links(site: Site) -> None:
    found = site.ask("GET", f"{DONE}/sound")
    assert (found["data"], found["not_compared_yet"]) == ([], 0)


def test_steps_are_asked_for_and_have_a_state(site: Site) -> None:
    asked = site.ask("POST", f"{DONE}/steps", 202, json={"steps": ["speakers"], "again": True})
    assert asked["queued"] == ["speakers"] and "hint" in asked["lacking"]["speakers"]
    again = site.ask("POST", f"{DONE}/steps", 202, json={"steps": ["speakers"]})
    assert again["under_way"] == ["speakers"] or again["current"] == ["speakers"]
    states = {each["step"]: each["status"] for each in site.ask("GET", f"{DONE}/steps")["data"]}
    assert states["speakers"] == "queued"
    assert site.ask("POST", f"{DONE}/steps", 400, json={"steps": ["dancing"]})["error"]["code"]
    assert site.ask("POST", f"{DONE}/steps", 400, json={"steps": []})["error"]["param"]


@pytest.mark.parametrize("part", ["steps", "speakers", "screen", "sound", "recurring"])
def test_an_unknown_item_is_refused(site: Site, part: str) -> None:
    site.ask("GET", f"{MISSING}/{part}", 400)


def test_an_assistant_does_the_same(site: Site) -> None:
    found = call(site.settings, "speakers", item=DONE)
    assert found["speakers"][0]["excerpts"][0]
    label = found["speakers"][0]["speaker"]
    named = call(site.settings, "name_speaker", item=DONE, speaker=label, name="Cleo")
    assert named["speakers"][0]["speaker"] == "Cleo" and named["speakers"][0]["is_named"]
    away = call(site.settings, "name_speaker", item=DONE, speaker="Cleo", name="")
    assert not away["speakers"][0]["is_named"]
    asked = call(site.settings, "enrich", item=DONE, steps=["screen"])
    assert set(asked["queued"] + asked["under_way"] + asked["current"]) == {"screen"}
