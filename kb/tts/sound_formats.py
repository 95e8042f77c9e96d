"""Spoken sound in the formats of files: encoded by ffmpeg while it is spoken.

Sound goes in and comes out piece by piece, so that a listener hears the beginning at once and a
long text needs no more memory than a short one.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, cast

from kb.errors import KBError, UsageError
from kb.media import ffmpeg
from kb.media.pcm import Pcm
from kb.media.process_group import own_group
from kb.types.safe_text import shown

RATE_HZ = 24_000
_BLOCK = 1 << 15


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """A format: its media type, and the arguments of ffmpeg for it."""

    media_type: str
    arguments: tuple[str, ...]


FORMATS = {
    "mp3": SoundFormat("audio/mpeg", ("-c:a", "libmp3lame", "-b:a", "64k", "-f", "mp3")),
    "opus": SoundFormat("audio/ogg", ("-c:a", "libopus", "-b:a", "32k", "-f", "ogg")),
    "aac": SoundFormat("audio/aac", ("-c:a", "aac", "-b:a", "64k", "-f", "adts")),
    "flac": SoundFormat("audio/flac", ("-c:a", "flac", "-sample_fmt", "s16", "-f", "flac")),
    "wav": SoundFormat("audio/wav", ("-c:a", "pcm_s16le", "-f", "wav")),
    "pcm": SoundFormat("audio/pcm", ("-c:a", "pcm_s16le", "-f", "s16le")),
}
"""By the names of OpenAI's protocol; `pcm` is 24 kHz, 16 bits, one channel, without a head."""
SUFFIXES = {".mp3": "mp3", ".opus": "opus", ".ogg": "opus", ".aac": "aac", ".flac": "flac",
            ".wav": "wav"}  # fmt: skip


def encoded(
    sound: Iterator[Pcm], name: str, tempo: float = 1.0, target: str = "pipe:1"
) -> Iterator[bytes]:
    """Yield the sound in a format, at a tempo; all pieces must have the rate of the first.

    With a `target`, a path, ffmpeg writes there, and nothing is yielded. An error of the sound is
    raised here; the first block is made before anything is yielded. Raises UsageError if ffmpeg is
    not there, KBError if it fails. A sound without a piece gives nothing.
    """
    first = next(sound, None)
    if first is None:
        return
    filters = [f"atempo={tempo:.5f}"] if abs(tempo - 1) > 0.005 else []
    command = [
        *(ffmpeg.binary(), "-nostdin", "-hide_banner", "-nostats", "-loglevel", "error", "-y"),
        *("-f", "s16le", "-ar", str(first.rate_hz), "-ac", "1", "-i", "pipe:0"),
        *(("-af", ",".join(filters)) if filters else ()),
        *("-ar", str(RATE_HZ), *FORMATS[name].arguments, "-flush_packets", "1", target),
    ]
    process = _start(command)
    failure: list[BaseException] = []
    messages: list[bytes] = []
    threads = [
        threading.Thread(target=_feed, args=(process, first, sound, failure), daemon=True),
        threading.Thread(target=_collect, args=(process, messages), daemon=True),
    ]
    for each in threads:
        each.start()
    try:
        output = cast("IO[bytes]", process.stdout)
        while block := output.read1(_BLOCK):  # type: ignore[attr-defined]
            yield block
        threads[0].join()
        process.wait()
    finally:
        process.kill()
        process.wait()
        for each in threads:
            each.join()
        cast("IO[bytes]", process.stdout).close()
    if failure:
        raise failure[0]
    if process.returncode:
        lines = b"".join(messages).decode("utf-8", "replace").strip().splitlines()
        raise KBError(
            "speech.not_encoded",
            "The sound cannot be written: {reason}",
            hint="Check the free space of the disk, and the folder.",
            reason=shown(lines[-1] if lines else f"code {process.returncode}")[:200],
        )


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            **own_group(),
        )  # fmt: skip
    except OSError as error:
        raise UsageError(
            "media.ffmpeg_not_started",
            "ffmpeg cannot be started: {cause}.",
            hint="Install it again with: pip install --force-reinstall imageio-ffmpeg",
            cause=error.strerror,
        ) from error


def _feed(
    process: subprocess.Popen[bytes], first: Pcm, rest: Iterator[Pcm], failure: list[BaseException]
) -> None:
    given = cast("IO[bytes]", process.stdin)
    try:
        piece: Pcm | None = first
        while piece is not None:
            try:
                given.write(piece.samples.tobytes())
                given.flush()
            except OSError:
                break  # ffmpeg has ended: its own message says why, or it is not read any more
            piece = next(rest, None)
    except BaseException as error:  # of the engine, also one of the system
        failure.append(error)
    finally:
        with suppress(OSError):
            given.close()
        close: Callable[[], None] | None = getattr(rest, "close", None)
        if close is not None:
            close()


def _collect(process: subprocess.Popen[bytes], messages: list[bytes]) -> None:
    with cast("IO[bytes]", process.stderr) as stream:
        while line := stream.readline(1000):
            messages.append(line)
            del messages[:-20]
