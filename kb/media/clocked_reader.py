"""Reader of one sound track: ffmpeg's packets, put at their own times on the medium's clock.

ffmpeg removes its filter graph and makes a new one wherever rate or channels change inside a
file, so no filter of it may hold state for the whole file: the lead, the holes and the loudness
are the reader's work. ffmpeg decodes, resamples and sorts the channels into places (`PLACES`),
and the NUT container carries the time of each packet.
"""

from __future__ import annotations

import subprocess
from collections import deque
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple, cast

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from kb.media import SAMPLE_RATE_HZ, ffmpeg
from kb.media.decoder_log import DecoderLog
from kb.media.idle_guard import IdleGuard
from kb.media.interrupts import interrupts_deferred, packets_of
from kb.media.ogg_links import changed_links
from kb.media.probe import RESET_CLOCKS, MediaProbe, input_arguments, start_arguments
from kb.media.tracks import Track

Channels = NDArray[np.float32]
"""Samples of all places, [samples, places]."""

PLACES = 5  # front left, front right, centre, back or side left, back or side right

# The channels by name, as far as a layout has them; a missing one is passed over. A single channel
# is a centre.
_BY_NAME = (
    "FL+DL+WL+0.707*FLC+0.5*TFL",
    "FR+DR+WR+0.707*FRC+0.5*TFR",
    "FC+0.5*TC+0.5*TFC",
    "BL+SL+SDL+0.707*BC+0.5*TBL+0.5*TBC",
    "BR+SR+SDR+0.707*BC+0.5*TBR+0.5*TBC",
)

# Jitter of the packets' times (rounding to milliseconds, capture devices); a larger difference
# is corrected by silence, or by leaving out what lies before the present time.
_JITTER_SAMPLES = SAMPLE_RATE_HZ // 10

# Formats that are frames without times: ffmpeg computes times from the first header, and they are
# wrong once the rate changes. The frames follow each other.
_WITHOUT_TIMES = frozenset(
    {"aac", "ac3", "amr", "dts", "dtshd", "eac3", "loas", "mlp", "mp2", "mp3", "truehd"}
)

_LONGEST_OVERLAP = SAMPLE_RATE_HZ  # a clock that goes back by more begins again

_SILENCE = 0.001  # peak; -60 dBFS
_READ_BYTES = 2**18  # of ffmpeg's output at once: 0.8 s of sound
_LAST_PACKETS = 8  # before a hole, looked at for silence


class Hole(NamedTuple):
    """A part of the medium's clock without packets, after the first packet.

    `follows_silence`: nothing was audible just before it.
    """

    start_s: float
    end_s: float
    follows_silence: bool


class ClockedReader:
    """One reading of one sound track; `blocks` may be read once.

    Where the clock jumps back by more than a second (joined files), the samples follow those before
    them; `rejoined` counts them. `dropped` counts samples of shorter overlaps, which are left out.
    `packets` counts those that were placed. `holes`, `exit_code` and `log` are complete after
    `blocks`.
    """

    def __init__(self, found: MediaProbe, track: Track, block_samples: int) -> None:
        """Start ffmpeg.

        Raises UsageError if ffmpeg is missing or cannot be started.
        """
        self._block_samples = block_samples
        self._has_no_times = found.container in _WITHOUT_TIMES
        self._found, self._track = found, track
        self._start(0)
        self.holes: list[Hole] = []
        self.dropped = 0
        self.rejoined = 0
        self.packets = 0
        self.exit_code = 0
        self._block = self._empty_block()
        self._filled = 0
        self._at = 0  # samples of the medium's clock that are placed
        self._usual = 0  # samples of a packet at the rate of the first header
        self._computed = 0  # samples in `_offset` that count up to the stream's next own time
        self._offset = 0  # of the medium's clock against that of the packets, after a jump of it

    def blocks(self) -> Iterator[Channels]:
        """Yield arrays [samples, `PLACES`] of equal length, the last one shorter.

        Raises MediaUnavailable if ffmpeg goes silent.
        """
        last = deque([np.zeros((0, PLACES), np.float32)], maxlen=_LAST_PACKETS)
        early: list[Channels] = []
        early_samples = 0
        previous: int | None = None
        for first, samples in self._packets():
            if previous is not None and first == previous + 1:
                # The muxer has replaced a time that is earlier than that of the packet before.
                previous = first
                early.append(samples)
                early_samples += len(samples)
                if early_samples > _LONGEST_OVERLAP:
                    self.rejoined += sum(map(len, early))
                    for packet in early:
                        yield from self._place(packet)
                    early = []
                continue
            if early_samples > _LONGEST_OVERLAP:
                self._offset = self._at - first
            elif early_samples > _JITTER_SAMPLES:
                self.dropped += early_samples
            else:
                for packet in early:
                    yield from self._place(packet)
            early, early_samples = [], 0
            if previous is not None and self._follows_old_rate(first - previous, len(last[-1])):
                change = len(last[-1]) - (first - previous)
                self._offset += change
                self._computed += change
            elif self._computed:
                # A time of the stream itself. ffmpeg has moved the clock where the computed times
                # ran ahead of it; else the time counts as it is.
                shift = first + self._offset - self._at
                if abs(shift - self._computed) <= abs(shift):
                    self._offset -= self._computed
                self._computed = 0
            elif not self._usual and len(last) == _LAST_PACKETS:
                self._usual = len(last[-1])
            shift = first + self._offset - self._at
            if previous is not None and self._has_no_times:
                shift = 0
            if previous is None and shift > 0:
                yield from self._place_silence(shift)
            elif shift > _JITTER_SAMPLES:
                silent = all(np.abs(packet).max(initial=0) < _SILENCE for packet in last)
                end = self._at + shift
                self.holes.append(Hole(self._at / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ, silent))
                yield from self._place_silence(shift)
            elif shift < -_JITTER_SAMPLES or (previous is None and shift < 0):
                late = min(len(samples), -shift)
                self.dropped += late if previous is not None else 0
                samples = samples[late:]
            previous = first
            self.packets += 1
            last.append(samples)
            yield from self._place(samples)
        for packet in early:
            yield from self._place(packet)
        if self._filled:
            yield self._block[: self._filled]

    def _follows_old_rate(self, step: int, length: int) -> bool:
        """Return True if a packet's time is computed from a rate that the sound has no more.

        A transport stream has a time for each group of frames; ffmpeg computes those between from
        the rate in the first header, also where a file of another rate is joined.
        """
        if self._found.container not in RESET_CLOCKS or not self._usual:
            return False
        return abs(step - self._usual) <= 2 and abs(length - self._usual) > self._usual // 20

    def _start(self, byte: int) -> None:
        """Start ffmpeg for the file from a byte on."""
        self._process: subprocess.Popen[bytes] = ffmpeg.start(
            _command(self._found, self._track, byte)
        )
        self._guard = IdleGuard(self._process)
        self.log = DecoderLog(cast("IO[bytes]", self._process.stderr))

    @property
    def duration_s(self) -> float:
        """Seconds of the medium's clock that were read so far."""
        return self._at / SAMPLE_RATE_HZ

    def close(self) -> None:
        """End ffmpeg. It writes only to our pipe, so a kill loses no data."""
        self._process.kill()
        self._guard.close()
        cast("IO[bytes]", self._process.stdout).close()
        self._process.wait()

    def _packets(self) -> Iterator[tuple[int, Channels]]:
        """Yield the packets, each with the place of its first sample on their clock."""
        yield from self._packets_of_run()
        if self._found.container != "ogg" or not self.log.broken_container:
            return
        for byte in changed_links(self._found.path):
            self.close()
            begin = self._at - self._offset
            self._start(byte)
            for first, samples in self._packets_of_run():
                yield begin + max(0, first), samples

    def _packets_of_run(self) -> Iterator[tuple[int, Channels]]:
        yield from self._read_pipe()
        with self._guard.waiting():
            self.exit_code = self._process.wait()
            self.log.join()
        self._guard.check(self._found.path)

    def _read_pipe(self) -> Iterator[tuple[int, Channels]]:
        try:
            with open_output(self._guard) as container:
                # Fractions are slow, and there are hundreds of packets in a window.
                base = container.streams.audio[0].time_base if container.streams.audio else None
                per_tick = (base or 0) * SAMPLE_RATE_HZ
                for packet in packets_of(container):
                    if packet.pts is None or not packet.size:
                        continue
                    first = packet.pts if per_tick == 1 else round(packet.pts * per_tick)
                    yield first, samples_of(packet)
        except (av.error.FFmpegError, OSError):
            return  # ffmpeg ended before its time: its exit code and its log have the cause

    def _place(self, samples: Channels) -> Iterator[Channels]:
        done = 0
        while done < len(samples):
            count = min(len(samples) - done, self._block_samples - self._filled)
            self._block[self._filled : self._filled + count] = samples[done : done + count]
            done += count
            yield from self._advance(count)

    def _place_silence(self, count: int) -> Iterator[Channels]:
        while count > 0:
            part = min(count, self._block_samples - self._filled)
            count -= part
            yield from self._advance(part)

    def _advance(self, count: int) -> Iterator[Channels]:
        self._filled += count
        self._at += count
        if self._filled == self._block_samples:
            block, self._block, self._filled = self._block, self._empty_block(), 0
            yield block

    def _empty_block(self) -> Channels:
        return np.zeros((self._block_samples, PLACES), np.float32)


def open_output(guard: IdleGuard) -> InputContainer:
    """Open the output of an ffmpeg that writes NUT. Raises FFmpegError if there is none."""
    # NUT has the medium's tags, which may be in any encoding; nobuffer would lose a packet.
    options = {"probesize": "32", "analyzeduration": "0"}
    with interrupts_deferred():
        return av.open(
            guard,
            "r",
            format="nut",
            metadata_errors="replace",
            options=options,
            buffer_size=_READ_BYTES,
        )


def _command(found: MediaProbe, track: Track, start: int) -> list[str]:
    return [
        *(ffmpeg.binary(), "-nostdin", "-hide_banner", "-nostats"),
        *("-loglevel", "repeat+level+warning"),
        # One thread decodes sound faster than anything reads it, and several recordings are decoded
        # at once: by itself, each ffmpeg takes a thread for each core, for decoder and filters.
        *("-filter_threads", "1", "-threads", "1"),
        *input_arguments(found, start),
        *track_arguments(track, SAMPLE_RATE_HZ),
        *("-c:a", "pcm_f32le", "-f", "nut", "pipe:1"),
        *start_arguments(found),
    ]


def track_arguments(track: Track, rate_hz: int) -> tuple[str, ...]:
    """Return the arguments that select a track and sort its channels into `PLACES`."""
    places = _BY_NAME if track.has_named_channels else _by_number(track.channels or 1)
    pan = "|".join(f"c{place}={source}" for place, source in enumerate(places))
    filters = f"aresample={rate_hz}:osf=flt,pan={PLACES}c|{pan}"
    return ("-map", f"0:a:{track.number - 1}", "-af", filters)


def samples_of(packet: av.Packet[Any]) -> Channels:
    """Return the samples of a packet; one that was cut short by ffmpeg's end is rounded down."""
    data = memoryview(packet)
    whole = len(data) // (4 * PLACES) * 4 * PLACES
    return np.frombuffer(data[:whole], np.float32).reshape(-1, PLACES)


def _by_number(channels: int) -> Sequence[str]:
    """Return the places for a layout without names: the even channels left, the odd ones right."""
    left, right = range(0, channels, 2), range(1, channels, 2)
    return (
        "+".join(f"{1 / len(left):.4f}*c{each}" for each in left),
        "+".join(f"{1 / max(1, len(right)):.4f}*c{each}" for each in right) or "0*c0",
        *("0*c0",) * 3,
    )
