"""The sound of any medium as 16 kHz mono float32 blocks, streamed from ffmpeg.

ffmpeg gets the path of the input: it cannot read an MP4 with its index at the end from a pipe.
The output keeps the medium's clock: silence fills the time before sound that begins later than
the picture, and any gap in the sound, so that sample n is always at n / 16000 s in a player.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import threading
import weakref
from collections.abc import Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self, cast

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from kb.errors import MediaUnavailable, UsageError
from kb.media import shown
from kb.media.probe import LOCAL_ONLY, MediaProbe, media_url, probe

SAMPLE_RATE_HZ = 16_000
BLOCK_S = 10.0

Samples = NDArray[np.float32]

_BYTES_PER_SAMPLE = np.dtype(np.float32).itemsize

# Decoded and declared length differ by codec delay and rounding; a larger difference is missing
# sound. In long recordings the difference grows slightly with the length.
_TOLERANCE_S = 1.0
_TOLERANCE_SHARE = 0.002
_FRAME_S = 0.1  # no codec's frame is longer: the tolerance if there is other evidence of damage

# The loss of one or two packets (20 to 50 ms) is common at the end of MP3 files and loses no word.
_DAMAGED_PACKETS = 3

# The form with `-loglevel level`: "[matroska,webm @ 0x55] [error] File ended prematurely".
_LOG_LINE = re.compile(rb"(?P<source>(?:\[[^\]]+ @ \w+\] )*)\[(?P<level>\w+)\] (?P<message>.*)")
_DROPPED = re.compile(r"discarding (\d+) audio samples")  # by the resampler, at its output rate


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
        self._damage: _Damage | None = None
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
        process = _start(self._command)
        pipe = cast("io.BufferedReader", process.stdout)
        try:
            log = _Log(cast("IO[bytes]", process.stderr))
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

    def _finish(self, code: int, log: _Log) -> None:
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
        self._damage = _find_damage(self.probe, self.duration_s, code, log)
        self._finished = True


def clock(seconds: float) -> str:
    """Return seconds in the form of a player, `M:SS` or `H:MM:SS`, rounded down from a tenth."""
    minutes, second = divmod(int(round(seconds, 1)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _command(found: MediaProbe, *, normalize: bool) -> list[str]:
    try:
        binary = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise UsageError(
            "media.no_ffmpeg",
            "No ffmpeg binary was found.",
            hint="Install it with: pip install imageio-ffmpeg",
        ) from error
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
        *(binary, "-nostdin", "-hide_banner", "-nostats", "-loglevel", "repeat+level+verbose"),
        *("-protocol_whitelist", LOCAL_ONLY["protocol_whitelist"], "-i", media_url(found.path)),
        *("-vn", "-sn", "-dn", "-af", filters, "-c:a", "pcm_f32le", "-f", "f32le", "pipe:1"),
    ]


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    # ffmpeg runs in its own process group: otherwise Ctrl-C would reach it first, and its end
    # would be reported as an early end of the file.
    options: dict[str, Any] = {"start_new_session": True}
    if os.name == "nt":
        flags = ("CREATE_NEW_PROCESS_GROUP", "CREATE_NO_WINDOW")
        options = {"creationflags": sum(getattr(subprocess, flag) for flag in flags)}
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )
    except OSError as error:
        raise UsageError(
            "media.ffmpeg_not_started",
            "ffmpeg cannot be started: {cause}.",
            hint="Install it again with: pip install --force-reinstall imageio-ffmpeg",
            cause=error.strerror,
        ) from error


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


class _Log:
    """A log of ffmpeg's messages, read by a thread so that a full pipe never stops the decoder."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self.first_error = ""
        self.damaged_packets = 0
        self.dropped_samples = 0
        self.broken_container = False
        self.duration_is_estimate = False
        self._is_partial = False
        self._has_corrupt_packet = False
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
        return self._is_partial or (self._has_corrupt_packet and not self._expects_corrupt)

    def join(self) -> None:
        """Wait until the process has closed its end of the pipe."""
        self._thread.join()

    def _drain(self, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                if b"[verbose]" in line and b"discarding" not in line:
                    continue  # damaged sound causes hundreds of thousands of such lines
                match = _LOG_LINE.match(line)
                if match is not None:
                    message = match["message"].decode("utf-8", "replace").rstrip(".\r\n ")
                    self._parse_message(match["source"], match["level"], message)

    def _parse_message(self, source: bytes, level: bytes, message: str) -> None:
        if level == b"verbose":
            dropped = _DROPPED.match(message)
            self.dropped_samples += int(dropped[1]) if dropped else 0
        elif level == b"info":
            pass  # titles and other texts from the file
        elif "ended prematurely" in message or "partial file" in message:
            self._is_partial = True
        elif level == b"warning":
            self._take_warning(message)
        else:
            self.first_error = self.first_error or message
            if "packet to decoder" in message or "Decoding error" in message:
                self.damaged_packets += 1
            elif source.startswith(b"[in#"):
                self.broken_container = True

    def _take_warning(self, message: str) -> None:
        if "Packet corrupt" in message:
            self._has_corrupt_packet = True
        elif "corrupt input packet" in message:
            self.damaged_packets += 1
        elif "Ignoring maximum wav data size" in message:
            self._expects_corrupt = True
        elif "timestamp discontinuity" in message:
            self._expects_corrupt = self.duration_is_estimate = True
        elif "Estimating duration" in message:
            self.duration_is_estimate = True


class _Damage(NamedTuple):
    """Damage of the file that a reader of the transcript must know, as a sentence."""

    warning: str
    truncated: bool = False


def _find_damage(found: MediaProbe, decoded_s: float, code: int, log: _Log) -> _Damage | None:
    """Return the damage shown by decoded and declared length and by the log, None without any."""
    declared_s = found.sound_end_s or found.duration_s
    if log.duration_is_estimate:
        declared_s = None
    if declared_s is not None:
        missing_s = declared_s - decoded_s
        allowed_s = (
            _FRAME_S if log.is_truncated else max(_TOLERANCE_S, _TOLERANCE_SHARE * declared_s)
        )
        if missing_s > allowed_s:
            where = f"ends at {clock(decoded_s)} of {clock(declared_s)} declared"
            if log.is_truncated or found.sound_end_s is not None or not found.has_video:
                return _Damage(f"The file {where}: it looks truncated.", truncated=True)
            # Perhaps the picture continues without sound; the header does not show this.
            return _Damage(f"The sound {where}: the file may be truncated.", truncated=True)
    elif log.is_truncated:
        return _Damage(
            f"The file breaks off at {clock(decoded_s)}: it looks truncated.", truncated=True
        )
    dropped_s = log.dropped_samples / SAMPLE_RATE_HZ
    if dropped_s > _TOLERANCE_S:
        return _Damage(
            f"The file's clock jumps back (are several files joined in it?): {clock(dropped_s)} of "
            "sound lies where a player does not get to and was left out."
        )
    if code or log.broken_container or log.damaged_packets >= _DAMAGED_PACKETS:
        cause = f" ({log.first_error})" if log.first_error else ""
        return _Damage(f"The file is damaged in places{cause}: words may be missing there.")
    return None
