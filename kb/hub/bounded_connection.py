"""Connections that end when the headers of an answer take too long.

The time limit of a socket counts from byte to byte: a hub that sends its headers in drops would
hold a request for ever. Here it is the limit of the whole: of the answer of a proxy to CONNECT,
and of the headers of a response.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import HTTPResponse


def bounded_session() -> requests.Session:
    """Return a session of requests whose time limits are those of whole headers."""
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _BoundedAdapter())
    return session


@contextmanager
def _ended_in_time(connection: HTTPConnection) -> Iterator[None]:
    """End a connection after its time limit. Raises TimeoutError if that has happened."""
    limit_s = connection.timeout
    if not isinstance(limit_s, int | float):
        yield
        return
    ended = threading.Event()

    def end() -> None:
        if connection.sock is None:
            return
        ended.set()
        with suppress(OSError):
            # Not the method of a TLS socket, whose state another thread uses now.
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    timer = threading.Timer(limit_s, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if ended.is_set():
            raise TimeoutError("timed out") from error
        raise
    finally:
        timer.cancel()
    if ended.is_set():  # http.client takes the end of a connection for the end of the headers
        raise TimeoutError("timed out")


class _BoundedHTTP(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        with _ended_in_time(self):
            return super().getresponse()


class _BoundedHTTPS(HTTPSConnection):
    def connect(self) -> None:
        with _ended_in_time(self):
            super().connect()

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        with _ended_in_time(self):
            return super().getresponse()


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _BoundedHTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _BoundedHTTPS


class _BoundedAdapter(HTTPAdapter):
    """An adapter of requests whose pools have these connections, with and without a proxy."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
        return manager
