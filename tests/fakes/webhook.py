"""A receiver of notices on loopback; it answers as a test wants."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.fakes.loopback import Loopback


class WebhookReceiver(Loopback):
    """Keeps the bodies and headers that arrive; `status` is its answer, 0 hangs until the end."""

    def __init__(self) -> None:
        self.status = 204
        self.arrived: list[tuple[str, dict[str, str]]] = []
        self.end = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                receiver.arrived.append((body, dict(self.headers)))
                if receiver.status == 0:
                    receiver.end.wait(60)
                    return
                self.send_response(receiver.status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
