"""Commands that are ended by a signal while they write: no file of theirs and no program is left.

The media are so long that no command is done before the signal.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import psutil
import pytest

from kb.cli.ending import EndingSignals
from kb.media import sha256_of
from kb.pipeline import stages
from kb.service import Service
from kb.settings import PROJECT_ROOT, Settings
from kb.types import MediaItem, MediaRef
from tests.support import films
from tests.support.films import grey, spoken, tone
from tests.support.waiting import WAIT_S, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals"),
]

LINE = "Der Hafen ist im Winter ruhig, und am Morgen fährt eine Fähre über den Fluss."
ITEM = MediaItem("web:example:1", "web", "https://example.org/talk", "A talk", "2026-01-01")
MADE_OF_FILES = {
    "dub": ["dub", "talk.mkv", "--into", "de", "--transcript", "talk.srt"],
    "captions": ["video", "hours.mkv", "--captions", "--transcript", "talk.srt"],
    "speak": ["speak", "--file", "long.txt", "--language", "de"],
}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with videos of ten minutes and of hours, lines for them, and a long text."""
    folder = tmp_path_factory.mktemp("media")
    part = films.make(folder / "part.mkv", *grey(10, "64x36", 5), *tone(10), "-b:a", "16k")
    for name, times in (("talk.mkv", 60), ("hours.mkv", 1000)):
        subprocess.run(
            [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-stream_loop",
             str(times), "-i", str(part), "-c", "copy", str(folder / name)],
            check=True,
        )  # fmt: skip
    part.unlink()
    (folder / "talk.srt").write_text(
        f"1\n00:00:01,000 --> 00:00:06,000\n{LINE}\n", encoding="utf-8"
    )
    (folder / "long.txt").write_text(f"{LINE}\n" * 5_000, encoding="utf-8")
    return folder


def names(*folders: Path) -> list[str]:
    return sorted(str(path) for each in folders for path in each.rglob("*"))


def drafts(folder: Path) -> list[Path]:
    """Return the files that are being written; a folder of drafts counts with what is in it."""
    return [
        path
        for each in folder.rglob(".kb-*")
        for path in (each, *each.rglob("*"))
        if path.is_file()
    ]


@contextmanager
def started(
    arguments: list[str], folder: Path, home: Path, written: Path
) -> Iterator[subprocess.Popen[str]]:
    """Run `kb` until it writes a file below `written` and has started a program."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kb.cli", *arguments], cwd=folder, text=True,
        env={**os.environ, "KB_HOME": str(home), "PYTHONPATH": str(PROJECT_ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        watched = psutil.Process(process.pid)
        until(
            lambda: process.poll() is not None or (watched.children() and drafts(written)),
            "a program and a draft",
        )
        yield process
    finally:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen[str], number: int, *, times: int = 1) -> None:
    """Send a signal; check what the command says and that its programs have ended."""
    programs = psutil.Process(process.pid).children(recursive=True)
    for _ in range(times):
        process.send_signal(number)
    _, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 128 + number, errors
    assert "Stopped; nothing half written is left." in errors
    assert "Traceback" not in errors
    assert not [each for each in programs if each.is_running()]


@pytest.mark.parametrize(
    ("kind", "name", "times"),
    [
        ("dub", "SIGTERM", 1), ("captions", "SIGTERM", 2), ("speak", "SIGTERM", 1),
        ("captions", "SIGHUP", 1), ("dub", "SIGINT", 1),
    ],
)  # fmt: skip
def test_a_signal_leaves_no_file_and_no_program(
    media: Path, tmp_path: Path, kind: str, name: str, times: int
) -> None:
    """`timeout` sends its signal twice."""
    folder, home = tmp_path / "work", tmp_path / "home"
    folder.mkdir()
    for path in media.iterdir():
        (folder / path.name).symlink_to(path)
    before = names(folder)
    with started(MADE_OF_FILES[kind], folder, home, folder) as process:
        end(process, getattr(signal, name), times=times)
    assert names(folder) == before
    assert not home.exists()


def test_the_film_of_an_item_leaves_nothing_in_the_library(media: Path, tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "work"
    folder.mkdir()
    service = Service(Settings(KB_HOME=str(home)))
    service.library.prepare()
    digest = sha256_of(media / "hours.mkv")
    entry = service.library.add_media(ITEM, media / "hours.mkv", sha256=digest)
    assert entry.media_path is not None
    words = spoken(["We have seen it", "and said so"])
    words = replace(words, media=MediaRef(entry.media_path.name, digest, 10_000.0))
    stages.write(service.library, ITEM, words, 0.0)
    service.close()
    command = ["video", ITEM.id, "--captions", "-o", "film.mp4"]
    with started(command, folder, home, home / "products") as process:
        end(process, signal.SIGTERM)
    assert not drafts(home) and not list((home / "products").rglob("*.*"))
    assert names(folder) == []


def test_a_signal_that_is_ignored_stays_so() -> None:
    """Of `nohup`."""
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        EndingSignals().listen()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert callable(signal.getsignal(signal.SIGTERM))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
