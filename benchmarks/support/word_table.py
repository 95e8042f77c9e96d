"""The word by word part of `trust.py`: figures against their targets, and a part of the page."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.support.common import figure
from benchmarks.support.trust_reader import TrustReader
from benchmarks.support.word_cases import (
    TailRow,
    TalkRow,
    WordCounts,
    kinds_of,
    run_faults,
    run_inventions,
    run_tails,
    run_talk,
)
from benchmarks.support.word_talks import KINDS
from tests.support.tails import TailItem, tail_items
from tests.support.word_fault_cases import Outcome

MOST_SILENT = 0.08  # % of the words that may be lost without a report
MOST_SILENT_REPEATS = 0.5  # the same, where words are said several times in a row
MOST_INVENTED = 0.05  # % of the words
MOST_IN = 3  # of 300 sentences that an engine invents
TAILS = 300
EXAMPLES = 12
REPEATS = "repeats"


@dataclass(frozen=True)
class WordReport:
    """All rows of the word by word part; `kinds`: the sounds without a word by number."""

    talks: Sequence[TalkRow]
    tails: TailRow
    inventions: Sequence[TailRow]
    faults: Mapping[str, Outcome]
    kinds: str
    full: bool


def run_words(reader: TrustReader, full: bool, first_seed: int = 0) -> WordReport:
    """Read everything: about two minutes on two idle cores, with `full` about twenty."""
    words, seeds = (1000, range(1, 4)) if full else (200, range(1, 2))
    seeds = range(seeds.start + first_seed, seeds.stop + first_seed)
    talks = [run_talk(kind, words, seeds, reader) for kind in KINDS]
    items, tails, inventions = read_tails(reader, TAILS if full else TAILS // 6, first_seed)
    return WordReport(
        talks,
        tails,
        inventions,
        run_faults(reader.engine, 3 if full else 1, full),
        kinds_of(tail for item in items for tail in item.tails),
        full,
    )


def report_words(found: WordReport) -> bool:
    """Print the figures as JSON lines; return True if the targets are met.

    The shares have a target for each kind of talk in the full run; the short run reads too few
    words for that, and has targets for all kinds together.
    """
    met = True
    for row in found.talks:
        most = MOST_SILENT_REPEATS if row.kind == REPEATS else MOST_SILENT
        name, after, before = row.kind, row.after, row.before
        figure(f"words lost and not reported before, {name}", before.share(before.silent), "%")
        met &= figure(
            f"words lost and not reported, {name}", after.share(after.silent), "%",
            at_most=most if found.full else None,
        )  # fmt: skip
        figure(f"words invented before, {name}", before.share(before.invented), "%")
        met &= figure(
            f"words invented, {name}", after.share(after.invented), "%",
            at_most=MOST_INVENTED if found.full else None,
        )  # fmt: skip
        met &= figure(f"words of at most 60 ms, {name}", after.short, "words", at_most=0)
        figure(f"cost of later readings, {name}", row.cost, "% of the first reading")
        figure(f"windows decoded again before, {name}", row.windows_before, "% of the windows")
        figure(f"windows decoded again, {name}", row.windows, "% of the windows")
        show(row.after.examples)
    plain = [row.after for row in found.talks if row.kind != REPEATS]
    spoken = sum(counts.spoken for counts in plain)
    silent = 100 * sum(counts.silent for counts in plain) / max(1, spoken)
    met &= figure("words lost and not reported, ordinary talk", silent, "%", at_most=MOST_SILENT)
    met &= report_tails(found.tails, found.inventions)
    for name, outcome in found.faults.items():
        share = 100 * (outcome.mended + outcome.reported) / max(1, outcome.injected)
        met &= figure(f"faults of single words mended or reported, {name}", share, "%",
                      at_least=100.0)  # fmt: skip
        show(outcome.missed)
    return met


def read_tails(
    reader: TrustReader, count: int, seed: int
) -> tuple[list[TailItem], TailRow, list[TailRow]]:
    """Read sounds without a word; return them, and the rows of both recognizers."""
    items = tail_items(count, seed)
    return items, run_tails(items, reader), run_inventions(items, reader)


def report_tails(tails: TailRow, inventions: Sequence[TailRow]) -> bool:
    """Print the figures of sounds without a word; return True if the targets are met."""
    met = figure("sounds without a word that got words", tails.with_words, f"of {tails.tails}",
                 at_most=0)  # fmt: skip
    met &= figure("sounds without a word that got words, not reported", tails.silent,
                  f"of {tails.tails}", at_most=0)  # fmt: skip
    show(tails.examples)
    for row in inventions:
        most = MOST_IN * row.tails / TAILS
        met &= figure(f"{row.name}: got in", row.with_words, f"of {row.tails}", at_most=most)
        met &= figure(f"{row.name}: got in, not reported", row.silent, "sentences", at_most=0)
        show(row.examples)
    return met


def show(examples: Sequence[str]) -> None:
    """Print the first examples of failures for people."""
    for example in examples[:EXAMPLES]:
        print(example, file=sys.stderr)


def word_lines(found: WordReport) -> Iterator[str]:
    """Yield the lines of this part of `docs/trust.md`."""
    yield from (
        "## Word by word",
        "",
        "Talk of six kinds by voices that the recognizer was not trained on. *Not reported* are",
        "lost words with no gap and no doubt at their place; *invented* are words where no word",
        "was spoken, and doubled ones; *short* are words of four letters or more in at most 60 ms.",
        "`before` is the same reading with the limits of earlier versions. Shares in per cent of",
        "the words said. *Again* are the windows that were decoded again, in per cent of all.",
        "",
        "| | words | lost before | not reported before | lost | not reported | invented before "
        "| invented | short before | short | again before | again |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    )
    for row in found.talks:
        one, other = row.before, row.after
        cells = [
            f"{other.spoken}",
            *(_share(one, count) for count in (one.lost, one.silent)),
            *(_share(other, count) for count in (other.lost, other.silent)),
            _share(one, one.invented),
            _share(other, other.invented),
            f"{one.short}",
            f"{other.short}",
            f"{row.windows_before:.1f}",
            f"{row.windows:.1f}",
        ]
        yield f"| {row.kind} | " + " | ".join(cells) + " |"
    yield from (
        "",
        f"Sounds without a word behind talk, all marked as speech by detection ({found.kinds}):",
        "",
        "| answered by | sounds | with words in the transcript | of them not reported "
        "| spoken words lost |",
        "|---|---|---|---|---|",
    )
    for tail in (found.tails, *found.inventions):
        yield f"| {tail.name} | {tail.tails} | {tail.with_words} | {tail.silent} | {tail.lost} |"
    yield from (
        "",
        "Single words lost, doubled or squeezed in first readings (`tests/fakes/word_faults.py`),",
        "in windows of 20 to 60 s, English, German, and characters without spaces:",
        "",
        "| engine | faults | mended | reported | neither |",
        "|---|---|---|---|---|",
    )
    for name, outcome in found.faults.items():
        yield (
            f"| {name} | {outcome.injected} | {outcome.mended} | {outcome.reported} "
            f"| {len(outcome.missed)} |"
        )
    yield ""


def _share(counts: WordCounts, count: int) -> str:
    return f"{counts.share(count):.2f}"
