"""The time left of a run, as the dashboard shows it, against the time that the run really took.

    python benchmarks/time_left.py [--kind NAME]

Four runs of a real worker process with the bundled recognizer:

- *talks*: 40 local talks of three to five minutes, on a machine of which nothing is known;
- *lengths*: seven recordings of 1 to 40 minutes, in the same library, whose speed is known now;
- *channel*: 16 talks of a channel on loopback, with a pause between two downloads, in a library
  that has read one talk before;
- *samples*: the three short samples of the project, on a machine of which nothing is known.

The worker is there before the request, as beside a dashboard, and loads the recognizer for its
first item. A run begins when it is asked for and ends with its last item. Once a second, as often
as the page, its time left is read as the page reads it. At the end each figure is compared with the
time that was really left at its moment. Where the page shows no time left yet, there is no figure;
how long that was is a figure of its own. The samples are over before much can be known of them, so
that their figures have no targets.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.support.common import figure
from kb.options import RunOptions
from kb.service.views import Run
from tests.support.channel import Site
from tests.support.compose import WordBank, compose, random_plan, write_wav
from tests.support.workers import Lab

ROOT = Path(__file__).resolve().parent.parent

EVERY_S = 1.0  # the page looks as often while a run goes on
POLL_S = 0.1  # the end of a run is known so closely
LONGEST_S = 600.0  # a run that takes longer is an error
WORD_S = 0.65  # a word with its share of the pauses
TALKS, TALK_S = 40, (180.0, 300.0)
LENGTHS_MIN = (5.0, 40.0, 1.0, 20.0, 2.0, 12.0, 30.0)
VIDEOS, VIDEO_S, PAUSE_S = 16, 60, (4.0, 6.0)
KINDS = ("talks", "lengths", "channel", "samples")
FACTOR, DEVIATION, WITHOUT, INSIDE = 2.0, 20.0, 10.0, 80.0  # targets; all but the first in %


@dataclass(frozen=True, slots=True)
class Look:
    """What the page said after `at_s` seconds of a run; no `expected_s`: it showed no time left."""

    at_s: float
    expected_s: float | None
    low_s: float = 0.0
    high_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Watched:
    """A run from its request to its last item, in seconds, and what was said meanwhile."""

    took_s: float
    looks: Sequence[Look]

    @property
    def shown(self) -> list[Look]:
        """The looks that had a figure."""
        return [each for each in self.looks if each.expected_s]

    def factor(self, look: Look) -> float:
        """Return by what factor a figure missed the truth, at least 1."""
        left_s, said_s = self.took_s - look.at_s, look.expected_s or 0.0
        return max(said_s / left_s, left_s / said_s)

    def deviation(self, look: Look) -> float:
        """Return by how many per cent of the truth a figure missed it."""
        left_s = self.took_s - look.at_s
        return 100.0 * abs((look.expected_s or 0.0) - left_s) / left_s

    def between(self, begin: float, end: float) -> list[Look]:
        """Return the looks with a figure between two shares of the run."""
        low_s, high_s = begin * self.took_s, end * self.took_s
        return [each for each in self.shown if low_s <= each.at_s <= high_s]


def main() -> int:
    """Run all kinds, or the chosen ones; return 1 on a missed target."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this one")
    kinds = parser.parse_args().kind or KINDS
    figure("load average before", psutil.getloadavg()[0], f"on {psutil.cpu_count()} cores")
    met: list[bool] = []
    with tempfile.TemporaryDirectory(prefix="kb-time-left-") as name:
        folder = Path(name)
        if "talks" in kinds or "lengths" in kinds:
            met += local(folder / "local", kinds)
        if "channel" in kinds:
            met += channel(folder / "channel")
        if "samples" in kinds:
            samples(folder / "samples")
    figure("load average after", psutil.getloadavg()[0], f"on {psutil.cpu_count()} cores")
    return 0 if all(met) else 1


def local(folder: Path, kinds: Sequence[str]) -> list[bool]:
    """Watch the many talks and then, in the same library, the few of very different length."""
    rng = np.random.default_rng(21)
    met = []
    with Lab(folder) as lab:
        lab.start()
        lengths = rng.uniform(*TALK_S, TALKS)
        talks = written(folder / "talks", lengths if "talks" in kinds else lengths[:8], rng)
        watched = watch(lab, lambda: lab.ingest(talks))
        if "talks" in kinds:
            met += report("talks", watched)
        if "lengths" in kinds:
            few = written(folder / "few", [60.0 * each for each in LENGTHS_MIN], rng)
            met += report("lengths", watch(lab, lambda: lab.ingest(few)))
    return met


def channel(folder: Path) -> list[bool]:
    """Watch the talks of a channel, whose downloads take longer than all else."""
    folder.mkdir()
    low, high = (str(each) for each in PAUSE_S)
    words = round(VIDEO_S / WORD_S)
    with (
        Site(folder, VIDEOS, seconds=VIDEO_S, words=words, spare=0) as site,
        site.lab(folder, KB_DOWNLOAD_PAUSE_S=low, KB_DOWNLOAD_PAUSE_MAX_S=high) as lab,
    ):
        lab.start()
        before = written(folder / "before", [2 * VIDEO_S], np.random.default_rng(22))
        lab.wait_finished(lab.ingest(before))
        watched = watch(lab, lambda: lab.service.ingest.run(["@talks"], RunOptions()))
        return report("channel", watched)


def samples(folder: Path) -> None:
    """Watch the three samples; the figures are for information."""
    with Lab(folder) as lab:
        lab.start()
        paths = sorted((ROOT / "samples").glob("*.mp4"))
        report("samples", watch(lab, lambda: lab.ingest(paths)), targets=False)


def written(
    folder: Path, lengths_s: Sequence[float] | np.ndarray, rng: np.random.Generator
) -> list[Path]:
    """Write a talk of about each length."""
    folder.mkdir(parents=True)
    bank = WordBank.load()
    paths = []
    for number, length_s in enumerate(lengths_s):
        plan = random_plan(bank, max(1, round(length_s / WORD_S)), rng)
        paths.append(write_wav(folder / f"talk {number:02}.wav", compose(bank, plan, rng=rng)))
    return paths


def look(lab: Lab) -> Run:
    """Return the newest run as the page reads it."""
    return lab.service.queue.list_runs()[0]


def watch(lab: Lab, ask: Callable[[], object]) -> Watched:
    """Ask for a run, and read its time left until its end."""
    began = time.monotonic()
    ask()
    looks: list[Look] = []
    next_s = time.monotonic() - began
    while True:
        run, at_s = look(lab), time.monotonic() - began
        if run.ended:
            break
        if at_s >= next_s:
            left = run.left
            looks.append(
                Look(at_s, left.expected_s, left.low_s, left.high_s) if left else Look(at_s, None)
            )
            next_s += EVERY_S
        if at_s > LONGEST_S:
            raise RuntimeError(f"The run has not ended after {at_s:.0f} s: {run.counts}")
        time.sleep(POLL_S)
    if run.counts["done"] != run.total:
        raise RuntimeError(f"Not all of the run is done: {run.counts}")
    return Watched(at_s, looks)


def report(kind: str, watched: Watched, *, targets: bool = True) -> list[bool]:
    """Print the figures of a run; return which targets are met."""

    def said(name: str, value: float, unit: str, **target: float) -> bool:
        return figure(f"time left, {kind}: {name}", value, unit, **(target if targets else {}))

    shown = watched.shown
    first_s = shown[0].at_s if shown else watched.took_s
    said("the run took", watched.took_s, "s")
    met = [
        said("without a figure at first", 100 * first_s / watched.took_s, "% of the run",
             at_most=WITHOUT)
    ]  # fmt: skip
    if early := watched.between(0.1, 0.5):
        worst = max(map(watched.factor, early))
        met.append(said("factor at a tenth", watched.factor(early[0]), "", at_most=FACTOR))
        met.append(said("worst factor from a tenth to half", worst, "", at_most=FACTOR))
    if late := watched.between(0.5, 0.9):
        worst = max(map(watched.deviation, late))
        met.append(said("deviation at half", watched.deviation(late[0]), "%", at_most=DEVIATION))
        said("worst deviation from half to nine tenths", worst, "%")
    if shown:
        inside = [each.low_s <= watched.took_s - each.at_s <= each.high_s for each in shown]
        share = 100 * sum(inside) / len(inside)
        met.append(said("range contains the truth", share, "% of the looks", at_least=INSIDE))
    return met


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
