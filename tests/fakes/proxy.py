"""An HTTP proxy on loopback: it knows hosts that no name server knows."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.fakes.loopback import Loopback


def _tunnel(near: socket.socket, far: socket.socket) -> None:
    """Carry bytes in both directions until one end closes."""
    other = {near: far, far: near}
    with contextlib.suppress(OSError):
        while True:
            for ready in select.select([near, far], [], [], 60)[0]:
                block = ready.recv(1 << 16)
                if not block:
                    return
                other[ready].sendall(block)


class FakeProxy(Loopback):
    """The proxy, for plain requests and for tunnels (CONNECT), which HTTPS takes.

    `hosts` maps names to addresses of servers; `requests` has the addresses asked.
    `password`: the text that `Proxy-Authorization` must have, empty for none.
    """

    def __init__(self, hosts: Mapping[str, str], password: str = "") -> None:
        self.requests: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proxy.requests.append(self.path)
                parts = urlsplit(self.path)
                if password and self.headers.get("Proxy-Authorization") != password:
                    self.send_error(407)
                    return
                if parts.hostname not in hosts:
                    self.send_error(502)
                    return
                own = {k: v for k, v in self.headers.items() if not k.startswith("Proxy-")}
                connection = http.client.HTTPConnection(urlsplit(hosts[parts.hostname]).netloc)
                connection.request("GET", f"{parts.path}?{parts.query}", headers=own)
                answer = connection.getresponse()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name not in ("Date", "Server", "Connection"):
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.read())
                connection.close()

            def do_CONNECT(self) -> None:
                proxy.requests.append(f"CONNECT {self.path}")
                if password and self.headers.get("Proxy-Authorization") != password:
                    self.send_error(407)
                    return
                address = urlsplit(hosts.get(self.path.partition(":")[0], ""))
                if not address.hostname or not address.port:
                    self.send_error(502)
                    return
                with socket.create_connection((address.hostname, address.port)) as far:
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.flush()
                    _tunnel(self.connection, far)
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"
