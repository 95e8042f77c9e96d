"""Uploads: names in bytes, number, size, idle time and free disk, counted over all of them."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import stat
import sys
import threading
import time
from collections import namedtuple
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kb.service import uploads
from kb.service.uploads import safe_name
from kb.settings import Settings
from kb.storage.permissions import private_files
from kb.ui.web import upload_route
from kb.ui.web.upload_route import Uploads
from tests.support.hostile import EVIL, problems
from tests.support.waiting import WAIT_S

Usage = namedtuple("Usage", "total used free")
GB = 1 << 30


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "library"


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, home: Path) -> dict[str, int]:
    """Make the disk as large as `size`, less what uploads have written; return the figure."""
    figures = {"size": 10 * GB}

    def usage(_path: object) -> Usage:
        used = sum(f.stat().st_size for f in home.rglob("*") if f.is_file())
        return Usage(figures["size"], used, figures["size"] - used)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    return figures


class Sender:
    """One upload under way: blocks are given to it one by one."""

    def __init__(self, owner: Uploads, settings: Settings, name: str, size: int | None) -> None:
        self.sent: list[dict[str, Any]] = []
        self.queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.asked = asyncio.Event()  # the server has read all that was given, and asks for more
        headers = [] if size is None else [(b"content-length", str(size).encode())]
        scope = {
            "type": "http", "method": "PUT", "path": "/kb-upload", "headers": headers,
            "query_string": f"name={quote(name)}".encode(),
        }  # fmt: skip
        self.task = asyncio.create_task(self._run(owner, settings, scope))

    async def _run(self, owner: Uploads, settings: Settings, scope: dict[str, Any]) -> None:
        answer = await owner.receive(Request(scope, self._next), settings)
        await answer(scope, self._next, self._send)

    async def _next(self) -> dict[str, Any]:
        if self.queue.empty():
            self.asked.set()
        return await self.queue.get()

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    async def give(self, data: bytes, *, more: bool = True) -> None:
        """Send a part, and wait until it is read or the request has ended."""
        self.asked.clear()
        self.queue.put_nowait({"type": "http.request", "body": data, "more_body": more})
        asked = asyncio.create_task(self.asked.wait())
        await asyncio.wait({asked, self.task}, return_when=asyncio.FIRST_COMPLETED, timeout=60)
        asked.cancel()

    async def end(self) -> tuple[int, dict[str, Any]]:
        self.queue.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        await asyncio.wait_for(self.task, 60)
        return self.result

    @property
    def result(self) -> tuple[int, dict[str, Any]]:
        return self.sent[0]["status"], json.loads(self.sent[1]["body"])


def left(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("講" * 83 + ".mp4", ".mp4"),
        ("講" * 150 + ".mp4", ".mp4"),
        ("😀" * 150 + ".webm", ".webm"),
        ("👩‍👩‍👧‍👦" * 40 + ".mp4", ".mp4"),
        ("ü" * 200 + ".mkv", ".mkv"),
        ("a" * 300, ""),
        ("a." + "講" * 90, ""),
        (EVIL + ".mp4", ".mp4"),
        ("x\u202egpj.exe", ".exe"),
    ],
)
def test_any_name_is_a_name_of_the_disk(tmp_path: Path, name: str, suffix: str) -> None:
    safe = safe_name(name)
    assert len(safe.encode()) <= 255
    assert safe.endswith(suffix)
    assert problems(safe) == []
    (tmp_path / safe).write_bytes(b"x")


def test_a_name_of_253_bytes_is_kept_whole(home: Path, disk: dict[str, int]) -> None:
    async def body() -> None:
        name = "講" * 83 + ".mp4"
        sender = Sender(Uploads(), Settings(KB_HOME=str(home)), name, 3)
        sender.queue.put_nowait({"type": "http.request", "body": b"abc", "more_body": False})
        await sender.task
        status, document = sender.result
        assert (status, document["name"]) == (200, name)
        kept = uploads.path_of(home, document["id"])
        assert kept is not None
        assert kept.read_bytes() == b"abc"

    asyncio.run(body())


def scenario(
    act: Callable[[Callable[..., Sender]], AsyncIterator[None] | Any], settings: Settings
) -> None:
    async def body() -> None:
        owner = Uploads()
        await act(lambda size=None, name="a.mp4": Sender(owner, settings, name, size))

    asyncio.run(body())


@pytest.mark.skipif(sys.platform == "win32", reason="rights of POSIX systems")
@pytest.mark.parametrize(
    ("mode", "group", "of_folder", "of_file"),
    [
        (0o700, False, 0o700, 0o600), (0o755, False, 0o700, 0o600), (0o700, True, 0o770, 0o660),
        (0o770, False, 0o770, 0o660), (0o777, False, 0o777, 0o666),
    ],
)  # fmt: skip
def test_an_upload_has_the_rights_of_the_library(
    home: Path, disk: dict[str, int], mode: int, group: bool, of_folder: int, of_file: int
) -> None:
    home.mkdir()
    home.chmod(mode)

    async def story() -> None:
        sender = Sender(Uploads(), Settings(KB_HOME=home), "talk.mp4", None)
        await sender.give(b"x" * 100)
        assert (await sender.end())[0] == 200

    with private_files(home, group=group):
        asyncio.run(story())
    (file,) = left(home)
    assert stat.S_IMODE(file.stat().st_mode) == of_file
    assert stat.S_IMODE(file.parent.stat().st_mode) == of_folder


def test_several_uploads_share_the_free_disk(home: Path, disk: dict[str, int]) -> None:
    disk["size"] = GB + 1000

    async def act(send: Callable[..., Sender]) -> None:
        first = send(600)
        await first.give(b"x" * 100)
        second = send(600)
        status, document = await second.end()
        assert (status, document["error"]) == (507, "full")
        third = send(300)
        await third.give(b"x" * 300)
        assert (await third.end())[0] == 200
        await first.give(b"x" * 500)
        assert (await first.end())[0] == 200

    scenario(act, Settings(KB_HOME=str(home), KB_MIN_FREE_GB=0))
    assert sorted(path.stat().st_size for path in left(home)) == [300, 600]


def test_the_reserve_is_kept_while_a_length_is_unknown(home: Path, disk: dict[str, int]) -> None:
    disk["size"] = GB + 1000

    async def act(send: Callable[..., Sender]) -> None:
        sender = send()
        for _ in range(10):
            await sender.give(b"x" * 300)
        assert sum(path.stat().st_size for path in left(home)) <= 1000
        assert (await sender.end())[1]["error"] == "full"

    scenario(act, Settings(KB_HOME=str(home), KB_MIN_FREE_GB=0))
    assert left(home) == []


def test_a_disk_that_others_fill_ends_a_declared_upload(
    home: Path, disk: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_route, "CHECK_EVERY_BYTES", 100)

    async def act(send: Callable[..., Sender]) -> None:
        sender = send(1000)
        await sender.give(b"x" * 200)
        disk["size"] = GB
        await sender.give(b"x" * 200)
        assert (await sender.end())[1]["error"] == "full"

    scenario(act, Settings(KB_HOME=str(home), KB_MIN_FREE_GB=0))
    assert left(home) == []


@pytest.mark.parametrize("declared", [True, False])
def test_a_file_above_the_limit_is_refused(
    home: Path, disk: dict[str, int], declared: bool
) -> None:
    async def act(send: Callable[..., Sender]) -> None:
        sender = send(2000 if declared else None)
        for _ in range(4):
            await sender.give(b"x" * 500)
        status, document = await sender.end()
        assert (status, document) == (413, {"error": "large", "most": 1000})

    scenario(act, Settings(KB_HOME=str(home), KB_UPLOAD_MAX_GB=1e-6))
    assert left(home) == []


def test_the_number_at_once_is_limited_and_places_come_back(
    home: Path, disk: dict[str, int]
) -> None:
    async def act(send: Callable[..., Sender]) -> None:
        senders = [send(10) for _ in range(3)]
        for each in senders[:2]:
            await asyncio.wait_for(each.asked.wait(), 60)
        assert (await senders[2].end())[0] == 503
        await senders[0].give(b"x" * 10)
        assert (await senders[0].end())[0] == 200
        senders[1].queue.put_nowait({"type": "http.disconnect"})
        await senders[1].task
        again = [send(1), send(1)]
        for each in again:
            await each.give(b"x")
            assert (await each.end())[0] == 200

    scenario(act, Settings(KB_HOME=str(home), KB_UPLOADS_AT_ONCE=2))


def test_an_idle_upload_is_ended(home: Path, disk: dict[str, int]) -> None:
    async def act(send: Callable[..., Sender]) -> None:
        sender = send(10)
        await sender.give(b"x")
        while not sender.sent:
            await asyncio.sleep(0.01)
        assert sender.sent[0]["status"] == 408
        await sender.end()

    scenario(act, Settings(KB_HOME=str(home), KB_UPLOAD_IDLE_S=0.1))
    assert left(home) == []


def test_a_cancelled_request_leaves_nothing(home: Path, disk: dict[str, int]) -> None:
    async def act(send: Callable[..., Sender]) -> None:
        sender = send(10)
        await sender.give(b"x")
        sender.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sender.task

    scenario(act, Settings(KB_HOME=str(home)))
    assert left(home) == []


@pytest.fixture
def address(home: Path) -> Iterator[int]:
    """Run a real server that refuses every upload above a megabyte; yield its port."""
    owner, settings = Uploads(), Settings(KB_HOME=str(home), KB_UPLOAD_MAX_GB=0.001)

    async def receive(request: Request) -> Response:
        return await owner.receive(request, settings)

    app = Starlette(routes=[Route("/kb-upload", receive, methods=["PUT"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(WAIT_S)


def test_a_client_that_is_still_sending_reads_the_refusal(address: int) -> None:
    size = 60_000_000
    with socket.create_connection(("127.0.0.1", address), timeout=WAIT_S) as connection:
        connection.sendall(
            b"PUT /kb-upload?name=a.mp4 HTTP/1.1\r\nHost: x\r\n"
            + f"Content-Length: {size}\r\n\r\n".encode()
        )
        for _ in range(size // 1_000_000):
            connection.sendall(b"x" * 1_000_000)
        answer = b""
        while block := connection.recv(65_536):
            answer += block
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"error":"large"' in answer
