"""An ffmpeg that writes a film ends with the program that started it, however that ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import psutil
import pytest

from kb.media import ffmpeg
from tests.support.waiting import until

# Its source has the speed of a recording and no end.
PROGRAM = """
import sys
from pathlib import Path
from kb.video.encoder import encode

folder = Path(sys.argv[1])
encode(
    ["-re", "-f", "lavfi", "-i", "anullsrc", "file:film.wav"], folder,
    source=folder, target=folder / "film.wav", length_s=0.0, progress=lambda _: None,
)
"""


@pytest.mark.slow
@pytest.mark.skipif(not ffmpeg.ended_with_this(), reason="the system has no such request")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_no_encoder_is_left_running(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as program:
        try:
            watched = psutil.Process(program.pid)
            # The file shows that its own program has begun, not the one that is started before.
            until(lambda: (tmp_path / "film.wav").exists())
            (encoder,) = watched.children()
            program.send_signal(getattr(signal, name))
            program.wait()
            until(lambda: not encoder.is_running() or encoder.status() == "zombie")
        finally:
            program.kill()


def test_a_program_of_a_worker_yields_to_the_recognizer() -> None:
    import psutil

    from kb.media import ffmpeg
    from kb.media.low_priority import low_priority

    own = psutil.Process().nice()
    found = []
    for is_low in (True, False):
        with low_priority() if is_low else nullcontext():
            process = ffmpeg.start([sys.executable, "-c", "import time; time.sleep(60)"])
        found.append(psutil.Process(process.pid).nice())
        process.kill()
        process.communicate()
    if sys.platform == "win32":
        assert found == [psutil.BELOW_NORMAL_PRIORITY_CLASS, own]
    else:
        assert found == [max(own, 10), own]
