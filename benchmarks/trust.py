"""Lost, invented or misplaced words: the shares that are detected and repaired.

    python benchmarks/trust.py            about eight minutes on two idle cores
    python benchmarks/trust.py --full     ten minutes a condition, about 1,000 windows with faults,
                                          3,000 words for each kind of talk
    python benchmarks/trust.py --docs     writes docs/trust.md as well
    python benchmarks/trust.py --words    only the part on single words
    python benchmarks/trust.py --tails    only its sounds without a word
    python benchmarks/trust.py --sounds   only the part on kinds of sound; each with --docs: puts
                                          the part in place of the one in docs/trust.md
    python benchmarks/trust.py --before FOLDER --keep ROWS   single words beside the version in
                                          FOLDER (its checkout), with --docs into docs/trust.md;
                                          the rows in ROWS are kept, so that a run can go on
    ... --first-seed 40                   single words by other talk and other sounds

The demo recognizer reads composed speech in which every word is known: clean, with noise, with
music, without pauses, with long pauses, and in two languages. In further runs, an engine between
our windows and the model drops, loops, invents or shifts text in a tenth of the windows
(`tests/fakes/faults.py`), in first and in later readings with the same probability. Other
libraries read the same audio with the same weights in the same run.

A window counts as *found* if it has a flag after its first reading. It counts as *mended* if its
final words have at most one error more against the reference than the undisturbed reading, and
the correct words are in place (median within 0.3 s).

The part on single words reads talk of six kinds by voices that the recognizer was not trained on,
sounds without a word behind talk, and talk in which an engine loses, doubles or squeezes one to
three words of a window (`benchmarks/support/word_cases.py`).

The part on kinds of sound compares the expected errors with the true ones, on twelve kinds by
voices that the recognizer was not trained on (`benchmarks/support/trust_sound_kinds.py`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.support.side_by_side import report_side, run_side_by_side, side_lines
from benchmarks.support.trust_cases import run_disturbed, run_holds, run_undisturbed
from benchmarks.support.trust_peers import FasterWhisper, Pipeline
from benchmarks.support.trust_reader import BATCH, CachingEngine, TrustReader
from benchmarks.support.trust_sound_kinds import report_sounds, run_sound_kinds, sound_lines
from benchmarks.support.trust_sounds import noisy_items, sounds, talk
from benchmarks.support.trust_table import document, report, with_part
from benchmarks.support.word_table import (
    TAILS,
    read_tails,
    report_tails,
    report_words,
    run_words,
    word_lines,
)
from gpu.manager import GPUManager
from kb.asr.engines import load_engine

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "trust.md"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="the published table")
    parser.add_argument("--docs", action="store_true", help="write docs/trust.md (--full does)")
    parser.add_argument("--words", action="store_true", help="only the part on single words")
    parser.add_argument("--sounds", action="store_true", help="only the part on kinds of sound")
    parser.add_argument("--before", type=Path, help="checkout of an earlier version")
    parser.add_argument("--keep", type=Path, help="folder for the rows beside that version")
    parser.add_argument("--tails", action="store_true", help="only sounds without a word")
    parser.add_argument("--first-seed", type=int, default=0, help="of talk and sounds")
    parser.add_argument("--kind", action="append", default=[], help="only this kind of talk")
    arguments = parser.parse_args()
    if arguments.before:
        if not arguments.keep:
            parser.error("--before needs --keep, a folder for the rows")
        beside = run_side_by_side(
            arguments.before.resolve(), arguments.keep, arguments.kind, arguments.first_seed
        )
        if arguments.docs:
            put_part(side_lines(beside))
        return 0 if report_side(beside) else 1
    seconds, seeds, timed = (600.0, 15, 4) if arguments.full else (90.0, 30, 1)
    began = time.perf_counter()
    manager = GPUManager("cpu", cpu_threads=1)
    manager.apply()
    engine = CachingEngine(load_engine("whisper", "demo", manager))
    reader = TrustReader(engine, manager)
    if arguments.tails:
        count = TAILS if arguments.full else TAILS // 6
        _, tails, inventions = read_tails(reader, count, arguments.first_seed)
        return 0 if report_tails(tails, inventions) else 1
    if arguments.words:
        words = run_words(reader, arguments.full, arguments.first_seed)
        if arguments.docs:
            put_part(word_lines(words))
        return 0 if report_words(words) else 1
    takes = 3 if arguments.full else 1
    if arguments.sounds:
        heard = run_sound_kinds(reader, takes)
        if arguments.docs:
            put_part(sound_lines(heard))
        return 0 if report_sounds(heard) else 1
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
    words = run_words(TrustReader(engine, manager), arguments.full)
    print(f"single words: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    met &= report_words(words)
    heard = run_sound_kinds(TrustReader(engine, manager), takes)
    print(f"kinds of sound: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    met &= report_sounds(heard)
    if arguments.full or arguments.docs:
        mode = "full" if arguments.full else "short"
        elapsed_s = time.perf_counter() - began
        parts = [*word_lines(words), *sound_lines(heard)]
        page = document(rows, faults, holds, peers, mode, elapsed_s, parts)
        DOCUMENT.write_text(page, encoding="utf-8")
    return 0 if met else 1


def put_part(lines: Iterable[str]) -> None:
    """Put one part into docs/trust.md."""
    page = with_part(DOCUMENT.read_text(encoding="utf-8"), lines)
    DOCUMENT.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
