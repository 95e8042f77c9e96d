"""Packs of places: every sound keeps its words, and every word its time."""

from __future__ import annotations

import numpy as np
import pytest

from kb.asr import SAMPLE_RATE
from kb.asr.engines.base import DecodingResult
from kb.asr.quality.place_packs import BETWEEN_S, packs
from kb.asr.windows.windowing import Window
from kb.types import Segment, SpeechSpan, Word


def part(start_s: float, seconds: float) -> Window:
    audio = np.full(round(seconds * SAMPLE_RATE), 0.1, np.float32)
    return Window(0, start_s, audio, (SpeechSpan(start_s, start_s + seconds),))


def decoded(words: list[Word]) -> DecodingResult:
    segments = (Segment(words[0].start_s, words[-1].end_s, "", tuple(words), "en"),)
    return DecodingResult(segments if words else (), "en", -0.1, 0.0, words[-1].end_s)


@pytest.mark.parametrize("lengths", [[1.0], [1.0, 2.5, 0.7], [4.0] * 8, [29.9, 0.5], [12.0] * 5])
def test_words_return_to_their_own_sound(lengths: list[float]) -> None:
    parts = [part(10.0 * n + 3.0, length) for n, length in enumerate(lengths)]
    found = packs(parts, 30.0)
    assert [each for pack in found for each in pack.parts] == parts
    for pack in found:
        assert pack.window.duration_s <= 30.0
        words = [
            Word(start_s + 0.1, start_s + 0.4, f"{each.start_s}", 0.9)
            for each, start_s in zip(pack.parts, pack.starts_s, strict=True)
        ]
        for each, text in zip(pack.parts, pack.unpack(decoded(words)), strict=True):
            (word,) = text.segments[0].words
            assert word.text == f"{each.start_s}"
            assert word.start_s == pytest.approx(each.start_s + 0.1)
            assert word.end_s == pytest.approx(each.start_s + 0.4)


def test_as_few_windows_as_needed() -> None:
    parts = [part(float(n), 4.0) for n in range(20)]
    whole_s = 20 * 4.0 + 19 * BETWEEN_S
    assert len(packs(parts, 30.0)) == 4 >= whole_s / 30.0
    assert packs([], 30.0) == []


def test_sound_and_speech_keep_their_distance() -> None:
    (pack,) = packs([part(3.0, 1.0), part(50.0, 2.0)], 30.0)
    second_s = 3.0 + 1.0 + BETWEEN_S
    assert pack.starts_s == pytest.approx((3.0, second_s))
    spans = [(span.start_s, span.end_s) for span in pack.window.speech]
    assert spans == [(3.0, 4.0), (pytest.approx(second_s), pytest.approx(second_s + 2.0))]
    silence = pack.window.part(4.0, second_s).audio
    assert not silence.any()
    assert pack.window.part(second_s, second_s + 2.0).audio.all()


def test_words_between_two_sounds_belong_to_none() -> None:
    (pack,) = packs([part(3.0, 1.0), part(50.0, 2.0)], 30.0)
    one, other = pack.unpack(decoded([Word(4.1, 4.3, "thanks", 0.9)]))
    assert one.segments == other.segments == ()
    # A word that begins in a sound and ends behind it is cut at the sound's end.
    one, other = pack.unpack(decoded([Word(3.6, 4.3, "winter", 0.9)]))
    assert [(w.start_s, w.end_s) for w in one.segments[0].words] == [(3.6, 4.0)]
    assert other.segments == ()
