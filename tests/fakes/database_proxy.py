"""A TCP proxy on loopback before a database server: the network of one machine, and its faults.

`cut` closes every connection and refuses new ones, `swallow` keeps connections open and passes
nothing on, `passes_bytes` does so after as many bytes of answers on each connection, `delay_s`
waits before each block. `heal` ends all of them; what was swallowed while the
network was down is then delivered, as TCP does.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from types import TracebackType

import sqlalchemy as sa

_BLOCK = 65_536
_POLL_S = 0.02


class DatabaseProxy:
    """A proxy to a server on a TCP port, or on a Unix socket for a `host` that is a folder.

    `opened` counts the connections that were accepted, `most_open` the largest number at once.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._flows = threading.Event()  # cleared while the network swallows
        self._flows.set()
        self._refuses = False
        self._closed = False
        self.delay_s = 0.0
        self.passes_bytes = 0  # of the server's answers on each connection, then nothing; 0: all
        self.opened = 0
        self.most_open = 0

    @classmethod
    def before(cls, url: str) -> DatabaseProxy:
        """Return a proxy to the server of a PostgreSQL URL (TCP, or `?host=` a folder)."""
        parsed = sa.make_url(url)
        host = parsed.query.get("host", parsed.host or "localhost")
        return cls(host if isinstance(host, str) else host[0], parsed.port or 5432)

    @property
    def port(self) -> int:
        """The port of the proxy on 127.0.0.1."""
        return int(self._listener.getsockname()[1])

    def url(self, url: str) -> str:
        """Return the URL of a database of the server, with the way through this proxy."""
        parsed = sa.make_url(url)
        query = {name: value for name, value in parsed.query.items() if name != "host"}
        through = parsed.set(host="127.0.0.1", port=self.port, query=query)
        return through.render_as_string(hide_password=False)

    # Faults

    def cut(self) -> None:
        """Close every connection, and refuse new ones until `heal`."""
        with self._lock:
            self._refuses = True
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _close(*pair)

    def drop_connections(self) -> None:
        """Close every connection; new ones are accepted."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _close(*pair)

    def swallow(self) -> None:
        """Pass nothing on, in both directions, until `heal`; connections stay open."""
        self._flows.clear()

    def heal(self) -> None:
        """End all faults."""
        self.delay_s = 0.0
        self._refuses = False
        self._flows.set()

    # Internal

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refuses:
                _close(client)
                continue
            try:
                server = self._connect()
            except OSError:
                _close(client)
                continue
            with self._lock:
                self._pairs.append((client, server))
                self.opened += 1
                used = sum(_is_used(each) for each, _ in self._pairs)
                self.most_open = max(self.most_open, used)
            for pair in ((client, server), (server, client)):
                limit = self.passes_bytes if pair[0] is server else 0
                threading.Thread(target=self._pump, args=(*pair, limit), daemon=True).start()

    def _connect(self) -> socket.socket:
        if self._host.startswith("/"):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.connect(f"{self._host}/.s.PGSQL.{self._port}")
            return connection
        return socket.create_connection((self._host, self._port), timeout=10)

    def _pump(self, source: socket.socket, target: socket.socket, limit: int) -> None:
        passed = 0
        with suppress(OSError):
            while block := source.recv(_BLOCK):
                passed += len(block)
                if limit and passed > limit:
                    continue
                while not self._flows.wait(_POLL_S):
                    if self._closed:
                        return
                if self.delay_s:
                    time.sleep(self.delay_s)
                target.sendall(block)
        # The end of a connection is not passed on either while the network swallows.
        while not self._flows.wait(_POLL_S) and not self._closed:
            pass
        with self._lock:
            self._pairs = [pair for pair in self._pairs if source not in pair]
        _close(source, target)

    def __enter__(self) -> DatabaseProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        _close(self._listener)
        self.drop_connections()


def _is_used(client: socket.socket) -> bool:
    """Return False if the client has ended its connection, which no thread has read yet."""
    try:
        # X is PostgreSQL's message for the end of a connection.
        return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) not in (b"", b"X")
    except BlockingIOError:
        return True
    except OSError:
        return False


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            each.close()
