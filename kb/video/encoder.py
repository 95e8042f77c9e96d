"""One command of ffmpeg in a folder of its own, with progress, an end on request and its errors."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path

from kb import storage
from kb.errors import MediaUnavailable, UsageError
from kb.media import ffmpeg, shown
from kb.media.idle_guard import IdleGuard

Progress = Callable[[float], None]
"""Gets the share that is done, 0..1; what it raises ends the command."""

# What ffmpeg says of a disk that takes no more; the second and third are limits of an account and
# of a file system (a stick with FAT holds files up to 4 GB).
_REFUSED = {
    "No space left on device": errno.ENOSPC,
    "Disk quota exceeded": getattr(errno, "EDQUOT", errno.ENOSPC),
    "File too large": errno.EFBIG,
}
_KEPT_MESSAGES = 50


def encode(
    arguments: Sequence[str],
    folder: Path,
    *,
    source: Path,
    target: Path,
    length_s: float,
    progress: Progress,
    filters: Sequence[str] = (),
    log: str = "warning",
) -> list[str]:
    """Run ffmpeg in `folder`, where relative names of the arguments are; return its last messages.

    `source` and `target` are named in errors; `length_s` is that of the output, for the progress;
    `filters` are those that the arguments use, `log` is the level of the messages.
    Raises UsageError if this ffmpeg lacks one, LibraryError for a full disk, MediaUnavailable if
    ffmpeg fails, and what `progress` raises. The process has ended then; on Linux it ends with a
    caller that is killed, too.
    """
    check_filters(filters)
    command = [ffmpeg.binary(), *("-nostdin", "-hide_banner", "-nostats", "-loglevel", log)]
    command += ["-progress", "pipe:1", "-y", *arguments]
    process = ffmpeg.start([*ffmpeg.ended_with_this(), *command], folder=folder)
    messages: list[str] = []
    reader = threading.Thread(target=_collect, args=(process, messages), daemon=True)
    reader.start()
    with closing(IdleGuard(process)) as guard:
        try:
            while line := _line(guard):
                name, _, value = line.rstrip().partition("=")
                if name == "out_time_us" and value.lstrip("-").isdigit() and length_s > 0:
                    progress(min(1.0, max(0.0, int(value) / 1e6 / length_s)))
            with guard.waiting():
                process.wait()
        finally:
            process.kill()
            process.wait()
            reader.join()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
    guard.check(source)
    if process.returncode:
        raise _failed(process.returncode, messages, source, target)
    progress(1.0)
    return messages


def check_filters(names: Sequence[str]) -> None:
    """Raise UsageError if the ffmpeg of this machine lacks one of the filters."""
    absent = [name for name in names if name not in _filters(ffmpeg.binary())]
    if absent:
        raise UsageError(
            "video.no_filter",
            "The ffmpeg of this machine cannot draw this: it lacks {names}.",
            hint="Take the bundled one: pip install --upgrade imageio-ffmpeg, without "
            "IMAGEIO_FFMPEG_EXE. Subtitles as a file need none: kb export ID --format ass",
            names=", ".join(absent),
        )


@cache
def _filters(binary: str) -> frozenset[str]:
    process = ffmpeg.start([binary, "-hide_banner", "-filters"], messages=False)
    output, _ = process.communicate()
    rows = [line.split() for line in output.decode("utf-8", "replace").splitlines()]
    return frozenset(row[1] for row in rows if len(row) > 2 and "->" in row[2])


def _line(guard: IdleGuard) -> str:
    """Return the next line of the progress, empty at the end."""
    letters = bytearray()
    while (letter := guard.read(1)) not in (b"", b"\n"):
        letters += letter
    return letters.decode("ascii", "replace") + letter.decode()


def _collect(process: subprocess.Popen[bytes], messages: list[str]) -> None:
    if process.stderr is None:
        return
    for line in process.stderr:
        messages.append(line.decode("utf-8", "replace").strip())
        del messages[:-_KEPT_MESSAGES]


def _failed(code: int, messages: Sequence[str], source: Path, target: Path) -> Exception:
    for words, number in _REFUSED.items():
        if any(words in line for line in messages):
            return storage.file_error(OSError(number, os.strerror(number)), target)
    cause = next((line for line in messages if line), f"code {code}")
    return MediaUnavailable(
        "video.failed",
        "{name} cannot be drawn: {cause}.",
        hint="Check that it plays in a media player; if not, download or copy it again.",
        name=shown(source.name),
        cause=shown(cause).rstrip("."),
    )
