"""Files that a user names and that cannot be opened: each command says which one, and what next.

No sentence has the number of a system's error, or speaks of writing or of the library's folder.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from kb.cli.application import application
from kb.errors import KBError
from tests.support import films

app = application()

SRT = "1\n00:00:00,200 --> 00:00:00,900\nDer Hafen\n"
DUB = ["dub", "talk.mp4", "--into", "de", "-o", "made.m4a"]
FILM = ["video", "talk.mp4", "--captions", "-o", "made.mp4"]
WORDS = ["--transcript", "words.srt"]

CASES = {
    "a pack": (["verify", "{}"], "input.absent"),
    "a pack of a key": (["verify", "{}", "--key", "0" * 16], "input.absent"),
    "a text to speak": (["speak", "--file", "{}"], "input.absent"),
    "a medium to dub": (["dub", "{}", "--into", "de", *WORDS], "media.missing"),
    "words to dub": ([*DUB, "--transcript", "{}"], "input.absent"),
    "a medium for a film": (["video", "{}", "--captions", *WORDS], "media.missing"),
    "words for a film": ([*FILM, "--transcript", "{}"], "input.absent"),
    "a style": ([*FILM, *WORDS, "--style", "{}.yaml"], "input.absent"),
    "a still": ([*FILM, *WORDS, "--picture", "{}.png"], "video.no_still"),
    "a backup": (["restore", "{}"], "restore.missing"),
    "a medium to take in": (["ingest", "{}.mp4"], "file.missing"),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "words.srt").write_text(SRT, encoding="utf-8")
    films.make(folder / "talk.mp4", *films.grey(1, "64x64", 5))
    return folder


def said(arguments: list[str], name: str) -> KBError:
    with pytest.raises(KBError) as caught:
        app([each.replace("{}", name) for each in arguments], standalone_mode=False)
    error = caught.value
    text = f"{error.message} {error.hint}"
    assert Path(name).name in error.message and error.hint
    for wrong in ("Errno", "write", "KB_HOME"):
        assert wrong not in text, text
    return error


@pytest.mark.parametrize("case", CASES)
def test_a_missing_file_is_named(place: Path, case: str) -> None:
    arguments, code = CASES[case]
    before = sorted(path.name for path in place.iterdir())
    assert said(arguments, str(place / "nowhere" / "x")).code == code
    assert sorted(path.name for path in place.iterdir()) == before


@pytest.mark.skipif(os.name == "nt", reason="links need a right on Windows")
@pytest.mark.parametrize("case", [name for name, (_, code) in CASES.items() if "input" in code])
def test_a_link_to_itself_is_named(place: Path, case: str) -> None:
    arguments, _ = CASES[case]
    for ending in ("", ".yaml"):
        (place / f"loop{ending}").symlink_to(f"loop{ending}")
    error = said(arguments, "loop")
    assert error.code == "input.refused" and error.values["reason"] == os.strerror(errno.ELOOP)
