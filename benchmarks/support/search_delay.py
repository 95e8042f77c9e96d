"""The time until the words of many items are searchable, with steps after the words and without."""

from __future__ import annotations

import math
import shutil
import time
from pathlib import Path

from tests.support.voices import VOICES
from tests.support.workers import Lab, write_talks

# Of some minutes each: what an item costs whatever its length hides in no talk of 20 s.
TALKS, WORDS, ROUNDS = 4, 400, 3


def seconds(folder: Path) -> dict[str, float]:
    """Return the seconds until all words are searchable, by the steps: `none` and `auto`.

    Both are measured in turn, so that a load of the machine meets both. The least time of each
    counts: what else the machine does can only add to it, and the same round took 15 to 20 s.
    """
    paths = write_talks(folder / "in", TALKS, words=WORDS)
    least = {"none": math.inf, "auto": math.inf}
    for number in range(ROUNDS):
        order = list(least) if number % 2 == 0 else list(least)[::-1]
        for steps in order:
            home = folder / f"{steps}-{number}"
            with Lab(home, KB_STEPS=steps) as lab:
                lab.start()
                # The recognizer and the process of the steps are loaded before.
                first = Path(shutil.copy(VOICES / "flite2.opus", home / "first.opus"))
                ids = lab.ingest([first])
                lab.wait_finished(ids)
                lab.wait(lambda lab=lab: not lab.jobs.steps.has_work(0.0), "the steps of the first")
                start = time.monotonic()
                lab.wait_finished(lab.ingest(paths))
                least[steps] = min(least[steps], time.monotonic() - start)
    return least
