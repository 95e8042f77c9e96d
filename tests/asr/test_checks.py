"""Each check separately: the texts that it flags, their times, and the texts that it accepts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kb.asr.audio.speech_evidence import SpokenSound
from kb.asr.audio.word_sound import WordSound
from kb.asr.engines.base import DecodingResult
from kb.asr.quality import checks, word_checks
from kb.asr.quality.checks import check, flagged_seconds
from kb.asr.quality.pace import Line, Pace
from kb.asr.quality.report import WindowResult, quality_report
from kb.asr.quality.window_context import Thresholds, WindowContext
from kb.settings import Settings
from kb.types import QualityFlag, Segment, SpeechSpan, Word
from tests.support.known_evidence import HUM, NOISE, PLAIN, SHORT_WORD, STEADY_NOISE, VOWEL, Scores

LIMITS = Thresholds.of(Settings())
SENTENCE = "the harbour is quiet in winter and the captain explains every story to his guests"


def said(text: str, start_s: float = 0.5, every_s: float = 0.5) -> tuple[Word, ...]:
    return tuple(
        Word(start_s + i * every_s, start_s + i * every_s + 0.8 * every_s, word, 0.9)
        for i, word in enumerate(text.split())
    )


def evidence(
    *words: Word,
    speech: tuple[tuple[float, float], ...] = ((0.4, 29.0),),
    logprob: float = -0.2,
    no_speech: float = 0.0,
    **known: object,
) -> WindowContext:
    """Return a window of 30 s with the given words and detected speech."""
    segments = (Segment(words[0].start_s, words[-1].end_s, "", words, "en"),) if words else ()
    decoded = DecodingResult(segments, "en", logprob, no_speech, 0.0)
    spans = tuple(SpeechSpan(*span) for span in speech)
    known = {"languages": ("en",)} | known
    return WindowContext(0.0, 30.0, 0.0, 30.0, decoded, spans, **known)  # type: ignore[arg-type]


def spoken(text: str, **known: object) -> WindowContext:
    """Return a window with detected speech from its first to its last word."""
    words = said(text)
    speech = ((words[0].start_s - 0.1, words[-1].end_s + 0.1),)
    return evidence(*words, speech=speech, **known)  # type: ignore[arg-type]


def test_nothing_speaks_against_plain_speech() -> None:
    assert check(spoken(SENTENCE), LIMITS) == ()


def test_nothing_speaks_against_silence_without_words() -> None:
    assert check(evidence(speech=()), LIMITS) == ()
    assert check(evidence(speech=(), no_speech=0.99, logprob=-3.0), LIMITS) == ()


def test_nothing_speaks_against_one_word() -> None:
    assert check(spoken("harbour"), LIMITS) == ()


def test_uncovered_names_each_stretch_without_words() -> None:
    words = [w for w in said(SENTENCE) if not 2.0 <= w.start_s <= 4.0]
    found = checks.uncovered(evidence(*words, speech=((0.4, 7.9),)), LIMITS)
    assert [(s.name, s.start_s, s.end_s) for s in found] == [("uncovered", 2.0, 4.4)]
    assert found[0].value == pytest.approx(2.4)


@pytest.mark.parametrize(
    ("from_s", "to_s", "flagged"),
    [
        (0.0, 2.6, [(2.1, 3.1)]),  # both parts are long enough
        (0.0, 2.2, [(2.1, 3.1)]),  # this window's part is too short by itself
        (3.0, 30.0, [(2.1, 3.1)]),  # that of the later window
        (0.0, 2.0, []),  # the hole is the neighbour's
        (3.2, 30.0, []),
    ],
)
def test_a_hole_over_the_border_to_a_neighbour_is_flagged_whole(
    from_s: float, to_s: float, flagged: list[tuple[float, float]]
) -> None:
    words = (Word(1.0, 2.0, "before", 0.9), Word(3.2, 4.0, "behind", 0.9))
    seen = replace(evidence(*words, speech=((1.0, 4.0),)), from_s=from_s, to_s=to_s)
    found = checks.uncovered(seen, LIMITS)
    assert [(flag.start_s, flag.end_s) for flag in found] == flagged


def test_uncovered_leaves_a_neighbour_its_half_of_the_overlap() -> None:
    words = said(SENTENCE)
    seen = evidence(*words, speech=((0.4, 10.0),))
    assert checks.uncovered(seen, LIMITS) != []
    owned = WindowContext(0.0, 10.0, 0.0, 8.2, seen.decoded, seen.speech)
    assert checks.uncovered(owned, LIMITS) == []


def test_compression_speaks_against_a_loop_of_any_length() -> None:
    assert checks.compression(spoken(SENTENCE * 1), LIMITS) == []
    found = checks.compression(spoken("and so we go on and then " * 8), LIMITS)
    assert [s.name for s in found] == ["compression"]
    assert found[0].value > LIMITS.compression


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("no no no no", 0),  # natural in speech
        ("no no no no no", 5),
        ("i know i know", 0),
        ("he said i know i know i know today", 3),
        ("a b c d e f g h a b c d e f g h a b c d e f g h", 3),
        (SENTENCE, 0),
    ],
)
def test_repeats_count_a_phrase_in_a_row(text: str, times: int) -> None:
    found = checks.repeats(spoken(text), LIMITS)
    assert [s.value for s in found] == ([times] if times else [])


def test_repeats_show_where() -> None:
    found = checks.repeats(spoken("he said i know i know i know today"), LIMITS)
    assert (found[0].start_s, found[0].end_s) == (1.5, 4.4)


def test_repeats_go_on_over_a_windows_border() -> None:
    before = said("and then i know i know", -5.0)
    assert checks.repeats(spoken("i know today", previous_words=before), LIMITS)[0].value == 3
    assert checks.repeats(spoken("you know today", previous_words=before), LIMITS) == []
    # A repetition that ended before this window belongs to the previous window.
    loop = said("i know i know i know i know", -5.0)
    assert checks.repeats(spoken("today", previous_words=loop), LIMITS) == []


def test_rate_speaks_against_too_many_and_too_few() -> None:
    fast = evidence(*said("a b c d e f g h " * 6, every_s=0.12), speech=((0.4, 6.4),))
    assert [s.limit for s in checks.rate(fast, LIMITS)] == [LIMITS.words_per_s]
    slow = evidence(*said("a b", every_s=4.0), speech=((0.4, 9.0),))
    assert [s.limit for s in checks.rate(slow, LIMITS)] == [LIMITS.words_per_s_least]
    assert checks.rate(evidence(*said("a b"), speech=((0.4, 1.5),)), LIMITS) == []


def test_rate_speaks_against_words_squeezed_together() -> None:
    squeezed = said("thanks for watching and see you", 4.0, every_s=0.05)
    found = checks.rate(evidence(*said("the harbour is quiet"), *squeezed), LIMITS)
    assert [(s.start_s, s.end_s) for s in found] == [(4.0, 4.29)]


def test_logprob_speaks_against_an_unsure_text() -> None:
    assert checks.logprob(spoken(SENTENCE, logprob=-0.99), LIMITS) == []
    assert checks.logprob(spoken(SENTENCE, logprob=-1.2), LIMITS)[0].value == -1.2


def test_no_speech_flags_text_where_detection_finds_speech() -> None:
    assert checks.no_speech(spoken(SENTENCE, no_speech=0.5), LIMITS) == []
    assert [s.name for s in checks.no_speech(spoken(SENTENCE, no_speech=0.7), LIMITS)] == [
        "no_speech"
    ]
    noise = evidence(*said("you"), speech=((0.5, 0.9),), no_speech=0.9)
    assert checks.no_speech(noise, LIMITS) == []  # too short a detection to count


def test_words_on_silence_are_one_flag() -> None:
    heard, invented = said("the harbour is quiet"), said("golden island summer", 10.0)
    found = checks.on_silence(evidence(*heard, *invented, speech=((0.4, 2.6),)), LIMITS)
    assert [(s.name, s.start_s, s.end_s) for s in found] == [("silence", 10.0, 11.4)]
    # Detection may start slightly late.
    late = evidence(*heard, speech=((0.9, 2.2),))
    assert checks.on_silence(late, LIMITS) == []
    # A word behind the end of speech was not spoken there.
    ended = evidence(*heard, speech=((0.4, 1.9),))
    assert [(s.name, s.start_s) for s in checks.on_silence(ended, LIMITS)] == [("silence", 2.0)]


PACE = Pace(Line(0.1, 0.05), Line(0.05, 0.2))


@pytest.mark.parametrize(
    ("times", "flagged"),
    [
        # (start, end) of "harbour" (0.45 s at this pace) and of "is" (0.2 s) behind it
        ([(1.0, 1.45), (1.5, 1.7)], []),
        ([(1.0, 1.7), (1.9, 2.1)], []),  # 0.25 s more
        ([(1.0, 1.85), (2.0, 2.2)], ["harbour"]),
        ([(1.0, 1.45), (1.5, 2.2)], ["is"]),
        # The border is in the wrong place: one is as much longer as the other is shorter.
        ([(1.0, 1.6), (1.6, 1.65)], []),
        ([(1.0, 1.62), (1.62, 1.66)], []),
        ([(1.0, 1.9), (1.9, 1.95)], []),
        ([(1.0, 2.1), (2.1, 2.15)], ["harbour"]),
    ],
)
def test_a_word_longer_than_its_letters_is_stretched(
    times: list[tuple[float, float]], flagged: list[str]
) -> None:
    words = [Word(*span, text, 0.99) for span, text in zip(times, ("harbour", "is"), strict=True)]
    found = word_checks.stretched(evidence(*words, speech=((0.0, 9.0),), pace=PACE), LIMITS)
    assert [w.text for w in words for flag in found if flag.start_s == w.start_s] == flagged


@pytest.mark.parametrize(
    ("lengths", "flagged"),
    [
        ([0.4, 0.4, 0.4], []),
        ([0.4, 0.63, 0.4], []),
        ([0.4, 0.66, 0.4], [1]),  # 0.26 s more than its neighbours: one of four is lost
        ([0.4, 0.72, 0.12], []),  # the border is in the wrong place
        ([0.4, 0.8], [1]),
    ],
)
def test_equal_words_in_a_row_are_compared_with_each_other(
    lengths: list[float], flagged: list[int]
) -> None:
    words, start_s = [], 1.0
    for length in lengths:
        words.append(Word(round(start_s, 3), round(start_s + length, 3), "harbour", 0.99))
        start_s += length
    found = word_checks.stretched(evidence(*words, speech=((0.0, 9.0),), pace=PACE), LIMITS)
    assert [n for n, w in enumerate(words) for f in found if f.start_s == w.start_s] == flagged


def test_only_its_sound_counts_for_a_stretched_word() -> None:
    word = Word(1.0, 3.0, "harbour", 0.9)
    pause = evidence(word, speech=((1.0, 1.3), (2.8, 3.0)), pace=PACE)
    assert word_checks.stretched(pause, LIMITS) == []
    found = word_checks.stretched(evidence(word, speech=((1.0, 3.0),), pace=PACE), LIMITS)
    assert found[0].value == pytest.approx(1.55)


@pytest.mark.parametrize(
    ("text", "seconds", "flagged"),
    [("harbour", 0.02, True), ("harbour", 0.06, True), ("harbour", 0.08, False),
     ("the", 0.02, False), ("über", 0.04, True), ("...", 0.0, False)],
)  # fmt: skip
def test_a_word_of_an_instant_is_a_stutter(text: str, seconds: float, flagged: bool) -> None:
    found = word_checks.stutter(evidence(Word(1.0, 1.0 + seconds, text, 0.9)), LIMITS)
    assert bool(found) is flagged


def test_language_speaks_against_a_lone_window_in_another_one() -> None:
    other = spoken(SENTENCE, detected_language=("fr", 0.95))
    assert [s.value for s in checks.language(other, LIMITS)] == [0.95]
    assert checks.language(spoken(SENTENCE, detected_language=("fr", 0.6)), LIMITS) == []
    both = spoken(SENTENCE, detected_language=("fr", 0.95), languages=("en", "fr"))
    assert checks.language(both, LIMITS) == []


@pytest.mark.parametrize("text", ["Thanks for watching!", "Untertitel im Auftrag des ZDF"])
def test_a_stock_phrase_counts_only_without_speech(text: str) -> None:
    assert checks.phrase(spoken(text), LIMITS) == []
    found = checks.phrase(evidence(*said(text, 10.0), speech=((0.4, 9.9),)), LIMITS)
    assert [s.name for s in found] == ["phrase"]
    assert found[0].value == pytest.approx(1.0)


def test_times_flags_impossible_word_times() -> None:
    a, b = Word(1.0, 1.5, "a", 1.0), Word(1.2, 1.6, "b", 1.0)
    assert [round(s.value, 2) for s in checks.times(evidence(a, b), LIMITS)] == [0.3]
    late = Word(29.9, 31.0, "late", 1.0)
    assert [round(s.value, 2) for s in checks.times(evidence(late), LIMITS)] == [1.0]
    early = Word(-0.5, 0.5, "early", 1.0)
    assert [round(s.value, 2) for s in checks.times(evidence(early), LIMITS)] == [0.5]
    touching = Word(1.45, 1.9, "b", 1.0)
    assert checks.times(evidence(a, touching), LIMITS) == []


def test_every_limit_is_a_setting() -> None:
    strict = Thresholds.of(Settings().replace(suspect_logprob=-0.1, suspect_repeats=2))
    names = {s.name for s in check(spoken("i know i know", logprob=-0.2), strict)}
    assert names == {"logprob", "repeats"}


def test_doubtful_seconds_are_counted_once_and_without_gaps() -> None:
    found = [
        QualityFlag("a", 0, 10, 1, 1),
        QualityFlag("b", 5, 12, 1, 1),
        QualityFlag("c", 20, 21, 1, 1),
    ]
    assert flagged_seconds(found) == 13
    assert flagged_seconds(found, [SpeechSpan(11, 13)]) == 12


# The ledger


def test_the_windows_reports_agree_with_the_item() -> None:
    speech = [SpeechSpan(0, 10), SpeechSpan(20, 30), SpeechSpan(50, 52)]
    words = (*said("x " * 12, 0.0), *said("x " * 20, 20.0))  # none between 6 and 20 s
    segments = [Segment(0, 30, "", words)]
    windows = [
        WindowResult(1, 19.5, 30.5, (QualityFlag("logprob", 20, 24, -1.2, -1.0),)),
        WindowResult(0, 0.0, 10.5, (QualityFlag("uncovered", 1.0, 9.0, 8.0, 0.8),)),
    ]
    coverage, rows = quality_report(speech, segments, windows, 2)
    assert [row.start_s for row in rows] == [0.0, 19.5]
    assert rows[0].gaps == (SpeechSpan(6.0, 10.0),)
    assert rows[0].flags == ()  # uncovered speech is reported by the final gaps
    assert rows[1].covered_s == rows[1].speech_s == 10.0
    assert coverage.suspect_s == 4.0
    # The third span is outside of all windows: it is a gap of the item.
    assert coverage.gaps[-1] == SpeechSpan(50, 52)
    assert coverage.speech_s == 22.0
    assert coverage.grade == "C"


def test_an_empty_report_is_clean() -> None:
    coverage, rows = quality_report([], [], [], 0)
    assert (coverage.grade, coverage.trusted, rows) == ("A", 1.0, ())


@pytest.mark.parametrize(
    ("probabilities", "clear", "scores", "flagged"),
    [
        ((0.99, 0.99, 0.99), (0.0, 9.0), {2.0: 0.85}, None),  # likely, and surely detected
        ((0.99, 0.99, 0.99), (0.0, 9.0), {2.0: 0.7}, (2.0, 2.4)),  # the evidence is strong
        ((0.99, 0.99, 0.99), (0.0, 9.0), {1.5: 0.7}, None),  # it is spoken up to the end
        ((0.99, 0.99, 0.3), (0.0, 9.0), {}, None),  # unlikely, but its sound is speech
        ((0.99, 0.99, 0.3), (0.0, 9.0), {2.0: 0.5}, (2.0, 2.4)),
        ((0.99, 0.3, 0.3), (0.0, 9.0), {1.5: 0.5, 2.0: 0.5}, (1.5, 2.4)),
        ((0.99, 0.3, 0.99), (0.0, 9.0), {1.5: 0.5}, None),  # unlikely, and a clear one follows
        ((0.99, 0.99, 0.99), (0.0, 1.9), {2.0: 0.5}, (2.0, 2.4)),  # likely, not quite detected
        ((0.99, 0.99, 0.99), (0.0, 1.9), {}, None),
        ((0.99, 0.99, 0.99), (0.0, 0.0), {1.0: 0.1, 1.5: 0.1, 2.0: 0.1}, (1.0, 2.4)),
        ((0.3, 0.99, 0.99), (0.0, 9.0), {1.0: 0.85}, None),  # detection is late for the first
        ((0.3, 0.99, 0.99), (0.0, 9.0), {1.0: 0.5}, (1.0, 1.4)),
        ((0.99, 0.3, 0.99), (2.0, 9.0), {1.5: 0.5}, (1.5, 1.9)),  # not detected, inside
        ((0.99, 0.99, 0.3), (0.0, 9.0), None, None),  # without detection there is no evidence
    ],
)
def test_words_whose_sound_is_no_speech_may_be_invented(
    probabilities: tuple[float, ...],
    clear: tuple[float, float],
    scores: dict[float, float] | None,
    flagged: tuple[float, float] | None,
) -> None:
    words = [
        Word(1.0 + 0.5 * n, 1.4 + 0.5 * n, "harbour", chance)
        for n, chance in enumerate(probabilities)
    ]
    known: dict[str, Any] = {
        "speech": ((0.0, 9.0),),
        "clear": (SpeechSpan(*clear),),
        "evidence": None if scores is None else Scores(scores),
        "spoken_sound": SpokenSound(0.92),
    }
    found = word_checks.ending(evidence(*words, **known), LIMITS)
    assert [(f.start_s, f.end_s) for f in found] == ([flagged] if flagged else [])
    # Words behind a pause are a stretch of their own.
    later = Word(5.0, 5.4, "winter", 0.99)
    found = word_checks.ending(evidence(*words, later, **known), LIMITS)
    own = [(f.start_s, f.end_s) for f in found if f.end_s < 3.0]
    assert own == ([flagged] if flagged else [])


@pytest.mark.parametrize(
    ("sounds", "scores", "seconds", "flags"),
    [
        ({}, {}, 0.4, []),
        ({2.0: NOISE}, {}, 0.4, [(2.0, 2.4, 0.0)]),  # without a voice: in doubt, but kept
        ({2.0: HUM}, {}, 0.4, [(2.0, 2.4, 0.0)]),  # one sound
        ({2.0: VOWEL}, {2.0: 0.95}, 0.4, [(2.0, 2.4, 0.0)]),  # it moves little
        ({2.0: VOWEL}, {}, 0.4, []),  # but is surely speech
        ({2.0: STEADY_NOISE}, {}, 0.4, [(2.0, 2.4, 0.4)]),  # both: removed
        ({1.5: STEADY_NOISE, 2.0: NOISE}, {}, 0.4, [(1.5, 2.4, 0.0)]),
        ({2.0: HUM}, {}, 0.2, []),  # too short to move
        ({2.0: NOISE}, {}, 0.2, []),  # a short word may have little voice
        ({1.5: NOISE, 2.0: NOISE}, {}, 0.4, [(1.5, 2.4, 0.0)]),
        ({1.5: NOISE}, {}, 0.4, []),  # inside of a stretch nothing is asked
        ({1.0: NOISE}, {}, 0.4, [(1.0, 1.4, 0.0)]),
        ({2.0: HUM}, {2.0: 0.85}, 0.4, [(2.0, 2.4, 0.4)]),  # evidence of two kinds: removed
        ({}, {2.0: 0.7}, 0.2, []),  # a short word has few probabilities
        ({2.0: VOWEL}, {2.0: 0.7}, 0.2, []),
        ({2.0: HUM}, {2.0: 0.7}, 0.2, [(2.0, 2.2, 0.0)]),  # a note, or "mm": it hardly moves
        ({2.0: HUM}, {2.0: 0.85}, 0.2, []),
        ({2.0: HUM}, {2.0: 0.7}, 0.125, []),
        ({1.5: NOISE}, {2.0: 0.7}, 0.4, [(1.5, 1.9, 0.0), (2.0, 2.4, 0.4)]),
    ],
)
def test_words_without_a_voice_or_of_one_sound_are_in_doubt(
    sounds: dict[float, WordSound],
    scores: dict[float, float],
    seconds: float,
    flags: list[tuple[float, float, float]],
) -> None:
    starts = (1.0, 1.5, 2.0)
    words = [Word(s, s + (seconds if s == starts[-1] else 0.4), "harbour", 0.99) for s in starts]
    known: dict[str, Any] = {
        "speech": ((0.0, 9.0),),
        "clear": (SpeechSpan(0.0, 9.0),),
        "evidence": Scores(scores, sounds),
        "spoken_sound": SpokenSound(0.92, PLAIN.voicing, PLAIN.movement),
    }
    found = word_checks.ending(evidence(*words, **known), LIMITS)
    assert [(f.start_s, f.end_s, f.value) for f in found] == flags


@pytest.mark.parametrize(
    ("beside", "first_s", "invented"),
    [
        (None, 1.1, [2.0]),  # the word at the end alone
        (NOISE, 1.1, [1.6, 2.0]),  # without a voice
        (WordSound(PLAIN.voicing, 0.6 * PLAIN.movement), 1.1, [1.6, 2.0]),  # it moves little
        # A little less than spoken words move: with a gap before it, and between two.
        (WordSound(PLAIN.voicing, 0.7 * PLAIN.movement), 1.1, [1.6, 2.0]),
        (WordSound(PLAIN.voicing, 0.7 * PLAIN.movement), 1.2, [1.2, 1.6, 2.0]),
        (WordSound(PLAIN.voicing, 0.8 * PLAIN.movement), 1.1, [2.0]),
        (None, 1.2, [1.2, 2.0]),
    ],
)
def test_a_weak_word_that_touches_invented_ones_is_invented(
    beside: WordSound | None, first_s: float, invented: list[float]
) -> None:
    words = [Word(at_s, at_s + 0.4, "harbour", 0.99) for at_s in (0.3, first_s, 1.6, 2.0)]
    known: dict[str, Any] = {
        "speech": ((0.0, 9.0),),
        "clear": (SpeechSpan(0.0, 9.0),),
        "evidence": Scores(
            {1.2: 0.5, 1.6: 0.95, 2.0: 0.5}, {} if beside is None else {1.6: beside}
        ),
        "spoken_sound": SpokenSound(0.92, PLAIN.voicing, PLAIN.movement),
    }
    found = word_checks.ending(evidence(*words, **known), LIMITS)
    removed = [f for f in found if f.value > 0]
    assert [w.start_s for w in words if any(f.start_s <= w.start_s < f.end_s for f in removed)] == (
        invented
    )


@pytest.mark.parametrize(
    ("sound", "probability", "scores", "removed", "doubted"),
    [
        # The sound of a German "acht" that the detector hardly hears: voiced, and it moves.
        (SHORT_WORD, 0.99, {1.5: 0.6}, [], [1.5]),
        (SHORT_WORD, 0.4, {1.5: 0.6}, [1.5], []),  # unlikely
        (NOISE, 0.99, {1.5: 0.6}, [1.5], []),  # without a voice
        (HUM, 0.99, {1.5: 0.6}, [1.5], []),  # one sound
        (SHORT_WORD, 0.99, {1.5: 0.6, 2.0: 0.6}, [1.5, 2.0], []),  # two words in a row
        (SHORT_WORD, 0.99, {1.5: 0.6, 2.0: 0.6, 2.5: 0.6}, [1.5, 2.0, 2.5], []),  # up to the end
        # At the end and at the beginning it has to be quite likely.
        (SHORT_WORD, 0.99, {2.5: 0.6}, [], [2.5]),
        (SHORT_WORD, 0.9, {2.5: 0.6}, [2.5], []),
        (HUM, 0.99, {2.5: 0.6}, [2.5], []),
        (SHORT_WORD, 0.99, {2.0: 0.6, 2.5: 0.6}, [2.0, 2.5], []),
        (SHORT_WORD, 0.99, {1.0: 0.6}, [], [1.0]),
        (SHORT_WORD, 0.9, {1.0: 0.6}, [1.0], []),
    ],
)
def test_a_voiced_word_alone_between_clear_ones_or_near_one_is_only_in_doubt(
    sound: WordSound,
    probability: float,
    scores: dict[float, float],
    removed: list[float],
    doubted: list[float],
) -> None:
    words = [
        Word(at_s, at_s + 0.4, "acht", probability if at_s in scores else 0.99)
        for at_s in (1.0, 1.5, 2.0, 2.5)
    ]
    detected = [SpeechSpan(w.start_s, w.end_s) for w in words if w.start_s not in scores]
    known: dict[str, Any] = {
        "speech": ((0.0, 9.0),),
        "clear": tuple(detected),
        "evidence": Scores(scores, dict.fromkeys(scores, sound)),
        "spoken_sound": SpokenSound(0.92, PLAIN.voicing, PLAIN.movement),
    }
    found = word_checks.ending(evidence(*words, **known), LIMITS)
    for expected, flags in (
        (removed, [f for f in found if f.value > 0]),
        (doubted, [f for f in found if f.value == 0]),
    ):
        assert [
            w.start_s for w in words if any(f.start_s <= w.start_s < f.end_s for f in flags)
        ] == expected


@pytest.mark.parametrize(
    ("probability", "pause_s", "seconds"),
    [(0.3, 0.1, [0.2]), (0.7, 0.1, []), (0.3, 0.4, [0.2]), (0.7, 0.4, [0.0])],
)
def test_a_short_word_without_a_sound_of_speech_is_removed_or_in_doubt_if_it_is_alone(
    probability: float, pause_s: float, seconds: list[float]
) -> None:
    first = Word(1.0, 1.5 - pause_s, "harbour", 0.99)
    words = [first, Word(1.5, 1.7, "no", probability)]
    known: dict[str, Any] = {
        "speech": ((0.0, 9.0),),
        "clear": (SpeechSpan(0.0, 9.0),),
        "evidence": Scores({1.5: 0.7}),
        "spoken_sound": SpokenSound(0.92, PLAIN.voicing, PLAIN.movement),
    }
    found = word_checks.ending(evidence(*words, **known), LIMITS)
    assert [f.value for f in found] == seconds
