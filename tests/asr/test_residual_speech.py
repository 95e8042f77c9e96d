"""Speech between the windows."""

from __future__ import annotations

import numpy as np
import pytest

from kb.asr import SAMPLE_RATE
from kb.asr.audio.vad import Audio
from kb.asr.windows.residual_speech import MOST_KEPT, ResidualSpeech
from kb.asr.windows.windowing import Window
from kb.types import SpeechSpan


def ramp(from_s: float, to_s: float) -> Audio:
    """Return audio in which the value of a sample is its time in seconds."""
    numbers = np.arange(round(from_s * SAMPLE_RATE), round(to_s * SAMPLE_RATE))
    return np.asarray(numbers / SAMPLE_RATE, np.float32)


def followed(
    spans: list[SpeechSpan], windows: list[Window], total_s: float = 60.0, *, late_s: float = 0.0
) -> list[Window]:
    """Return the windows found with blocks of 10 s and other windows known `late_s` later."""
    outside = ResidualSpeech(30.0, 0.8)
    left = list(windows)
    at_s = 0.0
    while at_s < total_s:
        outside.push(ramp(at_s, at_s + 10.0))
        at_s += 10.0
        until_s = at_s - late_s
        while left and left[0].start_s < until_s:
            outside.exclude(left.pop(0))
        heard = [SpeechSpan(s.start_s, min(s.end_s, at_s)) for s in spans if s.start_s < at_s]
        outside.scan(until_s, lambda *_: heard)  # noqa: B023  called at once
    for each in left:
        outside.exclude(each)
    outside.scan(None, lambda *_: spans)
    return outside.windows


def window(index: int, start_s: float, end_s: float) -> Window:
    return Window(index, start_s, ramp(start_s, end_s))


@pytest.mark.parametrize("late_s", [0.0, 4.0, 31.0])
def test_speech_between_windows_becomes_a_window_of_its_own(late_s: float) -> None:
    windows = [window(0, 2.0, 12.0), window(1, 40.0, 55.0)]
    spans = [SpeechSpan(2.5, 11.0), SpeechSpan(18.0, 20.5), SpeechSpan(41.0, 54.0)]
    (found,) = followed(spans, windows, late_s=late_s)
    assert (found.start_s, found.end_s) == pytest.approx((17.7, 20.8))
    assert found.speech == (SpeechSpan(18.0, 20.5),)
    assert found.index == 0  # it follows the first window
    assert found.audio[0] == pytest.approx(17.7, abs=1e-3)


def test_what_windows_hold_and_what_is_short_is_left_out() -> None:
    windows = [window(0, 10.0, 20.0)]
    held = [SpeechSpan(10.0, 20.0), SpeechSpan(30.0, 30.7), SpeechSpan(40.0, 40.5)]
    assert followed(held, windows) == []
    # Syllables with less than a pause between them count together.
    together = [SpeechSpan(30.0, 30.6), SpeechSpan(31.2, 31.8)]
    (found,) = followed(together, windows)
    assert found.speech == tuple(together)


def test_speech_at_a_window_is_read_up_to_its_border() -> None:
    windows = [window(0, 10.0, 20.0)]
    before, after = followed([SpeechSpan(7.0, 24.0)], windows)
    assert (before.start_s, before.end_s, before.index) == pytest.approx((6.7, 10.0, -1))
    assert (after.start_s, after.end_s, after.index) == pytest.approx((20.0, 24.3, 0))


def test_long_speech_is_cut_to_what_the_recognizer_holds() -> None:
    found = followed([SpeechSpan(5.0, 95.0)], [], 100.0)
    assert all(each.duration_s <= 30.0 for each in found)
    assert sum(s.duration_s for each in found for s in each.speech) == pytest.approx(90.0, abs=1)


def test_memory_is_bounded() -> None:
    spans = [SpeechSpan(3.0 * i, 3.0 * i + 1 + i / 100) for i in range(60)]
    found = followed(spans, [], 200.0)
    assert len(found) == MOST_KEPT
    assert min(each.duration_s for each in found) > 1.4 + 2 * 0.3  # the longest windows
    outside = ResidualSpeech(30.0, 0.8)
    for at_s in range(0, 600, 10):
        outside.push(ramp(at_s, at_s + 10.0))
        outside.scan(at_s + 10.0, lambda *_: ())
        assert outside._audio.size <= 11 * SAMPLE_RATE
