"""Long pauses are removed from the audio, and every time maps to a time of the medium."""

from __future__ import annotations

import math
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from kb.asr import SAMPLE_RATE
from kb.asr.audio.pause_trimmer import LEAST_CUT_S, QUIET, PauseTrimmer
from kb.asr.audio.silero import FRAME
from kb.asr.audio.time_map import TimestampMap
from kb.asr.audio.vad import FRAME_S, Audio
from kb.asr.quality.report import WindowResult, restore_result_times
from kb.asr.stitching import restore_segment_times
from kb.types import DecodingAttempt, QualityFlag, Segment, Word
from tests.support.compose import compose, write_wav
from tests.support.speech import Oracle, bank, preset, score, transcribe_demo, transcribe_with

LONGEST_S = 1.024  # 32 frames


def chances(*rows: tuple[float, float]) -> Audio:
    """Return the probabilities of speech per frame from rows of (seconds, probability)."""
    return np.concatenate([np.full(round(s / FRAME_S), p, np.float32) for s, p in rows])


def condensed(
    given: Audio, block: int, longest_s: float = LONGEST_S, *, late: int = 0
) -> tuple[Audio, Audio, TimestampMap]:
    """Trim a ramp (the value of each sample is its index) in blocks of `block` frames.

    The probabilities of speech are pushed `late` frames after the audio.
    """
    ramp = np.arange(given.size * FRAME - 100, dtype=np.float64)
    condenser = PauseTrimmer(longest_s)
    sound: list[Audio] = []
    left: list[Audio] = []
    sent = 0
    for first in range(0, given.size, block):
        known = max(sent, min(given.size, first + block - late))
        piece = ramp[first * FRAME : (first + block) * FRAME]
        audio, probabilities = condenser.push(piece, given[sent:known])  # type: ignore[arg-type]
        sent = known
        sound.append(audio)
        left.append(probabilities)
    audio, probabilities = condenser.finish(given[sent:])
    return (
        np.concatenate([*sound, audio]),
        np.concatenate([*left, probabilities]),
        condenser.time_map,
    )


def pauses(probabilities: Audio) -> list[int]:
    """Return the lengths of all runs of quiet frames."""
    rows = groupby((probabilities < QUIET).tolist())
    return [len(list(row)) for quiet, row in rows if quiet]


MIXED = chances(
    (3.0, 0.0), (2.0, 0.9), (0.5, 0.02), (1.0, 0.6), (1.2, 0.05), (2.0, 0.3), (60.0, 0.01),
    (0.064, 0.12), (4.0, 0.0), (3.0, 0.8), (1.6, 0.0), (1.0, 0.9), (9.0, 0.02),
)  # fmt: skip


@pytest.mark.parametrize("block", [1, 7, 20, 313, MIXED.size])
@pytest.mark.parametrize("late", [0, 5])
def test_every_sample_is_found_again_by_the_clock(block: int, late: int) -> None:
    audio, left, clock = condensed(MIXED, block, late=late)
    numbers = np.arange(0, audio.size, 37)
    found = [clock.start(number / SAMPLE_RATE) * SAMPLE_RATE for number in numbers]
    assert found == pytest.approx(audio[numbers], abs=1e-3)
    frames = audio[::FRAME] / FRAME
    assert left == pytest.approx(MIXED[frames.astype(int)])
    assert left.size == -(-audio.size // FRAME)


@pytest.mark.parametrize("block", [1, 7, 313, MIXED.size])
def test_only_the_middle_of_long_pauses_is_taken_out(block: int) -> None:
    _, left, clock = condensed(MIXED, block)
    side, least = round(LONGEST_S / FRAME_S), round(LEAST_CUT_S / FRAME_S)
    # A pause slightly above the limit is not cut.
    expected = [side if n >= side + least else n for n in pauses(MIXED)]
    assert pauses(left) == expected
    assert list(left[left >= QUIET]) == list(MIXED[MIXED >= QUIET])
    assert clock.end(left.size * FRAME_S) == pytest.approx(MIXED.size * FRAME_S)


def test_without_a_limit_everything_is_passed_on() -> None:
    audio, left, clock = condensed(MIXED, 40, math.inf)
    assert audio.size == MIXED.size * FRAME - 100
    assert left == pytest.approx(MIXED)
    assert clock.start(50.0) == clock.end(50.0) == 50.0


def test_hours_of_silence_are_not_kept() -> None:
    condenser = PauseTrimmer(LONGEST_S)
    quiet = np.zeros(312, np.float32)  # ten seconds
    passed = pushed = 0
    for _ in range(720):
        audio, _ = condenser.push(np.zeros(quiet.size * FRAME, np.float32), quiet)
        passed, pushed = passed + audio.size, pushed + quiet.size * FRAME
        held_s = pushed / SAMPLE_RATE - condenser.time_map.start(passed / SAMPLE_RATE)
        assert held_s <= LONGEST_S
    audio, _ = condenser.finish(np.zeros(0, np.float32))
    assert (passed + audio.size) / SAMPLE_RATE == pytest.approx(LONGEST_S)


def clock() -> TimestampMap:
    """Return a map with 5 s removed at 10 s, and 2 s at 20 s."""
    made = TimestampMap()
    made.cut(10.0, 5.0)
    made.cut(20.0, 2.0)
    return made


def word(start_s: float, end_s: float, text: str = "word") -> Word:
    return Word(start_s, end_s, text, 0.9)


def test_starts_at_a_cut_map_after_the_pause_and_ends_before_it() -> None:
    assert clock().span(9.0, 10.0) == (9.0, 10.0)
    assert clock().span(10.0, 20.0) == (15.0, 25.0)
    assert clock().span(9.0, 21.0) == (9.0, 28.0)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ((9.0, 9.9), (9.0, 9.9)),
        ((9.5, 10.2), (9.5, 10.0)),  # mostly before the cut
        ((9.9, 10.6), (15.0, 15.6)),  # mostly after the cut
        ((19.7, 20.0), (24.7, 25.0)),
        ((20.0, 20.3), (27.0, 27.3)),
        ((9.0, 21.0), (15.0, 25.0)),  # over both cuts: between them
    ],
)
def test_a_word_is_never_stretched_over_a_pause(
    said: tuple[float, float], expected: tuple[float, float]
) -> None:
    found = clock().word(word(*said))
    assert (found.start_s, found.end_s) == expected


def test_a_segment_over_a_pause_becomes_two() -> None:
    words = (word(8.0, 9.0, "before"), word(9.2, 10.1, "it,"), word(10.5, 11.0, "behind"))
    first, second = restore_segment_times(
        clock(), [Segment(8.0, 11.0, "before it, behind", words, "en")]
    )
    assert (first.text, first.start_s, first.end_s) == ("before it,", 8.0, 10.0)
    assert (second.text, second.start_s, second.end_s) == ("behind", 15.5, 16.0)
    assert [w.text for w in (*first.words, *second.words)] == ["before", "it,", "behind"]
    whole = Segment(0.5, 3.0, "in  one", (word(0.5, 3.0, "in  one"),), "en")
    assert restore_segment_times(clock(), [whole]) == [whole]


def test_a_windows_report_has_the_mediums_times() -> None:
    segment = Segment(9.0, 11.0, "a b", (word(9.0, 9.5, "a"), word(10.5, 11.0, "b")), "en")
    sign = QualityFlag("rate", 9.0, 12.0, 9.0, 7.0)
    window = WindowResult(
        3, 5.0, 25.0, (sign,), (DecodingAttempt("first", (segment,), (sign,), 0.5),), 0
    )
    found = restore_result_times(clock(), window)
    assert (found.start_s, found.end_s) == (5.0, 32.0)
    assert (found.flags[0].start_s, found.flags[0].end_s) == (9.0, 17.0)
    assert [s.start_s for s in found.attempts[0].segments] == [9.0, 15.5]
    assert found.attempts[0].flags == found.flags


# With real audio

SPARSE: list[str | float] = [
    "harbour", "winter", 6.0, "lantern", "copper", "river", 9.0, "golden", 20.0, "morning",
    "island", 4.0, "summer", "bridge", 12.0, "captain", "window",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("noise_db", [None, 30])
def test_sparse_speech_is_one_window_with_every_word_in_its_place(noise_db: float | None) -> None:
    said = compose(bank(), SPARSE, rng=np.random.default_rng(2), noise_db=noise_db)
    as_it_is = transcribe_with(Oracle(said.words), said, preset(), longest_pause_s=0.0)
    found = transcribe_with(Oracle(said.words), said, preset())
    assert len(found.windows) == 1 < len(as_it_is.windows)
    result = score(said.words, found.words)
    assert result.errors == 0
    assert np.abs([*result.starts_s, *result.ends_s]).max() <= 0.02
    assert found.coverage == as_it_is.coverage
    assert max(s.end_s - s.start_s for s in found.segments) < 4.0  # no segment spans a pause
    assert found.media.duration_s == pytest.approx(said.seconds, abs=1e-3)


@pytest.mark.slow
def test_the_recognizer_decodes_trimmed_sound_correctly(tmp_path: Path) -> None:
    said = compose(bank(), SPARSE, rng=np.random.default_rng(2), noise_db=30)
    found = transcribe_demo(write_wav(tmp_path / "sparse.wav", said))
    result = score(said.words, found.words)
    assert result.errors == 0
    assert np.abs([*result.starts_s, *result.ends_s]).max() <= 0.25
    assert len(found.windows) == 1
    assert found.coverage.grade == "A"
