"""Programs that are started apart from the terminal's signals, in the session of this program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from kb.media import ffmpeg
from kb.tts import process as voice
from kb.tts import sound_formats

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sessions are those of POSIX")

_WAITS = [sys.executable, "-c", "import sys; sys.stdin.read(); __import__('time').sleep(60)"]


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(ffmpeg.start, id="ffmpeg that reads or writes a medium"),
        pytest.param(lambda command: voice.start("espeak", command), id="a voice"),
        pytest.param(sound_formats._start, id="ffmpeg that writes spoken sound"),
    ],
)
def test_it_has_its_own_group_in_this_session(
    start: Callable[[list[str]], subprocess.Popen[bytes]],
) -> None:
    """Linux shares the processor by sessions first: a low priority counts inside one alone."""
    process = start(_WAITS)
    try:
        assert os.getpgid(process.pid) == process.pid
        assert os.getsid(process.pid) == os.getsid(0)
    finally:
        process.kill()
        process.communicate()
