"""Voicing and movement of real sounds: words in several voices, and sounds without a word."""

from __future__ import annotations

import numpy as np
import pytest

from kb.asr import SAMPLE_RATE
from kb.asr.audio.speech_evidence import ONE_SOUND_SHARE, STEADY_SHARE, VOICING_MARGIN
from kb.asr.audio.word_sound import WordSound, word_sound
from tests.support.speech import bank
from tests.support.tails import SOUNDS

WORDS = ("harbour", "winter", "garden", "planet", "mountain", "story")
WITHOUT_VOICE = ("breath", "shaped noise")
ONE_SOUND = ("hum", "shaped noise")


def _spoken(voice: str, noise: float = 0.0) -> list[WordSound]:
    rng = np.random.default_rng(2)
    clips = [bank().clip(word, voice) for word in WORDS]
    return [word_sound(clip + noise * rng.standard_normal(clip.size)) for clip in clips]


@pytest.mark.parametrize("noise", [0.0, 0.01])
@pytest.mark.parametrize("voice", bank().voices("en")[:6])
def test_words_of_a_voice_have_voicing_and_movement_alike(voice: str, noise: float) -> None:
    found = _spoken(voice, noise)
    voicing = float(np.median([sound.voicing for sound in found]))
    movement = float(np.median([sound.movement for sound in found]))
    assert voicing > 0.7
    assert all(sound.voicing > voicing - VOICING_MARGIN for sound in found)
    assert all(sound.movement > STEADY_SHARE * movement for sound in found)


@pytest.mark.parametrize("word", ["acht", "null", "vier"])
def test_a_short_word_has_both(word: str) -> None:
    for voice in bank().voices("de")[:4]:
        clips = [bank().clip(each, voice) for each in bank().words("de")[:12]]
        sounds = [word_sound(clip) for clip in clips]
        own = word_sound(bank().clip(word, voice))
        assert own.voicing > np.median([s.voicing for s in sounds]) - VOICING_MARGIN
        assert own.movement > ONE_SOUND_SHARE * np.median([s.movement for s in sounds])


@pytest.mark.parametrize("kind", SOUNDS)
def test_sounds_without_a_word_have_no_voice_or_move_little(kind: str) -> None:
    words = [sound for voice in bank().voices("en")[:3] for sound in _spoken(voice)]
    voicing = np.median([sound.voicing for sound in words])
    movement = np.median([sound.movement for sound in words])
    rng = np.random.default_rng(list(SOUNDS).index(kind))
    found = [word_sound(SOUNDS[kind](rng)[: SAMPLE_RATE // 2]) for _ in range(6)]
    without = [sound.voicing < voicing - VOICING_MARGIN for sound in found]
    assert sum(without) >= 5 or kind not in WITHOUT_VOICE
    assert sum(sound.movement < ONE_SOUND_SHARE * movement for sound in found) >= 5 or (
        kind not in ONE_SOUND
    )
    assert np.median([sound.movement for sound in found]) < 0.95 * movement


@pytest.mark.parametrize("size", [0, 1, 50, 400, 640, 3000])
def test_short_and_silent_sounds_have_finite_figures(size: int) -> None:
    silent = word_sound(np.zeros(size, np.float32))
    assert (silent.voicing, silent.movement) == (0.0, 0.0)
    loud = word_sound(np.random.default_rng(1).standard_normal(size).astype(np.float32))
    assert 0.0 <= loud.voicing <= 1.0
    assert np.isfinite(loud.movement)


def test_the_level_changes_neither_figure() -> None:
    clip = bank().clip("harbour", bank().voices("en")[0])
    one, other = word_sound(clip), word_sound(clip * 0.1)
    assert one.voicing == pytest.approx(other.voicing, abs=0.02)
    assert one.movement == pytest.approx(other.movement, rel=0.02)
