"""`kb health`: exit codes for probes, whatever answers at the port."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kb.cli import run


@contextmanager
def answering(status: int, body: bytes, seen: list[str]) -> Iterator[int]:
    """Serve one answer for every path; yield the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (200, b'{"status": "ok"}', 0, "well"),
        (200, b"ok", 0, "well"),  # the dashboard's form
        (503, b"ok", 1, "503"),
        (503, b'{"status": "unavailable", "reason": "no disk"}', 1, "no disk"),
        (503, b"<html>", 1, "503"),
        (500, b'{"status": "ok"}', 1, "500"),
        (404, b"[]", 1, "404"),
        (200, b"another program", 1, "no answer"),
        (200, b"[1]", 1, "another program"),
        (200, b'{"status": "bad"}', 1, "no reason"),
        (200, b"", 1, "no answer"),
    ],
)
def test_the_exit_code_says_if_it_is_well(
    capfd: pytest.CaptureFixture[str], status: int, body: bytes, code: int, said: str
) -> None:
    seen: list[str] = []
    with answering(status, body, seen) as port:
        assert run(["health", "--port", str(port)]) == code
        printed = capfd.readouterr()
        assert said in " ".join((printed.out + printed.err).split())
        assert run(["health", "--ready", "--port", str(port), "--json"]) == code
    assert seen == ["/health", "/health/ready"]
    assert (json.loads(capfd.readouterr().out)["status"] == "ok") == (code == 0)


def test_nothing_at_the_port_and_the_port_of_the_environment(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("PORT", str(port))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert run(["health"]) == 1
    printed = capfd.readouterr()
    assert str(port) in printed.out + printed.err
