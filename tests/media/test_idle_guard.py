"""Deadlines of ffmpeg: fake programs that go silent, work, or wait for their reader."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import psutil
import pytest

from kb.errors import MediaUnavailable
from kb.media import clip, idle_guard
from kb.media.decode import decode
from kb.media.idle_guard import IdleGuard
from kb.media.probe import probe
from kb.media.section import write_sound
from tests.support.compose import write_wav
from tests.support.raising import raises
from tests.support.waiting import WAIT_S

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
IDLE_S = 0.3
PATIENT_S = 1.5  # for processes that work: on a busy machine they do not work all the time

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the fake ffmpeg is a shell script")


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "tone.wav", np.sin(np.arange(32_000) / 9).astype(np.float32))


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replace ffmpeg by a shell script."""

    def install(script: str, idle_s: float = IDLE_S) -> None:
        path = tmp_path / "ffmpeg.sh"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(path))
        monkeypatch.setattr(idle_guard, "IDLE_S", idle_s)

    return install


REST = f'exec "{FFMPEG}" "$@"'
SILENT = {
    "before its first byte": "exec sleep 60",
    "after some sound": f'"{FFMPEG}" "$@" | head -c 60000\nexec sleep 60',
    "with its output closed": "exec 1>&-\nexec sleep 60",
    "after a message": "echo '[wav @ 0x1] [error] bad' >&2\nexec sleep 60",
    "in a stopped state": "kill -STOP $$",
}


def started_since(before: list[psutil.Process]) -> list[psutil.Process]:
    """Return this process's child processes that were not there before."""
    return [child for child in psutil.Process().children() if child not in before]


@pytest.mark.parametrize("script", SILENT.values(), ids=SILENT)
def test_a_silent_decoder_is_ended_and_its_item_may_be_tried_again(
    script: str, tone: Path, fake: Callable[..., None]
) -> None:
    before = psutil.Process().children()  # tests before this one may have left a helper process
    fake(script)
    stream = decode(tone)
    with raises(MediaUnavailable, "media.ffmpeg_silent", path=tone, seconds=IDLE_S) as caught:
        list(stream)
    assert caught.value.retryable
    assert not stream.finished
    assert not started_since(before)


@pytest.mark.parametrize("name", ["clip.wav", "clip.mp3"])
def test_a_silent_ffmpeg_ends_a_clip(
    name: str, tone: Path, tmp_path: Path, fake: Callable[..., None]
) -> None:
    fake("exec sleep 60")
    with raises(MediaUnavailable, "media.ffmpeg_silent"):
        clip.cut(tone, 0, 1, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_silent_encoder_ends_a_clip(
    tone: Path, tmp_path: Path, fake: Callable[..., None]
) -> None:
    before = psutil.Process().children()
    fake(f'case "$*" in *mp3*) exec sleep 60;; esac\n{REST}')
    with raises(MediaUnavailable, "media.ffmpeg_silent"):
        clip.cut(tone, 0, 1, tmp_path / "clip.mp3")
    assert not started_since(before)


def test_a_section_is_cut_after_a_wait_shorter_than_the_limit(
    tone: Path, tmp_path: Path, fake: Callable[..., None]
) -> None:
    fake(f"sleep {PATIENT_S / 3}\n{REST}", PATIENT_S)
    assert write_sound(probe(tone), 0, 1, tmp_path / "cut.wav") == 1


WORKING = {
    "computing": "while 1: pass",
    "computing now and then": "while 1:\n  time.sleep(0.05)\n  sum(range(400000))",
    "reading": "while 1:\n  time.sleep(0.02)\n  open('/proc/self/stat').read()",
}


@pytest.mark.slow
def test_processes_that_work_are_not_ended() -> None:
    """All at once, for one wait."""
    with ExitStack() as stack:
        guards: dict[str, tuple[subprocess.Popen[bytes], IdleGuard]] = {}
        for name, script in WORKING.items():
            command = [sys.executable, "-c", f"import time\n{script}"]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            stack.callback(process.kill)
            guard = stack.enter_context(closing(IdleGuard(process, PATIENT_S)))
            stack.enter_context(guard.waiting())
            guards[name] = process, guard
        time.sleep(2 * PATIENT_S)
        for name, (process, guard) in guards.items():
            assert not guard.ended and process.poll() is None, name


@pytest.mark.slow
def test_a_process_that_no_reader_waits_for_is_not_ended(
    tone: Path, fake: Callable[..., None]
) -> None:
    fake(REST, PATIENT_S)
    blocks = iter(decode(tone, block_s=0.01))
    next(blocks)
    time.sleep(2 * PATIENT_S)
    assert sum(map(len, blocks)) == 32_000 - 160


@pytest.mark.slow
def test_ctrl_c_while_the_decoder_is_read_ends_the_program(tmp_path: Path) -> None:
    """At many moments: a lost Ctrl-C would end the sound early, and the program would go on."""
    long = write_wav(tmp_path / "long.wav", np.zeros(16_000 * 3600, np.float32))
    program = (
        "import sys\nfrom kb.media.decode import decode\n"
        "def read():\n"
        "    print('ready', flush=True)\n"
        "    while True:\n        list(decode(sys.argv[1]))\n"
        "for _ in range(5):\n"
        "    try:\n        read()\n"
        "    except KeyboardInterrupt:\n        print('interrupted', flush=True)\n"
        "read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(long)], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    watchdog = threading.Timer(WAIT_S, process.kill)  # of one that goes on
    watchdog.start()
    assert process.stdout is not None
    said = []
    for number in range(6):
        said.append(process.stdout.readline())
        time.sleep(0.4 + 0.037 * number)
        process.send_signal(signal.SIGINT)
        said.append(process.stdout.readline())
    assert process.wait() == -signal.SIGINT
    watchdog.cancel()
    process.stdout.close()
    assert said == ["ready\n", "interrupted\n"] * 5 + ["ready\n", ""]
