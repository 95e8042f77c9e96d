"""Messages between the model's process and a reader, with the sound of a window beside them.

The sound is not pickled: it goes through the pipe as it is, and is read into the memory that the
engine gets. That costs the receiving thread as little of the interpreter's lock as shared memory
does (docs/performance.md), and leaves nothing behind when a process is killed.
"""

from __future__ import annotations

import io
import pickle
import struct
import sys
import threading
from contextlib import suppress
from typing import Any

import numpy as np

from kb.asr.audio.vad import Audio

_HEAD = struct.Struct("<QQ")  # bytes of the message and of the sound
PIPE_BYTES = 2**20  # a window in two or three reads; Linux gives 64 KB unasked
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ of Linux


class Channel:
    """One end: `send` may be called from any thread, `receive` from one."""

    def __init__(self, source: io.FileIO, sink: io.FileIO) -> None:
        self._source = source
        self._sink = sink
        self._lock = threading.Lock()
        if sys.platform == "linux":
            import fcntl

            with suppress(OSError):  # more than this account may have: the size stays
                fcntl.fcntl(sink.fileno(), _SET_PIPE_SIZE, PIPE_BYTES)

    def send(self, message: object, sound: Audio | None = None) -> None:
        """Send a message. Raises OSError if the other end is gone."""
        data = pickle.dumps(message, protocol=5)
        samples = memoryview(b"")
        if sound is not None and sound.size:
            samples = np.ascontiguousarray(sound, np.float32).data.cast("B")
        with self._lock:
            self._write(memoryview(_HEAD.pack(len(data), len(samples)) + data))
            self._write(samples)

    def receive(self) -> tuple[Any, Audio]:
        """Return the next message and its sound. Raises EOFError if the other end is gone."""
        length, sound_length = _HEAD.unpack(self._read(_HEAD.size))
        message = pickle.loads(self._read(length))
        sound = np.empty(sound_length // 4, np.float32)
        if sound_length:
            self._fill(sound.data.cast("B"))
        return message, sound

    def _read(self, length: int) -> bytearray:
        data = bytearray(length)
        self._fill(memoryview(data))
        return data

    def _fill(self, view: memoryview) -> None:
        at = 0
        while at < len(view):
            try:
                count = self._source.readinto(view[at:])
            except (OSError, ValueError) as error:
                raise EOFError from error
            if not count:
                raise EOFError
            at += count

    def _write(self, view: memoryview) -> None:
        at = 0
        while at < len(view):
            at += self._sink.write(view[at:]) or 0
