"""The tools that change the queue: only by the setting, only links, only the public network."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import Tool

from kb.mcp.server import make_server
from kb.service import Service
from kb.settings import Settings
from tests.fakes.youtube import Channel, FakeYouTube
from tests.support.keys import fake_key
from tests.support.mcp_calls import call

WRITES = {
    "ingest", "status", "retry", "cancel", "enrich", "name_speaker", "merge_speakers",
}  # fmt: skip
CHANNEL = "https://www.youtube.com/@talks"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    channel = Channel(f"UC{'t' * 22}", "@talks", 6, duration="PT60S")
    with FakeYouTube([channel], {fake_key("a"): 100_000}) as fake:
        made = Settings.model_validate(
            {
                "KB_HOME": str(tmp_path_factory.mktemp("write") / "home"),
                "KB_MCP_WRITE": "1",
                "KB_MODEL": "demo",
                "KB_PRIVATE_HOSTS": "127.0.0.1",
                "YT_API_ENDPOINT": fake.url,
                "YT_API_KEYS": fake_key("a"),
            }
        )
        service = Service(made)
        service.library.prepare()
        service.queue.prepare()
        service.close()
        yield made


def tools(settings: Settings) -> dict[str, Tool]:
    async def ask() -> dict[str, Tool]:
        async with Client(make_server(settings)) as client:
            return {tool.name: tool for tool in (await client.list_tools()).tools}

    return asyncio.run(ask())


def test_the_setting_adds_them_and_their_annotations_say_what_they_do(settings: Settings) -> None:
    offered = tools(settings)
    assert set(offered) >= WRITES
    assert not WRITES & set(tools(settings.replace(mcp_write=False)))
    hints = {name: offered[name].annotations for name in WRITES}
    assert {name for name, hint in hints.items() if hint and hint.read_only_hint} == {"status"}
    assert {name for name, hint in hints.items() if hint and hint.destructive_hint} == {"cancel"}


def test_a_channel_is_queued_once_its_items_are_cancelled_and_tried_again(
    settings: Settings,
) -> None:
    asked = call(settings, "ingest", link=CHANNEL, newest=2)
    ids = [each["id"] for each in asked["items"]]
    assert len(ids) == 2 and all(each["state"] == "queued" for each in asked["items"])
    assert "worker" in " ".join(asked["notes"])
    again = call(settings, "ingest", link=CHANNEL, newest=2)
    assert {each["id"] for each in again["items"]} == set(ids)
    service = Service(settings)
    try:
        assert len(service.items.statuses()) == 2
        who = {line["who"] for line in service.audit.read(10)}
    finally:
        service.close()
    assert who == {"assistant (kb mcp)"}
    (status,) = call(settings, "status", job=ids[0])["items"]
    assert (status["id"], status["state"], status["progress"]) == (ids[0], "queued", 0)
    (ended,) = call(settings, "cancel", job=ids[0])["items"]
    assert ended["state"] == "cancelled"
    assert "ended" in call(settings, "cancel", job=ids[0])["notes"][0]
    (retried,) = call(settings, "retry", job=ids[0])["items"]
    assert retried["state"] == "queued"
    assert "nothing" in call(settings, "retry", job=ids[0])["notes"][0]


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("ingest", {"link": "/etc/passwd"}, "no link"),
        ("ingest", {"link": "file:///etc/passwd"}, "no link"),
        ("ingest", {"link": "@talks"}, "no link"),
        ("ingest", {"link": "ftp://example.org/a.mp4"}, "no link"),
        ("ingest", {"link": "https://"}, "no link"),
        ("ingest", {"link": "http://[::1"}, "no link"),
        ("ingest", {"link": "https://example.org/" + "a" * 3_000}, "no link"),
        ("ingest", {"link": "javascript:alert(1)\x1b[2J"}, "no link"),
        ("ingest", {"link": ""}, "no link"),
        ("ingest", {"link": "https://user:hunter2@" + "a" * 3_000}, "no link"),
        ("ingest", {"link": CHANNEL, "newest": 0}, "newest"),
        ("ingest", {"link": CHANNEL, "newest": 101}, "newest"),
        ("status", {"job": "youtube:none"}, "No item"),
        ("status", {"job": "../../etc"}, "No item"),
        ("retry", {"job": "youtube:none"}, "No item"),
        ("cancel", {"job": "youtube:none"}, "No item"),
    ],
)
def test_bad_requests_are_errors_that_name_the_cause(
    settings: Settings, tool: str, arguments: dict[str, Any], said: str
) -> None:
    error = call(settings, tool, **arguments)["error"]
    assert said in error and "hunter2" not in error and "\x1b" not in error and len(error) < 1_000


@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.1:9", "169.254.169.254", "localhost:9"])
def test_a_link_to_a_private_network_is_refused(settings: Settings, host: str) -> None:
    closed = settings.replace(
        private_hosts="", download_pause_s=0.0, download_pause_max_s=0.0
    )  # the queue's own pace would hold the second request back
    error = call(closed, "ingest", link=f"http://{host}/latest/meta-data/a.mp4")["error"]
    assert "private network" in error


def test_a_server_without_a_library_makes_none(settings: Settings, tmp_path: Path) -> None:
    away = settings.replace(home=tmp_path / "none")
    assert "no library" in call(away, "ingest", link=CHANNEL)["error"]
    assert not (tmp_path / "none").exists()
