"""A server on loopback that runs in a thread of its own, for the length of a `with` block."""

from __future__ import annotations

import socketserver
import threading
from types import TracebackType
from typing import Self

POLL_S = 0.02  # the longest wait for the end of a server


class Loopback:
    """Runs `_server`, which a subclass makes, from the start of a `with` block to its end."""

    _server: socketserver.TCPServer

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def origin(self) -> str:
        """The server's address, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
