"""The parts of the service that no other test file covers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from kb.errors import MediaUnavailable, UsageError
from kb.jobs.queue.client import LaneState
from kb.jobs.queue.outbox_states import QUEUED
from kb.library import LibraryEntry
from kb.media import sha256_of
from kb.media.probe import probe
from kb.service import Service
from kb.service.publisher import check_comparable, check_publishable
from kb.settings import PROJECT_ROOT, Settings
from kb.sinks import REMOTE
from kb.transcript import FORMATS
from kb.types import MediaItem
from tests.support.compose import write_wav
from tests.support.raising import raises


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(Settings(KB_HOME=str(tmp_path / "home")))
    made.library.prepare()
    yield made
    made.close()


@pytest.mark.slow
def test_the_help_of_the_command_line_imports_no_engine_and_no_client() -> None:
    heavy = ("torch", "av", "requests", "kb.inference", "kb.jobs.queue.client", "kb.jobs.worker")
    script = (
        "import sys; from kb.cli.application import application; application();"
        f"print(*(m for m in {heavy} if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


@pytest.mark.slow
def test_the_status_imports_nothing_that_computes(service: Service) -> None:
    item = MediaItem("web:x:1", "web", "https://x.example", "Talk", "")
    service.queue.items.submit([item], {}, lambda *_arguments: None)
    heavy = ("torch", "av", "numpy", "requests", "kb.asr.recognizer", "kb.pipeline.enrichment",
             "sqlalchemy.dialects.postgresql", "regex", "ruamel.yaml", "smtplib", "urllib.request",
             "kb.hub.models", "gpu.status", "kb.cli.commands.care", "kb.cli.options",
             "kb.pipeline.list_filter", "kb.sources.ytdlp.errors", "rich.progress")  # fmt: skip
    script = (
        "import sys; from kb.cli import run; code = run(['status']);"
        f"print(code, *(m for m in {heavy} if m in sys.modules))"
    )
    home = service.settings.home
    # Without what other tests have set or left in the user's folder: a fetch that has failed.
    plain = {n: value for n, value in os.environ.items() if not n.startswith(("KB_", "HF_"))}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", script], cwd=PROJECT_ROOT, capture_output=True,
        text=True, check=True,
        env={**plain, "KB_HOME": str(home), "HF_HOME": str(home / "hub"),
             "XDG_STATE_HOME": str(home / "state")},
    )  # fmt: skip
    # Each module of the list stands above the one that imported it, which is less far to the right.
    loaded = done.stderr.splitlines()
    torch = next((n for n, line in enumerate(loaded) if line.endswith("| torch")), -1)
    assert done.stdout.splitlines()[-1] == "0", loaded[torch : torch + 40]
    assert "1 queued" in done.stdout


def test_each_format_has_a_media_type_from_its_own_file(service: Service) -> None:
    found = {name: service.items.mime_type(name) for name in service.items.formats()}
    assert {
        "txt": "text/plain",
        "json": "application/json",
        "srt": "text/plain",
        "vtt": "text/vtt",
        "csv": "text/csv",
        "md": "text/plain",
        "html": "text/html",
        "ttml": "application/ttml+xml",
    }.items() <= found.items()
    with pytest.raises(UsageError):
        service.items.mime_type("nonsense")


def test_a_new_format_says_its_media_type_itself(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMATS, "page", f"{__name__}:render")
    assert "page" in service.items.formats()
    assert service.items.mime_type("page") == MIME_TYPE


MIME_TYPE = "text/html"


def render(transcript: object, *, item: object = None) -> str:
    return "<p>"


def test_an_item_is_sent_to_the_remote_knowledge_base(service: Service) -> None:
    service.publisher.send("file:0123456789ab")
    ids = ("file:0123456789ab", "file:ba9876543210")
    items = [MediaItem(each, "file", f"file:///{each}", each, "") for each in ids]
    states = service.publisher.states(
        [LibraryEntry(i, i.id, None, None, None, "new") for i in items]
    )
    assert [(i, e.sink, e.status) for i, e in states.items()] == [
        ("file:0123456789ab", REMOTE, QUEUED)
    ]


def test_names_of_knowledge_bases_are_checked_without_a_database() -> None:
    check_publishable("folder")
    check_comparable(REMOTE)
    for check, name in (
        (check_publishable, "local"),
        (check_publishable, "nosuch"),
        (check_comparable, "folder"),
        (check_comparable, "nosuch"),
    ):
        with pytest.raises(UsageError):
            check(name)


def test_a_pause_by_hand_has_no_end(service: Service) -> None:
    service.queue.pause()
    (lane,) = service.queue.lanes()
    assert lane.paused_by_hand and lane.holds_items
    limited = LaneState("download", 1_800_000_000.0, "asked to wait")
    assert not limited.paused_by_hand and not limited.holds_items


@pytest.mark.parametrize(
    ("tracks", "channels"),
    [([2], 2), ([1], 1), (None, 1), ([9], 1), (["2"], 1), ("2", 1), ([True], 1), ([1, 2], 2)],
)
def test_a_clip_has_the_track_of_the_transcript(
    service: Service, tmp_path: Path, tracks: object, channels: int
) -> None:
    item = MediaItem("file:0123456789ab", "file", "file:///two.mka", "Two tracks", "2026-01-01")
    medium = tmp_path / "two.mka"
    command = [
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error"),
        *("-f", "lavfi", "-i", "aevalsrc=0.1:c=mono:d=3"),
        *("-f", "lavfi", "-i", "aevalsrc=0.2|0.2:c=stereo:d=3"),
        *("-map", "0:a", "-map", "1:a", "-c:a", "flac", str(medium)),
        *("-disposition:a:0", "default"),
    ]
    command.append(command.pop(command.index(str(medium))))
    subprocess.run(command, check=True)
    service.library.write_metadata(item, {"transcribed": {"model": "demo", "tracks": tracks}})
    service.library.add_media(item, medium)
    made = service.review.clip(item.id, 0.5, 1.5, tmp_path / "clip.wav")
    assert probe(made).channels == channels


@pytest.mark.parametrize("at", ["2020-01-01T00:00:00Z", None, "never", "2999-01-01T00:00:00Z"])
def test_a_clip_is_refused_once_its_medium_has_other_content(
    service: Service, tmp_path: Path, at: str | None
) -> None:
    item = MediaItem("file:0123456789ab", "file", "file:///a.wav", "A talk", "2026-01-01")
    source = write_wav(tmp_path / "a.wav", np.zeros(32_000, np.float32))
    service.library.write_metadata(item, {"transcribed": {"model": "demo", "at": at}})
    entry = service.library.add_media(item, source, sha256=sha256_of(source))
    assert service.review.clip(item.id, 0, 1, tmp_path / "first.wav").is_file()

    assert entry.media_path is not None
    data = bytearray(entry.media_path.read_bytes())
    data[-2000:] = bytes(range(200)) * 10
    entry.media_path.chmod(0o600)
    entry.media_path.write_bytes(data)
    if at == "2999-01-01T00:00:00Z":  # last changed before then, so it is not read
        assert service.review.clip(item.id, 0, 1, tmp_path / "second.wav").is_file()
        return
    with raises(MediaUnavailable, "media.changed", path=entry.media_path):
        service.review.clip(item.id, 0, 1, tmp_path / "second.wav")
    assert not (tmp_path / "second.wav").exists()
