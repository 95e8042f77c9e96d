"""Hostile answers of remote services for `hostile.py`: ODIN and servers of media."""

from __future__ import annotations

import json
import random
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.support.hostile_run import Area, Case, Fault
from benchmarks.support.hostile_values import damaged, mutated
from kb.database import Database
from kb.errors import KBError, KnowledgeBaseError
from kb.jobs.queue.source_factory import measure
from kb.settings import Settings
from kb.sinks.odin.sink import OdinSink
from kb.sinks.odin.sync import SyncItem, apply_plan, make_plan, publish_many
from kb.sources.ytdlp.client import ffmpeg_path
from kb.sources.ytdlp.download import Downloader
from kb.types import DocumentFacts, MediaItem
from tests.fakes.odin import OTHER_FAULTS, UPLOAD_FAULTS, FakeOdin
from tests.support.keys import Clock
from tests.support.sink_contract import make_item, make_passages

FACTS = DocumentFacts("en", "tiny", "whisper", "stabil", 1.0, "A")
LENGTH_S = 6.0
NAMES = ("rivers", "lakes", "wells")
ROUNDS = 6  # at most so many healthy runs until all documents are in step


class Remote(Area):
    """Half of the cases are answers of ODIN, half those of a server of media."""

    name = "remote"
    cases = 120

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name) / "a.webm"
        noise = f"anoisesrc=d={LENGTH_S}:a=0.1:seed=1"
        command = [str(ffmpeg_path()), "-loglevel", "error", "-f", "lavfi", "-i", noise]
        subprocess.run([*command, "-c:a", "libopus", "-b:a", "64k", str(path)], check=True)
        self._sound = path.read_bytes()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def run(self, case: Case) -> None:
        if case.rng.random() < 0.5:
            self._odin(case)
        else:
            self._media(case)

    # ODIN

    def _odin(self, case: Case) -> None:
        """Publish and compare while one answer is wrong; then bring everything into step."""
        with FakeOdin(case.folder / "odin") as odin:
            settings = Settings(home=case.folder / "home", **odin.settings(
                odin_poll_wait_s=0.3, odin_retries=1, odin_timeout_s=3.0,
                odin_listing=case.rng.choice(("paged", "plain")),
            ))  # fmt: skip
            sink = OdinSink(settings)
            try:
                self._disturbed(case, odin, sink)
            finally:
                sink.close()

    def _disturbed(self, case: Case, odin: FakeOdin, sink: OdinSink) -> None:
        rng = case.rng
        library = _library(NAMES)
        if rng.random() < 0.5:  # documents of an earlier version of the library are there
            earlier = _library(NAMES[:2], "old words of")
            publish_many(sink, list(earlier), earlier.get)
        case.what = f"ODIN {_disturb(odin, rng)}"
        error: KBError | None = None
        try:
            plan = make_plan(sink, library.values())
            result = apply_plan(sink, plan, library.get)
            error = next(iter(result.failed.values()), None)
            if result.ok:
                _check_all_there(odin, library, "the sync said that all is in step")
        except KBError as problem:
            error = problem
        odin.queued_faults.clear()
        odin.rewrite = lambda path, request, body: body
        odin.next_fault = lambda upload: "ok"  # type: ignore[method-assign]
        for _ in range(ROUNDS):
            odin.finish_indexing()
            with suppress(KnowledgeBaseError):  # a document that was just sent is not listed yet
                apply_plan(sink, make_plan(sink, library.values()), library.get)
            plan = make_plan(sink, library.values())
            if not plan.documents and plan.in_sync == len(library):
                break
            time.sleep(0.02)
        else:
            raise Fault(f"silent loss: not in step after {ROUNDS} healthy runs: {plan.counts}")
        _check_all_there(odin, library, "the plan has nothing to do")
        if error is not None:
            raise error

    # Media servers

    def _media(self, case: Case) -> None:
        """Download a medium from a server that answers wrongly."""
        rng = case.rng
        body, reply, what = _reply(self._sound, rng)
        case.what = f"media {what}"
        with RawServer(reply) as server:
            settings = Settings(
                KB_HOME=case.folder / "home", YT_API_KEYS_FILE=str(case.folder / "none.txt"),
                KB_DOWNLOAD_PAUSE_S=0, KB_DOWNLOAD_RETRIES=0, KB_DOWNLOAD_ATTEMPTS=2,
            )  # fmt: skip
            database = Database.open(settings)
            clock = Clock(time.time())
            item = MediaItem(
                "web:generic:1", "web", f"{server.url}/talk.webm", "Talk", "", duration_s=LENGTH_S
            )
            downloader = Downloader(
                settings, database, measure=measure, clock=clock, sleep=clock.sleep
            )
            try:
                found = downloader.fetch(item, case.folder / "fetched")
                data = found.path.read_bytes()
                if data != body and measure(found.path).duration_s < LENGTH_S - 1:
                    raise Fault(
                        f"silent loss: {len(data)} of {len(body)} bytes were taken as whole"
                    )
            finally:
                database.close()


def _library(names: tuple[str, ...], said: str = "new words of") -> dict[str, SyncItem]:
    found = {}
    for name in names:
        item = make_item(f"test:{name}")
        found[item.id] = SyncItem(item, make_passages(item, [f"{said} {name}"]), FACTS)
    return found


def _disturb(odin: FakeOdin, rng: random.Random) -> str:
    """Let one of the service's next answers be wrong; return what is wrong."""
    kind = rng.choice(("rewrite", "rewrite", "rewrite", "fault", "text"))
    at = rng.randrange(7)
    if kind == "fault":
        fault = rng.choice(sorted({*UPLOAD_FAULTS, *OTHER_FAULTS} - {"429 date"}))
        odin.retry_after_s = 0.05
        counted = iter(range(1_000))
        lasts = rng.choice((1, 1, 3, 1_000))
        odin.next_fault = lambda upload: (  # type: ignore[method-assign]
            fault
            if at <= next(counted) < at + lasts and (upload or fault in OTHER_FAULTS)
            else "ok"
        )
        return f"fault {fault!r} from request {at} on, {lasts} times"
    every = rng.random() < 0.3
    counted = iter(range(10_000))
    seed = rng.random()

    def rewrite(path: str, _request: dict[str, Any], body: Any) -> Any:
        number = next(counted)
        if number < at or (number > at and not every):
            return body
        own = random.Random(seed)
        if kind == "text":
            return own.choice(
                ("", "null", "<html>hello</html>", "[", "{", '{"docs": [', "NaN", "7")
            )
        changed = mutated(body, own, strict=True)[0]
        return changed if not isinstance(changed, str) else json.dumps(changed)

    odin.rewrite = rewrite
    again = " and all later ones" if every else ""
    return f"{kind} {seed:.6f} of answer {at}{again}"


def _check_all_there(odin: FakeOdin, library: dict[str, SyncItem], why: str) -> None:
    """Raise Fault unless exactly one indexed document of every item has the item's words."""
    texts = [content.decode() for content in odin.indexed().values()]
    for item_id, source in library.items():
        said = source.passages[0].text
        count = sum(said in text for text in texts)
        if count != 1:
            raise Fault(f"silent loss: {why}, and {item_id} has {count} documents")


Reply = Callable[[bytes], list[bytes]]


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.settimeout(5)
        with suppress(OSError):
            data = b""
            while b"\r\n\r\n" not in data:
                block = self.request.recv(65_536)
                if not block:
                    return
                data += block
            for part in self.server.reply(data):  # type: ignore[attr-defined]
                self.request.sendall(part)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_request: object) -> None:
        """Ignore the error: clients that disconnect are part of the cases."""


class RawServer:
    """A server whose answers are bytes: `reply` gets a request and returns what is sent."""

    def __init__(self, reply: Reply) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.reply = reply  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _reply(sound: bytes, rng: random.Random) -> tuple[bytes, Reply, str]:
    """Return the true body, a server's answers for it, and what is wrong with them."""
    size = len(sound)
    length: str | None = str(size)
    status, kind, body, more = "200 OK", "audio/webm", sound, ""
    what = rng.choice((
        "length", "length", "early end", "early end", "status", "type", "html", "redirect",
        "damaged", "encoding", "chunks", "header", "empty", "range", "range", "slow",
    ))  # fmt: skip
    if what == "length":
        wrong = (None, size * 2, size - 500, 0, -1, 10**18, "abc", "1, 2", f"{size}\r\nX: y")
        length = rng.choice([None if each is None else str(each) for each in wrong])
    elif what == "early end":
        body = sound[: rng.randrange(size)]
    elif what == "status":
        status = rng.choice((
            "204 No", "206 Part", "301 Moved", "304 Same", "416 Range", "418 Tea", "429 Slow",
            "451 Law", "500 Bad", "503 Busy", "600 What", "999 X", "abc", "200", "",
        ))  # fmt: skip
    elif what == "type":
        kind = rng.choice((
            "text/html", "application/json", "image/png", "", "x/y; charset=\xff",
            "application/x-mpegurl", "application/dash+xml", "multipart/mixed",
        ))  # fmt: skip
    elif what == "html":
        body = rng.choice(
            (b"<html>Please sign in</html>", b"<!doctype html>" * 999, b"{}", b"\0" * 999)
        )
        kind = rng.choice(("text/html", "audio/webm"))
        length = str(len(body))
    elif what == "redirect":
        target = rng.choice((
            "/talk.webm", "//", "http://[::1", "file:///etc/passwd", "", "/" * 9_000,
            "javascript:x", "http://127.0.0.1:1/x", "ftp://127.0.0.1/x",
        ))  # fmt: skip
        status, more, body, length = "302 Found", f"Location: {target}\r\n", b"", "0"
    elif what == "damaged":
        body, how = damaged(sound, rng)
        length, what = str(len(body)), f"damaged: {how}"
    elif what == "encoding":
        more = f"Content-Encoding: {rng.choice(('gzip', 'br', 'deflate', 'x', 'gzip, gzip'))}\r\n"
    elif what == "chunks":
        chunk = rng.choice((b"ffffffff\r\n", b"-1\r\n", b"zz\r\n", b"", b"10\r\nshort"))
        body, length, more = chunk + sound[:100], None, "Transfer-Encoding: chunked\r\n"
    elif what == "header":
        more = rng.choice(("X: " + "y" * 70_000 + "\r\n", "no colon\r\n", "X: y\r\n" * 300,
                           ": z\r\n", "X\0: y\r\n", "Content-Range: bytes 5-2/1\r\n"))  # fmt: skip
    elif what == "empty":
        body, length = b"", rng.choice(("0", None))
    shift = rng.choice((-700, 700, 0, 10**9)) if what == "range" else 0
    slow = what == "slow"

    def reply(request: bytes) -> list[bytes]:
        lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", "Connection: close"]
        sent, declared = body, length
        wanted = [line for line in request.split(b"\r\n") if line.lower().startswith(b"range:")]
        first = 0
        with suppress(ValueError, IndexError):
            first = int(wanted[0].split(b"=")[1].split(b"-")[0])
        if (first or wanted) and status == "200 OK" and what in ("range", "early end", "slow"):
            sent = body[max(0, first + shift) :]
            lines[0] = "HTTP/1.1 206 Partial Content"
            lines.append(f"Content-Range: bytes {first}-{size - 1}/{size}")
            declared = str(size - first)
        if declared is not None:
            lines.append(f"Content-Length: {declared}")
        head = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n" + more.encode() + b"\r\n"
        if request.startswith(b"HEAD"):
            return [head]
        step = size // 4 + 1 if slow else len(sent) + 1
        return [head, *(sent[at : at + step] for at in range(0, len(sent), step))]

    return (
        (body if what.startswith("damaged") else sound),
        reply,
        f"{what}: {status} {kind} {length}",
    )
