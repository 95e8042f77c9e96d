"""The cases of `trust.py`: runs without and with faults, and items held for review."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchmarks.support.common import median
from benchmarks.support.trust_reader import NO_REPAIR, TrustReader
from kb.asr.engines.base import DecodingResult, EncodedBatch
from kb.asr.quality.checks import repeats
from kb.asr.quality.repair_budget import RepairBudget
from kb.asr.quality.window_context import Thresholds, WindowContext
from kb.asr.stitching import keep_words, restore_segment_times
from kb.pipeline.hold import decide
from kb.settings import Settings
from kb.types import Segment, Transcript, Word
from tests.fakes.faults import KINDS, Fault, FaultyEngine
from tests.support.compose import Composition
from tests.support.speech import Score, score

FAULTY_SHARE = 0.1
IN_PLACE_S = 0.3


@dataclass
class Tally:
    """Word errors summed over sounds; `loops` are rows of repeats that were not spoken."""

    spoken: int = 0
    substituted: int = 0
    deleted: int = 0
    inserted: int = 0
    loops: int = 0

    def add(self, said: Composition, words: Sequence[Word]) -> Score:
        result = score(said.words, words)
        self.spoken += result.reference_words
        self.substituted += result.substituted
        self.deleted += result.deleted
        self.inserted += result.inserted
        truth = [Word(start, end, text, 1.0) for text, start, end in said.words]
        self.loops += max(0, loops(words) - loops(truth))
        return result

    def share(self, count: int) -> float:
        """Return the count in per cent of the spoken words."""
        return 100 * count / max(1, self.spoken)

    @property
    def wer(self) -> float:
        return self.share(self.substituted + self.deleted + self.inserted)


LIMITS = Thresholds.of(Settings())


def loops(words: Sequence[Word]) -> int:
    """Return the number of stretches of 40 words that repeat a phrase."""
    found = 0
    for first in range(0, len(words), 40):
        part = tuple(words[first : first + 40])
        segment = Segment(0.0, 0.0, "", part)
        context = WindowContext(0, 1e9, 0, 1e9, DecodingResult((segment,), "en", 0, 0, 0), ())
        found += bool(repeats(context, LIMITS))
    return found


def plain_words(text: str) -> list[Word]:
    return [Word(0.0, 0.0, word, 1.0) for word in text.split()]


def flagged_windows(found: Transcript) -> list[Any]:
    """Return the windows that had a flag after their first reading."""
    return [window for window in found.windows if window.flags or window.attempts]


@dataclass
class Row:
    """One line of the table of conditions."""

    name: str
    minutes: float = 0.0
    windows: int = 0
    suspect: int = 0
    before: Tally = field(default_factory=Tally)
    after: Tally = field(default_factory=Tally)
    peers: list[Tally] = field(default_factory=list)
    repair_s: float = 0.0
    first_s: float = 0.0
    held: int = 0
    items: int = 0

    @property
    def cost(self) -> float:
        """Return the time of repair in per cent of the time of first readings."""
        return 100 * self.repair_s / max(self.first_s, 1e-9)


def run_undisturbed(
    name: str,
    said: Sequence[Composition],
    reader: TrustReader,
    peers: Sequence[Callable[[np.ndarray], str]],
) -> Row:
    row = Row(name, peers=[Tally() for _ in peers])
    reader.repair_budget = RepairBudget()
    for composition in said:
        reader.engine.fresh = True
        found = reader.read(composition, reader.engine)
        reader.engine.fresh = False
        once = reader.read(composition, reader.engine, NO_REPAIR)
        row.minutes += composition.seconds / 60
        row.windows += len(found.windows)
        row.suspect += len(flagged_windows(found))
        row.before.add(composition, once.words)
        row.after.add(composition, found.words)
        row.repair_s += found.timing.repair_s
        row.first_s += found.timing.asr_s + found.timing.align_s - found.timing.repair_s
        row.items += 1
        row.held += decide(found, reader.settings.hold_below).state == "held"
        for tally, peer in zip(row.peers, peers, strict=True):
            tally.add(composition, plain_words(peer(composition.audio)))
    return row


@dataclass
class FaultCounts:
    """The results for the faults of one kind."""

    faults: int = 0
    found: int = 0
    repaired: int = 0
    unrepaired_flagged: int = 0


@dataclass
class FaultRow(Row):
    """The sums over all runs with faults."""

    floor: Tally = field(default_factory=Tally)
    kinds: dict[str, FaultCounts] = field(
        default_factory=lambda: {kind: FaultCounts() for kind in KINDS}
    )
    unnoticed: list[str] = field(default_factory=list)  # examples of faults that were not detected

    def total(self, name: str) -> int:
        return sum(getattr(struck, name) for struck in self.kinds.values())


def run_disturbed(
    said: Sequence[Composition], reader: TrustReader, seeds: Sequence[int], timed: int
) -> FaultRow:
    """Run with faults in a tenth of the windows, for each seed; time the first `timed` seeds."""
    row = FaultRow("faults in 10 % of the windows")
    reader.repair_budget = RepairBudget()
    for composition in said:
        row.minutes += composition.seconds / 60
        clean = reader.read(composition, reader.engine, NO_REPAIR)
        row.floor.add(composition, clean.words)
        for seed in seeds:
            reader.engine.fresh = seed in seeds[:timed]
            engine = FaultyEngine(reader.engine, share=FAULTY_SHARE, seed=seed)
            found = reader.read(composition, engine)
            reader.engine.fresh = False
            again = FaultyEngine(reader.engine, share=FAULTY_SHARE, seed=seed)
            row.before.add(composition, reader.read(composition, again, NO_REPAIR).words)
            row.after.add(composition, found.words)
            row.windows += len(found.windows)
            row.items += 1
            row.held += decide(found, reader.settings.hold_below).state == "held"
            if seed in seeds[:timed]:
                row.repair_s += found.timing.repair_s
                row.first_s += found.timing.asr_s + found.timing.align_s - found.timing.repair_s
            count_faults(row, composition, found, again.faults, seed)
    return row


def count_faults(
    row: FaultRow, said: Composition, found: Transcript, faults: Sequence[Fault], seed: int
) -> None:
    """Count the faults of first readings that were found and that were repaired."""
    noticed = {round(window.start_s, 2): window for window in flagged_windows(found)}
    for fault in faults:
        struck = row.kinds[fault.kind]
        struck.faults += 1
        start_s = fault.window.time_map.start(fault.window.start_s)
        window = noticed.get(round(start_s, 2))
        struck.found += window is not None
        if is_repaired(said, found, fault):
            struck.repaired += 1
            continue
        # The fault was not repaired: count it if the ledger reports it.
        struck.unrepaired_flagged += window is not None and bool(window.flags or window.gaps)
        if window is None:
            row.unnoticed.append(f"{fault.kind} at {start_s:.1f} s, seed {seed}")


def is_repaired(said: Composition, found: Transcript, fault: Fault) -> bool:
    """Return True if the window's words and times are as correct as without the fault."""
    struck = fault.window
    begin_s = struck.time_map.start(struck.start_s + struck.overlap_s)
    end_s = struck.time_map.end(struck.end_s - struck.shared_s)
    truth = [w for w in said.words if begin_s <= (w[1] + w[2]) / 2 < end_s]
    before = [
        w for s in restore_segment_times(struck.time_map, fault.before.segments) for w in s.words
    ]
    floor = score(truth, inside(before, begin_s, end_s))
    result = score(truth, inside(found.words, begin_s, end_s))
    if result.errors > floor.errors + 1:
        return False
    off_s = [abs(error) for error in (*result.starts_s, *result.ends_s)]
    return not off_s or median(off_s) <= IN_PLACE_S


def inside(words: Sequence[Word], begin_s: float, end_s: float) -> list[Word]:
    return [w for w in words if begin_s <= (w.start_s + w.end_s) / 2 < end_s]


# Holding


class LossyEngine:
    """An engine that loses the words between two times, on every reading.

    No step of repair can recover the words. The item must therefore be held if the loss exceeds
    the permitted share, and must not be held if it does not.
    """

    def __init__(self, engine: Any, from_s: float, to_s: float) -> None:
        self._engine = engine
        self._from_s, self._to_s = from_s, to_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def decode(self, heard: EncodedBatch, *how: Any) -> list[DecodingResult]:
        return [self._lose(decoded.read()) for decoded in self._engine.decode(heard, *how)]

    def _lose(self, decoded: DecodingResult) -> DecodingResult:
        segments = (
            *keep_words(decoded.segments, before_s=self._from_s),
            *keep_words(decoded.segments, from_s=self._to_s),
        )
        return replace(decoded, segments=segments)


@dataclass
class HoldRow:
    """The decisions about items that must be held, or about items that must not be held."""

    name: str
    expected: bool
    items: int = 0
    held: int = 0
    trusted: float = 1.0  # nearest to the limit: the highest if `expected`, else the lowest

    @property
    def correct(self) -> int:
        return self.held if self.expected else self.items - self.held

    def add(self, found: Transcript, reader: TrustReader) -> None:
        first = self.items == 0
        self.items += 1
        self.held += decide(found, reader.settings.hold_below).state == "held"
        trusted = found.coverage.trusted
        nearest = max if self.expected else min
        self.trusted = trusted if first else nearest(self.trusted, trusted)


def run_holds(
    clean: Sequence[Composition], noisy: Sequence[Composition], reader: TrustReader
) -> list[HoldRow]:
    """Return the decisions about items whose correct decision is known."""
    rows = []
    for name, share, expected in (
        ("read as it is", 0.0, False),
        ("1.5 % of the speech is lost on every reading", 0.015, False),
        ("15 % of the speech is lost on every reading", 0.15, True),
        ("half of the speech is lost on every reading", 0.5, True),
    ):
        row = HoldRow(name, expected)
        for said in clean:
            reader.repair_budget = RepairBudget()
            row.add(reader.read(said, _lossy_engine(reader, said, share)), reader)
        rows.append(row)
    row = HoldRow("loops in every window, on every reading", True)
    for said in clean:
        reader.repair_budget = RepairBudget()
        looping = FaultyEngine(reader.engine, share=1.0, kinds=["loop"])
        row.add(reader.read(said, looping), reader)
    rows.append(row)
    row = HoldRow("speech 3 to 6 dB below the noise", True)
    for said in noisy:
        reader.repair_budget = RepairBudget()
        row.add(reader.read(said, reader.engine), reader)
    rows.append(row)
    return rows


def _lossy_engine(reader: TrustReader, said: Composition, share: float) -> Any:
    """Return an engine that loses a share of the speech, from the item's first third on."""
    if share <= 0:
        return reader.engine
    left_s = share * sum(end_s - start_s for _, start_s, end_s in said.words)
    first = len(said.words) // 3
    from_s = to_s = said.words[first][1]
    for _, start_s, end_s in said.words[first:]:
        if left_s <= 0:
            break
        to_s = end_s
        left_s -= end_s - start_s
    return LossyEngine(reader.engine, from_s, to_s)
