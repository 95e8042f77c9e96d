"""`kb video`: films of files without a library, and what is refused before any work."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest

from kb.cli.application import application
from kb.cli.output.products import is_to_be_fetched
from kb.errors import UsageError
from kb.media.probe import probe
from kb.transcript.formats.json_document import render
from tests.support import films
from tests.support.commands import run_command
from tests.support.films import grey, spoken, tone
from tests.support.raising import raises

app = application()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "KB_HOME": str(tmp_path / "library")}


@pytest.mark.slow
def test_films_without_a_library(tmp_path: Path, environment: dict[str, str]) -> None:
    films.make(tmp_path / "talk.mp4", *grey(2.5, "320x180", 10), *tone(2.5))
    (tmp_path / "talk.json").write_text(render(spoken(["Words of a talk"])), encoding="utf-8")
    common = ["video", "talk.mp4", "--transcript", "talk.json", "--threads", "1"]
    drawn = run_command(
        [*common, "--captions", "--style", "bold", "-o", "out/shown.mp4", "--json"],
        environment,
        tmp_path,
    )
    assert drawn.returncode == 0, drawn.stderr
    made = tmp_path / "out" / "shown.mp4"
    assert json.loads(drawn.stdout) == {"video": str(made), "picture": "kept", "notes": []}
    assert films.near(films.frame_at(made, 1.0), "#FFFFFF") > 50
    assert films.near(films.frame_at(made, 0.1), "#FFFFFF") == 0
    for options, name in ((["--captions", "--soft"], "talk captions.mp4"),
                          (["--karaoke"], "talk karaoke.mp4")):  # fmt: skip
        again = run_command([*common, *options], environment, tmp_path)
        assert again.returncode == 0, again.stderr
        assert (tmp_path / name).is_file()
    assert [kind for kind, _, _ in films.streams(tmp_path / "talk captions.mp4")][2:] == [
        "subtitle"
    ]
    assert probe(tmp_path / "talk karaoke.mp4").has_audio
    assert not (tmp_path / "library").exists()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"talk.mp4", "talk.json", "out", "talk captions.mp4", "talk karaoke.mp4"}

    # The user's own file is not replaced, nor is the medium.
    (tmp_path / "own.mp4").write_bytes(b"mine")
    for name in ("own.mp4", "talk.mp4"):
        refused = run_command([*common, "--captions", "-o", name], environment, tmp_path)
        assert refused.returncode == 2
    assert (tmp_path / "own.mp4").read_bytes() == b"mine"
    assert probe(tmp_path / "talk.mp4").duration_s == pytest.approx(2.5, abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["talk.mp4"], "video.which"),
        (["talk.mp4", "--captions", "--karaoke"], "video.which"),
        (["talk.mp4", "--karaoke", "--soft"], "video.soft_karaoke"),
        (["talk.mp4", "--captions"], "video.no_transcript"),
        (["talk.mp4", "--captions", "--take", "0-5"], "video.take_without_reel"),
        (["talk.mp4", "--reel", "--soft"], "video.soft_karaoke"),
        (["talk.mp4", "--reel", "--take", "5"], "reel.take"),
        (["talk.mp4", "--reel", "--take", "5-soon"], "clip.time"),
        (["talk.mp4", "--captions", "--transcript", "t.txt", "-o", "x.gif"], "video.unknown_kind"),
        (["talk.mp4", "--captions", "--transcript", "t.txt", "--style", "x"],
         "video.unknown_style"),
        (["talk.mp4", "--captions", "--transcript", "t.txt", "--size", "big"], "video.size"),
        (["talk.mp4", "--captions", "--soft", "--style", "box", "--transcript", "t.txt"],
         "video.soft_looks"),
        (["talk.mp4", "--captions", "--transcript", "t.txt"], "media.text"),
        (["gone.mp4", "--captions", "--transcript", "t.txt"], "media.missing"),
    ],
)  # fmt: skip
def test_what_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: str
) -> None:
    (tmp_path / "talk.mp4").write_bytes(b"no film at all")
    (tmp_path / "t.txt").write_text("Words", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with raises(UsageError, code):
        app(["video", *arguments], standalone_mode=False)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["verify", "pack.zip", "--repair"], "verify.pack_options"),
        (["verify", "pack.zip", "--dry-run"], "verify.pack_options"),
        (["video", "talk.mp4", "--captions", "--transcript", "t.txt", "--no-wait"],
         "video.not_of_file"),
        (["video", "talk.mp4", "--captions", "--transcript", "t.txt", "--fetch"],
         "video.not_of_file"),
    ],
)  # fmt: skip
def test_options_that_have_no_part_in_it_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: str
) -> None:
    (tmp_path / "pack.zip").write_bytes(b"no pack at all")
    (tmp_path / "talk.mp4").write_bytes(b"no film at all")
    monkeypatch.chdir(tmp_path)
    with raises(UsageError, code):
        app(arguments, standalone_mode=False)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("lacks", "asked_for", "ask", "given", "fetched", "is_asked"),
    [
        (True, None, True, Terminal("y\n"), True, True),
        (True, None, True, Terminal("\n"), False, True),  # the usual answer
        (True, None, True, io.StringIO("y\n"), False, False),  # no terminal
        (True, None, False, Terminal("y\n"), False, False),  # --json
        (True, True, True, Terminal(""), True, False),  # --fetch
        (True, False, True, Terminal("y\n"), False, False),  # --no-fetch
        (False, True, True, Terminal("y\n"), False, False),  # it is kept
    ],
)
def test_a_picture_is_fetched_after_a_question(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lacks: bool,
    asked_for: bool | None, ask: bool, given: io.StringIO, fetched: bool, is_asked: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "stdin", given)
    assert is_to_be_fetched(lambda: lacks, asked_for, ask=ask) is fetched
    said = capsys.readouterr()
    assert ("Fetch it once" in said.out + said.err) is is_asked
