#!/usr/bin/env python3
"""Train the demo recognizer from nothing but synthetic speech (Debian's ``espeak-ng``).

    python tools/train_demo_recognizer.py --work /some/scratch/folder

runs the whole recipe (about 100 minutes on two cores with AMX, 6 GB of scratch space) and writes
the model to ``models/demo-whisper`` and the word bank of the tests to ``tests/data``. A run that
was cut off goes on where it stopped when it is called again with the same ``--work``. Single
steps: ``--stage words``, ``windows``, ``train``, ``export``, ``wordbank`` or ``evaluate``.

``--start-from FOLDER`` trains a finished recognizer further instead of fresh weights (then only
the last stage is needed: ``--only windows``).

Needs espeak-ng, and the Python packages torch, transformers, scipy and soundfile.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

# Sleeping, not spinning, OpenMP threads: with another busy process on the machine, spinning ones
# make every step several times slower. Must be set before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from demo_recognizer.batches import Windows
from demo_recognizer.evaluate import evaluate
from demo_recognizer.export import export
from demo_recognizer.mels import make_windows
from demo_recognizer.model_init import make_model, take_up
from demo_recognizer.speech import Recordings, synthesise
from demo_recognizer.tokens import build_tokenizer, token_ids
from demo_recognizer.train import STAGES, Trainer
from demo_recognizer.windows import WIDE_TEMPO
from demo_recognizer.wordbank import write_wordbank
from demo_recognizer.words import load_vocabulary, make_speakers

ROOT = Path(__file__).resolve().parent.parent
STEPS = ("words", "windows", "train", "export", "wordbank", "evaluate")
TRAINING_WINDOWS, WIDE_WINDOWS, TEST_WINDOWS = 6000, 4000, 240


def log(line: str) -> None:
    """Print a line with the time of day."""
    print(time.strftime("%H:%M:%S"), line, flush=True)


def ffmpeg_program() -> str | None:
    """The ffmpeg that worn audio goes through, or None: then no window is AAC-coded."""
    try:
        import imageio_ffmpeg
    except ImportError:
        return shutil.which("ffmpeg")
    return imageio_ffmpeg.get_ffmpeg_exe()


def once(work: Path, name: str) -> bool:
    """True when step ``name`` has not been finished in ``work`` before."""
    return not (work / f"{name}.done").exists()


def finish(work: Path, name: str) -> None:
    """Remember that step ``name`` is finished."""
    (work / f"{name}.done").touch()


def run(step: str, args: argparse.Namespace) -> None:
    """Do one step of the recipe."""
    work, out, data = args.steps_class, args.out, args.data
    words = load_vocabulary(out / "vocabulary.txt")
    if step == "words" and once(work, step):
        log("every speaker says every word")
        synthesise(make_speakers(), words, work)
        finish(work, step)
    if step == "windows" and once(work, step):
        log(f"composing {TRAINING_WINDOWS + WIDE_WINDOWS} windows")
        make_windows(work, "known", TRAINING_WINDOWS, True, ffmpeg_program())
        make_windows(work, "wide", WIDE_WINDOWS, True, ffmpeg_program(), WIDE_TEMPO, seed=8)
        make_windows(work, "held_out", TEST_WINDOWS, False, ffmpeg_program())
        finish(work, step)
    if step in ("train", "export"):
        tokenizer = build_tokenizer(words)
        ids = token_ids(tokenizer, words)
        torch.manual_seed(0)
        trainer = Trainer(make_model(ids), ids, work)
        if not trainer.load() and args.start_from:
            take_up(trainer.model, args.start_from)
        if step == "train":
            known, held_out = Windows(work, "known", "wide"), Windows(work, "held_out")
            for stage in [s for s in STAGES if args.only in ("", s.name)]:
                trainer.run(stage, known, held_out, log)
        else:
            trainer.use_average()
            export(trainer.model, tokenizer, ids, out)
            log(f"saved to {out}")
    if step == "wordbank":
        log(f"word bank: {write_wordbank(Recordings(work), data)} bytes in {data}")
    if step == "evaluate":
        log("evaluating")
        print(evaluate(out, Recordings(work)))


def main() -> None:
    """Parse the command line and run the steps asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--stage", choices=("all", *STEPS), default="all")
    parser.add_argument("--work", type=Path, required=True, help="scratch folder (about 6 GB)")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "models/demo-whisper", help="holds vocabulary.txt"
    )
    parser.add_argument("--data", type=Path, default=ROOT / "tests/data", help="for the word bank")
    parser.add_argument("--start-from", type=Path, help="a finished recognizer to train further")
    parser.add_argument("--only", default="", help="this stage of the training alone")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    args.steps_class.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    for step in STEPS if args.stage == "all" else (args.stage,):
        run(step, args)


if __name__ == "__main__":
    main()
