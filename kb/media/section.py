"""A section of a medium, cut by ffmpeg on the clock of the transcript.

Times count from the container's start, as in `kb.media.decode`. ffmpeg seeks to the section; where
a seek is not exact (a transport stream's clock may be reset, a chained Ogg begins again) it reads
from the start. Each packet has its time, so that sound that begins late or pauses stays in place.
"""

from __future__ import annotations

import mmap
import re
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import av
import numpy as np
from numpy.typing import NDArray

from kb.media import ffmpeg
from kb.media.probe import RESET_CLOCKS, MediaProbe, input_arguments, start_arguments

_RATES_HZ = (8_000, 48_000)
_JITTER_S = 0.1  # of packets' times; a larger difference is a pause
_NO_PROBING = {"probesize": "32", "analyzeduration": "0"}  # nobuffer would lose a packet
_FIRST_PAGE = re.compile(rb"OggS\x00[\x02\x06]")
_FIRST_PAGES_BYTES = 4096  # the first pages of all streams of an Ogg file
_PICTURE_SIDE_MAX = 8192


def write_sound(found: MediaProbe, start_s: float, end_s: float, target: Path) -> float:
    """Write the sound between two times as a WAV; return the end of what was read, in seconds.

    Rate and channels are the medium's, at most 48 kHz and stereo. Silence fills the time without
    sound before and between packets. 0 is returned, and no file is written, without any packet.
    """
    rate_hz = min(max(found.sample_rate_hz or 0, _RATES_HZ[0]), _RATES_HZ[1])
    channels = 1 if found.channels == 1 else 2
    layout = "mono" if channels == 1 else "stereo"
    filters = f"aresample={rate_hz}:osf=s16,aformat=channel_layouts={layout}"
    command = [
        *_input(found, start_s, end_s),
        *("-vn", "-sn", "-dn", "-af", filters, "-c:a", "pcm_s16le", "-f", "nut", "pipe:1"),
        *start_arguments(found),
    ]
    zero_s = start_s if is_exact(found) else 0.0
    at, total = 0, round((end_s - start_s) * rate_hz)
    with _run(command) as container, wave.open(str(target), "wb") as wav:
        wav.setnchannels(channels)
        wav.setsampwidth(2)
        wav.setframerate(rate_hz)
        for packet in container.demux():
            if packet.pts is None or not packet.size:
                continue
            values = np.frombuffer(packet, np.int16)
            values = values[: len(values) // channels * channels].reshape(-1, channels)
            first = round((float(packet.pts * packet.time_base) + zero_s - start_s) * rate_hz)
            shift = first - at
            if shift > (_JITTER_S * rate_hz if at else 0):
                silence = min(shift, total - at)
                wav.writeframes(bytes(2 * channels * silence))
                at += silence
            elif shift < -_JITTER_S * rate_hz or (not at and shift < 0):
                values = values[-shift:]
            values = values[: total - at]
            wav.writeframes(values.tobytes())
            at += len(values)
    if not at:
        target.unlink(missing_ok=True)
        return 0.0
    return start_s + at / rate_hz


def write_silence(seconds: float, target: Path) -> None:
    """Write a WAV without sound."""
    with wave.open(str(target), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(_RATES_HZ[1])
        wav.writeframes(bytes(2 * round(seconds * _RATES_HZ[1])))


@contextmanager
def pictures(
    found: MediaProbe, start_s: float, end_s: float, frames_per_s: float
) -> Iterator[Iterator[NDArray[np.uint8]]]:
    """Open the pictures between two times: arrays [height, width, 3], at a constant rate.

    The sides are even, as H.264 needs them.
    """
    filters = (
        f"fps={frames_per_s:.6f}:start_time={0 if is_exact(found) else start_s:.6f},"
        f"scale=w='trunc(min(iw,{_PICTURE_SIDE_MAX})/2)*2':"
        f"h='trunc(min(ih,{_PICTURE_SIDE_MAX})/2)*2'"
    )
    command = [
        *_input(found, start_s, end_s),
        *("-map", "0:V:0", "-vf", filters, "-c:v", "rawvideo", "-pix_fmt", "rgb24"),
        *("-f", "nut", "pipe:1"),
        *start_arguments(found),
    ]
    zero_s = start_s if is_exact(found) else 0.0
    with _run(command) as container:
        yield _frames(container, start_s - zero_s)


def _frames(container: Any, from_s: float) -> Iterator[NDArray[np.uint8]]:
    video = container.streams.video[0]
    shape = (video.height, video.width, 3)
    for packet in container.demux():
        is_before = packet.pts is None or float(packet.pts * packet.time_base) < from_s - 1e-3
        if packet.size == shape[0] * shape[1] * 3 and not is_before:
            yield np.frombuffer(packet, np.uint8).reshape(shape)


def is_exact(found: MediaProbe) -> bool:
    """Return True if a seek in the medium leads to the time that reading from the start gives."""
    if found.container in RESET_CLOCKS:
        return False
    if found.container != "ogg" or found.size_bytes <= _FIRST_PAGES_BYTES:
        return True
    with (
        found.path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        return _FIRST_PAGE.search(data, _FIRST_PAGES_BYTES) is None


def _input(found: MediaProbe, start_s: float, end_s: float) -> list[str]:
    seek, end = ((f"{start_s:.6f}"), end_s - start_s) if is_exact(found) else ("", end_s)
    return [
        *(ffmpeg.binary(), "-nostdin", "-hide_banner", "-nostats", "-loglevel", "fatal"),
        *(("-ss", seek) if seek else ()),
        *input_arguments(found),
        *("-t", f"{end:.6f}"),
    ]


@contextmanager
def _run(command: list[str]) -> Iterator[Any]:
    """Run ffmpeg and open its output, NUT; an output without a packet is empty."""
    process = ffmpeg.start(command, messages=False)
    pipe = cast("IO[bytes]", process.stdout)
    try:
        try:
            container: Any = av.open(pipe, "r", format="nut", options=_NO_PROBING)
        except (av.error.FFmpegError, OSError):
            yield _Empty()
            return
        with container:
            yield container
    finally:
        process.kill()
        pipe.close()
        process.wait()


class _Empty:
    """A container without a stream."""

    def demux(self) -> Iterator[Any]:
        return iter(())
