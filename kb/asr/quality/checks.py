"""Checks that flag a window's text as suspect.

Each check is a pure function of the evidence and the limits; its flags have times and values. The
limits are settings (`KB_SUSPECT_...`). A flag is not proof: a flagged window is decoded again
(`kb.asr.quality.repair`), and the flags that remain are reported and counted
(`kb.asr.quality.report`).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from kb.asr.coverage import clip_spans, gaps, union, without
from kb.asr.quality.known_hallucinations import KNOWN_HALLUCINATIONS
from kb.asr.quality.unreadable_words import unreadable
from kb.asr.quality.window_context import Thresholds, WindowContext, inside_s, make_flag
from kb.asr.quality.word_checks import ending, stretched, stutter
from kb.asr.stitching import normalize_word
from kb.types import QualityFlag, SpeechSpan, Word
from kb.types.quality import REACH_S

LONGEST_PHRASE = 8  # most words of a phrase in the check for repeats
WORD_MORE = 2  # a single word may repeat more often than a phrase ("no, no, no, no")
BURST = 4  # number of words in a row whose rate is checked
MIN_SPEECH_FOR_RATE_S = 5.0  # less speech is too little to judge the rate
MIN_SPEECH_S = 1.0  # for less speech, detection may be wrong
PREVIOUS_WORDS = 24  # words of the previous window in the check for repeats
LATE_S = 0.3  # detection may begin so much later than the speech


def uncovered(context: WindowContext, limits: Thresholds) -> list[QualityFlag]:
    """`uncovered`: detected speech without a word near it. Value: seconds in a row.

    The coverage ledger's rule (`kb.asr.coverage`, ours), applied to one window. A hole between two
    of its words that reaches over the border to a neighbour's part is flagged whole by both: halves
    may each be too short, and half a hole in each text is no common word to join them at.
    """
    own = gaps(
        clip_spans(context.speech, context.from_s, context.to_s), context.words, limits.uncovered_s
    )
    first_s = min((word.start_s for word in context.words), default=context.to_s)
    last_s = max((word.end_s for word in context.words), default=context.from_s)
    over = [
        hole
        for hole in gaps(context.speech, context.words, limits.uncovered_s)
        if any(hole.start_s < at_s < hole.end_s for at_s in (context.from_s, context.to_s))
        and first_s < hole.start_s
        and hole.end_s < last_s
    ]
    found = sorted((*over, *without(own, over)), key=lambda hole: hole.start_s)
    return [
        make_flag("uncovered", hole.start_s, hole.end_s, hole.duration_s, limits.uncovered_s)
        for hole in found
    ]


def compression(context: WindowContext, limits: Thresholds) -> list[QualityFlag]:
    """`compression`: the text compresses too well. Value: its size over its compressed size.

    openai/whisper's rule and figure (`compression_ratio_threshold`, transcribe.py).
    """
    data = " ".join(word.text for word in context.words).encode()
    if not data:
        return []
    ratio = len(data) / len(zlib.compress(data))
    if ratio <= limits.compression:
        return []
    return context.flag_window("compression", ratio, limits.compression)


def repeats(context: WindowContext, limits: Thresholds) -> list[QualityFlag]:
    """`repeats`: a phrase of up to eight words many times in a row. Value: number of times.

    The words of the previous window are included, because a loop continues over the border. The
    idea is that of the n-gram guards of decoders (`no_repeat_ngram_size`), as a flag instead of a
    ban.
    """
    words = context.words
    before = context.previous_words[-PREVIOUS_WORDS:]
    texts = [normalize_word(word.text) for word in (*before, *words)]
    found: list[QualityFlag] = []
    for size in range(1, LONGEST_PHRASE + 1):
        limit = limits.repeats + (WORD_MORE if size == 1 else 0)
        first = 0
        while first + size < len(texts):
            end = first
            while end + size < len(texts) and texts[end] == texts[end + size]:
                end += 1
            times = (end - first) // size + 1
            last = end + size - 1  # index of the last repeated word
            if times >= limit and last >= len(before):
                own = words[max(0, first - len(before)) : last - len(before) + 1]
                found.append(make_flag("repeats", own[0].start_s, own[-1].end_s, times, limit))
            first = max(end, first + 1)
    # Phrases of two, four and six words all find the same repeats: keep the longest.
    return [max(found, key=lambda s: (s.end_s - s.start_s, s.value))] if found else []


def rate(context: WindowContext, limits: Thresholds) -> list[QualityFlag]:
    """`rate`: more or fewer words than in human speech. Value: words per second.

    Fast speech has about 5 words per second (Tauroza and Allison, "Speech Rates in British
    English", 1990: up to 260 words a minute in conversation); a short burst may have more.
    """
    words, found = context.words, list[QualityFlag]()
    speech_s = context.speech_s
    if speech_s >= MIN_SPEECH_FOR_RATE_S and words:
        pace = len(words) / speech_s
        for limit, beyond in (
            (limits.words_per_s, pace > limits.words_per_s),
            (limits.words_per_s_least, pace < limits.words_per_s_least),
        ):
            if beyond:
                return context.flag_window("rate", pace, limit)
    fastest = 2 * limits.words_per_s
    for place in range(len(words) - BURST + 1):
        first, last = words[place], words[place + BURST - 1]
        duration_s = last.end_s - first.start_s
        if 0 <= duration_s < BURST / fastest:
            pace = BURST / max(duration_s, 0.01)
            if found and first.start_s <= found[-1].end_s:
                worst = max(pace, found[-1].value)
                found[-1] = make_flag("rate", found[-1].start_s, last.end_s, worst, fastest)
            else:
                found.append(make_flag("rate", first.start_s, last.end_s, pace, fastest))
    return found


def logprob(context: WindowContext, limits: Thresholds) -> list[QualityFlag]:
    """`logprob`: the recognizer is unsure. Value: mean log-probability of the tokens.

    openai/whisper's rule and figure (`logprob_threshold`, transcribe.py).
    """
    value = context.decoded.avg_logprob
    if not context.words or value >= limits.logprob:
        return []
    return context.flag_window("logprob", value, limits.logprob)


def no_speech(context: WindowContext, limits: Thresholds) -> list[QualityFlag]:
    """`no_speech`: the recognizer finds no speech but detection finds some.

    Value: the probability. The figure is openai/whisper's (`no_speech_threshold`), compared here
    with a detector instead of with its own confidence. A window without words is checked by
    `uncovered`.
    """
    value = context.decoded.no_speech
    if not context.words or value <= limits.no_speech or context.speech_s <= MIN_SPEECH_S:
        return []
    return context.flag_window("no_speech", value, limits.no_speech)


def on_silence(context: WindowContext, limits: Thresholds) -> list[QualityFlag]:
    """`silence`: words without detected speech. Value: their seconds in a row.

    The check finds invented words on silence and noise (Koenecke et al., "Careless Whisper", 2024,
    arXiv:2402.08021), which have a high confidence. Detection may be late: a word counts as spoken
    that is at most `LATE_S` before speech, or `REACH_S` behind it.
    """
    near = [SpeechSpan(s.start_s - LATE_S, s.end_s + REACH_S) for s in context.speech]
    found: list[QualityFlag] = []
    row: list[Word] = []
    for word in (*context.words, None):
        if word is not None and inside_s(word, near) < (word.end_s - word.start_s) / 2:
            row.append(word)
            continue
        silent_s = sum(w.end_s - w.start_s for w in row)
        if silent_s > limits.silent_s:
            found.append(
                make_flag("silence", row[0].start_s, row[-1].end_s, silent_s, limits.silent_s)
            )
        row = []
    return found


def language(context: WindowContext, limits: Thresholds) -> list[QualityFlag]:
    """`language`: the window's likeliest language is not one of the item's. Value: probability.

    The vote over an item's windows is our own. A language with a fair share of the item's speech is
    one of the item's languages; a single window in another one is often music or a bad line, on
    which Whisper's language token is unreliable.
    """
    code, probability = context.detected_language
    if not context.words or not code or code in context.languages or probability < limits.language:
        return []
    return context.flag_window("language", probability, limits.language)


def phrase(context: WindowContext, limits: Thresholds) -> list[QualityFlag]:
    """`phrase`: a known hallucination where the sound is not speech.

    Value: the share of it outside of detected speech; more than half is flagged.
    """
    words = [word for word in context.words if normalize_word(word.text)]
    texts = [normalize_word(word.text) for word in words]
    found: list[QualityFlag] = []
    place = 0
    while place < len(texts):
        known = next(
            (s for s in KNOWN_HALLUCINATIONS if tuple(texts[place : place + len(s)]) == s), None
        )
        if known is None:
            place += 1
            continue
        own = words[place : place + len(known)]
        total_s = sum(w.end_s - w.start_s for w in own)
        outside = (
            1 - sum(inside_s(w, context.speech) for w in own) / total_s if total_s > 0 else 1.0
        )
        if outside > 0.5:
            found.append(make_flag("phrase", own[0].start_s, own[-1].end_s, outside, 0.5))
        place += len(known)
    return found


def times(context: WindowContext, limits: Thresholds) -> list[QualityFlag]:
    """`times`: words that begin before the previous one has ended, or are outside of the window.

    Value: seconds beyond the limit of the order or of the window. The rule is our own: such times
    are impossible for any sound.
    """
    words, limit = context.words, limits.backwards_s
    found = [
        make_flag(
            "times", min(a.start_s, b.start_s), max(a.end_s, b.end_s), a.end_s - b.start_s, limit
        )
        for a, b in pairwise(words)
        if a.end_s - b.start_s > limit
    ]
    for word in words:
        past_s = max(word.end_s - context.end_s, context.start_s - word.start_s)
        if past_s > limit:
            found.append(make_flag("times", word.start_s, word.end_s, past_s, limit))
    return found


CHECKS: tuple[Callable[[WindowContext, Thresholds], list[QualityFlag]], ...] = (
    uncovered, compression, repeats, rate, logprob, no_speech, on_silence, language, phrase, times,
    unreadable, stretched, stutter, ending,
)  # fmt: skip

# Checks whose flags a second attempt with the same words refutes: people do repeat themselves,
# speak fast and change the language. It does not refute missing speech or words on silence.
RESOLVED_BY_AGREEMENT = frozenset({"compression", "repeats", "rate", "language"})


def check(context: WindowContext, limits: Thresholds) -> tuple[QualityFlag, ...]:
    """Return all flags of a window's text, in order of time."""
    found = [each for rule in CHECKS for each in rule(context, limits)]
    return tuple(sorted(found, key=lambda s: (s.start_s, s.name)))


def flagged_seconds(flags: Iterable[QualityFlag], without: Sequence[SpeechSpan] = ()) -> float:
    """Return the flagged seconds, each counted once, less those inside `without`."""
    spans = [SpeechSpan(*pair) for pair in union((s.start_s, s.end_s) for s in flags)]
    counted = sum(
        part.duration_s for gap in without for part in clip_spans(spans, gap.start_s, gap.end_s)
    )
    return max(0.0, sum(span.duration_s for span in spans) - counted)
