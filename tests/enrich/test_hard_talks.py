"""Who speaks in talks that are hard: two at once, twenty people, music alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.support import composed_voices as made
from kb.enrich.speakers.diarization import Diarization, diarize
from kb.settings import get_settings
from tests.support.voices import TrueTurn, error_rate, require_weights

pytestmark = pytest.mark.slow

LONGEST_S = 3.0  # of a turn of the twenty


@pytest.fixture(autouse=True)
def installed_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the models that `make setup` has brought."""
    monkeypatch.delenv("KB_STEP_MODELS")
    get_settings.cache_clear()


def found_in(samples: made.Samples, folder: Path, speakers: int | None = None) -> Diarization:
    soundfile.write(folder / "talk.flac", samples, made.RATE_HZ, subtype="PCM_16")
    return diarize(folder / "talk.flac", require_weights(), speakers=speakers)


def share_without_speaker(true: list[TrueTurn], found: Diarization) -> float:
    """Return the share of the speech that is in no turn."""
    step = 0.01
    said = np.zeros(round((max(turn.end_s for turn in true) + 1) / step), bool)
    given = said.copy()
    for turns, mask in ((true, said), (found.turns, given)):
        for turn in turns:
            mask[round(turn.start_s / step) : round(turn.end_s / step)] = True
    return float((said & ~given).sum() / said.sum())


def test_two_who_speak_at_once_are_two_and_no_speech_is_without_a_speaker(tmp_path: Path) -> None:
    """The seconds that both speak have one speaker."""
    samples, true = made.at_once(turns=12)
    found = found_in(samples, tmp_path)
    assert found.speakers == 2
    assert share_without_speaker(true, found) <= 0.05
    assert error_rate(true, found.turns) <= 0.25


def test_twenty_speakers(tmp_path: Path) -> None:
    """Four recorded voices at five speeds each: neighbouring speeds sound like one person."""
    voices = {
        name: [piece[: round(LONGEST_S * made.RATE_HZ)] for piece in own]
        for name, own in made.many(20).items()
    }
    samples, true = made.talk(voices, 40)
    found = found_in(samples, tmp_path)
    assert 4 <= found.speakers <= 20
    assert made.mixed_share(true, found.turns) <= 0.02
    assert share_without_speaker(true, found) <= 0.05
    hinted = found_in(samples, tmp_path, speakers=20)
    assert hinted.speakers == 20
    assert made.mixed_share(true, hinted.turns) <= 0.02


def test_music_alone_has_no_speaker(tmp_path: Path) -> None:
    found = found_in(made.music(20.0), tmp_path)
    assert (found.turns, found.speakers) == ((), 0)
