"""Repair of suspect windows: every fault, the ladder of methods, its cost and its choice.

The oracle knows every word, so that any error in the result is an error of repair. The last
tests add faults to the demo recognizer.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gpu.manager import GPUManager
from kb.asr import SAMPLE_RATE
from kb.asr.batching.batcher import Batcher
from kb.asr.engines.base import GREEDY, DecodingOptions
from kb.asr.quality.repair_budget import ADVANCE, PLACES_SHARE, RepairBudget
from kb.asr.quality.repair_plan import BEAM_COST, LEAST_COST, RepairPlan, shift_window
from kb.asr.recognizer import Recognizer
from kb.asr.windows.windowing import PAD_S, Window
from kb.errors import SettingsError
from kb.settings import Settings
from kb.types import MediaRef, SpeechSpan, Transcript, Word
from tests.fakes.faults import KINDS, FaultyEngine
from tests.support.compose import (
    Composition,
    add_noise,
    chords,
    compose,
    join,
    random_plan,
    silence,
    without_speech,
)
from tests.support.faulty_oracle import Wayward, talk
from tests.support.known_words import KnownWords
from tests.support.raising import raises
from tests.support.sound_places import SoundPlaces
from tests.support.speech import Oracle, bank, blocks, detector, preset, score, transcribe_with

ONCE = RepairPlan(share=0.0, temperatures=(), beams=1)


def hows(found: Transcript, window: int = 0) -> list[str]:
    return [reading.method for reading in found.windows[window].attempts]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_is_found_and_repaired(kind: str) -> None:
    said = talk()
    struck = FaultyEngine(Oracle(said.words), share=1.0, kinds=[kind], first_only=True)
    once = transcribe_with(struck, said, preset(), plan=ONCE)  # type: ignore[arg-type]
    assert struck.faults
    assert all(window.flags or window.gaps for window in once.windows)
    assert once.coverage.grade != "A"

    # Places are read again in one window: only by its sound is a place known there.
    known = KnownWords(said.words, places=SoundPlaces(said.audio))
    struck = FaultyEngine(known, share=1.0, kinds=[kind], first_only=True)
    found = transcribe_with(struck, said, preset())  # type: ignore[arg-type]
    assert score(said.words, found.words).errors == 0
    assert found.coverage.grade == "A"
    # Words on silence are removed, and their places are read in one window.
    assert found.coverage.repaired >= (1 if kind == "invent" else len(found.windows))
    for window in found.windows:
        assert window.attempts[0].method == "first"
        assert window.attempts[0].flags  # the reason
        assert window.chosen > 0
        assert not window.flags


def test_an_undisturbed_item_is_read_once() -> None:
    said = talk()
    oracle = Oracle(said.words)
    found = transcribe_with(oracle, said, preset())
    assert len(oracle.decoded_spans) == len(found.windows)
    assert found.coverage.repaired == 0
    assert found.timing.repair_s == 0
    assert all(window.attempts == () for window in found.windows)
    assert found.coverage.grade == "A"


@pytest.mark.parametrize(
    ("cure", "expected"),
    [
        (DecodingOptions(0.2), ["first", "places", "shifted", "parts", "temperature 0.2"]),
        (
            DecodingOptions(0.6),
            ["first", "places", "shifted", "parts", "temperature 0.2", "temperature 0.6"],
        ),
        (
            DecodingOptions(beams=5),
            ["first", "places", "shifted", "parts", "temperature 0.2", "temperature 0.6", "beam 5"],
        ),
    ],
)
def test_the_ladder_is_climbed_until_a_reading_is_clean(
    cure: DecodingOptions, expected: list[str]
) -> None:
    said = compose(bank(), random_plan(bank(), 20, np.random.default_rng(4)))
    engine = Wayward(said, [cure])
    found = transcribe_with(engine, said, preset())
    assert hows(found) == expected
    assert found.windows[0].chosen == len(expected) - 1
    assert score(said.words, found.words).errors == 0


def test_an_unrepaired_window_keeps_its_flags_and_the_best_attempt() -> None:
    said = compose(bank(), random_plan(bank(), 20, np.random.default_rng(4)))
    found = transcribe_with(Wayward(said, []), said, preset())
    window = found.windows[0]
    assert hows(found) == [
        "first", "places", "shifted", "parts", "temperature 0.2", "temperature 0.6", "beam 5",
    ]  # fmt: skip
    best = max(reading.score for reading in window.attempts)
    assert window.attempts[window.chosen].score == best
    assert window.flags
    assert found.coverage.grade == "C"
    assert found.doubtful_spans


def test_an_engine_without_other_methods_is_tried_twice() -> None:
    said = compose(bank(), random_plan(bank(), 20, np.random.default_rng(4)))
    engine = Wayward(said, [])
    engine.decoding_methods = frozenset()
    found = transcribe_with(engine, said, preset())
    assert hows(found) == ["first", "places", "shifted", "parts"]


def test_two_attempts_that_agree_confirm_a_spoken_repeat() -> None:
    said = compose(bank(), "harbour | " + "river garden " * 5 + "| island")
    oracle = Oracle(said.words)
    found = transcribe_with(oracle, said, preset())
    assert score(said.words, found.words).errors == 0
    assert hows(found) == ["first", "shifted"]
    assert [sign.name for sign in found.windows[0].attempts[0].flags] == ["repeats"]
    assert found.windows[0].flags == ()
    assert found.coverage.grade == "A"


@pytest.mark.slow
def test_the_cost_is_bounded() -> None:
    rng = np.random.default_rng(5)
    parts = [compose(bank(), random_plan(bank(), 8, rng), rng=rng) for _ in range(24)]
    said = join(*parts, pause=3.0)
    engine = Wayward(said, [])
    # Windows of 5 s, nearly all of which stay suspect in every reading.
    found = transcribe_with(engine, said, preset(chunk_s=5.0, overlap_s=0.5))
    windows = len(found.windows)
    again = len(engine.asked) - windows
    assert windows > 20
    whole = [
        BEAM_COST if reading.method.startswith("beam") else 1.0
        for window in found.windows
        for reading in window.attempts[1:]
        if reading.method not in ("parts", "places", "place")  # parts of a window cost less
    ]
    assert 0 < sum(whole) <= max(ADVANCE, 0.3 * windows)
    assert found.coverage.repaired == again <= max(ADVANCE, 0.3 * windows) / LEAST_COST
    nothing = RepairPlan(share=0.0, temperatures=(0.2,), beams=5)
    engine = Wayward(said, [])
    transcribe_with(engine, said, preset(chunk_s=5.0, overlap_s=0.5), plan=nothing)
    assert len(engine.asked) == windows


@pytest.mark.slow
def test_the_cost_is_bounded_over_all_media_of_a_run() -> None:
    said = talk(30)
    budget = RepairBudget()
    engine = Wayward(said, [])
    batcher = Batcher(engine, GPUManager("cpu", cpu_threads=1), 4)
    try:
        recognizer = Recognizer(batcher, preset(), detector=detector(), repair_budget=budget)
        found = [
            recognizer.transcribe(blocks(said.audio), MediaRef(f"{n}", "", 0.0)) for n in range(4)
        ]
    finally:
        batcher.close()
    assert found[0].coverage.repaired > 0  # from the advance
    most = ADVANCE + PLACES_SHARE * 0.3 * budget.windows  # parts of a window cost less than one
    assert budget.spent <= most
    assert sum(each.coverage.repaired for each in found) <= most / LEAST_COST
    methods = {reading.method for window in found[-1].windows for reading in window.attempts}
    assert methods <= {"first", "places", "place"}  # no whole window
    assert found[-1].coverage.grade == "C"  # not repaired, and reported


# Speech outside of all windows

SHORT = preset(chunk_s=10.0, overlap_s=0.5)  # a longer window would include the speech


def _soft() -> tuple[Composition, SpeechSpan]:
    """Return clear speech around noisy speech that only the loose detection finds, and its span."""
    clear = talk(16, seed=5)
    plan = random_plan(bank(), 8, np.random.default_rng(28))
    drowned = compose(bank(), plan, rng=np.random.default_rng(8))
    noisy = add_noise(drowned.audio, -6.5, np.random.default_rng(1))
    said = join(clear, replace(drowned, audio=noisy), clear, pause=3.0)
    return said, SpeechSpan(clear.seconds + 3.0, clear.seconds + 3.0 + drowned.seconds)


@pytest.mark.slow
def test_speech_outside_of_all_windows_is_read_by_itself() -> None:
    said, soft = _soft()
    once = transcribe_with(Oracle(said.words), said, SHORT, plan=ONCE, longest_pause_s=0.0)
    lost = [gap for gap in once.coverage.gaps if soft.start_s < gap.start_s < soft.end_s]
    assert lost
    assert not any(w.start_s <= lost[0].start_s < w.end_s for w in once.windows)
    # Words of it may be read by themselves: only by its sound is a word known there.
    known = KnownWords(said.words, places=SoundPlaces(said.audio))
    found = transcribe_with(known, said, SHORT, longest_pause_s=0.0)
    texts = [word.text for word in found.words]
    assert len(texts) > len(once.words)
    starts = [word.start_s for word in found.words]
    assert starts == sorted(starts)
    (row,) = [window for window in found.windows if window.attempts]
    methods = [reading.method for reading in row.attempts]
    assert methods[:2] == ["not read", "shifted"]
    assert methods[row.chosen] in ("shifted", "places")
    assert "beam 5" not in methods  # not with every method
    assert soft.start_s <= row.start_s < row.end_s <= soft.end_s + PAD_S
    assert not any(row.start_s <= gap.start_s < row.end_s for gap in found.coverage.gaps)


@pytest.mark.slow
def test_speech_outside_of_all_windows_without_words_is_reported() -> None:
    said, soft = _soft()
    heard = [word for word in said.words if not soft.start_s <= word[1] < soft.end_s]
    oracle = Oracle(heard)
    found = transcribe_with(oracle, said, SHORT, longest_pause_s=0.0)
    assert score(heard, found.words).errors == 0
    assert any(soft.start_s < gap.start_s < soft.end_s for gap in found.coverage.gaps)
    # Read twice, and not with every method.
    assert len(oracle.decoded_spans) == len(found.windows) + 1


# Border cases


def test_a_window_of_silence_needs_no_repair() -> None:
    oracle = Oracle([])
    found = transcribe_with(oracle, without_speech(silence(30)), preset())
    assert (found.words, found.windows, found.coverage.grade) == ((), (), "A")
    assert oracle.decoded_spans == []


def test_a_stock_phrase_on_silence_is_thrown_out() -> None:
    said = join(talk(30), without_speech(silence(6)), talk(30, seed=4), pause=0.1)
    struck = FaultyEngine(Oracle(said.words), share=1.0, kinds=["invent"], first_only=True)
    found = transcribe_with(struck, said, preset())  # type: ignore[arg-type]
    assert score(said.words, found.words).inserted == 0


def test_one_word_is_read_and_graded() -> None:
    said = compose(bank(), "harbour")
    found = transcribe_with(Oracle(said.words), said, preset())
    assert [word.text for word in found.words] == ["harbour"]
    assert found.coverage.grade == "A"
    assert found.coverage.repaired == 0


@pytest.mark.slow
def test_a_whole_item_of_music_is_clean_without_words_and_doubtful_with_them() -> None:
    music = without_speech(chords(60, np.random.default_rng(6)))
    found = transcribe_with(Oracle([]), music, preset())
    assert (found.words, found.coverage.grade) == ((), "A")
    # Speech at the start, and a recognizer that also writes words over the music.
    said = join(talk(20), music, pause=0.2)
    begin_s = said.words[-1][2] + 4.0
    invented = [
        Word(begin_s + 0.5 * i, begin_s + 0.5 * i + 0.4, text, 0.9)
        for i, text in enumerate(("thanks", "for", "watching"))
    ]

    def longer(_window: Window, words: list[Word]) -> list[Word]:
        return [*words, *invented]

    found = transcribe_with(Oracle(said.words, skips=longer), said, preset())
    signs = {sign.name for window in found.windows for sign in window.flags}
    assert signs & {"silence", "phrase", "times"}
    assert found.coverage.grade != "A"


def test_shifted_borders_keep_the_sound_in_its_place() -> None:
    audio = np.arange(10 * SAMPLE_RATE, dtype=np.float32)
    window = Window(3, 100.0, audio, (SpeechSpan(100.4, 109.0),))
    moved = shift_window(window, 30.0)
    assert moved.start_s == pytest.approx(99.74)
    place = round((105.0 - moved.start_s) * SAMPLE_RATE)
    assert moved.audio[place] == pytest.approx(5 * SAMPLE_RATE, abs=1)
    assert moved.audio.size / SAMPLE_RATE == pytest.approx(10.26)


def test_shifted_borders_keep_every_word_where_the_recognizer_holds_no_more() -> None:
    audio = np.ones(10 * SAMPLE_RATE, np.float32)
    # The window drops silence at its end.
    quiet_end = shift_window(Window(3, 100.0, audio, (SpeechSpan(100.1, 109.0),)), 10.0)
    assert quiet_end.start_s == pytest.approx(99.74)
    assert quiet_end.end_s == pytest.approx(109.74)
    # Without silence at the end it drops some at its start, but never detected speech.
    quiet_start = shift_window(Window(3, 100.0, audio, (SpeechSpan(100.3, 110.0),)), 10.0)
    assert quiet_start.start_s == pytest.approx(100.15)
    assert quiet_start.end_s == pytest.approx(110.0)
    unbroken = shift_window(Window(3, 100.0, audio, (SpeechSpan(100.0, 110.0),)), 10.0)
    assert unbroken.start_s == pytest.approx(100.05)


# Another engine


def test_the_plan_is_read_from_the_settings() -> None:
    plan = RepairPlan.of(Settings().replace(repair_temperatures=" 0.1, 0.9 ", repair_share=0.1))
    assert (plan.temperatures, plan.share) == ((0.1, 0.9), 0.1)
    assert RepairPlan.of(Settings().replace(repair_temperatures="")).temperatures == ()


# The demo recognizer


@pytest.mark.slow
def test_faults_before_the_demo_recognizer_are_repaired() -> None:
    from kb.asr.engines import load_engine

    said = talk(80, 2)
    manager = GPUManager("cpu", cpu_threads=1)
    manager.apply()
    struck = FaultyEngine(load_engine("whisper", "demo", manager), share=0.5, seed=2)
    batcher = Batcher(struck, manager, 4)  # type: ignore[arg-type]
    try:
        recognizer = Recognizer(batcher, preset("stabil"), detector=detector())
        found = recognizer.transcribe(blocks(said.audio), MediaRef("x", "", 0.0))
    finally:
        batcher.close()
    assert struck.faults
    result = score(said.words, found.words)
    suspect = [window for window in found.windows if window.flags or window.attempts]
    assert suspect
    # Half of all readings have a fault, also later ones; remaining flags are reported.
    assert result.wer <= 0.04 or found.coverage.grade != "A"
    assert found.timing.repair_s > 0


@pytest.mark.slow
def test_the_demo_recognizer_supports_every_method() -> None:
    from kb.asr.engines import load_engine

    said = compose(bank(), random_plan(bank(), 25, np.random.default_rng(8)))
    manager = GPUManager("cpu", cpu_threads=1)
    manager.apply()
    engine = load_engine("whisper", "demo", manager)
    heard = engine.encode([Window(0, 0.0, said.audio[: 30 * SAMPLE_RATE])])
    texts: dict[DecodingOptions, list[Word]] = {}
    for how in (GREEDY, DecodingOptions(0.2), DecodingOptions(0.2), DecodingOptions(beams=3)):
        decoded = engine.decode(heard, ["en"], how)[0].read()
        words = [word for segment in decoded.segments for word in segment.words]
        assert score(said.words, words).wer <= 0.1
        assert texts.setdefault(how, words) == words  # sampling is repeatable
    engine.close()


def test_an_engine_without_a_temperature_refuses_one() -> None:
    batcher = Batcher(Oracle([]), GPUManager("cpu", cpu_threads=1), 4)
    try:
        assert Recognizer(batcher, preset("stabil"), detector=detector()).first_options == GREEDY
        with raises(SettingsError, "recognizer.temperature", model="oracle"):
            Recognizer(batcher, preset("stabil"), detector=detector(), temperature=0.2)
    finally:
        batcher.close()
