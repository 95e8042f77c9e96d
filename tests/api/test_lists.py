"""The list of the library, its tags and saved searches over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from kb.database import Database, search_alerts
from kb.settings import Settings, get_settings
from tests.support.api_server import Held, served
from tests.support.library_pages import ROOT, add_item


@dataclass
class Site:
    """A served library with three talks, two of them of one channel."""

    address: str
    settings: Settings
    ids: dict[str, str]

    def ask(self, method: str, path: str, status: int = 200, **more: Any) -> dict[str, Any]:
        answer = httpx.request(method, f"{self.address}/v1/{path}", timeout=60, **more)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def listed(self, **query: Any) -> list[str]:
        return [each["id"] for each in self.ask("GET", "items", params=query)["data"]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home, ids = tmp_path_factory.mktemp("lists") / "home", {}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("KB_HOME", str(home)), ("KB_MODEL", "demo"), ("KB_SINKS", "local")):
            patch.setenv(name, value)
        get_settings.cache_clear()
        for number, sample in enumerate(sorted((ROOT / "samples").glob("*.mp4"))):
            channel = "Hills" if number == 2 else "Bay Talks"
            day = f"2026-0{number + 1}-10"
            ids[sample.stem] = add_item(sample, channel=channel, published=day)
        settings = get_settings()
    get_settings.cache_clear()
    with served(home, Held(), KB_SINKS="local") as server:
        yield Site(server.address, settings, ids)


def test_items_are_filtered_sorted_and_given_in_parts(site: Site) -> None:
    by_date = list(site.ids.values())
    assert site.listed() == by_date[::-1]
    assert site.listed(channel="bay talks") == by_date[1::-1]
    assert site.listed(channel=["Bay Talks", "hills"], limit=1, offset=1) == [by_date[1]]
    assert site.listed(after="2026-02-10", before="2026-03-10") == [by_date[1]]
    assert site.listed(grade="A", language="en", review="clear", reverse=True) == by_date
    found = site.ask("GET", "items", params={"channel": "Hills"})
    assert (found["total"], found["facets"]["channel"]) == (1, {"Bay Talks": 2, "Hills": 1})
    assert found["words"] == found["data"][0]["words"] > 0
    assert {"title", "duration_s", "tags", "sent", "doubtful_s"} <= set(found["data"][0])


@pytest.mark.parametrize(
    "query",
    [
        {"grade": "Z"}, {"sort": "size"}, {"limit": 0}, {"after": "2026"}, {"colour": "red"},
        {"before": "2026-02-31"}, {"offset": -1}, {"channel": "x" * 301},
    ],
)  # fmt: skip
def test_a_wrong_filter_is_refused(site: Site, query: dict[str, Any]) -> None:
    assert site.ask("GET", "items", 400, params=query)["error"]["message"]


def test_passages_of_filtered_items(site: Site) -> None:
    harbour = site.ids["The harbour in winter"]
    query = {"q": "harbour", "mode": "keyword"}
    found = site.ask("GET", "search", params=query)
    assert {each["item_id"] for each in found["hits"] if not each["missing"]} == {harbour}
    assert site.ask("GET", "search", params={**query, "language": "de"})["hits"] == []
    site.ask("GET", "search", 400)
    site.ask("GET", "search", 400, params={"q": "harbour", "colour": "red"})


def test_tags(site: Site) -> None:
    first, second, _ = site.ids.values()
    path = f"items/{first}/tags"
    assert site.ask("POST", path, json={"add": ["Interview", "draft"]})["data"] == [
        "Interview", "draft",
    ]  # fmt: skip
    assert site.ask("POST", path, json={"remove": ["DRAFT"]})["data"] == ["Interview"]
    assert site.ask("GET", path)["data"] == ["Interview"]
    assert site.ask("GET", f"items/{second}/tags")["data"] == []
    assert site.ask("GET", "tags")["data"] == [{"tag": "Interview", "items": 1}]
    assert site.listed(tag="interview") == [first]
    site.ask("POST", path, 400, json={"add": ["a,b"]})
    site.ask("POST", path, 400, json={"colour": "red"})
    site.ask("POST", "items/file:000000000000/tags", 400, json={"add": ["x"]})


def test_a_search_is_saved_run_changed_and_removed(site: Site) -> None:
    harbour = site.ids["The harbour in winter"]
    made = site.ask(
        "POST", "searches", 201,
        json={"name": "Harbours", "query": "harbour", "alerts": "new", "mode": "keyword",
              "filters": {"language": ["EN"]}},
    )  # fmt: skip
    assert made["filters"] == {"language": ["en"]}
    path = f"searches/{made['id']}"
    assert site.ask("GET", "searches")["data"] == [{**made, "unseen": 0}]
    assert site.ask("GET", "searches/harbours") == made
    hits = site.ask("GET", f"{path}/hits")["hits"]
    assert {each["item_id"] for each in hits if not each["missing"]} == {harbour}
    database = Database.open(site.settings)
    with database.begin() as connection:
        database.insert_if_missing(
            connection, search_alerts, search=made["id"], item_id=harbour, at=1.0, hits=2,
            at_s=7.5,
        )  # fmt: skip
    database.close()
    (new,) = site.ask("GET", f"{path}/alerts", params={"unseen": "true"})["data"]
    assert (new["item_id"], new["at_s"], new["seen"]) == (harbour, 7.5, False)
    assert site.ask("POST", f"{path}/seen") == {"seen": 1}
    assert site.ask("GET", f"{path}/alerts", params={"unseen": "true"})["data"] == []
    changed = site.ask("PATCH", path, json={"name": "Ports", "alerts": "off"})
    assert (changed["name"], changed["alerts"]) == ("Ports", "off")
    site.ask("POST", "searches", 400, json={"name": "ports", "query": "x"})
    site.ask("POST", "searches", 400, json={"name": "x", "query": "x", "filters": {"a": ["b"]}})
    site.ask("PATCH", path, 400, json={"alerts": "loud"})
    assert site.ask("DELETE", path) == {"id": made["id"], "deleted": True}
    site.ask("GET", path, 404)
    site.ask("DELETE", path, 404)
