"""Twelve kinds of sound: expected errors beside the true ones, and their calibration.

The table of `trust.py` uses voices that the recognizer was not trained on. The calibration uses
the other voices and other strengths of the same kinds:

    python benchmarks/trust.py --sounds                  the table
    python -m benchmarks.support.trust_sound_kinds       fits the calibration and prints it
    python -m benchmarks.support.trust_sound_kinds faster-whisper       that of another engine
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchmarks.support.common import figure
from benchmarks.support.trust_reader import CachingEngine, TrustReader
from kb.asr.quality.expected_errors import Calibration, Points, interpolate
from kb.asr.stitching import normalize_word
from kb.types import Transcript, Word
from tests.support.compose import Composition, compose, random_plan
from tests.support.sound_kinds import (
    Change,
    clipped,
    fitted,
    mp3,
    noise,
    quieter,
    room,
    telephone,
    tempo,
    unchanged,
)
from tests.support.speech import bank

WORDS = 230  # of one item, about 100 s
NEAR_S = 0.7  # a word counts as heard at the place where it was said
WITHIN = 0.05  # the expected share may differ from the true one by this much ...
UP_TO = 0.30  # ... where no more than this share of the words is wrong
RANK = 0.9
THIN = 0.008  # the calibration's points may miss the fitted shares by so much


@dataclass
class SoundItem:
    """One item of a kind: what one or two people said, and the sound."""

    kind: str
    voice: str
    said: Composition
    beside: list[tuple[str, float, float]] = field(default_factory=list)


@dataclass
class SoundRow:
    """One kind of sound: expected and true share of wrong words, in all and by item."""

    kind: str
    words: int = 0
    wrong: int = 0
    expected: float = 0.0  # sum over words
    said: int = 0
    errors: int = 0
    items: list[tuple[float, float, str]] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)

    @property
    def wrong_share(self) -> float:
        """The share of the recognized words that are wrong."""
        return self.wrong / max(1, self.words)

    @property
    def true_share(self) -> float:
        """Wrong, missing and inserted words for each word said (word error rate)."""
        return self.errors / max(1, self.said)

    @property
    def expected_share(self) -> float:
        return self.expected / max(1, self.words)

    def add(self, item: SoundItem, found: Transcript) -> None:
        """Count one item."""
        right, heard = right_words(item, found.words)
        wrong = len(found.words) - len(right)
        assert found.expected_errors is not None
        share = found.expected_errors.share
        self.words += len(found.words)
        self.wrong += wrong
        self.expected += share * len(found.words)
        errors = word_errors(item, found.words, right, heard)
        self.said += len(item.said.words)
        self.errors += errors
        self.items.append((share, errors / len(item.said.words), found.grade))
        self.causes += found.sound.causes if found.sound else ()


# The table's strength, and those of the calibration.
KINDS: dict[str, tuple[Change, float, tuple[float, ...]]] = {
    "clean": (unchanged, 0.0, (0.0,)),
    "quiet": (quieter, 0.05, (0.02,)),
    "telephone band": (telephone, 3400.0, (2600.0, 3000.0, 3300.0, 3700.0)),
    "MP3 at 24 kbit/s": (mp3, 24.0, (16.0, 32.0)),
    "fast": (tempo, 1.5, (1.3, 1.6, 1.8)),
    "slow": (tempo, 0.7, (0.6, 0.8)),
    "noise, 20 dB": (noise, 20.0, (18.0,)),
    "noise, 12 dB": (noise, 12.0, (11.0, 8.0)),
    "noise, 5 dB": (noise, 5.0, (3.0, 0.0, -3.0)),
    "reverberation": (room, 0.5, (0.3, 0.4, 0.7)),
    "clipped": (clipped, 0.1, (0.05, 0.2)),
    "two people at once": (unchanged, 9.0, (12.0, 6.0)),
}
_TWO = "two people at once"


def items_of(
    kind: str, strength: float, voices: Sequence[str], rng: np.random.Generator, takes: int = 1
) -> Iterator[SoundItem]:
    """Yield the items of a kind, `takes` for each voice."""
    change = KINDS[kind][0]
    for place, voice in enumerate(voices):
        for _ in range(takes):
            said = compose(bank(), random_plan(bank(), WORDS, rng), voice, rng)
            if kind != _TWO:
                yield SoundItem(kind, voice, change(said, rng, strength))
                continue
            other = voices[(place + 1) % len(voices)]
            beside = compose(
                bank(), random_plan(bank(), WORDS // 4, rng), other, rng, pause=(3.0, 6.0)
            )
            audio = said.audio + 10 ** (-strength / 20) * fitted(beside.audio, said.audio.size)
            mixed = (audio * (0.5 / np.abs(audio).max())).astype(np.float32)
            yield SoundItem(kind, voice, replace(said, audio=mixed), beside.words)


# Counting


def right_words(item: SoundItem, words: Sequence[Word]) -> tuple[set[int], int]:
    """Return the indices of the right words, and the number of words that were heard.

    A word of the second speaker is right, too.
    """
    own = _in_order(item.said.words, words)
    rest = [n for n in range(len(words)) if n not in own]
    beside = _in_order(item.beside, [words[n] for n in rest])
    return own | {rest[n] for n in beside}, len(own)


def word_errors(item: SoundItem, words: Sequence[Word], right: set[int], heard: int) -> int:
    """Return the number of wrong, missing and inserted words.

    A wrong word and a missing one are one error.
    """
    return max(len(words) - len(right), len(item.said.words) - heard)


def _in_order(truth: Sequence[tuple[str, float, float]], words: Sequence[Word]) -> set[int]:
    """Return the words that were said at their place: the longest common row of both."""
    if not truth or not words:
        return set()
    said = [normalize_word(text) for text, _, _ in truth]
    heard = np.array([normalize_word(word.text) for word in words])
    middles = np.array([(word.start_s + word.end_s) / 2 for word in words])
    same = np.zeros((len(said), len(words)), int)
    for row, (_, start, end) in enumerate(truth):
        same[row] = (heard == said[row]) & (np.abs(middles - (start + end) / 2) < NEAR_S)
    best = np.zeros((len(said) + 1, len(words) + 1), int)
    for row in range(len(said)):
        step = np.maximum(best[row, 1:], best[row, :-1] + same[row])
        best[row + 1, 1:] = np.maximum.accumulate(step)
    found: set[int] = set()
    i, j = len(said), len(words)
    while i and j:
        if best[i, j] == best[i - 1, j]:
            i -= 1
        elif best[i, j] == best[i, j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            found.add(j)
    return found


# The table


def run_sound_kinds(reader: TrustReader, takes: int = 2) -> list[SoundRow]:
    """Read all kinds of sound with voices that the recognizer does not know."""
    rng = np.random.default_rng(23)
    voices = bank().voices("en", known=False)
    rows = []
    for kind, (_, strength, _) in KINDS.items():
        row = SoundRow(kind)
        for item in items_of(kind, strength, voices, rng, takes):
            row.add(item, reader.read(item.said, reader.engine))
        rows.append(row)
    return rows


def table(rows: Iterable[SoundRow]) -> list[str]:
    """Return the lines of the table, in Markdown."""
    lines = [
        "| sound | words | wrong | of the words in the text | expected | grades | causes named |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        grades = "".join(sorted(grade for _, _, grade in row.items))
        counts = {name: row.causes.count(name) for name in dict.fromkeys(row.causes)}
        causes = ", ".join(f"{name} {count} of {len(row.items)}" for name, count in counts.items())
        lines.append(
            f"| {row.kind} | {row.said} | {100 * row.true_share:.1f} % | "
            f"{100 * row.wrong_share:.1f} % | {100 * row.expected_share:.1f} % | "
            f"{grades} | {causes} |"
        )
    return lines


def sound_lines(rows: Sequence[SoundRow]) -> Iterator[str]:
    """Yield the lines of this part of `docs/trust.md`."""
    yield from (
        "## Kinds of sound",
        "",
        "Expected errors beside the true ones, by voices that the recognizer was not trained on",
        "and that the calibration was not made with. *Wrong* are substituted, missing and inserted",
        "words for each word said. See `docs/expected-errors.md`.",
        "",
        *table(rows),
        "",
        f"Rank correlation over the kinds: {_order(rows):.3f}.",
        *(f"Not kept: {miss}." for miss in misses(rows)),
        "",
    )


def report_sounds(rows: Sequence[SoundRow]) -> bool:
    """Print the figures as JSON lines; return True if the promise is kept."""
    for row in rows:
        figure(f"words wrong, {row.kind}", 100 * row.true_share, "%")
        bound = 100 * WITHIN if row.true_share <= UP_TO else None
        apart = 100 * abs(row.expected_share - row.true_share)
        figure(f"expected errors apart from true ones, {row.kind}", apart, "points", at_most=bound)
    figure("rank correlation of expected and true errors", _order(rows), "", at_least=RANK)
    found = misses(rows)
    print("\n".join([*table(rows), *found]), file=sys.stderr)
    return not found


def _order(rows: Sequence[SoundRow]) -> float:
    return rank_correlation([row.expected_share for row in rows], [row.true_share for row in rows])


def misses(rows: Sequence[SoundRow]) -> list[str]:
    """Return what the table does not keep of the promise; empty if it keeps all."""
    found = [
        f"{row.kind}: {row.expected_share:.3f} expected, {row.true_share:.3f} wrong"
        for row in rows
        if row.true_share <= UP_TO and abs(row.expected_share - row.true_share) > WITHIN
    ]
    order = _order(rows)
    if order < RANK:
        found.append(f"rank correlation {order:.3f}")
    for row in rows:
        for share, wrong, grade in row.items:
            if wrong > 0.10 and grade == "A":
                found.append(f"{row.kind}: grade A with {wrong:.3f} wrong")
            if wrong < 0.03 and share > 0.05:
                found.append(f"{row.kind}: {share:.3f} expected with {wrong:.3f} wrong")
    return found


def rank_correlation(left: Sequence[float], right: Sequence[float]) -> float:
    """Return Spearman's rank correlation, with mean ranks for equal values."""

    def ranks(values: Sequence[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
        array = np.asarray(values)
        return np.array([(array < v).sum() + ((array == v).sum() - 1) / 2 for v in array], float)

    return float(np.corrcoef(ranks(left), ranks(right))[0, 1])


# The calibration


@dataclass(frozen=True)
class CalibrationItem:
    """(probability, right) of the words of a text, and its share of wrong or missing words."""

    words: list[tuple[float, bool]]
    wrong: float


def calibration_items(reader: TrustReader, takes: int = 1) -> list[CalibrationItem]:
    """Read what known voices said, in all strengths of all kinds."""
    rng = np.random.default_rng(101)
    voices = bank().voices("en", known=True)
    found: list[CalibrationItem] = []
    for kind, (_, _, strengths) in KINDS.items():
        for strength in strengths:
            for item in items_of(kind, strength, voices, rng, takes):
                words = reader.read(item.said, reader.engine).words
                right, heard = right_words(item, words)
                found.append(
                    CalibrationItem(
                        [(word.probability, n in right) for n, word in enumerate(words)],
                        word_errors(item, words, right, heard) / len(item.said.words),
                    )
                )
    return found


def fit(items: Sequence[CalibrationItem]) -> Calibration:
    """Return the calibration for words and for texts, both fitted and thinned."""
    ordered = sorted(word for item in items for word in item.words)
    groups = np.array_split(np.arange(len(ordered)), max(2, min(60, len(ordered) // 50)))
    shares = [
        (
            float(np.mean([ordered[n][0] for n in group])),
            1 - float(np.mean([not ordered[n][1] for n in group])),
            float(len(group)),
        )
        for group in groups
    ]
    words = tuple((chance, round(1 - right, 4)) for chance, right in _rising(shares))
    means = sorted(
        (float(np.mean([interpolate(chance, words) for chance, _ in item.words])), item.wrong, 1.0)
        for item in items
        if item.words
    )
    return Calibration(
        words, ((0.0, 0.0), *(p for p in _rising(means) if 0 < p[0] < 1), (1.0, 1.0))
    )


def _rising(rows: Iterable[tuple[float, float, float]]) -> Points:
    """Return the rising map nearest to rows of (place, value, weight), with few points.

    Isotonic regression by pool-adjacent-violators (Barlow et al. 1972).
    """
    pools: list[tuple[float, float, float]] = []
    for row in rows:
        pools.append(row)
        while len(pools) > 1 and pools[-1][1] < pools[-2][1]:
            later, earlier = pools.pop(), pools.pop()
            weight = earlier[2] + later[2]
            place, value = (
                (earlier[n] * earlier[2] + later[n] * later[2]) / weight for n in (0, 1)
            )
            pools.append((place, value, weight))
    knots = {round(place, 3): round(value, 4) for place, value, _ in pools}
    return tuple(_thinned(sorted(knots.items())))


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that a line through fewer of them would miss (Ramer 1972)."""
    (left, high), (right, low) = points[0], points[-1]
    apart = [
        abs(share - high - (low - high) * (chance - left) / (right - left))
        for chance, share in points[1:-1]
    ]
    if not apart or max(apart) <= THIN:
        return [points[0], points[-1]]
    place = apart.index(max(apart)) + 1
    return [*_thinned(points[: place + 1])[:-1], *_thinned(points[place:])]


def main() -> int:
    from gpu.manager import GPUManager
    from kb.asr.engines import load_engine

    manager = GPUManager("cpu", cpu_threads=1)
    manager.apply()
    name = sys.argv[1] if len(sys.argv) > 1 else "whisper"
    engine = CachingEngine(load_engine(name, "demo", manager))
    found = calibration_items(TrustReader(engine, manager))
    print(f"{sum(len(item.words) for item in found)} words in {len(found)} texts")
    print(fit(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
