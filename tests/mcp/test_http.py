"""The assistants' server over HTTP: the real client, and requests that are refused."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import httpx2
import pytest
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from kb.errors import SettingsError, UsageError
from kb.mcp import http
from kb.service import Service
from kb.settings import PROJECT_ROOT, Settings
from tests.support.commands import run_command
from tests.support.waiting import WAIT_S

KEY, OTHER = "a-long-random-test-key-1", "a-long-random-test-key-2"
TALK = "file:00000000000a"
SRT = "1\n00:00:10,000 --> 00:00:12,000\nThe lighthouse is old.\n"
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@contextmanager
def served(settings: Settings, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve in a thread; yield the address."""
    config = uvicorn.Config(http.make_app(settings, host), port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}{http.PATH}"
    finally:
        server.should_exit = True
        thread.join(WAIT_S)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    made = Settings.model_validate({"KB_HOME": str(tmp_path_factory.mktemp("http") / "home")})
    service = Service(made)
    service.library.prepare()
    name = "2024-03-01_Harbour_00000000000a.en.srt"
    (service.library.media_folder / name).write_text(SRT, "utf-8")
    assert service.search.reindex().items == 1
    service.close()
    return made


@pytest.fixture(scope="module")
def open_server(settings: Settings) -> Iterator[str]:
    with served(settings) as address:
        yield address


@pytest.fixture(scope="module")
def keyed_server(settings: Settings) -> Iterator[str]:
    with served(Settings.model_validate({**settings.model_dump(), "api_keys": KEY})) as address:
        yield address


async def tour(address: str, key: str = "") -> tuple[set[str], list[dict[str, Any]], str]:
    """Return the names of the tools, the hits of a search, and a resource."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=WAIT_S) as transport,
        Client(streamable_http_client(address, http_client=transport)) as client,
    ):
        names = {tool.name for tool in (await client.list_tools()).tools}
        found = await client.call_tool("search", {"query": "lighthouse"})
        (content,) = (await client.read_resource(f"kb://item/{TALK}?t=10")).contents
    assert found.structured_content is not None
    return names, found.structured_content["results"], content.text  # type: ignore[union-attr]


def test_the_client_searches_and_reads(open_server: str) -> None:
    names, (hit,), text = asyncio.run(tour(open_server))
    assert names == {
        "search", "fetch", "list_items", "get_transcript", "speakers", "same_sound", "notes",
        "ask_library", "saved_searches", "run_saved_search",
    }  # fmt: skip
    assert hit["id"] == f"{TALK}#10" and "lighthouse" in text


def test_the_client_comes_in_with_its_key(keyed_server: str) -> None:
    assert asyncio.run(tour(keyed_server, KEY))[1][0]["id"] == f"{TALK}#10"
    with pytest.raises((MCPError, httpx2.HTTPError, ExceptionGroup)):
        asyncio.run(tour(keyed_server, OTHER))


def test_a_key_of_the_library_needs_the_scope_of_search(tmp_path: Path) -> None:
    made = Settings.model_validate({"KB_HOME": str(tmp_path / "home")})
    service = Service(made)
    service.queue.prepare()
    keys = {scope: service.access.add(scope, [scope])[1] for scope in ("search", "speech")}
    service.close()
    writing = made.replace(mcp_write=True)
    for settings, allowed in ((made, "search"), (writing, "")):
        with served(settings) as address:
            assert post(address).status_code == 401
            for scope, key in keys.items():
                answer = post(address, {"Authorization": f"Bearer {key}"})
                assert (answer.status_code == 403) == (scope != allowed), answer.text


def post(address: str, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    sent = {**ACCEPT, **(headers or {})}
    body = {} if "content" in more else {"json": PING}
    return httpx.post(address, headers=sent, timeout=WAIT_S, **body, **more)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 400),
        ({"Host": "evil.example:8765"}, 400),
        ({"Host": "127.0.0.1.evil.example"}, 400),
        ({"Host": ""}, 400),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
    ],
)
def test_a_foreign_page_or_name_is_refused(
    open_server: str, headers: dict[str, str], status: int
) -> None:
    answer = post(open_server, headers)
    assert answer.status_code == status and "lighthouse" not in answer.text
    assert set(answer.json()["error"]) >= {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "given",
    [
        None, "", "Bearer", f"Bearer {OTHER}", f"Basic {KEY}", KEY, f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}", f"Bearer {KEY.upper()}",
    ],
)  # fmt: skip
def test_a_missing_or_wrong_key_is_refused(keyed_server: str, given: str | None) -> None:
    answer = post(keyed_server, {} if given is None else {"Authorization": given})
    assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert KEY not in answer.text


@pytest.mark.parametrize("name", ["key", "api_key", "token", "access_token", "API-KEY"])
def test_a_key_in_the_address_is_refused(keyed_server: str, name: str) -> None:
    answer = post(f"{keyed_server}?{name}={KEY}", {"Authorization": f"Bearer {KEY}"})
    assert answer.status_code == 400 and KEY not in answer.text


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"jsonrpc": "2.0"}', b"\xff"])
def test_a_body_that_is_no_request_is_an_error(open_server: str, content: bytes) -> None:
    answer = post(open_server, {"Content-Type": "application/json"}, content=content)
    assert 400 <= answer.status_code < 500 or "error" in json.loads(answer.text)


def test_a_body_that_says_it_is_large_is_refused_before_it_is_read(open_server: str) -> None:
    parts = urlsplit(open_server)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=WAIT_S)
    connection.putrequest("POST", parts.path)
    for name, value in (*ACCEPT.items(), ("Content-Length", "10000000000")):
        connection.putheader(name, value)
    connection.endheaders(b"{")  # and no more
    assert connection.getresponse().status == 413
    connection.close()


def test_a_body_that_grows_too_large_is_refused_while_it_is_read(open_server: str) -> None:
    blocks = iter([b" " * 60_000] * 20)  # without a length
    answer = post(open_server, {"Content-Type": "application/json"}, content=blocks)
    assert answer.status_code == 413 and answer.json()["error"]["code"] == "file_too_large"
    assert "KB_API_MAX_MB" not in answer.text  # a setting of the other server


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "", "kb.example.org"])
def test_others_are_not_let_in_without_a_key(settings: Settings, host: str) -> None:
    with pytest.raises(UsageError) as refused:
        http.serve(settings, host, 0, lambda _: pytest.fail("it listens"))
    assert refused.value.code == "api.unguarded"


def test_a_weak_key_is_refused(settings: Settings) -> None:
    weak = Settings.model_validate({**settings.model_dump(), "api_keys": "short"})
    with pytest.raises(SettingsError) as refused:
        http.serve(weak, "127.0.0.1", 0, lambda _: pytest.fail("it listens"))
    assert refused.value.code == "api.weak_key"


def test_a_port_in_use_is_named(settings: Settings, open_server: str) -> None:
    port = int(open_server.split(":")[2].split("/")[0])
    with pytest.raises(UsageError) as refused:
        http.serve(settings, "127.0.0.1", port, lambda _: pytest.fail("it listens"))
    assert refused.value.code == "api.address" and str(port) in refused.value.message


@pytest.mark.slow
def test_the_command_serves_with_a_key_and_write_tools(settings: Settings) -> None:
    """`kb mcp --http` says its address, answers the real client and ends on a signal."""
    environment = {
        **os.environ, "KB_HOME": str(settings.home), "KB_API_KEYS": f"{OTHER},{KEY}",
        "KB_MCP_WRITE": "true",
    }  # fmt: skip
    printed = run_command(["mcp", "--http", "--print-config"], environment, PROJECT_ROOT).stdout
    entry = json.loads(printed)["mcpServers"]["kb-ingest"]
    assert entry["url"] == "http://127.0.0.1:8765/mcp" and KEY not in printed
    assert entry["headers"] == {"Authorization": "Bearer KEY"}
    command = [sys.executable, "-m", "kb.cli", "mcp", "--http", "--port", "0"]
    process = subprocess.Popen(
        command, env=environment, cwd=PROJECT_ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        said = ""
        while not (found := re.search(r"http://\S+/mcp", said)):
            line = process.stderr.readline()
            assert line, said
            said += line
        names, (hit,), _ = asyncio.run(tour(found[0], KEY))
        assert hit["id"] == f"{TALK}#10" and names >= {"ingest", "status", "retry", "cancel"}
        assert post(found[0]).status_code == 401
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
    finally:
        process.kill()
        process.wait(30)
