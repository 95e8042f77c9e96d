"""`kb speak` and `kb dub`, without a library and with items of one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kb.cli.application import application
from kb.errors import UsageError
from kb.media.probe import probe
from tests.support import films
from tests.support.commands import run_command
from tests.support.films import grey, tone
from tests.support.raising import raises

app = application()

SRT = """1
00:00:00,500 --> 00:00:02,500
Der Hafen ist ruhig.

2
00:00:03,000 --> 00:00:03,200
Diese Zeile ist viel zu lang für die Zeit, die sie hat.

3
00:00:04,000 --> 00:00:05,500
Das ist das Ende.
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "KB_HOME": str(tmp_path / "library")}


@pytest.mark.slow
def test_texts_become_files(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "notes.txt").write_text("Am 5.3.2024 fährt die Fähre.", encoding="utf-8")
    for arguments, name, voice in (
        (["Guten Tag und auf Wiedersehen"], "speech.mp3", "espeak:de"),
        (["--file", "notes.txt", "--voice", "espeak:de+m3"], "notes.mp3", "espeak:de+m3"),
        (["12", "--language", "fr", "-o", "out/a.opus"], "out/a.opus", "espeak:fr"),
    ):
        done = run_command(["speak", *arguments, "--json"], environment, tmp_path)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert (found["sound"], found["voice"]) == (str(tmp_path / name), voice)
        length_s = probe(tmp_path / name).duration_s
        assert length_s and length_s > 0.2
    assert not (tmp_path / "library").exists()
    (tmp_path / "own.mp3").write_bytes(b"mine")
    refused = run_command(["speak", "Hello", "-o", "own.mp3"], environment, tmp_path)
    assert refused.returncode == 2 and (tmp_path / "own.mp3").read_bytes() == b"mine"
    listed = run_command(
        ["speak", "--voices", "--language", "German", "--json"], environment, tmp_path
    )
    assert [row["id"] for row in json.loads(listed.stdout)["voices"]] == ["espeak:de"]
    assert set(json.loads(listed.stdout)["lacking"]) == {"piper", "kokoro", "server"}


@pytest.mark.slow
def test_a_dub_without_a_library(tmp_path: Path, environment: dict[str, str]) -> None:
    films.make(tmp_path / "talk.mp4", *grey(6, "320x180", 5), *tone(6))
    (tmp_path / "talk.de.srt").write_text(SRT, encoding="utf-8")
    command = ["dub", "talk.mp4", "--into", "German", "--transcript", "talk.de.srt"]
    done = run_command([*command, "--threads", "1", "--json"], environment, tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["dub"] == str(tmp_path / "talk de.mp4")
    assert (found["lines"], found["cut"]) == (3, 1)
    assert [note["problem"]["code"] for note in found["notes"]] == ["note.dub_too_long"]
    tracks = films.streams(tmp_path / "talk de.mp4")
    assert [row[2] for row in tracks if row[0] == "audio"] == ["deu", "und"]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"talk.mp4", "talk.de.srt", "talk de.mp4"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["speak"], "speech.which"),
        (["speak", "a", "--file", "t.txt"], "speech.which"),
        (["speak", "..."], "speech.empty"),
        (["speak", "Hello", "-o", "x.gif"], "speech.unknown_kind"),
        (["speak", "Hello", "--speed", "9"], "speech.speed"),
        (["speak", "Hello", "--language", "x"], "speech.language"),
        (["speak", "Hello", "--voice", "me:x"], "speech.unknown_engine"),
        (["dub", "talk.mp4", "--into", "de"], "dub.no_transcript"),
        (["dub", "talk.mp4", "--into", "x"], "speech.language"),
        (["dub", "talk.mp4", "--into", "de", "--transcript", "t.srt", "-o", "x.gif"],
         "dub.unknown_kind"),
        (["dub", "talk.mp4", "--into", "de", "--transcript", "t.en.srt"], "dub.other_language"),
        (["dub", "tone.wav", "--into", "de", "--transcript", "t.srt", "-o", "x.mp4"],
         "dub.no_picture"),
        (["dub", "tone.wav", "--into", "de", "--transcript", "t.srt",
          "--voice", "Carl=espeak:de"], "dub.unknown_speaker"),
    ],
)  # fmt: skip
def test_what_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    films.make(tmp_path / "talk.mp4", *grey(1, "64x64", 5))
    films.make(tmp_path / "tone.wav", *tone(6))
    for name in ("t.srt", "t.en.srt"):
        (tmp_path / name).write_text(SRT, encoding="utf-8")
    (tmp_path / "t.txt").write_text("text", encoding="utf-8")
    before = {path.name for path in tmp_path.iterdir()}
    with raises(UsageError, code):
        app(arguments, standalone_mode=False)
    assert {path.name for path in tmp_path.iterdir()} == before
