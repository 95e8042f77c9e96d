"""Packets and frames of a video stream; damaged ones are left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import av
import numpy as np

from kb.enrich.screen.changes import HEIGHT, WIDTH, Grey

if TYPE_CHECKING:
    Packet = av.Packet[av.VideoStream]


def packets(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[Packet]:
    """Yield the packets of a stream; a file that is cut off has them up to there."""
    try:
        for packet in container.demux(stream):
            if packet.size:  # the last one is empty
                yield packet
    except (av.error.FFmpegError, OSError):
        return


def decoded(stream: av.VideoStream, packet: Packet | None) -> Sequence[av.VideoFrame]:
    """Return the frames that a packet completes, or with None those that the decoder still has."""
    try:
        return stream.codec_context.decode(packet)
    except (av.error.FFmpegError, ValueError, MemoryError):
        return ()


def time_of(stream: av.VideoStream, part: Packet | av.VideoFrame, zero_s: float) -> float | None:
    """Return the second of a packet or frame, None if it has none."""
    base = part.time_base or stream.time_base  # frames that a decoder still had have none
    if part.pts is None or base is None:
        return None
    return max(0.0, float(part.pts * base) - zero_s)


def grey(frame: av.VideoFrame) -> Grey:
    """Return a frame as a small grey picture."""
    small = frame.reformat(WIDTH, HEIGHT, "gray", interpolation="AREA")
    return np.asarray(small.to_ndarray(), dtype=np.uint8)
