"""Expected errors: the estimated share of wrong words in a text, calibrated for each engine.

A word's probability says how sure the recognizer is, not how often it is right. `CALIBRATIONS`
gives for each engine the share of wrong words among words of a probability, measured on speech
whose words are known (`benchmarks/support/trust_sound_kinds.py`), and the share of wrong words in
texts with a mean of these shares. An engine without a calibration is not measured, and its texts
have no estimate.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from kb.types import ExpectedErrors, Transcript, UnsurePassage, Word

Points = tuple[tuple[float, float], ...]
"""Points of a monotone map in order; between two of them the value is on the line through them."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibration of an engine; all figures are 0..1.

    `words`: (probability of a word, share of such words that are wrong). `texts`: (mean of these
    shares over a text, share of wrong or missing words in such texts): where most words are unsure,
    the sure ones are wrong more often, too.
    """

    words: Points
    texts: Points


# Both maps were fitted by pool-adjacent-violators (isotonic regression, Barlow et al. 1972) to
# twelve kinds of sound, and thinned to a few points.
CALIBRATIONS: dict[str, Calibration] = {
    "whisper": Calibration(
        words=(
            (0.199, 0.7846), (0.318, 0.6538), (0.394, 0.6205), (0.459, 0.5), (0.561, 0.4667),
            (0.604, 0.3179), (0.74, 0.2667), (0.776, 0.1795), (0.81, 0.1282), (0.841, 0.1231),
            (0.868, 0.0974), (0.89, 0.0974), (0.948, 0.0154), (1.0, 0.0),
        ),
        texts=(
            (0.0, 0.0), (0.063, 0.061), (0.098, 0.09), (0.16, 0.174), (0.23, 0.261),
            (0.328, 0.416), (0.366, 0.465), (0.449, 0.674), (0.524, 0.796), (1.0, 1.0),
        ),
    ),
    "faster-whisper": Calibration(
        words=(
            (0.086, 0.5316), (0.265, 0.5129), (0.338, 0.4742), (0.437, 0.3265), (0.54, 0.2732),
            (0.59, 0.2165), (0.724, 0.1701), (0.764, 0.1237), (0.8, 0.1237), (0.829, 0.0825),
            (0.897, 0.0206), (1.0, 0.0),
        ),
        texts=(
            (0.0, 0.0), (0.025, 0.0087), (0.042, 0.0417), (0.094, 0.0862), (0.133, 0.1413),
            (0.157, 0.1446), (0.2, 0.1971), (0.244, 0.2522), (0.306, 0.4098), (0.341, 0.4696),
            (0.398, 0.4957), (0.433, 0.6957), (0.472, 0.8348), (1.0, 1.0),
        ),
    ),
}  # fmt: skip

NEIGHBOURS = 4  # words on each side of a word that are averaged with it
UNSURE_FROM = 0.25  # mean share of nine words from which they are an unsure passage
LEAST_WORDS = 4  # a passage of fewer words is not marked


def with_expected_errors(transcript: Transcript) -> Transcript:
    """Return the transcript with the estimate for its present words.

    There is none if the engine is not calibrated, and none without words.
    """
    calibration = CALIBRATIONS.get(transcript.engine)
    words = transcript.words
    if calibration is None or not words:
        return replace(transcript, expected_errors=None)
    return replace(transcript, expected_errors=estimate(words, calibration))


def estimate(words: Sequence[Word], calibration: Calibration) -> ExpectedErrors:
    """Return the expected errors of words in order of time."""
    shares = [interpolate(word.probability, calibration.words) for word in words]
    share = interpolate(sum(shares) / len(shares), calibration.texts)
    return ExpectedErrors(round(share, 4), _passages(words, shares, calibration.texts))


def interpolate(value: float, points: Points) -> float:
    """Return the value of a map between its points; beyond them that of the nearest one."""
    place = bisect_right(points, value, key=lambda point: point[0])
    if place == 0:
        return points[0][1]
    if place == len(points):
        return points[-1][1]
    (left, before), (right, after) = points[place - 1], points[place]
    return before + (after - before) * (value - left) / (right - left)


def _passages(
    words: Sequence[Word], shares: Sequence[float], texts: Points
) -> tuple[UnsurePassage, ...]:
    """Return the runs of words around which many words are likely wrong.

    One unsure word between sure ones makes no passage, and a run begins and ends with an unsure
    word.
    """
    sums = [0.0, *accumulate(shares)]
    found: list[UnsurePassage] = []
    place = 0
    while place < len(words):
        end = place
        while end < len(words) and _around(sums, end) >= UNSURE_FROM:
            end += 1
        first, last = place, end - 1
        while first <= last and shares[first] < UNSURE_FROM:
            first += 1
        while last >= first and shares[last] < UNSURE_FROM:
            last -= 1
        count = last - first + 1
        if count >= LEAST_WORDS:
            share = interpolate((sums[last + 1] - sums[first]) / count, texts)
            found.append(UnsurePassage(words[first].start_s, words[last].end_s, round(share, 3)))
        place = end + 1
    return tuple(found)


def _around(sums: Sequence[float], place: int) -> float:
    """Return the mean share of the words from `NEIGHBOURS` before a word to as many behind it."""
    first, end = max(0, place - NEIGHBOURS), min(len(sums) - 1, place + NEIGHBOURS + 1)
    return (sums[end] - sums[first]) / (end - first)
