"""Steps of items, their results and their speakers over HTTP and by the tools of assistants."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from kb.library.extras import Extras
from kb.library.products import Products, product_name
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


def test_a_product_is_ordered_cancelled_and_its_file_sent(site: Site) -> None:
    path = f"{DONE}/products"
    assert site.ask("GET", path) == {"object": "list", "data": [], "files": []}
    asked = {"kind": "reel", "stretches": [{"start_s": 0, "end_s": 2, "title": "It's 100 %"}]}
    ordered = site.ask("POST", path, 202, json=asked)
    assert ordered["kind"] == "reel" and ordered["status"] == "queued"
    assert site.ask("POST", path, 202, json=asked)["id"] == ordered["id"]
    assert [each["id"] for each in site.ask("GET", path)["data"]] == [ordered["id"]]
    assert ordered["id"] not in [s["step"] for s in site.ask("GET", f"{DONE}/steps")["data"]]
    ended = site.ask("DELETE", f"{path}/{ordered['id']}")
    assert ended == {"id": ordered["id"], "cancelled": True}
    assert not site.ask("DELETE", f"{path}/{ordered['id']}")["cancelled"]
    service = Service(site.settings)
    entry = service.items.entry(DONE)
    kept, name = Products(service.library.home, 5, 30), product_name({"film": 1})
    with kept.draft(entry.stem, ".mp4") as draft:
        draft.write_bytes(bytes(range(256)))
        kept.keep(draft, entry.stem, name, [], {"kind": "reel", "picture_is": "kept"})
    service.close()
    (file,) = site.ask("GET", path)["files"]
    assert (file["kind"], file["bytes"], file["picture"]) == ("reel", 256, "kept")
    place = f"{site.address}/v1/items/{path}/files/"
    answer = httpx.get(place + file["name"], headers={"Range": "bytes=1-2"})
    assert (answer.status_code, answer.content) == (206, b"\x01\x02")
    for other in (f"{name}.mkv", "x.mp4", f"{name}.json"):
        assert httpx.get(place + other).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {}, {"kind": "opera"}, {"kind": "evidence"}, {"kind": "captions", "style": "/etc/passwd"},
        {"kind": "captions", "style": "nosuch"}, {"kind": "captions", "picture": "/etc/passwd"},
        {"kind": "soft", "style": "bold"}, {"kind": "reel", "stretches": [{"start_s": 1}]},
        {"kind": "evidence", "stretches": [{"start_s": 1, "end_s": 2}] * 2},
        {"kind": "reel", "length_s": 0}, {"kind": "dub"}, {"kind": "dub", "language": "?"},
        {"kind": "dub", "language": "fr"},
    ],
)  # fmt: skip
def test_a_wrong_order_is_refused(site: Site, body: dict[str, Any]) -> None:
    before = site.ask("GET", f"{DONE}/products")["data"]
    refused = site.ask("POST", f"{DONE}/products", 400, json=body)
    assert refused["error"]["message"]
    assert site.ask("GET", f"{DONE}/products")["data"] == before
