"""A multipart form that is sent in chunks."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import IO


class FormStream:
    """A multipart form whose file is read while it is sent, not loaded into memory.

    `len()` returns its exact length in bytes, so that the request has a Content-Length.
    """

    def __init__(self, fields: Mapping[str, str], name: str, file: IO[bytes], size: int) -> None:
        self._boundary = f"kb{random.getrandbits(128):032x}"
        head = "".join(
            f'--{self._boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in fields.items()
        )
        head += (
            f"--{self._boundary}\r\n"
            f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        self._head = head.encode("utf-8", "backslashreplace")
        self._tail = f"\r\n--{self._boundary}--\r\n".encode("ascii")
        self._file = file
        self._remaining = size
        self._length = len(self._head) + size + len(self._tail)
        self.content_type = f"multipart/form-data; boundary={self._boundary}"

    def __len__(self) -> int:
        return self._length

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most `size`, or one megabyte if `size` is negative."""
        size = 1 << 20 if size < 0 else size
        if self._head:
            chunk, self._head = self._head[:size], self._head[size:]
            return chunk
        if self._remaining:
            chunk = self._file.read(min(size, self._remaining))
            if not chunk:
                raise OSError("the file became shorter while it was sent")
            self._remaining -= len(chunk)
            return chunk
        chunk, self._tail = self._tail[:size], self._tail[size:]
        return chunk
