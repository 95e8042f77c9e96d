"""The bundled ffmpeg as a child process."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import imageio_ffmpeg

from kb.errors import UsageError
from kb.media.low_priority import lower
from kb.media.process_group import own_group

_PIPE_BYTES = 2**20  # 3 s of the sound that a reader gets


def binary() -> str:
    """Return the path of the ffmpeg binary. Raises UsageError if there is none."""
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise UsageError(
            "media.no_ffmpeg",
            "No ffmpeg binary was found.",
            hint="Install it with: pip install imageio-ffmpeg",
        ) from error


def start(
    command: list[str], *, messages: bool = True, folder: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start ffmpeg with pipes for its output and its messages. Raises UsageError.

    The reader must read both to their end, or leave the messages out. Relative names of the command
    are those in `folder`.
    """
    # ffmpeg runs in its own process group: otherwise Ctrl-C would reach it first, and its end
    # would be reported as an early end of the file.
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if messages else subprocess.DEVNULL,
            cwd=folder,
            **own_group(),
        )
    except OSError as error:
        raise UsageError(
            "media.ffmpeg_not_started",
            "ffmpeg cannot be started: {cause}.",
            hint="Install it again with: pip install --force-reinstall imageio-ffmpeg",
            cause=error.strerror,
        ) from error
    lower(process.pid)
    _enlarge_pipe(process)
    return process


@cache
def ended_with_this() -> tuple[str, ...]:
    """Return the words before a command that end its process with the thread that started it.

    Without them, an ffmpeg that writes a file goes on after a kill of this program: it ignores that
    its messages are not read any more. Empty where the system has no such request, which is one of
    Linux.
    """
    tool = shutil.which("setpriv") if sys.platform == "linux" else None
    if tool is None:
        return ()
    words = (tool, "--pdeathsig", "KILL", "--")
    try:  # that of busybox has not this option
        trial = subprocess.run(
            [*words, tool, "--version"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ()
    return words if trial.returncode == 0 else ()


def _enlarge_pipe(process: subprocess.Popen[bytes]) -> None:
    """Give the pipe of the output more room than 64 KiB, for fewer changes between processes.

    Linux only; an account with many pipes is refused, and keeps the usual size.
    """
    try:
        import fcntl
    except ImportError:
        return
    operation = getattr(fcntl, "F_SETPIPE_SZ", None)
    if operation is not None and process.stdout is not None:
        with suppress(OSError):
            fcntl.fcntl(process.stdout, operation, _PIPE_BYTES)
