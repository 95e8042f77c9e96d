"""The sound of any medium as 16 kHz mono float32 blocks, streamed from ffmpeg.

ffmpeg gets the path of the input: it cannot read an MP4 with its index at the end from a pipe.
The output keeps the medium's clock: silence fills the time before sound that begins later than
the picture, and any gap in the sound, so that sample n is always at n / 16000 s in a player.
"""

from __future__ import annotations

import io
import weakref
from collections.abc import Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

import numpy as np
from numpy.typing import NDArray

from kb.errors import MediaUnavailable
from kb.media import SAMPLE_RATE_HZ, ffmpeg, shown
from kb.media.damage import Damage, clock, find_damage
from kb.media.decoder_log import DecoderLog
from kb.media.probe import MediaProbe, input_arguments, probe, start_arguments

BLOCK_S = 10.0

Samples = NDArray[np.float32]

_BYTES_PER_SAMPLE = np.dtype(np.float32).itemsize


def decode(path: str | Path, *, normalize: bool = False, block_s: float = BLOCK_S) -> AudioStream:
    """Open a medium's sound and return a stream, whose iteration yields the samples.

    `normalize` evens out the loudness (dynamic, one pass) without moving a sample. Of several
    sound tracks, the one marked as default is decoded, else the one with the most channels. Raises
    MediaUnavailable naming the file when it is missing, empty, no medium or has no sound, and
    UsageError without an ffmpeg binary.
    """
    found = probe(path)
    if not found.has_audio:
        raise MediaUnavailable(
            "media.no_sound",
            "{path} is a video without sound: there is nothing to transcribe.",
            hint="Choose a version of the medium that has sound.",
            path=shown(path),
        )
    return AudioStream(found, normalize=normalize, block_s=block_s)


class AudioStream:
    """The sound of one medium; each iteration decodes it from the start.

    Blocks are one-dimensional float32 arrays of `block_s` seconds (the last one shorter), finite
    and within -1..1; the caller may keep or change them. One block is in memory at a time.
    The iteration raises MediaUnavailable when nothing can be decoded or another process ends
    ffmpeg. The ffmpeg process ends with the iteration, also after an error; `close()` and the end
    of the stream's `with` block end it too.
    """

    def __init__(
        self, found: MediaProbe, *, normalize: bool = False, block_s: float = BLOCK_S
    ) -> None:
        self.probe = found
        self._command = _command(found, normalize=normalize)
        self._block_samples = max(1, round(block_s * SAMPLE_RATE_HZ))
        self._samples = 0
        self._finished = False
        self._damage: Damage | None = None
        # A weak reference: a reference cycle would keep an abandoned iteration and its process.
        self._running: weakref.ref[Generator[Samples]] | None = None

    @property
    def duration_s(self) -> float:
        """Seconds decoded so far; after the iteration, the medium's true length."""
        return self._samples / SAMPLE_RATE_HZ

    @property
    def finished(self) -> bool:
        """True if the last iteration reached the end."""
        return self._finished

    @property
    def warning(self) -> str | None:
        """A sentence if the file is truncated or damaged, else None; valid after the iteration."""
        return self._damage.warning if self._damage else None

    @property
    def truncated(self) -> bool:
        """True if the last iteration reached the end of the file before the declared end."""
        return self._damage is not None and self._damage.truncated

    def __iter__(self) -> Iterator[Samples]:
        self.close()
        self._samples, self._finished, self._damage = 0, False, None
        blocks = self._decode_blocks()
        self._running = weakref.ref(blocks)
        return blocks

    def close(self) -> None:
        """End a running iteration and its ffmpeg process, if there is one."""
        blocks = self._running() if self._running else None
        if blocks is not None:
            blocks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _decode_blocks(self) -> Generator[Samples]:
        process = ffmpeg.start(self._command)
        pipe = cast("io.BufferedReader", process.stdout)
        try:
            log = DecoderLog(cast("IO[bytes]", process.stderr))
            while (block := _read_block(pipe, self._block_samples)).size:
                self._samples += block.size
                yield block
            code = process.wait()
            log.join()
            self._finish(code, log)
        finally:
            # ffmpeg writes only to our pipe, so a kill loses no data.
            process.kill()
            pipe.close()
            process.wait()

    def _finish(self, code: int, log: DecoderLog) -> None:
        path = shown(self.probe.path)
        # A signal, Windows' code for a crash, or no message means an end from outside: an ffmpeg
        # that fails reports a cause.
        if code < 0 or code > 255 or (code and not log.first_error):
            raise MediaUnavailable(
                "media.ffmpeg_killed",
                "{path}: ffmpeg was ended from outside at {time} (code {code}).",
                hint="Try again; if it stays, look at the machine's memory.",
                retryable=True,
                path=path,
                time=clock(self.duration_s),
                code=code,
            )
        if not self._samples:
            cause = log.first_error or "it gave no samples"
            raise MediaUnavailable(
                "media.not_decodable",
                "The sound of {path} cannot be decoded: {cause}.",
                hint="Check that it plays in a media player; if not, download or copy it again.",
                path=path,
                cause=cause,
            )
        self._damage = find_damage(self.probe, self.duration_s, code, log)
        self._finished = True


def _command(found: MediaProbe, *, normalize: bool) -> list[str]:
    # async and first_pts keep the medium's clock (see the module's docstring) by inserted silence.
    resample = f"aresample={SAMPLE_RATE_HZ}:async=1:first_pts=0:ochl=mono:osf=flt"
    if (found.channels or 1) <= 2:
        # Stereo becomes the average of both channels; without this, float output is their sum and
        # 3 dB over full scale. Surround uses ffmpeg's weights, which keep the loudness of speech
        # in the centre channel.
        resample += ":rematrix_maxval=1.0"
    # loudnorm is not used: in one pass it works at 192 kHz and is six times slower. A window of
    # eleven frames of half a second adapts to a change of speaker; with the filter's default of 31
    # a loud speaker makes the others too quiet.
    filters = f"{resample},dynaudnorm=framelen=500:gausssize=11" if normalize else resample
    return [
        *(
            ffmpeg.binary(),
            "-nostdin",
            "-hide_banner",
            "-nostats",
            "-loglevel",
            "repeat+level+verbose",
        ),
        *input_arguments(found),
        *("-vn", "-sn", "-dn", "-af", filters, "-c:a", "pcm_f32le", "-f", "f32le", "pipe:1"),
        *start_arguments(found),
    ]


def _read_block(pipe: io.BufferedReader, samples: int) -> Samples:
    """Return the next `samples` samples, fewer at the end of the stream, none after the end."""
    block = np.empty(samples, np.float32)
    view = block.data.cast("B")
    filled = 0
    while filled < len(view):
        received = pipe.readinto(view[filled:])
        if not received:
            break
        filled += received
    if filled < len(view):
        block = block[: filled // _BYTES_PER_SAMPLE].copy()
    # Float media may contain NaN and infinities; one such sample makes the features of a whole
    # window invalid.
    if not np.isfinite(block).all():
        np.nan_to_num(block, copy=False, nan=0.0, posinf=1.0, neginf=-1.0)
    return np.clip(block, -1.0, 1.0, out=block)
