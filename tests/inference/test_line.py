"""The line between a worker and the programs of its machine: real sockets, callers that leave."""

from __future__ import annotations

import json
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Client
from pathlib import Path

import pytest

from kb.errors import Cancelled, MediaUnavailable, RetryLater
from kb.inference import line as lines
from kb.inference.line import Line, LineServer, Request
from kb.options import RunOptions
from kb.types import Segment, Transcript, Word
from tests.support.kept_transcripts import transcript
from tests.support.raising import raises
from tests.support.waiting import until

SEGMENT = Segment(0.0, 1.0, "a word", (Word(0.0, 1.0, "word", 0.9),))


@dataclass
class Slow:
    """A transcriber that ends when the test lets it, or when its caller is gone."""

    go: threading.Event = field(default_factory=threading.Event)
    requests: list[Request] = field(default_factory=list)
    cancelled: int = 0

    def transcribe(
        self,
        request: Request,
        *,
        progress: Callable[[float], None] | None = None,
        on_text: Callable[[tuple[Segment, ...]], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Transcript:
        self.requests.append(request)
        assert progress and cancelled
        progress(0.5)
        if on_text:
            on_text((SEGMENT,))
        while not self.go.wait(0.02):
            if cancelled():
                self.cancelled += 1
                raise Cancelled("recognizer.stopped")
        if request.path.name == "broken.wav":
            raise MediaUnavailable("media.missing", "{path} is missing.", path=request.path)
        return transcript(SEGMENT)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(lines, "user_folder", lambda: tmp_path / "state")
    return tmp_path / "library"


@pytest.fixture
def slow(home: Path) -> Iterator[Slow]:
    transcriber = Slow()
    server = LineServer(home, transcriber)
    yield transcriber
    transcriber.go.set()
    server.close()
    assert not list(lines._folder().iterdir())


def request(name: str = "clip.wav") -> Request:
    return Request(Path(name), RunOptions(language="de"), hotwords=("ODIN",))


def test_text_progress_and_words_come_in_order(home: Path, slow: Slow) -> None:
    seen: list[object] = []

    def on_text(segments: tuple[Segment, ...]) -> None:
        seen.append(segments)
        slow.go.set()

    found = Line(home).transcribe(request(), progress=seen.append, on_text=on_text)
    assert found == transcript(SEGMENT)
    assert seen == [0.5, (SEGMENT,)]
    assert slow.requests == [request()]


def test_many_callers_at_once_and_errors_with_their_values(home: Path, slow: Slow) -> None:
    slow.go.set()
    names = ["clip.wav", "broken.wav"] * 40
    with ThreadPoolExecutor(40) as pool:
        futures = [pool.submit(Line(home).transcribe, request(name)) for name in names]
        for name, future in zip(names, futures, strict=True):
            if name == "clip.wav":
                assert future.result(60).segments
            else:
                with raises(MediaUnavailable, "media.missing"):
                    future.result(60)


def test_a_caller_that_stops_or_leaves_ends_its_request(home: Path, slow: Slow) -> None:
    with raises(Cancelled, "recognizer.stopped"):
        Line(home).transcribe(request(), cancelled=lambda: True)
    until(lambda: slow.cancelled == 1)
    connection = Line(home)._connection()
    connection.send((request(), False))
    until(lambda: len(slow.requests) == 2)
    connection.close()  # as the system does for a killed process
    until(lambda: slow.cancelled == 2)


def test_nothing_is_read_from_a_caller_without_the_key(home: Path, slow: Slow) -> None:
    (file,) = lines._folder().iterdir()
    address = json.loads(file.read_text())["address"]
    silent = Client(address)  # it never answers, and holds up no other
    for other in (b"guess", b""):
        with pytest.raises(Exception):  # noqa: B017 - the library's own kinds
            Client(address, authkey=other)
    garbage = Client(address)
    garbage.send_bytes(b"\x80\x04K\x01.")
    garbage.close()
    slow.go.set()
    assert Line(home).transcribe(request()).segments
    assert len(slow.requests) == 1
    silent.close()


@pytest.mark.skipif(sys.platform == "win32", reason="rights of a Unix file")
def test_only_the_account_reads_the_key_and_reaches_the_socket(home: Path, slow: Slow) -> None:
    (file,) = lines._folder().iterdir()
    address = Path(json.loads(file.read_text())["address"])
    for path, mode in ((file, 0o600), (file.parent, 0o700), (address.parent, 0o700)):
        assert stat.S_IMODE(path.stat().st_mode) == mode, path


@pytest.mark.parametrize("left", ["gone socket", "no listener", "half a file", "not JSON", "{}"])
def test_what_a_killed_worker_left_is_passed(home: Path, slow: Slow, left: str) -> None:
    (file,) = lines._folder().iterdir()
    sockets = home.parent / f"{lines.SOCKETS}old"
    sockets.mkdir()
    line = {"address": str(sockets / "line"), "key": "00"}
    if left == "no listener":
        import socket

        with socket.socket(socket.AF_UNIX) as made:
            made.bind(line["address"])
    text = {"half a file": json.dumps(line)[:20], "not JSON": "x", "{}": "{}"}.get(left)
    old = file.with_name(f"{lines._name_of(home)}-1.json")
    old.write_text(text or json.dumps(line))
    slow.go.set()
    for _ in range(20):  # the order is random
        assert Line(home).transcribe(request()).segments
    assert old.exists() == bool(text) and sockets.exists() == bool(text)
    old.unlink(missing_ok=True)


def test_without_a_worker_and_with_the_worker_of_another_library(home: Path, slow: Slow) -> None:
    other = Line(home.parent / "other library")
    Line(home)._connection().close()
    with raises(RetryLater, "line.no_worker"):
        other.transcribe(request())


def test_a_worker_that_ends_is_named(home: Path, tmp_path: Path) -> None:
    class Ending:
        def transcribe(self, request: Request, **_: object) -> Transcript:
            raise EOFError  # the thread ends without an answer

    server = LineServer(home, Ending())
    try:
        with raises(RetryLater, "line.worker_ended"):
            Line(home).transcribe(request())
    finally:
        server.close()
