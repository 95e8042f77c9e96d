"""No word is lost or doubled between windows: tests of the real window code with an oracle."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from kb.asr import SAMPLE_RATE
from kb.asr.audio.silero import FRAME
from kb.asr.audio.vad import FRAME_S, Audio
from kb.asr.engines.base import DecodingResult
from kb.asr.quality.missing_speech import find_missing_speech, is_silence, quietest_s
from kb.asr.quality.report import WindowResult, quality_report
from kb.asr.stitching import WindowText, enforce_order, keep_words, seam, stitch
from kb.asr.windows.window_source import WindowSource
from kb.asr.windows.windowing import Window, WindowCutter
from kb.types import Segment, SpeechLimits, SpeechSpan, Transcript, Word
from kb.types.quality import LONGEST_UNCOVERED_S, REACH_S
from tests.support.compose import (
    Composition,
    chords,
    compose,
    continuous_speech,
    join,
    random_plan,
    silence,
)
from tests.support.compose import without_speech as no_speech
from tests.support.speech import UNBOUNDED, Oracle, bank, preset, score, transcribe_with

PRESETS = ("stabil", "optimiert", "schnell", "max")


@cache
def spoken(kind: str) -> Composition:
    """Return two to three minutes of speech that is difficult to cut into windows."""
    rng = np.random.default_rng(7)
    words = bank().words("en")
    if kind == "pauses":
        return compose(bank(), random_plan(bank(), 150, rng), rng=rng, noise_db=25)
    if kind == "unbroken":
        return continuous_speech(bank(), 130, rng)
    if kind == "chorus":  # two alternating words without a pause
        return compose(bank(), [words[3], words[8]] * 110, rng=rng, gap=(0.02, 0.1))
    if kind == "one word":
        return compose(bank(), [words[5]] * 220, rng=rng, gap=(0.05, 0.1))
    if kind == "silence between":
        parts = [compose(bank(), random_plan(bank(), 12, rng), rng=rng) for _ in range(3)]
        return join(*parts, no_speech(silence(70)), compose(bank(), words[:9], rng=rng), pause=12)
    assert kind == "long words at the edges"
    return compose(bank(), random_plan(bank(), 180, rng, phrase=(20, 60)), rng=rng, lead=0.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(
    "kind",
    ["pauses", "unbroken", "chorus", "one word", "silence between", "long words at the edges"],
)
def test_every_word_once_and_in_its_place(kind: str, name: str) -> None:
    said = spoken(kind)
    oracle = Oracle(said.words)
    found = transcribe_with(oracle, said, preset(name))
    result = score(said.words, found.words)
    assert (result.substituted, result.deleted, result.inserted) == (0, 0, 0)
    assert np.abs([*result.starts_s, *result.ends_s]).max() <= 0.05
    assert found.coverage.ratio == 1.0
    limit_s = min(preset(name).chunk_s, 30.0)
    assert max(end - start for start, end in oracle.decoded_spans) <= limit_s + FRAME_S
    starts = [word.start_s for word in found.words]
    assert starts == sorted(starts)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["unbroken", "chorus", "one word"])
def test_readings_whose_times_differ_are_still_joined_right(kind: str) -> None:
    said = spoken(kind)
    found = transcribe_with(Oracle(said.words, jitter_s=0.12), said, preset("stabil"))
    assert score(said.words, found.words).errors == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pauses", "unbroken"])
@pytest.mark.parametrize("chunk_s", [20, 60])
def test_without_speech_detection_nothing_is_lost(kind: str, chunk_s: float) -> None:
    said = spoken(kind)
    found = transcribe_with(
        Oracle(said.words), said, preset("optimiert", chunk_s=chunk_s), detect_speech=False
    )
    assert score(said.words, found.words).errors == 0
    assert found.coverage.speech_s == 0


def longest_loss_s(said: Composition, found: Transcript) -> float:
    """Return the longest spoken time in s without a correct word."""
    right = score(said.words, found.words).found
    longest = 0.0
    first: float | None = None
    for place, (_, start_s, end_s) in enumerate(said.words):
        first = None if place in right else start_s if first is None else first
        longest = max(longest, end_s - first if first is not None else 0.0)
    return longest


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stabil", "max"])
@pytest.mark.parametrize("kind", ["pauses", "unbroken", "one word"])
def test_an_engine_that_stops_early_loses_nothing(kind: str, name: str) -> None:
    said = spoken(kind)

    def early(window: Window, words: list[Word]) -> list[Word]:
        return [word for word in words if word.end_s < window.start_s + 9.0]

    found = transcribe_with(Oracle(said.words, skips=early), said, preset(name), plan=UNBOUNDED)
    assert score(said.words, found.words).inserted == 0
    assert longest_loss_s(said, found) <= LONGEST_UNCOVERED_S + 2 * REACH_S
    assert found.coverage.repaired > 0


@pytest.mark.slow
def test_an_engine_that_skips_a_phrase_or_a_window_is_asked_again() -> None:
    said = spoken("unbroken")
    seen: set[float] = set()

    def skipping(window: Window, words: list[Word]) -> list[Word]:
        if window.duration_s < 10:
            return words
        if not seen:  # no words in the first long window
            seen.add(window.start_s)
            return []
        middle = (window.start_s + window.end_s) / 2
        return [word for word in words if abs(word.start_s - middle) > 3]

    oracle = Oracle(said.words, skips=skipping)
    found = transcribe_with(oracle, said, preset("optimiert"), plan=UNBOUNDED)
    assert score(said.words, found.words).inserted == 0
    assert longest_loss_s(said, found) <= LONGEST_UNCOVERED_S + 2 * REACH_S
    assert [w.start_s for w in found.words] == sorted(w.start_s for w in found.words)


def test_an_engine_without_any_words_comes_to_an_end() -> None:
    said = compose(bank(), random_plan(bank(), 20, np.random.default_rng(1)))
    oracle = Oracle(said.words, skips=lambda window, words: [])
    found = transcribe_with(oracle, said, preset())
    assert found.segments == ()
    assert found.coverage.ratio < 0.3
    assert len(oracle.decoded_spans) <= 4  # the window, its halves and one with shifted borders


def test_one_word_at_a_time_is_bounded_too() -> None:
    said = continuous_speech(bank(), 28, np.random.default_rng(2))
    oracle = Oracle(said.words, skips=lambda window, words: words[:1])
    transcribe_with(oracle, said, preset(), plan=UNBOUNDED)
    assert len(oracle.decoded_spans) <= 10


# The cutter alone


def cut(audio: Audio, chances: Audio, **options: float) -> list[Window]:
    cutter = WindowCutter(**({"limit_s": 30.0, "overlap_s": 3.0} | options))  # type: ignore[arg-type]
    windows = []
    for first in range(0, chances.size, 300):
        piece = audio[first * FRAME : (first + 300) * FRAME]
        windows += list(cutter.push(piece, chances[first : first + 300]))
    return windows + list(cutter.push(np.zeros(0, np.float32), np.zeros(0, np.float32), final=True))


def frames(*stretches: tuple[float, float]) -> tuple[Audio, Audio]:
    """Return noise and the probabilities of speech from rows of (seconds, probability)."""
    chances = np.concatenate(
        [np.full(round(seconds / FRAME_S), chance, np.float32) for seconds, chance in stretches]
    )
    noise = np.random.default_rng(0).standard_normal(chances.size * FRAME)
    return (0.1 * noise).astype(np.float32), chances


def test_silence_gives_no_window() -> None:
    assert cut(*frames((200, 0.01))) == []


def test_a_window_is_the_very_sound_of_its_place() -> None:
    audio, chances = frames((40, 0.01), (8, 0.9), (50, 0.01), (3, 0.9), (5, 0.01))
    windows = cut(audio, chances)
    assert len(windows) == 2
    for window in windows:
        first = round(window.start_s * SAMPLE_RATE)
        assert np.array_equal(window.audio, audio[first : first + window.audio.size])
        assert window.overlap_s == window.shared_s == 0
    assert windows[0].start_s == pytest.approx(39.7, abs=FRAME_S)
    assert windows[0].end_s == pytest.approx(48.3, abs=FRAME_S)


@pytest.mark.parametrize(
    ("limits", "spoken", "starts"),
    [
        (None, [(10.0, 14.0), (14.2, 17.0), (40.0, 43.0)], [9.7, 39.7]),
        (SpeechLimits(threshold=0.8), [(10.0, 14.0), (14.2, 17.0)], [9.7]),
        (SpeechLimits(silence_s=1.0), [(10.0, 17.0), (40.0, 43.0)], [9.7, 39.7]),
        (SpeechLimits(lead_s=2.0), [(10.0, 14.0), (14.2, 17.0), (40.0, 43.0)], [8.0, 38.0]),
        (SpeechLimits(lead_s=0.0), [(10.0, 14.0), (14.2, 17.0), (40.0, 43.0)], [10.0, 40.0]),
    ],
)
def test_limits_of_a_caller_act_on_the_detection(
    limits: SpeechLimits | None, spoken: list[tuple[float, float]], starts: list[float]
) -> None:
    """Of a loud stretch with a dip, and a soft one that a higher threshold leaves out."""
    audio, chances = frames((10, 0.01), (4, 0.9), (0.2, 0.01), (2.8, 0.9), (23, 0.01), (3, 0.6),
                            (20, 0.01))  # fmt: skip

    class Known:
        def stream(self) -> Known:
            return self

        def push(self, block: Audio) -> Audio:
            return chances

        def finish(self) -> Audio:
            return np.zeros(0, np.float32)

    source = WindowSource(
        Known(),  # type: ignore[arg-type]
        limit_s=30.0, overlap_s=3.0, longest_pause_s=math.inf, residual_s=0.3, limits=limits,
    )  # fmt: skip
    windows = list(source.windows([audio], lambda: None))
    assert [window.start_s for window in windows] == pytest.approx(starts, abs=FRAME_S)
    assert not source.residual_windows
    found = [(span.start_s, span.end_s) for span in source.speech()]
    assert np.allclose(found, spoken, atol=2 * FRAME_S)


def test_windows_overlap_only_where_no_pause_allows_a_cut() -> None:
    windows = cut(*frames((25, 0.9), (0.5, 0.01), (45, 0.9), (1, 0.01), (10, 0.9)))
    assert [window.overlap_s > 0 for window in windows] == [False, False, True, False]
    assert windows[2].overlap_s == pytest.approx(3.0, abs=FRAME_S)
    assert windows[1].shared_s == windows[2].overlap_s


def test_a_split_falls_on_the_quietest_place() -> None:
    audio, chances = frames((60, 0.9))
    quiet = slice(round(24.0 * SAMPLE_RATE), round(24.3 * SAMPLE_RATE))
    audio[quiet] *= 0.01
    assert cut(audio, chances)[0].end_s == pytest.approx(24.15, abs=0.15)


def test_speech_in_the_last_frame_is_kept() -> None:
    audio, chances = frames((5, 0.01), (FRAME_S, 0.9))
    windows = cut(audio, chances)
    assert [round(window.end_s, 2) for window in windows] == [round(chances.size * FRAME_S, 2)]


def test_an_overlap_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        WindowCutter(10.0, overlap_s=5.0)


def test_memory_stays_with_the_part_that_is_not_cut_yet() -> None:
    cutter = WindowCutter(30.0, overlap_s=3.0)
    audio, chances = frames((600, 0.01))
    for first in range(0, chances.size, 300):
        list(
            cutter.push(audio[first * FRAME : (first + 300) * FRAME], chances[first : first + 300])
        )
        assert cutter._audio.size <= 11 * SAMPLE_RATE


# Merging alone


def words(text: str, start_s: float, every_s: float = 0.5) -> tuple[Word, ...]:
    return tuple(
        Word(start_s + i * every_s, start_s + i * every_s + 0.8 * every_s, word, 0.9)
        for i, word in enumerate(text.split())
    )


def read(
    index: int, text: str, start_s: float, overlap_s: float = 0.0, **more: object
) -> WindowText:
    own = words(text, start_s)
    language = str(more.get("language", "en"))
    segments = (Segment(own[0].start_s, own[-1].end_s, text, own, language),) if own else ()
    return WindowText(
        index, start_s, overlap_s, DecodingResult(segments, language, -0.1, 0.0, start_s)
    )


def text_of(segments: list[Segment]) -> str:
    return " ".join(word.text for segment in segments for word in segment.words)


def test_the_overlap_is_joined_at_a_word_that_both_have_read() -> None:
    reads = [read(0, "a b c d e f", 0.0), read(1, "d e f g h", 1.5, 1.5)]
    assert text_of(stitch(reads)) == "a b c d e f g h"


def test_a_wrong_word_at_each_edge_is_dropped() -> None:
    reads = [read(0, "a b c d e x", 0.0), read(1, "y e f g h", 1.5, 1.5)]
    assert text_of(stitch(reads)) == "a b c d e f g h"


@pytest.mark.parametrize(
    ("left", "right", "joined"),
    [
        ("a b c d _ f g", "d e f g h", "a b c d e f g h"),  # lost before the seam
        ("a b c d e f g", "d _ f g h", "a b c d e f g h"),
        ("a b c d e f g", "d e _ g h", "a b c d e f g h"),  # lost behind it
        ("a b c d e _ g", "d e f g h", "a b c d e f g h"),
        ("a b c d _ f g", "d _ f g h", "a b c d f g h"),  # lost in both
        ("a b c d x f g", "d e f g h", "a b c d x f g h"),  # another word is no hole
        ("a b c d _ _ g", "d e f g h", "a b c d e f g h"),
        ("a b c d _ a g", "d a a g h", "a b c d a a g h"),
    ],
)
def test_a_word_that_one_of_two_windows_lost_is_kept(left: str, right: str, joined: str) -> None:
    def with_holes(index: int, text: str, start_s: float, overlap_s: float = 0.0) -> WindowText:
        own = tuple(word for word in words(text, start_s) if word.text != "_")
        whole = Segment(own[0].start_s, own[-1].end_s, text, own, "en")
        decoded = DecodingResult((whole,), "en", -0.1, 0.0, start_s)
        return WindowText(index, start_s, overlap_s, decoded)

    found = stitch([with_holes(0, left, 0.0), with_holes(1, right, 1.5, 2.0)])
    assert text_of(found) == joined


def test_repeats_are_matched_by_their_time() -> None:
    left, right = words("no " * 8, 0.0), words("no " * 8, 2.1)
    before_s, after_s = seam(left, right, 2.0, 4.0)
    kept = [w for w in left if w.start_s + 0.2 < before_s]
    kept += [w for w in right if w.start_s + 0.2 >= after_s]
    assert len(kept) == 12


def test_readings_that_share_no_word_change_over_where_most_is_kept() -> None:
    assert text_of(stitch([read(0, "a b c", 0.0), read(1, "p q r s", 1.5, 2.0)])) == "a b c p q r s"
    nothing = WindowText(0, 0.0, 0.0, DecodingResult((), "en", 0.0, 0.0, 0.0))
    assert text_of(stitch([nothing, read(1, "p q", 1.5, 2.0)])) == "p q"


def test_a_second_attempt_is_put_into_its_place() -> None:
    own = (*words("a b", 0.0), *words("f g", 2.5))
    whole = Segment(0.0, 3.4, "a b f g", own, "en")
    reads = [
        WindowText(0, 0.0, 0.0, DecodingResult((whole,), "en", -0.1, 0.0, 3.4)),
        read(1, "e f g h", 2.0, 1.5),
        read(0, "c d e", 1.0),
    ]
    assert text_of(stitch(reads)) == "a b c d e f g h"


def test_text_is_cut_as_its_language_is_written() -> None:
    own = words("今日 は 晴れ", 0.0)
    segment = Segment(0.0, 1.4, "今日は晴れ", own, "ja")
    assert keep_words([segment], before_s=0.9)[0].text == "今日は"


# Repair alone


def window(start_s: float, seconds: float, *speech: tuple[float, float], **more: float) -> Window:
    audio = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    return Window(0, start_s, audio, tuple(SpeechSpan(*span) for span in speech), **more)  # type: ignore[arg-type]


def decoded(*own: Word, no_speech: float = 0.0, logprob: float = -0.1) -> DecodingResult:
    segments = (Segment(own[0].start_s, own[-1].end_s, "", own, "en"),) if own else ()
    return DecodingResult(segments, "en", logprob, no_speech, own[-1].end_s if own else 0.0)


def test_an_unread_end_is_read_from_the_last_word_on() -> None:
    parts = find_missing_speech(
        window(100, 20, (100.3, 119)), decoded(*words("a b", 100.3)), part=False
    )
    assert [(round(p.start_s, 2), round(p.end_s, 2)) for p in parts] == [(101.2, 119.1)]
    assert parts[0].index == 0


def test_speech_of_the_next_window_is_not_decoded_again() -> None:
    tail = window(0, 20, (0, 20), shared_s=4.0)
    own = words("a " * 36, 0.0)  # up to 17.9 s
    assert find_missing_speech(tail, decoded(*own), part=False) == []
    assert find_missing_speech(window(0, 20, (0, 20)), decoded(*own), part=False) != []


def test_a_full_window_without_words_is_halved_once() -> None:
    full = window(0, 20, (0, 20))
    halves = find_missing_speech(full, decoded(), part=False)
    assert len(halves) == 2
    assert halves[0].end_s == halves[1].start_s
    assert find_missing_speech(halves[0], decoded(), part=True) == []
    # If the model also finds no speech, the detection was wrong.
    assert find_missing_speech(full, decoded(no_speech=0.9), part=False) == []


def test_silence_wants_both_signs() -> None:
    heard = words("you", 0.0)
    assert is_silence(decoded(*heard, no_speech=0.9, logprob=-1.5))
    assert not is_silence(decoded(*heard, no_speech=0.9, logprob=-0.3))
    assert not is_silence(decoded(*heard, no_speech=0.1, logprob=-1.5))


def test_the_quietest_place_is_found() -> None:
    audio = chords(4, np.random.default_rng(0))
    audio[round(1.9 * SAMPLE_RATE) : round(2.1 * SAMPLE_RATE)] = 0
    assert quietest_s(audio, 1.0, 3.0) == pytest.approx(2.0, abs=0.08)


def test_a_word_stretched_over_what_was_read_again_comes_behind_it() -> None:
    # The alignment starts the word too early, over the hole; only its end is correct.
    own = (*words("a b", 0.0), Word(0.9, 9.4, "last", 0.9))
    whole = Segment(0.0, 9.4, "a b last", own, "en")
    reads = [
        WindowText(0, 0.0, 0.0, DecodingResult((whole,), "en", -0.1, 0.0, 9.4)),
        read(0, "c d e", 5.5),
    ]
    stitched = stitch(reads)
    assert text_of(stitched) == "a b c d e last"
    found, signs = enforce_order(stitched, 0.1)
    assert signs == ()
    times = [(word.start_s, word.end_s) for segment in found for word in segment.words]
    assert times == sorted(times)
    assert times[-1] == (pytest.approx(6.9), 9.4)  # starts at the end of the word before


def test_words_at_a_border_never_run_back_in_time() -> None:
    early = Segment(9.6, 10.2, "c d", (Word(9.6, 9.9, "c", 0.9), Word(9.9, 10.2, "d", 0.9)), "en")
    late = Segment(
        9.85, 11.0, "e f", (Word(9.85, 10.3, "e", 0.9), Word(10.5, 11.0, "f", 0.9)), "en"
    )
    found, signs = enforce_order([early, late], 0.1)
    assert text_of(found) == "c d e f"
    assert found[0] == early
    assert [(w.start_s, w.end_s) for w in found[1].words] == [(10.2, 10.3), (10.5, 11.0)]
    assert found[1].start_s == 10.2
    assert signs == ()


def test_words_far_out_of_order_are_flagged() -> None:
    early, late = words("a b c", 5.0), words("d e", 2.0)
    segments = [
        Segment(5.0, 6.4, "a b c", early, "en"),
        Segment(2.0, 2.9, "d e", late, "en"),
    ]
    found, signs = enforce_order(segments, 0.1)
    starts = [word.start_s for segment in found for word in segment.words]
    assert starts == sorted(starts)
    assert all(word.end_s >= word.start_s for segment in found for word in segment.words)
    assert {sign.name for sign in signs} == {"times"}
    assert signs[0].value == pytest.approx(4.0)
    whole, rows = quality_report(
        [SpeechSpan(2.0, 7.0)],
        found,
        [WindowResult(0, 0.0, 30.0), WindowResult(1, 30.0, 60.0)],
        0,
        signs,
    )
    assert rows[0].flags == signs
    assert rows[1].flags == ()
    assert whole.suspect_s > 0
    assert whole.grade != "A"
