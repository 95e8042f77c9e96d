"""Hostile and damaged inputs: how many end well, are refused, or end in a fault.

    python benchmarks/hostile.py                          about five minutes on two idle cores
    python benchmarks/hostile.py --full                   four times as many cases
    python benchmarks/hostile.py --area media --case 17   one case again, with what it did
    python benchmarks/hostile.py --seed 5                 other cases

The inputs of five areas (media, text files, listings, answers of remote services, requests to the
dashboard) are generated from a seed, which is printed: the same seed, area and number give the
same input. A case is *ok* or *refused* (an error with a sentence and a code), or it *failed*: a
traceback, a hang of more than 30 s, a leak (threads, open files, child processes or temporary
files that are left, and left again when the case is repeated), a secret in an error, or a silent
loss. An area must also keep its memory within 50 MB.

Half of the media are composed speech with known words. A word counts that ffmpeg still plays from
the damaged file; it must be in the transcript or in a gap that is reported.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.support.common import figure
from benchmarks.support.hostile_areas import AREAS
from benchmarks.support.hostile_run import FAILED, PASSED, REFUSED, Area, Outcome, Runner
from benchmarks.support.resources import release_memory, resident_mb

SEED = 14
MEMORY_MB = 50.0
LEAST = 60  # cases of each area
TOTAL = 1_000
REFUSED_SHARE = 40.0  # % of the media that ffmpeg plays


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="four times as many cases")
    parser.add_argument("--area", choices=sorted(AREAS), help="one area alone")
    parser.add_argument("--case", type=int, help="one case of --area")
    parser.add_argument("--cases", type=int, help="the number of cases of every area")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    names = [arguments.area] if arguments.area else list(AREAS)
    print(f"seed {arguments.seed}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="kb-hostile-") as name:
        folder = Path(name)
        isolate(folder)
        runner = Runner(folder / "cases", arguments.seed)
        if arguments.case is not None:
            return run_one(runner, names[0], arguments.case)
        met, total = True, 0
        figure("seed", arguments.seed, "")
        for each in names:
            with AREAS[each]() as area:
                count = arguments.cases or area.cases * (4 if arguments.full else 1)
                met &= run_area(runner, area, count)
                total += count
    if len(names) > 1:
        met &= figure("cases", total, "inputs", at_least=arguments.cases or TOTAL)
    return 0 if met else 1


def isolate(folder: Path) -> None:
    """Use folders of this run alone, and none of this machine's settings."""
    from kb.settings import Settings

    for name in ("cases", "tmp", "home", "project"):
        (folder / name).mkdir()
    for field in Settings.model_fields.values():
        os.environ.pop(str(field.alias), None)
    temporary = str(folder / "tmp")
    os.environ |= dict.fromkeys(("TMPDIR", "TMP", "TEMP", "XDG_STATE_HOME"), temporary)
    os.environ |= {"KB_HOME": str(folder / "home"), "KB_ENV_FILE": os.devnull}
    os.environ |= {"KB_CPU_THREADS": "1", "KB_MODEL": "demo", "KB_SINKS": "local"}
    tempfile.tempdir = temporary


def run_one(runner: Runner, name: str, number: int) -> int:
    """Run one case and print what it did."""
    with AREAS[name]() as area:
        outcome = runner.run(area, number)
    print(f"{name} {number}: {outcome.what}\n{outcome.result} {outcome.detail} {outcome.facts}")
    return 1 if outcome.result == FAILED else 0


def run_area(runner: Runner, area: Area, count: int) -> bool:
    """Run the cases of an area and print their figures; return True if the targets are met."""
    for number in range(min(area.warm_up, count)):
        runner.run(area, -1 - number)
    release_memory()
    before_mb = resident_mb("VmRSS")
    outcomes = []
    for number in range(count):
        outcome = runner.run(area, number)
        outcomes.append(outcome)
        if outcome.result == FAILED:
            print(f"{area.name} {number}: {outcome.what}: {outcome.detail}", file=sys.stderr)
    release_memory()
    grown_mb = max(0.0, resident_mb("VmRSS") - before_mb)
    return report(area.name, outcomes, grown_mb)


def report(name: str, outcomes: Sequence[Outcome], grown_mb: float) -> bool:
    """Print the figures of an area; return True if they meet their targets."""
    counts = Counter(outcome.result for outcome in outcomes)
    facts: Counter[str] = Counter()
    for outcome in outcomes:
        facts.update(outcome.facts)  # type: ignore[arg-type]
    met = figure(f"{name}, inputs", len(outcomes), "inputs", at_least=min(LEAST, len(outcomes)))
    figure(f"{name}, ok", counts[PASSED], "inputs")
    figure(f"{name}, refused with a clear error", counts[REFUSED], "inputs")
    figure(f"{name}, ok", 100 * counts[PASSED] / max(1, len(outcomes)), "%")
    met &= figure(f"{name}, failed", counts[FAILED], "inputs", at_most=0)
    met &= figure(f"{name}, memory grown", grown_mb, "MB", at_most=MEMORY_MB)
    figure(f"{name}, slowest", max((each.seconds for each in outcomes), default=0.0), "s")
    if "played" in facts:
        share = 100 * facts["refused though played"] / max(1, facts["played"])
        figure(f"{name}, played by ffmpeg", facts["played"], "inputs")
        met &= figure(f"{name}, refused of those played", share, "%", at_most=REFUSED_SHARE)
    if "words" in facts:
        figure(f"{name}, words gone from the bytes", facts["gone"], "words")
        figure(f"{name}, of these with no remark", facts["gone silently"], "words")
        figure(f"{name}, words that ffmpeg plays", facts["words"], "words")
        figure(f"{name}, words found", facts["found"], "words")
        figure(f"{name}, words read as others", facts["misread"], "words")
        figure(f"{name}, words in reported gaps", facts["reported"], "words")
        met &= figure(f"{name}, words lost silently", facts["lost"], "words", at_most=0)
    return met


if __name__ == "__main__":
    sys.exit(main())
