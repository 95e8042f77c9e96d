"""The engine piper with its real package and program, and voices of random weights.

The extra `test` has the package, which is under the GPL and runs in processes of its own; without
it they are skipped. No trained voice is in it: the one on PyPI has 58 MB, and was made from another
voice whose recordings are for research.
"""

from __future__ import annotations

import shutil
import sys
from importlib import util
from pathlib import Path

import numpy as np
import pytest

from kb.errors import KBError
from kb.settings import Settings
from kb.tts.engines import piper as engine
from kb.tts.engines.piper import Piper
from kb.tts.speech import choose_voice, speak
from tests.support.piper_voice import HOP, RATE_HZ, write_voice
from tests.support.raising import raises

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        util.find_spec("piper") is None or util.find_spec("onnx") is None,
        reason="pip install piper-tts onnx",
    ),
]


@pytest.fixture
def voices(tmp_path: Path) -> Settings:
    write_voice(tmp_path)
    write_voice(tmp_path, "en_US-pair-low", speakers=2)
    return Settings(KB_VOICE_DIR=str(tmp_path))


@pytest.fixture(params=["package", "program"])
def spoken_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the package in a child script, or the program where the package is not seen."""
    if request.param == "program":
        beside = str(Path(sys.executable).parent)
        found = shutil.which("piper") or shutil.which("piper", path=beside)
        if found is None:
            pytest.skip("the program piper is not on the path")
        monkeypatch.setattr(engine, "PACKAGE", "no_such_package")
        monkeypatch.setenv("PATH", str(Path(found).parent), prepend=":")
    return str(request.param)


def test_a_voice_speaks_at_its_speed(voices: Settings, spoken_by: str) -> None:
    usual, faster = (
        next(iter(speak(voices, "hallo du", language="de", speed=speed).sound))
        for speed in (1.0, 1.25)
    )
    assert usual.rate_hz == RATE_HZ
    # Eight letters, with marks before, between and behind them.
    assert usual.samples.size % HOP == 0 and usual.samples.size // HOP >= 8
    assert faster.length_s == pytest.approx(usual.length_s / 1.25, rel=0.01)
    assert np.abs(usual.samples).max() > 10_000


def test_speakers_of_one_file_differ(voices: Settings, spoken_by: str) -> None:
    found, first = choose_voice(voices, "en")
    assert (found.name, first) == ("piper", "en_US-pair-low#0")
    assert found.choices("en") == ("en_US-pair-low#0", "en_US-pair-low#1")
    sounds = [
        next(iter(speak(voices, "hello", voice=f"piper:{name}").sound)).samples
        for name in found.choices("en")
    ]
    assert sounds[0].size == sounds[1].size and not np.array_equal(*sounds)


def test_what_no_voice_is(voices: Settings, tmp_path: Path, spoken_by: str) -> None:
    for name in ("../x", "nobody", "de_DE-random-low#x"):
        with raises(KBError, "speech.refused"):
            list(speak(voices, "hallo", voice=f"piper:{name}").sound)
    (tmp_path / "de_DE-broken-low.onnx").write_bytes(b"no network")
    shutil.copyfile(
        tmp_path / "de_DE-random-low.onnx.json", tmp_path / "de_DE-broken-low.onnx.json"
    )
    with raises(KBError, "speech.ended"):
        list(speak(voices, "hallo", voice="piper:de_DE-broken-low").sound)
    assert Piper(voices).version("de_DE-random-low") != Piper(voices).version("en_US-pair-low#0")
