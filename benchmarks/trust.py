"""Lost, invented or misplaced words: the shares that are detected and repaired.

    python benchmarks/trust.py            about four minutes on two idle cores
    python benchmarks/trust.py --full     ten minutes a condition, about 1,000 windows with faults
    python benchmarks/trust.py --docs     writes docs/trust.md as well

The demo recognizer reads composed speech in which every word is known: clean, with noise, with
music, without pauses, with long pauses, and in two languages. In further runs, an engine between
our windows and the model drops, loops, invents or shifts text in a tenth of the windows
(`tests/fakes/faults.py`), in first and in later readings with the same probability. Other
libraries read the same audio with the same weights in the same run.

A window counts as *found* if it has a flag after its first reading. It counts as *mended* if its
final words have at most one error more against the reference than the undisturbed reading, and
the correct words are in place (median within 0.3 s).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.support.trust_cases import run_disturbed, run_holds, run_undisturbed
from benchmarks.support.trust_peers import FasterWhisper, Pipeline
from benchmarks.support.trust_reader import BATCH, CachingEngine, TrustReader
from benchmarks.support.trust_sounds import noisy_items, sounds, talk
from benchmarks.support.trust_table import document, report
from gpu.manager import GPUManager
from kb.asr.engines import load_engine

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "trust.md"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="the published table")
    parser.add_argument("--docs", action="store_true", help="write docs/trust.md (--full does)")
    arguments = parser.parse_args()
    seconds, seeds, timed = (600.0, 15, 4) if arguments.full else (90.0, 30, 1)
    began = time.perf_counter()
    manager = GPUManager("cpu", cpu_threads=1)
    manager.apply()
    engine = CachingEngine(load_engine("whisper", "demo", manager))
    reader = TrustReader(engine, manager)
    with tempfile.TemporaryDirectory() as name:
        peers = [Pipeline(BATCH), FasterWhisper(BATCH, Path(name) / "model")]
        rows = []
        for condition, said in sounds(seconds).items():
            rows.append(run_undisturbed(condition, said, reader, peers))
            print(f"{condition}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    rng = np.random.default_rng(11)
    said = [talk(seconds * 1.5, rng) for _ in range(2)]
    faults = run_disturbed(said, reader, range(seeds), timed)
    print(f"faults: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    rng = np.random.default_rng(12)
    clean = [talk(120.0, rng) for _ in range(4 if arguments.full else 1)]
    holds = run_holds(clean, noisy_items(90.0), reader)
    met = report(rows, faults, holds, peers)
    if arguments.full or arguments.docs:
        mode = "full" if arguments.full else "short"
        elapsed_s = time.perf_counter() - began
        DOCUMENT.write_text(document(rows, faults, holds, peers, mode, elapsed_s), encoding="utf-8")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
