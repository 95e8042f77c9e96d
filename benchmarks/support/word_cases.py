"""The word by word cases of `trust.py`: kinds of talk, sounds without a word, injected faults."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from typing import Any

from benchmarks.support.trust_reader import TrustReader
from benchmarks.support.word_talks import talk_items
from kb.asr.quality.repair_budget import RepairBudget
from kb.types import Transcript
from tests.fakes.inventions import WAYS, InventingOracle
from tests.fakes.word_faults import WORD_FAULTS
from tests.support.compose import Composition
from tests.support.known_words import TIMES
from tests.support.tails import SOUNDS, Tail, TailItem
from tests.support.word_alignment import align, invented, reported, too_short
from tests.support.word_fault_cases import LANGUAGES, PRESETS, Outcome, run_known, run_real

# The limits before single words were looked at, for the column "before".
OLD_LIMITS = {
    "suspect_uncovered_s": 0.8,
    "suspect_stretched_s": 99.0,
    "suspect_stutter_s": -1.0,
}
NEAR_TAIL_S = 0.3


@dataclass
class WordCounts:
    """Words of several items against the spoken ones; `silent`: lost and not reported."""

    spoken: int = 0
    lost: int = 0
    silent: int = 0
    inserted: int = 0
    invented: int = 0
    invented_silent: int = 0
    short: int = 0
    flagged_s: float = 0.0
    grades: str = ""
    examples: list[str] = field(default_factory=list)

    def add(self, said: Composition, found: Transcript, name: str) -> None:
        aligned = align(said.words, found.words)
        self.spoken += len(said.words)
        self.lost += len(aligned.lost)
        self.inserted += len(aligned.inserted)
        self.short += len(too_short(found.words))
        self.grades += found.grade
        self.flagged_s += sum(span.duration_s for span in found.doubtful_spans)
        for index in aligned.lost:
            text, start_s, end_s = said.words[index]
            if not reported(found, start_s, end_s):
                self.silent += 1
                self.examples.append(f"{name}: lost {text!r}, {start_s:.2f} to {end_s:.2f} s")
        for index in invented(said.words, found.words, aligned):
            word = found.words[index]
            self.invented += 1
            self.invented_silent += not reported(found, word.start_s, word.end_s)
            self.examples.append(
                f"{name}: invented {word.text!r}, {word.start_s:.2f} to {word.end_s:.2f} s"
            )
        for index in too_short(found.words):
            word = found.words[index]
            self.examples.append(
                f"{name}: short {word.text!r}, {word.start_s:.3f} to {word.end_s:.3f} s"
            )

    def share(self, count: int) -> float:
        """Return the count in per cent of the spoken words."""
        return 100 * count / max(1, self.spoken)


@dataclass
class TalkRow:
    """One kind of talk, read with the limits of before and with those of now."""

    kind: str
    before: WordCounts = field(default_factory=WordCounts)
    after: WordCounts = field(default_factory=WordCounts)
    first_s: float = 0.0  # time of first readings
    again_s: float = 0.0  # time of later readings
    windows: float = (
        0.0  # windows decoded again, in % of the first readings; a pack counts its length
    )
    windows_before: float = 0.0  # the same with the limits of before

    @property
    def cost(self) -> float:
        """Return the time of later readings in per cent of the time of first readings."""
        return 100 * self.again_s / max(self.first_s, 1e-9)


def run_talk(kind: str, count: int, seeds: Iterable[int], reader: TrustReader) -> TalkRow:
    """Read `count` words of one kind for each seed, first with the limits of now."""
    row = TalkRow(kind)
    old = reader.settings.model_copy(update=OLD_LIMITS)
    now, before = RepairBudget(), RepairBudget()
    for seed in seeds:
        for number, said in enumerate(talk_items(kind, count, seed)):
            name = f"{kind}, seed {seed}, item {number}"
            reader.repair_budget = now
            found = reader.read(said, reader.engine)
            row.after.add(said, found, name)
            row.again_s += found.timing.repair_s
            row.first_s += found.timing.asr_s + found.timing.align_s - found.timing.repair_s
            earlier = replace(reader, settings=old, repair_budget=before)
            row.before.add(said, earlier.read(said, reader.engine), name)
    row.windows = 100 * now.spent / max(1, now.windows)
    row.windows_before = 100 * before.spent / max(1, before.windows)
    return row


# Sounds without a word


@dataclass
class TailRow:
    """Tails without a word behind real talk, and those that got words."""

    name: str
    tails: int = 0
    with_words: int = 0
    words: int = 0
    silent: int = 0  # tails with words that no doubt reports
    lost: int = 0  # spoken words that are lost beside them
    examples: list[str] = field(default_factory=list)

    def add(self, item: TailItem, found: Transcript, name: str) -> None:
        aligned = align(item.said.words, found.words)
        self.lost += len(aligned.lost)
        extra = [found.words[index] for index in aligned.inserted]
        for tail in item.tails:
            self.tails += 1
            own = [
                word
                for word in extra
                if word.start_s < tail.end_s + NEAR_TAIL_S
                and word.end_s > tail.start_s - NEAR_TAIL_S / 2
            ]
            if not own:
                continue
            self.with_words += 1
            self.words += len(own)
            start_s, end_s = own[0].start_s, own[-1].end_s
            silent = not reported(found, start_s, end_s)
            self.silent += silent
            texts = " ".join(word.text for word in own)
            self.examples.append(
                f"{name}: {tail.kind} at {tail.start_s:.2f} to {tail.end_s:.2f} s got {texts!r}, "
                f"{'not ' if silent else ''}reported"
            )


def run_tails(items: Sequence[TailItem], reader: TrustReader) -> TailRow:
    """Read talk with tails with the reader's own engine."""
    row = TailRow("demo recognizer")
    reader.repair_budget = RepairBudget()
    for number, item in enumerate(items):
        row.add(item, reader.read(item.said, reader.engine), f"item {number}")
    return row


def run_inventions(items: Sequence[TailItem], reader: TrustReader) -> list[TailRow]:
    """Read the tails with an engine that answers each with a sentence, in every way."""
    rows = []
    for first in (True, False):
        for way in WAYS:
            when = "every reading" if first else "later readings"
            row = TailRow(f"a sure sentence in {when}, times: {way}")
            for number, item in enumerate(items):
                engine = InventingOracle.of(item.said, item.tails, way, first=first)
                reader.repair_budget = RepairBudget()
                row.add(item, reader.read(item.said, engine), f"{way}, {when}, item {number}")
            rows.append(row)
    return rows


def kinds_of(tails: Iterable[Tail]) -> str:
    """Return the kinds with their numbers."""
    found = [tail.kind for tail in tails]
    return ", ".join(f"{found.count(kind)} {kind}" for kind in SOUNDS if kind in found)


# Injected faults


def run_faults(engine: Any, seeds: int, more: bool) -> dict[str, Outcome]:
    """Inject every fault into every engine's answers; return the outcome by engine.

    Without `more`, the known words take the presets and languages in turn, and the real
    recognizer reads one preset.
    """
    found: dict[str, Outcome] = {}
    turns = cycle((language, preset) for preset in PRESETS for language in LANGUAGES)
    for times in TIMES:
        total = found[f"known words, times of {times}"] = Outcome()
        for fault in WORD_FAULTS:
            for seed in range(seeds):
                for language, preset in islice(turns, 12 if more else 2):
                    if language in TIMES[times].languages:
                        total.add(run_known(times, fault, language, preset, seconds=90, seed=seed))
    total = found[f"{engine.name}, demo recognizer"] = Outcome()
    for fault in WORD_FAULTS:
        for preset in PRESETS[:2] if more else PRESETS[1:2]:
            total.add(run_real(engine, fault, preset, seconds=60.0))
    return found
