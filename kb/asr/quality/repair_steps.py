"""The steps of repair of one suspect window, as a generator of requests.

The steps: the places of single words that may be lost, doubled or invented
(`kb.asr.quality.word_places`), and nothing more if nothing else is suspect; the window with shifted
borders; the parts that still have no words, short ones together with places of other windows; such
places, if nothing else is left; then, unless only single words are suspect, the window at rising
temperatures (openai/whisper's fall-back, transcribe.py); then with beams; then by another engine,
if one is set. An attempt with shifted borders that agrees with the first one ends the repair: a
third attempt would agree too. Where most words are misheard, the parts come first, and the repair
ends with them and the shifted borders.

Single words that may be invented are read at other speeds first of all, as that is cheapest; those
that later steps bring are read so behind them.

Speech that only the looser detection marks, outside of all windows, is decoded twice, as windows
of its own with other ends (`kb.asr.windows.residual_speech`); the words of both texts are put in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kb.asr.coverage import clip_spans, gaps
from kb.asr.engines.base import DecodingOptions, DecodingResult
from kb.asr.quality.candidates import (
    DISAGREEMENT,
    PARTS,
    PLACES,
    SHIFTED,
    UNCOVERED,
    RepairCandidate,
)
from kb.asr.quality.doubled_words import doubled
from kb.asr.quality.missing_speech import MOST_REPAIRS, find_missing_speech, is_silence
from kb.asr.quality.place_sounds import after_words, alone, with_other_ends
from kb.asr.quality.rejected_words import hardly_spoken
from kb.asr.quality.repair_plan import (
    RepairPlan,
    RepairRequest,
    RequestSteps,
    shift_window,
)
from kb.asr.quality.speed_readings import read_at_speeds
from kb.asr.quality.window_context import WindowContext, inside_s, is_misheard
from kb.asr.quality.word_checks import LIKELY, UNSURE, is_instant
from kb.asr.quality.word_edits import common_words, replace_words, texts
from kb.asr.quality.word_places import (
    BEFORE_S,
    FLAG_S,
    LONGEST_EMPTY_S,
    LONGEST_PLACE_S,
    MOST_PLACES,
    MOST_READINGS,
    NEIGHBOUR_S,
    PLACE_CHECKS,
    OpenPlace,
    Place,
    confirmed,
    find_places,
    settle,
    words_at,
)
from kb.asr.stitching import WindowText, merge_parts
from kb.asr.windows.windowing import Window
from kb.types import SpeechSpan, Word
from kb.types.quality import REACH_S

LONGEST_FADING_S = 0.4  # speech that only the looser detection marks, behind a word
MOST_SURE_S = 0.1  # of it that the stricter detection marks
PHRASE_WORDS = 3  # so many more words than before stay in doubt
MOST_FOR_PARTS = 2.0  # if the parts cost more, the whole window is cheaper


@dataclass(frozen=True, slots=True)
class StepOptions:
    """The plan, and what the engines can do; see `kb.asr.quality.repair.RepairQueue`."""

    plan: RepairPlan
    limit_s: float
    decoding_methods: frozenset[str]
    fallback: str = ""


def repair_steps(candidate: RepairCandidate, options: StepOptions) -> RequestSteps:
    """Yield the repair requests of one window until no step is left."""
    language = candidate.first_result.language
    if any(flag.name == "language" for flag in candidate.flags):
        language = candidate.context.languages[0]
    if candidate.residual:
        yield from _read_residual(candidate, language, options.limit_s)
    else:
        yield from _repair(candidate, language, options)
    yield from read_at_speeds(candidate, language)


def _repair(candidate: RepairCandidate, language: str, options: StepOptions) -> RequestSteps:
    window = candidate.window
    answer_fading(candidate)
    remove_doubled(candidate)
    candidate.remove_invented()
    if not candidate.flags:
        return
    places_first = all(flag.name in PLACE_CHECKS for flag in candidate.flags)
    filled = False
    if places_first:
        yield from read_at_speeds(candidate, language)  # cheaper than their places
        yield from _read_places(candidate, language)
        yield from read_at_speeds(candidate, language)  # words that places were given
        if is_misheard(candidate.best_context.words) and not candidate.only_single_words:
            filled = True
            yield from _fill(candidate, options.limit_s)
        if not candidate.flags or candidate.only_single_words:
            return
    again = shift_window(window, options.limit_s)
    results = yield [RepairRequest(again, language)]
    for decoded in results:
        if candidate.add_attempt(SHIFTED, decoded):
            return
    agreed = candidate.resolve_if_agreed()
    has_holes = any(flag.name == UNCOVERED for flag in candidate.flags)
    if has_holes and (not filled or candidate.attempts[candidate.best].method == SHIFTED):
        yield from _fill(candidate, options.limit_s)
    if not places_first and candidate.only_single_words:
        yield from _read_places(candidate, language)
    if agreed or candidate.only_single_words or _is_misheard_only(candidate):
        return
    escalation = [
        DecodingOptions(t)
        for t in options.plan.temperatures
        if "temperature" in options.decoding_methods
    ]
    if options.plan.beams > 1 and "beam" in options.decoding_methods:
        escalation.append(DecodingOptions(beams=options.plan.beams))
    for method in escalation:
        results = yield [RepairRequest(window, language, method)]
        name = f"beam {method.beams}" if method.beams > 1 else f"temperature {method.temperature:g}"
        for decoded in results:
            if candidate.add_attempt(name, decoded):
                return
    if options.fallback:
        results = yield [RepairRequest(window, language, fallback=True)]
        for decoded in results:
            candidate.add_attempt(f"engine {options.fallback}", decoded)


def _read_residual(candidate: RepairCandidate, language: str, limit_s: float) -> RequestSteps:
    """Decode speech that only the looser detection marks twice; put in the words of both texts."""
    window = candidate.window
    results = yield [
        RepairRequest(part, language, part=True) for part in with_other_ends(window, limit_s)
    ]
    one, other = results
    both = common_words(one, other)
    put_in = [word for segment in both.segments for word in segment.words]
    spoken_s = sum(inside_s(word, candidate.context.speech) for word in put_in)
    short = candidate.context.speech_s <= LONGEST_PLACE_S
    explained = bool(both.segments) and spoken_s >= candidate.context.speech_s / 2
    # A cough is answered with an unlikely word, too: the sound stays a gap and is reported.
    faint = short and any(
        word.probability < LIKELY and not candidate.context.is_sure(word) for word in put_in
    )
    if explained and not faint:
        if short and len(put_in) >= PHRASE_WORDS:  # a noise may have been answered with a sentence
            candidate.doubt(put_in[0].start_s, put_in[-1].end_s)
        candidate.add_attempt(SHIFTED, both)
    heard = [word for decoded in results for s in decoded.segments for word in s.words]
    empty = [
        flag
        for flag in candidate.flags
        if not any(
            w.start_s < flag.end_s + REACH_S and w.end_s > flag.start_s - REACH_S for w in heard
        )
    ]
    if sum(flag.end_s - flag.start_s for flag in empty) <= LONGEST_EMPTY_S:
        for flag in empty:
            candidate.answer(flag.start_s, flag.end_s)


def answer_fading(candidate: RepairCandidate) -> None:
    """Answer short holes at ends of stretches without sure speech: no word is missing there.

    In noise, the looser detection lasts on behind a word. Measured in noise of 14 dB: 44 holes
    without a lost word had at most 0.08 s of sure speech, the 6 with one at least 0.28 s. Where
    words are misheard it is not so clear, and before a word detection is late.
    """
    context = candidate.best_context
    if context.sure is None or is_misheard(context.words):
        return
    for flag in candidate.flags:
        if flag.name != UNCOVERED or flag.end_s - flag.start_s > LONGEST_FADING_S:
            continue
        from_s, to_s = flag.start_s - NEIGHBOUR_S / 2, flag.end_s + NEIGHBOUR_S
        behind = any(from_s < word.end_s <= flag.start_s + FLAG_S for word in context.words)
        before = any(flag.end_s - FLAG_S <= word.start_s < to_s for word in context.words)
        sure = clip_spans(context.sure, flag.start_s, flag.end_s)
        if behind and not before and sum(span.duration_s for span in sure) <= MOST_SURE_S:
            candidate.answer(flag.start_s, flag.end_s)


def remove_doubled(candidate: RepairCandidate) -> None:
    """Add an attempt without the words of an instant, and the pieces, that equal a neighbour.

    It is chosen if nothing speaks against the text without them.
    """
    context = candidate.best_context
    changes = doubled(context.words, context.pace, candidate.limits.stutter_s)
    if changes:
        candidate.add_attempt(PLACES, replace_words(context.decoded, changes))


def _read_places(candidate: RepairCandidate, language: str) -> RequestSteps:
    """Decode the places of single words again; put in the words that two readings agree about.

    A place is read by itself; that reading counts alone if it confirms the text. Otherwise it is
    read after the words before it, and once more with what follows. The readings of a place about
    which none agree are recorded, and its flags stay.
    """
    window, context, limits = candidate.window, candidate.best_context, candidate.limits
    words = context.words
    found = find_places(words, candidate.flags, window)
    places = [place for place in found if place.duration_s <= LONGEST_PLACE_S]
    if is_misheard(words):
        places = [place for place in places if place.may_hold_invented]
    if not places:
        return
    likely = sorted(places, key=lambda place: -place.doubt_s)[:MOST_PLACES]
    places = sorted(likely, key=lambda place: place.start_s)

    changes: list[tuple[Place, tuple[Word, ...]]] = []
    rounds: list[Callable[[Place], Window]] = [
        lambda place: alone(window, place),
        lambda place: after_words(window, place, words),
        lambda place: after_words(window, place, words, end_s=place.end_s + BEFORE_S[0]),
    ]
    readings: dict[Place, list[DecodingResult]] = {place: [] for place in places}
    for number in range(MOST_READINGS):
        if not readings:
            break
        later = MOST_READINGS - number - 1
        results = yield [
            RepairRequest(
                rounds[number](place),
                language,
                part=True,
                place=True,
                later=tuple(sound(place) for sound in rounds[number + 1 :]),
            )
            for place in readings
        ]
        now, further = results[: len(readings)], results[len(readings) :]
        for index, place in enumerate(list(readings)):
            for result in (now[index], *further[index * later : (index + 1) * later]):
                readings[place].append(result)
                if _settle(candidate, context, place, readings[place], changes):
                    del readings[place]
                    break
        if further:
            break
    for place, results in readings.items():
        old = words[place.first : place.end]
        heard = {text for result in results for text in texts(words_at(place, result))}
        kept = tuple(w for w in old if not is_instant(w, limits) or texts([w])[0] in heard)
        rejected = hardly_spoken(place, results, context)
        candidate.reject(rejected)
        kept = tuple(w for w in kept if w not in rejected)
        if kept != old:  # an instant that no reading has was not spoken; the place stays in doubt
            changes.append((place, kept))
        candidate.open.append(OpenPlace(place, kept, tuple(results), removed=kept != old))
        for result in results:
            candidate.note_reading(words_at(place, result), result)
    if changes:
        candidate.add_attempt(
            PLACES,
            replace_words(
                context.decoded, [(place.first, place.end, new) for place, new in changes]
            ),
        )


def _is_misheard_only(candidate: RepairCandidate) -> bool:
    """Return whether only single words and holes of a misheard window are in doubt.

    Measured in noise: no reading at another temperature or with beams was better there (9 tried).
    """
    single = all(flag.name in PLACE_CHECKS | {DISAGREEMENT} for flag in candidate.flags)
    return single and is_misheard(candidate.best_context.words)


def _settle(
    candidate: RepairCandidate,
    context: WindowContext,
    place: Place,
    readings: Sequence[DecodingResult],
    changes: list[tuple[Place, tuple[Word, ...]]],
) -> bool:
    """Return whether readings of a place agree; note the words or add them to `changes`."""
    limits, sure = candidate.limits, candidate.window.speech
    if len(readings) == 1:
        found = confirmed(place, readings[0], context, limits)
    else:
        found = settle(place, readings, context, sure, limits.stutter_s)
    if found is None:
        return False
    old = context.words[place.first : place.end]
    if texts(found) == texts(old):
        candidate.answer(place.start_s, place.end_s)
    holes = [SpeechSpan(f.start_s, f.end_s) for f in place.flags if f.name == "uncovered"]
    phrase = len(found) - len(old) >= PHRASE_WORDS
    unexplained = len(found) > len(old) and bool(gaps(holes, found, limits.uncovered_s))
    new = [word for word, text in zip(found, texts(found), strict=True) if text not in texts(old)]
    if unexplained and new and all(word.probability < UNSURE for word in new):
        return False  # they are not likely, and do not explain the sound
    if phrase or unexplained:
        # They do not explain the sound, or are as many as a sentence that was not spoken.
        candidate.doubt(found[0].start_s, found[-1].end_s)
    if found != old:
        changes.append((place, found))
        speech_s = sum(s.duration_s for s in clip_spans(sure, place.start_s, place.end_s))
        empty = not any(words_at(place, reading) for reading in readings)
        if empty and speech_s <= LONGEST_EMPTY_S:
            candidate.answer(place.start_s, place.end_s)
    return True


def _fill(candidate: RepairCandidate, limit_s: float) -> RequestSteps:
    """Decode the parts without words as windows of their own, and insert their texts."""
    window, first = candidate.window, candidate.best_result
    together = is_misheard(candidate.best_context.words)
    read_texts = [WindowText(window.index, window.start_s, window.overlap_s, first)]
    parts = find_missing_speech(window, first, part=False)[:MOST_REPAIRS]
    left = MOST_REPAIRS - len(parts)
    while parts:
        # Short parts share windows with those of others, as places do; an engine that stops before
        # the end of a window would lose words there, too.
        short = together and all(part.duration_s <= LONGEST_PLACE_S for part in parts)
        requests = [RepairRequest(part, first.language, part=True, place=short) for part in parts]
        if sum(request.cost(limit_s) for request in requests) > MOST_FOR_PARTS:
            break
        results = yield requests
        still_missing: list[Window] = []
        for part, decoded in zip(parts, results, strict=True):
            read = replace(decoded, segments=()) if is_silence(decoded) else decoded
            read_texts.append(WindowText(window.index, part.start_s, 0.0, read))
            still_missing += find_missing_speech(part, read, part=True)
        parts = still_missing[:left]
        left -= len(parts)
    if len(read_texts) > 1:
        candidate.add_attempt(PARTS, replace(first, segments=merge_parts(read_texts)))
