"""Speech detection on a stream, and the conversion of probabilities to spans."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from kb.asr import SAMPLE_RATE
from kb.asr.audio.silero import FRAME
from kb.asr.audio.vad import FRAME_S, Audio, SpeechRule, model_path, spans
from kb.errors import ModelUnavailable
from tests.support.compose import chords, compose, noise, random_plan, silence
from tests.support.raising import raises
from tests.support.speech import bank, detector


def chances(audio: Audio, block: int = 10 * SAMPLE_RATE) -> Audio:
    stream = detector().stream()
    found = [stream.push(audio[i : i + block]) for i in range(0, audio.size, block)]
    return np.concatenate([*found, stream.finish()])


@pytest.fixture(scope="module")
def talk() -> Audio:
    rng = np.random.default_rng(4)
    return compose(bank(), random_plan(bank(), 25, rng), rng=rng, noise_db=20).audio


@pytest.mark.parametrize("block", [777, 16_000, 100_000])
def test_the_size_of_the_blocks_changes_nothing(talk: Audio, block: int) -> None:
    assert chances(talk, block) == pytest.approx(chances(talk, talk.size), abs=1e-4)


def test_one_probability_for_every_frame_the_last_one_included(talk: Audio) -> None:
    assert chances(talk).size == -(-talk.size // FRAME)
    assert chances(np.zeros(5, np.float32)).size == 1
    assert chances(np.zeros(0, np.float32)).size == 0


@pytest.mark.parametrize("db", [None, 30, 15])
@pytest.mark.parametrize("language", ["en", "de"])
def test_every_spoken_word_lies_in_detected_speech(language: str, db: float | None) -> None:
    rng = np.random.default_rng(5)
    said = compose(bank(), random_plan(bank(), 40, rng, language), rng=rng, noise_db=db)
    found = spans(chances(said.audio))
    for word, start_s, end_s in said.words:
        middle = (start_s + end_s) / 2
        assert any(s.start_s <= middle <= s.end_s for s in found), (word, start_s)


@pytest.mark.parametrize("kind", ["silence", "white", "brown", "hum", "chords"])
def test_little_is_detected_without_speech(kind: str) -> None:
    rng = np.random.default_rng(6)
    if kind == "silence":
        audio = silence(20)
    else:
        audio = chords(20, rng) if kind == "chords" else noise(20, rng, kind)
    assert sum(span.duration_s for span in spans(chances(audio))) < 3


def row(*stretches: tuple[int, float]) -> Audio:
    return np.concatenate([np.full(count, chance, np.float32) for count, chance in stretches])


def frames_of(found: list) -> list[tuple[int, int]]:
    return [(round(s.start_s / FRAME_S), round(s.end_s / FRAME_S)) for s in found]


def test_a_span_rises_at_the_threshold_and_falls_below_the_lower_one() -> None:
    rule = SpeechRule(threshold=0.5, hysteresis=0.15, min_silence_s=0.1)
    assert frames_of(spans(row((5, 0.1), (4, 0.6), (6, 0.4), (9, 0.1)), rule)) == [(5, 15)]
    assert spans(row((20, 0.49)), rule) == []


def test_short_dips_stay_inside_and_one_loud_frame_is_speech() -> None:
    rule = SpeechRule(threshold=0.5, min_silence_s=0.1)
    assert frames_of(spans(row((3, 0.9), (2, 0.0), (3, 0.9)), rule)) == [(0, 8)]
    assert frames_of(spans(row((3, 0.9), (3, 0.0), (3, 0.9)), rule)) == [(0, 3), (6, 9)]
    assert frames_of(spans(row((9, 0.0), (1, 0.9), (9, 0.0)), rule)) == [(9, 10)]


def test_a_span_at_the_end_ends_where_it_fell() -> None:
    rule = SpeechRule(threshold=0.5, min_silence_s=0.1)
    assert frames_of(spans(row((2, 0.0), (4, 0.9)), rule)) == [(2, 6)]
    assert frames_of(spans(row((2, 0.0), (4, 0.9), (2, 0.0)), rule)) == [(2, 6)]
    assert spans(row((1, 0.9)), rule, offset_s=7.0)[0].start_s == 7.0


def test_the_detector_is_one_file_and_its_absence_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert model_path().suffix == ".onnx"
    monkeypatch.setattr("kb.asr.audio.vad.find_spec", lambda name: None)
    with raises(ModelUnavailable, "model.no_speech_detector") as caught:
        model_path()
    assert "pip install" in caught.value.hint


@pytest.mark.slow
def test_detecting_speech_loads_no_second_engine_and_leaves_the_threads_alone() -> None:
    program = (
        "import sys, torch; torch.set_num_threads(2);"
        "from kb.asr.audio.vad import SpeechDetector; import numpy as np;"
        "SpeechDetector().stream().push(np.zeros(16000, np.float32));"
        "assert not {'faster_whisper', 'ctranslate2', 'silero_vad'} & set(sys.modules);"
        "assert torch.get_num_threads() == 2"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
