"""The messages of a decoding ffmpeg, counted by what they mean."""

from __future__ import annotations

import re
import threading
from functools import cache
from typing import IO

import av

# The form with `-loglevel level`: "[matroska,webm @ 0x55] [error] File ended prematurely".
_LOG_LINE = re.compile(rb"(?P<source>(?:\[[^\]]+ @ \w+\] )*)\[(?P<level>\w+)\] (?P<message>.*)")

_CORRUPT_AT = re.compile(r"dts = (-?\d+)")


class DecoderLog:
    """A log of ffmpeg's messages, read by a thread so that a full pipe never stops the decoder."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self.first_error = ""
        self.damaged_packets = 0
        self.broken_container = False
        self.duration_is_estimate = False
        self.is_partial = False
        self._has_corrupt_packet = False
        self.corrupt_at: int | None = None  # time of the last such packet, in the stream's units
        self._expects_corrupt = False
        self._thread = threading.Thread(
            target=self._drain, args=(pipe,), name="ffmpeg-log", daemon=True
        )
        self._thread.start()

    @property
    def is_truncated(self) -> bool:
        """Return True if the file ends within a packet, a frame or an index.

        A corrupt packet counts only in a file in which it must be the last packet: not in joined
        streams, and not in a WAV that was written to a pipe, whose declared end is always wrong.
        """
        return self.is_partial or (self._has_corrupt_packet and not self._expects_corrupt)

    def join(self) -> None:
        """Wait until the process has closed its end of the pipe."""
        self._thread.join()

    def _drain(self, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                match = _LOG_LINE.match(line)
                if match is not None:
                    message = match["message"].decode("utf-8", "replace").rstrip(".\r\n ")
                    self._parse_message(match["source"], match["level"], message)

    def _parse_message(self, source: bytes, level: bytes, message: str) -> None:
        if "ended prematurely" in message or "partial file" in message:
            self.is_partial = True
        elif level == b"warning":
            self._take_warning(message)
        else:
            if not _is_video(source.removeprefix(b"[").split(b" ", 1)[0]):
                self.first_error = self.first_error or message
            if "packet to decoder" in message or "Decoding error" in message:
                self.damaged_packets += 1
            elif source.startswith(b"[in#") and b"/" in source:  # not while the header is read
                self.broken_container = True

    def _take_warning(self, message: str) -> None:
        if "Packet corrupt" in message:
            self._has_corrupt_packet = True
            at = _CORRUPT_AT.search(message)
            self.corrupt_at = int(at[1]) if at else None
        elif "corrupt input packet" in message:
            self.damaged_packets += 1
        elif "Ignoring maximum wav data size" in message:
            self._expects_corrupt = True
        elif "timestamp discontinuity" in message:
            self._expects_corrupt = self.duration_is_estimate = True
        elif "Estimating duration" in message:
            self.duration_is_estimate = True


@cache
def _is_video(name: bytes) -> bool:
    """Return True if the source of a message, such as h264, is a decoder of pictures."""
    try:
        return bool(av.codec.Codec(name.decode("ascii", "replace"), "r").type == "video")
    except (ValueError, av.error.FFmpegError):
        return False
