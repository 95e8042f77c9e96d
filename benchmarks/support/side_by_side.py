"""Single words before and after: an earlier version of the product beside this one.

Both read the same files in turn, so that their times can be compared on a busy machine as well.
The files are three for each kind of talk, of 1,000 words (10 to 20 minutes) each. The rows are kept
in a folder, one file for each kind: a run that was stopped continues at the next kind.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.support.checkouts import HERE, Checkout, Versions
from benchmarks.support.common import figure
from benchmarks.support.word_cases import WordCounts
from benchmarks.support.word_table import (
    MOST_INVENTED,
    MOST_SILENT,
    MOST_SILENT_REPEATS,
    REPEATS,
)
from benchmarks.support.word_talks import KINDS, talk_items
from tests.support.compose import Composition

ITEMS = 3
WORDS = 1000  # of one item
MOST_COST = 1.05  # times the time of before, over all kinds but the worst one
MOST_COST_WORST = 1.10


@dataclass
class SideRow:
    """One kind of talk, read by both versions; `*_cpu_s`: CPU seconds from file to transcript."""

    kind: str
    commits: tuple[str, str]
    first_seed: int = 0
    before: WordCounts = field(default_factory=WordCounts)
    now: WordCounts = field(default_factory=WordCounts)
    before_cpu_s: float = 0.0
    now_cpu_s: float = 0.0

    @property
    def cost(self) -> float:
        """The time of this version, in times of the earlier one."""
        return self.now_cpu_s / max(self.before_cpu_s, 1e-9)

    @property
    def most_silent(self) -> float:
        """The target for lost and not reported words, in per cent."""
        return MOST_SILENT_REPEATS if self.kind == REPEATS else MOST_SILENT


def long_item(kind: str, seed: int) -> Composition:
    """Return one item of about `WORDS` words of a kind."""
    rng = np.random.default_rng([seed, 5, list(KINDS).index(kind)])
    return next(KINDS[kind](WORDS, rng, WORDS))


def run_side_by_side(
    earlier: Path, folder: Path, kinds: Sequence[str] = (), first_seed: int = 0
) -> list[SideRow]:
    """Read the kinds that `folder` has no row of; return the rows of all kinds that it has."""
    folder.mkdir(parents=True, exist_ok=True)
    left = [kind for kind in kinds or KINDS if not _file(folder, kind).exists()]
    if left:
        commits = (_commit(earlier), _commit(HERE))
        with (
            Checkout(earlier) as before,
            Checkout(HERE) as now,
            tempfile.TemporaryDirectory() as name,
        ):
            versions = Versions(before, now, Path(name))
            versions.read(next(talk_items("with pauses", 60, 99)))  # both are warm
            for kind in left:
                row = _run_kind(SideRow(kind, commits, first_seed), versions)
                _file(folder, kind).write_text(json.dumps(asdict(row)), encoding="utf-8")
    found = []
    for kind in KINDS:
        if _file(folder, kind).exists():
            fields = json.loads(_file(folder, kind).read_text(encoding="utf-8"))
            for name in ("before", "now"):
                fields[name] = WordCounts(**fields[name])
            found.append(SideRow(**fields))
    return found


def _run_kind(row: SideRow, versions: Versions) -> SideRow:
    kind = row.kind
    for seed in range(row.first_seed, row.first_seed + ITEMS):
        said = long_item(kind, seed)
        before, now = versions.read(said)
        row.before.add(said, before.transcript, f"{kind}, seed {seed}, before")
        row.now.add(said, now.transcript, f"{kind}, seed {seed}")
        row.before_cpu_s += before.cpu_s
        row.now_cpu_s += now.cpu_s
        print(f"{kind}, {said.seconds:.0f} s: {before.cpu_s:.2f} and {now.cpu_s:.2f} s of CPU",
              file=sys.stderr)  # fmt: skip
    return row


def _file(folder: Path, kind: str) -> Path:
    return folder / f"{kind.replace(' ', '-')}.json"


def _commit(folder: Path) -> str:
    command = ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def report_side(rows: Sequence[SideRow]) -> bool:
    """Print the figures as JSON lines; return True if the targets are met."""
    met = True
    for row in rows:
        now = row.now
        met &= figure(f"words lost and not reported, {row.kind}", now.share(now.silent), "%",
                      at_most=row.most_silent)  # fmt: skip
        met &= figure(f"words invented, {row.kind}", now.share(now.invented), "%",
                      at_most=MOST_INVENTED)  # fmt: skip
        met &= figure(f"words of at most 60 ms, {row.kind}", now.short, "words", at_most=0)
        met &= figure(f"time, {row.kind}", row.cost, "times that of before",
                      at_most=MOST_COST_WORST)  # fmt: skip
    ratio = _cost(rows)
    return met & figure("time, all kinds", ratio, "times that of before", at_most=MOST_COST)


def _cost(rows: Sequence[SideRow]) -> float:
    return sum(row.now_cpu_s for row in rows) / max(1e-9, sum(row.before_cpu_s for row in rows))


def side_lines(rows: Sequence[SideRow]) -> Iterator[str]:
    """Yield the lines of this part of `docs/trust.md`."""
    seeds = ", ".join(sorted({f"{row.first_seed} to {row.first_seed + ITEMS - 1}" for row in rows}))
    pairs = list(dict.fromkeys(f"`{row.commits[0]}` and `{row.commits[1]}`" for row in rows))
    yield from (
        "## Word by word, before and after",
        "",
        "The version before single words were looked at beside a later one, the same files in turn",
        f"in one run ({', '.join(pairs)}), by the whole way from the file to the transcript.",
        f"{ITEMS} files of {WORDS:,} words for each kind, by voices that the recognizer was not",
        f"trained on; seeds {seeds} of `benchmarks/support/word_talks.py`. Counts of words;",
        "*not reported*: lost, and no gap or doubt at the place;",
        "*invented*: where no word was spoken, and doubled ones; *short*: four letters or more in",
        "at most 60 ms. *Time*: CPU seconds, in times of those before.",
        "",
        "| | words | lost before | not reported | lost | not reported | invented before "
        "| invented | short before | short | time |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    )
    for row in rows:
        one, other = row.before, row.now
        yield (
            f"| {row.kind} | {other.spoken:,} | {one.lost} | {one.silent} | {other.lost} "
            f"| {other.silent} ({other.share(other.silent):.2f} %) | {one.invented} "
            f"| {other.invented} ({other.share(other.invented):.2f} %) | {one.short} "
            f"| {other.short} | {row.cost:.2f} |"
        )
    yield from (
        "",
        f"Time over all these kinds: {_cost(rows):.2f} times that of before.",
        "",
        f"Targets: not reported at most {MOST_SILENT} % ({REPEATS}: {MOST_SILENT_REPEATS} %), "
        f"invented at most {MOST_INVENTED} %, short none, time at most {MOST_COST_WORST:.2f} for "
        f"each kind and {MOST_COST:.2f} over all. Not met: {'; '.join(_misses(rows)) or 'none'}.",
        "",
    )
    yield from (
        "Why, by a profile of single files: the detection of speech takes 0.3 s of CPU instead of",
        "1.0 s in ten minutes of talk. Second readings take part of that back (4 windows beside 23",
        "first ones with pauses, 6 beside 36 in noise, 12 to 33 beside 25 to 35 where words are",
        "repeated; with `KB_REPAIR_SHARE=1` in the last two), and so does the sound of words at",
        "the edges of stretches, whose voicing and detection alone are measured (a tenth of the",
        "time in bursts). How many places are read again depends on the voice. The run shared its",
        "machine with others; the two versions took turns, file by file.",
        "",
    )


def _misses(rows: Sequence[SideRow]) -> Iterator[str]:
    for row in rows:
        now = row.now
        found = []
        if now.share(now.silent) > row.most_silent:
            found.append(f"not reported {now.share(now.silent):.2f} %")
        if now.share(now.invented) > MOST_INVENTED:
            found.append(f"invented {now.share(now.invented):.2f} %")
        if now.short:
            found.append(f"short {now.short}")
        if row.cost > MOST_COST_WORST:
            found.append(f"time {row.cost:.2f}")
        if found:
            yield f"{row.kind} ({', '.join(found)})"
