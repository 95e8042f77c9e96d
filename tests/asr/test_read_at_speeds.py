"""Words that may be invented, read at two other speeds: those that change are removed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kb.asr import SAMPLE_RATE
from kb.asr.audio.speech_evidence import SpokenSound
from kb.asr.audio.word_sound import WordSound
from kb.asr.engines.base import DecodingResult
from kb.asr.quality.candidates import SHIFTED, RepairCandidate
from kb.asr.quality.place_sounds import at_speed
from kb.asr.quality.repair_plan import RepairPlan, RepairRequest
from kb.asr.quality.repair_steps import StepOptions, repair_steps
from kb.asr.quality.speed_readings import SPEEDS, read_at_speeds
from kb.asr.quality.window_context import Thresholds
from kb.asr.windows.windowing import Window
from kb.settings import Settings
from kb.types import SpeechSpan, Word
from tests.support.compose import compose
from tests.support.each_case import check_each
from tests.support.known_evidence import HUM, PLAIN, Scores
from tests.support.known_words import KnownWords
from tests.support.sound_places import SoundPlaces
from tests.support.speech import bank
from tests.support.window_texts import context, decoded, window

LIMITS = Thresholds.of(Settings())
LITTLE_MOVED = WordSound(PLAIN.voicing, 0.7 * PLAIN.movement)
SPOKEN = "quiet@1.0-1.4 harbour@1.5-2.0 story@2.1-2.5"
SAID = f"{SPOKEN} emperor@2.6-3.1"
NAMES = ("winter", "garden", "planet", "mountain", "river", "island", "bridge", "tower")
MORE = " ".join(f"{word}@{n / 2 + 3.6:.1f}-{n / 2 + 4:.1f}" for n, word in enumerate(NAMES))


def candidate(
    text: str = SAID, chance: float = 0.9, weak_s: tuple[float, float] = (2.6, 9.0)
) -> RepairCandidate:
    """Return a window whose words between two times have a steady sound: they are in doubt."""
    said = decoded(text)
    own = tuple(replace(word, probability=chance) for word in said.segments[0].words)
    said = replace(said, segments=(replace(said.segments[0], words=own),))
    sounds = {word.start_s: LITTLE_MOVED for word in own if weak_s[0] <= word.start_s < weak_s[1]}
    facts = replace(
        context(text, ((0.9, own[-1].end_s + 0.1),)),
        decoded=said,
        clear=(SpeechSpan(0.9, own[-1].end_s),),
        evidence=Scores(dict.fromkeys(sounds, 0.94), sounds),  # type: ignore[arg-type]
        spoken_sound=SpokenSound(0.92, PLAIN.voicing, PLAIN.movement),
    )
    return RepairCandidate(window(), facts, LIMITS)


def asked_of(made: RepairCandidate, *answers: str) -> list[RepairRequest]:
    """Read the words of a candidate at other speeds; return what was asked for."""
    steps = read_at_speeds(made, "en")
    asked = next(steps, [])
    if asked:
        assert len(asked) == len(answers)
        with pytest.raises(StopIteration):
            steps.send([decoded(answer) for answer in answers])
    return asked


def texts_of(made: RepairCandidate) -> str:
    return " ".join(word.text for word in made.best_context.words)


READINGS = {
    # name: (at both speeds, whether the word stays)
    "in both": (["emperor@0.2-0.7", "emperor@0.1-0.6"], True),
    "in both, with others": (["table@0-0.2 emperor@0.2-0.7", "emperor@0.1-0.6 acht@0.7-1"], True),
    "in both, written otherwise": (["Emperor,@0.2-0.7", "EMPEROR.@0.1-0.6"], True),
    "at the lower speed alone": (["emperor@0.2-0.7", "envelope@0.1-0.6"], True),
    "at the higher speed alone": (["", "emperor@0.1-0.6"], True),
    "other words": (["enormous@0-0.4 banana@0.4-1", "banana@0-0.6 banana@0.6-1"], False),
    "no words": (["", ""], False),
}


def test_a_word_stays_that_is_read_at_one_of_the_speeds() -> None:
    def check(name: str) -> None:
        answers, stays = READINGS[name]
        made = candidate()
        asked = asked_of(made, *answers)
        assert len(asked) == len(SPEEDS)
        assert all(request.place and request.part for request in asked)
        assert texts_of(made) == ("quiet harbour story emperor" if stays else "quiet harbour story")
        reported = [flag for flag in made.flags if flag.start_s < 3.1 and flag.end_s > 2.6]
        assert reported  # also a word that stays: it may be an invented one all the same
        assert asked_of(made) == []  # once only

    check_each(READINGS, check)


def test_words_in_doubt_are_looked_at_by_themselves() -> None:
    made = candidate(f"{SAID} acht@3.15-3.5")
    asked = asked_of(made, "emperor@0-1", "emperor@0-1", "eight@0-1", "")
    assert [request.window.start_s for request in asked] == pytest.approx([2.45, 2.45, 3.0, 3.0])
    assert texts_of(made) == "quiet harbour story emperor"


@pytest.mark.parametrize(("answers", "stays"), [(("mm@0.2-0.4", ""), True), (("", ""), False)])
def test_a_short_steady_word_leaves_by_its_readings_alone(
    answers: tuple[str, str], stays: bool
) -> None:
    """A note of music is as steady as a hummed word."""
    facts = replace(
        candidate(f"{SPOKEN} mm@2.5-2.7", weak_s=(9.0, 9.0)).context,
        evidence=Scores({2.5: 0.7}, {2.5: HUM}),  # type: ignore[arg-type]
    )
    made = RepairCandidate(window(), facts, LIMITS)
    made.remove_invented()
    assert texts_of(made) == "quiet harbour story mm"
    assert len(asked_of(made, *answers)) == len(SPEEDS)
    assert texts_of(made) == ("quiet harbour story mm" if stays else "quiet harbour story")
    assert any(flag.start_s < 2.7 and flag.end_s > 2.5 for flag in made.flags)


NOT_READ = {
    # name: the window
    "misheard: spoken words change as well": candidate(f"{SAID} {MORE}", 0.6, (2.6, 3.2)),
    "not in doubt": candidate(weak_s=(9.0, 9.0)),
    "at the beginning of a stretch": candidate(weak_s=(1.0, 1.2)),
    "a character, read as one of the same sound": candidate(f"{SPOKEN} \u4e2d@2.6-3.1"),
    "a whole sentence is another fault": candidate(f"{SAID} {MORE}"),
    "in a window with another fault": candidate(f"{SAID} river@3.6-3.9 bridge@3.3-3.6"),
}


def test_other_words_are_not_read_at_other_speeds() -> None:
    def check(name: str) -> None:
        made = NOT_READ[name]
        before = texts_of(made)
        doubts = [flag for flag in made.flags if flag.name == "ending" and flag.value == 0]
        assert bool(doubts) is (name != "not in doubt")
        assert asked_of(made) == []
        assert texts_of(made) == before

    check_each(NOT_READ, check)


def test_later_readings_do_not_bring_a_removed_word_back() -> None:
    made = candidate()
    asked_of(made, "", "")
    made.add_attempt(SHIFTED, made.results[0])
    assert texts_of(made) == "quiet harbour story"
    assert any(flag.start_s < 3.1 and flag.end_s > 2.6 for flag in made.flags)


def test_words_are_read_at_other_speeds_before_whole_windows() -> None:
    """Whole windows may have no budget left; the words would never be read behind them."""
    made = candidate()
    long_hole = replace(made.context, speech=(*made.context.speech, SpeechSpan(5.0, 10.0)))
    made = RepairCandidate(window(), long_hole, LIMITS)
    steps = repair_steps(made, StepOptions(RepairPlan(1.0, (), 1), 30.0, frozenset()))
    asked = next(steps)
    assert max(request.window.duration_s for request in asked) < 1.5
    while asked[0].part:
        asked = steps.send([DecodingResult((), "en", -0.1, 0.0, 0.0) for _ in asked])
    assert texts_of(made) == "quiet harbour story"
    assert any(flag.start_s < 3.1 and flag.end_s > 2.6 for flag in made.flags)


@pytest.mark.parametrize("factor", SPEEDS)
def test_a_sound_at_another_speed_is_shorter_and_higher(factor: float) -> None:
    clock = np.arange(5 * SAMPLE_RATE) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * 200 * clock).astype(np.float32)
    whole = Window(0, 10.0, tone, (SpeechSpan(11.0, 13.0),))
    part = at_speed(whole, Word(12.0, 13.0, "emperor", 0.9), factor)
    assert part.duration_s == pytest.approx(1.65 / factor, abs=0.01)
    hertz = np.argmax(np.abs(np.fft.rfft(part.audio))) / part.duration_s
    assert hertz == pytest.approx(200 * factor, abs=2)
    (speech,) = part.speech
    assert speech.end_s == pytest.approx(part.start_s + 1.15 / factor, abs=0.01)
    assert at_speed(whole, Word(10.0, 10.3, "a", 0.9), factor).start_s == 10.0  # not before it
    assert at_speed(whole, Word(14.8, 15.0, "a", 0.9), factor).duration_s < 0.4 / factor


@pytest.mark.parametrize("factor", SPEEDS)
def test_an_engine_that_knows_the_words_finds_them_at_another_speed(factor: float) -> None:
    """So that the engines that invent sentences are asked in these readings as well."""
    said = compose(bank(), "harbour winter garden planet", rng=np.random.default_rng(3))
    engine = KnownWords(said.words, places=SoundPlaces(said.audio))
    whole = Window(0, 0.0, said.audio)
    for text, start_s, end_s in said.words:
        part = at_speed(whole, Word(start_s, end_s, text, 0.9), factor)
        found = {word.text: word for word in engine.heard(part)}
        begins_s = part.start_s + (start_s - part.start_s) / factor
        assert found[text].start_s == pytest.approx(begins_s, abs=0.01)
        assert found[text].end_s - found[text].start_s == pytest.approx(
            (end_s - start_s) / factor, abs=0.01
        )
