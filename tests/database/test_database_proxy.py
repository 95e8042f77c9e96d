"""The proxy before a database: each of its faults, seen by a plain client."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.fakes.database_proxy import DatabaseProxy


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets: its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        while block := connection.recv(1024):
            connection.sendall(block)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def ask(connection: socket.socket, words: bytes = b"hello") -> bytes:
    connection.sendall(words)
    return connection.recv(1024)


def test_a_swallowed_block_arrives_when_the_network_is_back(echo: int) -> None:
    with DatabaseProxy("127.0.0.1", echo) as proxy:
        client = socket.create_connection(("127.0.0.1", proxy.port))
        client.settimeout(0.2)
        assert ask(client) == b"hello"
        proxy.swallow()
        with pytest.raises(TimeoutError):
            ask(client, b"later")
        proxy.heal()
        client.settimeout(5)
        assert client.recv(1024) == b"later"


def test_a_cut_ends_connections_and_refuses_new_ones(echo: int) -> None:
    with DatabaseProxy("127.0.0.1", echo) as proxy:
        client = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
        assert ask(client) == b"hello"
        proxy.cut()
        assert client.recv(1024) == b""
        again = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
        with pytest.raises((ConnectionError, AssertionError)):
            assert ask(again) == b"hello"
        proxy.heal()
        assert ask(socket.create_connection(("127.0.0.1", proxy.port), timeout=5)) == b"hello"
        assert (proxy.opened, proxy.most_open) == (2, 1)


def test_the_address_leads_through_the_proxy() -> None:
    with DatabaseProxy.before("postgresql://kb:pw@/kb?host=/tmp/folder") as proxy:
        assert proxy.url("postgresql://kb:pw@/kb?host=/tmp/folder") == (
            f"postgresql://kb:pw@127.0.0.1:{proxy.port}/kb"
        )
