"""Evidence that a sound is speech, with the real detector and real sounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kb.asr.audio.speech_evidence import SPOKEN, SpeechEvidence, SpokenLevel
from kb.types import Word
from tests.support.compose import Composition, compose, join, without_speech, write_wav
from tests.support.speech import bank, detector, transcribe_demo
from tests.support.tails import SOUNDS

SAID = "harbour winter garden planet mountain"


def _evidence(said: Composition) -> SpeechEvidence:
    stream = detector().probabilities(said.audio), 0.0
    return SpeechEvidence(detector(), said.audio, 0.0, stream)


def _words(said: Composition) -> list[Word]:
    return [Word(start_s, end_s, text, 0.9) for text, start_s, end_s in said.words]


@pytest.mark.parametrize("voice", bank().voices("en")[:6])
def test_spoken_words_have_evidence(voice: str) -> None:
    said = compose(bank(), SAID, voice, np.random.default_rng(1))
    words = _words(said)
    evidence = _evidence(said)
    level = SpokenLevel()
    limit = level.of(words[1:4], evidence).score
    assert 0.8 < limit <= SPOKEN
    assert min(evidence.scores(words[-2:])) >= limit  # together
    assert all(evidence.scores([word])[0] >= limit for word in words[1:])


@pytest.mark.parametrize("kind", SOUNDS)
def test_most_sounds_without_a_word_have_none(kind: str) -> None:
    rng = np.random.default_rng(list(SOUNDS).index(kind))
    below = 0
    for _ in range(6):
        talk = compose(bank(), SAID, bank().voices("en")[0], rng)
        sound = SOUNDS[kind](rng)
        sound = np.asarray(sound * (0.3 / np.abs(sound).max()), np.float32)
        said = join(talk, without_speech(sound), pause=0.2)
        evidence = _evidence(said)
        limit = SpokenLevel().of(_words(talk)[1:4], evidence).score
        word = Word(said.seconds - without_speech(sound).seconds, said.seconds, "banana", 0.9)
        below += evidence.scores([word])[0] < limit
    assert below >= 5


def test_a_quiet_recording_has_a_limit_of_its_own() -> None:
    loud = compose(bank(), SAID, bank().voices("en")[0], np.random.default_rng(3))
    rng = np.random.default_rng(4)
    noise = 0.05 * rng.standard_normal(loud.audio.size).astype(np.float32)
    said = Composition(loud.audio * 0.3 + noise, loud.words, "en")
    limit = SpokenLevel().of(_words(said)[1:4], _evidence(said)).score
    clear = SpokenLevel().of(_words(loud)[1:4], _evidence(loud)).score
    assert limit < clear


def test_without_a_word_to_compare_nothing_has_a_limit() -> None:
    said = compose(bank(), SAID, bank().voices("en")[0], np.random.default_rng(3))
    assert SpokenLevel().of([], _evidence(said)).score == 0.0
    assert SpokenLevel().of(_words(said)[:1], _evidence(said)).score == 0.0


def test_the_windows_before_count_as_well() -> None:
    said = compose(bank(), SAID, bank().voices("en")[0], np.random.default_rng(3))
    level = SpokenLevel()
    assert level.of(_words(said)[1:2], _evidence(said)).score == 0.0
    assert level.of(_words(said)[2:3], _evidence(said)).score > 0.8
    assert level.of([], _evidence(said)).score == 0.0


@pytest.mark.parametrize(("known", "own"), [(3, False), (7, False), (8, True), (40, True)])
def test_a_window_of_a_few_words_has_the_sound_of_the_others(known: int, own: bool) -> None:
    said = compose(bank(), SAID, bank().voices("en")[0], np.random.default_rng(3))
    level = SpokenLevel()
    before = level.of(_words(said)[1:4], _evidence(said))
    hum = Word(0.5, 1.0, "and", 0.95)
    silent = SpeechEvidence(detector(), np.zeros(32_000, np.float32), 0.0, (np.zeros(62), 0.0))
    found = level.of([hum], silent, known)
    assert (found.score < before.score - 0.1) == own
    assert (found.voicing < before.voicing) == own


def test_a_first_window_of_a_few_words_has_its_own_sound() -> None:
    said = compose(bank(), SAID, bank().voices("en")[0], np.random.default_rng(3))
    assert SpokenLevel().of(_words(said)[1:4], _evidence(said), 4).score > 0.8


@pytest.mark.slow
def test_a_spoken_word_that_the_detector_hardly_hears_stays_in_doubt(tmp_path: Path) -> None:
    """The detector hardly hears the word "acht" of this voice."""
    spoken = "eins zehn vier null acht sechs drei zehn sieben acht zehn eins vier sechs acht zehn"
    rng = np.random.default_rng(1)
    said = compose(bank(), spoken, "de+Alicia-p54-s181", rng, gap=(0.06, 0.12))
    write_wav(tmp_path / "talk.wav", said)
    found = transcribe_demo(tmp_path / "talk.wav", language="de")
    assert [word.text.strip(" .,").lower() for word in found.words] == spoken.split()
    assert any(flag.name == "ending" for row in found.windows for flag in row.flags)
