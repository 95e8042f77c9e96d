"""Filters before recognition: what they take away, and that no sample is moved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kb.errors import SettingsError
from kb.inference.session import InferenceSession
from kb.media.decode import decode
from kb.media.loudness import CLEANING
from kb.options import RunOptions
from kb.settings import Settings
from tests.support.compose import SAMPLE_RATE, noise, write_wav


def read(path: Path, *filters: str) -> np.ndarray:
    with decode(path, filters=filters) as stream:
        return np.concatenate(list(stream))


@pytest.mark.parametrize("names", [("highpass",), ("afftdn",), ("highpass", "afftdn")])
def test_clicks_stay_at_their_places(names: tuple[str, ...], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    sound = noise(20, rng, "brown") * 0.05 + noise(20, rng, "white") * 0.1
    bursts = [3 * SAMPLE_RATE, 11 * SAMPLE_RATE + 777, 19 * SAMPLE_RATE]
    for at in bursts:
        sound[at : at + 800] += 0.5 * np.sin(np.arange(800) * 2 * np.pi * 900 / SAMPLE_RATE)
    path = write_wav(tmp_path / "in.wav", sound.astype(np.float32))
    plain, found = read(path), read(path, *names)
    assert found.size == plain.size
    for at in bursts:
        near = slice(at - 400, at + 1600)
        shift = np.correlate(found[near], plain[near], "full").argmax() - 1999
        assert abs(shift) <= 16  # a millisecond
    quiet = slice(5 * SAMPLE_RATE, 9 * SAMPLE_RATE)
    assert np.sqrt((found[quiet] ** 2).mean()) < 0.9 * np.sqrt((plain[quiet] ** 2).mean())


def test_the_setting_reaches_the_recognizer(tmp_path: Path) -> None:
    assert set(CLEANING) == {"highpass", "afftdn"}
    for value, filters in (("", ()), ("highpass,afftdn", ("highpass", "afftdn"))):
        settings = Settings(home=tmp_path, model="demo", sound_filters=value)
        with InferenceSession(settings) as session:
            assert session.transcription_options(RunOptions()).filters == filters
    with pytest.raises((SettingsError, ValueError)):
        Settings(home=tmp_path, sound_filters="louder")
