"""A section of a medium, cut by ffmpeg on the clock of the transcript.

Times count from the container's start, as in `kb.media.decode`. ffmpeg seeks to the section; where
a seek is not exact (a transport stream's clock may be reset, a chained Ogg begins again) it reads
from the start. Each packet has its time, so that sound that begins late or pauses stays in place.
"""

from __future__ import annotations

import mmap
import re
import wave
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any, cast

import av
import numpy as np
from numpy.typing import NDArray

from kb.media import SAMPLE_RATE_HZ, ffmpeg
from kb.media.boxes import BOXED, empty_edits
from kb.media.clocked_reader import (
    PLACES,
    Channels,
    ClockedReader,
    open_output,
    samples_of,
    track_arguments,
)
from kb.media.idle_guard import IdleGuard
from kb.media.interrupts import packets_of
from kb.media.mixdown import Mixdown
from kb.media.ogg_links import changed_links
from kb.media.probe import RESET_CLOCKS, MediaProbe, input_arguments, start_arguments
from kb.media.tracks import Track, by_preference

_RATES_HZ = (8_000, 48_000)
_BLOCK_S = 5.0  # the mixdown compares the sides of a block
_JITTER_S = 0.1  # of packets' times; a larger difference is a pause
_FIRST_PAGE = re.compile(rb"OggS\x00[\x02\x06]")
_FIRST_PAGES_BYTES = 4096  # the first pages of all streams of an Ogg file
_PICTURE_SIDE_MAX = 8192


def write_sound(
    found: MediaProbe, start_s: float, end_s: float, target: Path, tracks: Sequence[int] = ()
) -> float:
    """Write the sound between two times as a WAV; return the end of what was read, in seconds.

    `tracks`: the numbers, from 1, of the sound tracks that are mixed; without one that the medium
    has, the decoder's choice. Rate and sides are those of the medium, at most 48 kHz and stereo;
    `kb.media.mixdown` mixes as for the decoder. Silence fills the time without sound before and
    between packets. 0 is returned, and no file is written, without any packet.
    """
    chosen = [each for each in found.tracks if each.number in tracks]
    chosen = chosen or by_preference(found.tracks)[:1]
    sides = 1 if all(each.channels == 1 for each in chosen) else 2
    rate_hz = max(each.sample_rate_hz or 0 for each in chosen)
    rate_hz = min(max(rate_hz, _RATES_HZ[0]), _RATES_HZ[1])
    is_chain = found.container == "ogg" and bool(changed_links(found.path))
    if is_chain:
        rate_hz = SAMPLE_RATE_HZ
    mixdowns, sums = [Mixdown(rate_hz) for _ in chosen], Mixdown(rate_hz)
    at = 0
    with ExitStack() as readers, wave.open(str(target), "wb") as wav:
        wav.setnchannels(sides)
        wav.setsampwidth(2)
        wav.setframerate(rate_hz)
        sounds = [
            readers.enter_context(
                closing(
                    _blocks_of_chain(found, each, start_s, end_s)
                    if is_chain
                    else _blocks(found, each, start_s, end_s, rate_hz)
                )
            )
            for each in chosen
        ]
        for blocks in zip_longest(*sounds, fillvalue=np.zeros((0, PLACES), np.float32)):
            length = max(map(len, blocks))
            mixed = None
            for mixdown, block in zip(mixdowns, blocks, strict=True):
                padded = np.pad(block, ((0, length - len(block)), (0, 0)))
                if sides == 1:
                    part = mixdown.mix_channels(padded)[:, None]
                else:
                    part = mixdown.mix_sides(padded)
                mixed = part if mixed is None else sums.add(mixed, part)
            assert mixed is not None
            wav.writeframes((np.clip(mixed, -1, 1) * 32_767).round().astype("<i2").tobytes())
            at += length
    if not at:
        target.unlink(missing_ok=True)
        return 0.0
    return start_s + at / rate_hz


def _blocks_of_chain(
    found: MediaProbe, track: Track, start_s: float, end_s: float
) -> Generator[Channels]:
    """Yield the sound of a chained Ogg whose parameters change, at the decoder's rate.

    ffmpeg ends at the change; the decoder's reader goes on behind it.
    """
    first, end = round(start_s * SAMPLE_RATE_HZ), round(end_s * SAMPLE_RATE_HZ)
    at = 0
    with closing(ClockedReader(found, track, round(_BLOCK_S * SAMPLE_RATE_HZ))) as reader:
        for block in reader.blocks():
            part = block[max(0, first - at) : max(0, end - at)]
            at += len(block)
            if len(part):
                yield part
            if at >= end:
                return


def _blocks(
    found: MediaProbe, track: Track, start_s: float, end_s: float, rate_hz: int
) -> Generator[Channels]:
    """Yield the sound of one track in blocks of `_BLOCK_S`, [samples, places]."""
    command = [
        *_input(found, start_s, end_s),
        *track_arguments(track, rate_hz),
        *("-c:a", "pcm_f32le", "-f", "nut", "pipe:1"),
        *start_arguments(found),
    ]
    zero_s = start_s if is_exact(found) else 0.0
    total, size = round((end_s - start_s) * rate_hz), round(_BLOCK_S * rate_hz)
    boxed = found.container in BOXED
    pauses = empty_edits(found.path, track.number, found.start_s) if boxed else []
    waiting = np.zeros((0, PLACES), np.float32)
    at = 0  # samples of the section that came so far
    with _run(command, found.path) as container:
        for packet in packets_of(container):
            if packet.pts is None or not packet.size:
                continue
            values = samples_of(packet)
            first = round((float(packet.pts * packet.time_base) + zero_s - start_s) * rate_hz)
            shift = first - at
            if shift > (_JITTER_S * rate_hz if at else 0):
                values = np.pad(values, ((min(shift, total - at), 0), (0, 0)))
            elif shift < -_JITTER_S * rate_hz or (not at and shift < 0):
                values = values[-shift:]
            values = values[: total - at].copy()
            for pause in pauses:
                # ffmpeg plays other sound there, as in `kb.media.decode`.
                begin, end = (round((time_s - start_s) * rate_hz) - at for time_s in pause)
                values[max(0, begin) : max(0, end)] = 0
            at += len(values)
            waiting = np.concatenate([waiting, values])
            while len(waiting) >= size:
                yield waiting[:size]
                waiting = waiting[size:]
    if len(waiting):
        yield waiting


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
    with _run(command, found.path) as container:
        yield _frames(container, start_s - zero_s)


def _frames(container: Any, from_s: float) -> Iterator[NDArray[np.uint8]]:
    video = container.streams.video[0]
    shape = (video.height, video.width, 3)
    for packet in packets_of(container):
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
def _run(command: list[str], path: Path) -> Iterator[Any]:
    """Run ffmpeg and open its output, NUT; an output without a packet is empty.

    Raises MediaUnavailable if ffmpeg, which reads `path`, goes silent.
    """
    process = ffmpeg.start(command, messages=False)
    guard = IdleGuard(process)
    try:
        try:
            container: Any = open_output(guard)
        except (av.error.FFmpegError, OSError):
            guard.check(path)
            yield _Empty()
            return
        with container:
            yield container
        guard.check(path)
    finally:
        process.kill()
        guard.close()
        cast("IO[bytes]", process.stdout).close()
        process.wait()


class _Empty:
    """A container without a stream."""

    def demux(self) -> Iterator[Any]:
        return iter(())
