"""Fetches of a model through a hub with random faults: what was accepted, fetched and left over.

    python benchmarks/models.py          a few fetches of each kind, some minutes
    python benchmarks/models.py --full   200 fetches

Each fetch is a process of its own (`kb models pull`) that gets one fault: a cut or silent
connection, flipped bytes, 5xx, a kill, Ctrl-C, a full disk, or none; processes are started until
the model is complete. Printed are the wrong models that were accepted (none may be), the fetches
that did not end, the bytes sent over the size of the model, and what a start costs more with the
check of a complete model.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kb.settings import PROJECT_ROOT
from tests.fakes.hub import SIGN_IN_PAGE, FakeHub, Fault
from tests.support.hub_cache import demo_files

NAME = "some/recognizer"
WEIGHTS = "model.safetensors"
KINDS = ("none", "cut", "stall", "flip", "5xx", "page", "kill", "interrupt", "disk")
MOST_STARTS = 8
FULL = 200
LONGEST_S = 300.0  # of a process; a stalled connection takes a minute
ROOM_KB = 100_000  # of a file, for the fault `disk`


def weights_of(megabytes: int) -> bytes:
    """Return weights in safetensors whose values are random."""
    count = megabytes * 1_000_000 // 4
    header = json.dumps(
        {"layer": {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}}
    )
    text = header.encode()
    return len(text).to_bytes(8, "little") + text + random.Random(1).randbytes(4 * count)


def pull(folder: Path, hub: FakeHub, *, limit_kb: int = 0) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url, "HF_HOME": str(folder), "HF_HUB_OFFLINE": "0", "HF_TOKEN": "",
        "XDG_STATE_HOME": str(folder / "state"), "KB_HOME": str(folder / "home"),
        "KB_DEVICE": "cpu", "PYTHONPATH": str(PROJECT_ROOT),
    }  # fmt: skip
    command = [sys.executable, "-m", "kb.cli", "models", "pull", NAME]
    if limit_kb:  # a disk that is full: writes beyond this size fail
        command = ["bash", "-c", f"ulimit -f {limit_kb}; trap '' XFSZ; exec \"$@\"", "-", *command]
    return subprocess.Popen(
        command, env=environment, cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def one(folder: Path, hub: FakeHub, kind: str, rng: random.Random, size: int) -> tuple[int, bool]:
    """Return the starts that one fetch with this fault took, and True if it was accepted wrong."""
    place = rng.randrange(size)
    hub.heal()
    hub.faults[WEIGHTS] = {
        "cut": [Fault(cut=place)], "stall": [Fault(stall=place)], "flip": [Fault(flip=place)],
        "5xx": [Fault(status=rng.choice([500, 502, 503]))] * rng.randint(1, 3),
        "page": [Fault(page=SIGN_IN_PAGE)],
    }.get(kind, [])  # fmt: skip
    for start in range(1, MOST_STARTS + 1):
        first = start == 1
        process = pull(folder, hub, limit_kb=size // 3072 if kind == "disk" and first else 0)
        if kind in ("kill", "interrupt", "disk") and first:
            sent = hub.bytes_sent
            while process.poll() is None and hub.bytes_sent - sent < place:
                time.sleep(0.005)
            if process.poll() is None:
                process.send_signal(signal.SIGINT if kind == "interrupt" else signal.SIGKILL)
        try:
            process.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            process.kill()
            break
        if process.returncode == 0:
            blobs = list(folder.glob(f"hub/models--*/snapshots/*/{WEIGHTS}"))
            right = len(blobs) == 1 and blobs[0].read_bytes() == hub.bytes_of(NAME, WEIGHTS)
            return start, not right
    return MOST_STARTS + 1, False


WITH_CHECK = "model_folder(ref); has_passed(ref.name, 'none')"
WITHOUT_CHECK = "cache.current_snapshot(ref.target)"


def startup(folder: Path, act: str) -> float:
    """Return the seconds that `act`, finding a complete model, takes in a process of its own."""
    program = (
        "import time; from kb.hub import cache\n"
        "from kb.asr.engines.model_lookup import model_folder, resolve, has_passed\n"
        f"ref = resolve({NAME!r})\n"
        "began = time.perf_counter()\n"
        f"{act}\n"
        "print(time.perf_counter() - began)"
    )
    environment = {
        **os.environ, "HF_HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"),
        "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(PROJECT_ROOT),
    }  # fmt: skip
    found = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=PROJECT_ROOT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(found.stdout)


def startups(folder: Path) -> tuple[float, float]:
    """Return the median seconds with and without the check, measured in turns."""
    pairs = [(startup(folder, WITH_CHECK), startup(folder, WITHOUT_CHECK)) for _ in range(5)]
    checked, unchecked = (statistics.median(column) for column in zip(*pairs, strict=True))
    return checked, unchecked


def main() -> None:
    """Run the fetches and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help=f"{FULL} fetches")
    parser.add_argument("--fetches", type=int, default=2 * len(KINDS))
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--megabytes", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    fetches = FULL if chosen.full else chosen.fetches
    # Its children hear Ctrl-C, also where this process runs in the background of a shell.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    files = {**demo_files(), WEIGHTS: weights_of(chosen.megabytes)}
    size = sum(len(f) if isinstance(f, bytes) else f.stat().st_size for f in files.values())
    work = Path(tempfile.mkdtemp(prefix="kb-models-"))
    wrong = stuck = left = 0
    rows: dict[str, list[tuple[int, float, float]]] = {kind: [] for kind in KINDS}
    found_s = (0.0, 0.0)

    def fetch(number: int) -> tuple[str, int, bool, int, float, float]:
        """Return kind, starts, a wrong acceptance, parts left, the ratio of bytes and seconds."""
        nonlocal found_s
        kind, folder = KINDS[number % len(KINDS)], work / str(number)
        with FakeHub({NAME: files}) as hub:
            began = time.perf_counter()
            rng = random.Random(f"{chosen.seed} {number}")
            starts, accepted_wrong = one(folder, hub, kind, rng, size)
            took_s = time.perf_counter() - began
            parts = len(list(folder.glob("hub/models--*/blobs/*.incomplete")))
            if number == 0:
                found_s = startups(folder)
            shutil.rmtree(folder, ignore_errors=True)
            return kind, starts, accepted_wrong, parts, hub.bytes_sent / size, took_s

    try:
        with ThreadPoolExecutor(chosen.at_once) as pool:
            for kind, starts, accepted_wrong, parts, ratio, took_s in pool.map(
                fetch, range(fetches)
            ):
                wrong += accepted_wrong
                stuck += starts > MOST_STARTS
                left += parts
                rows[kind].append((starts, ratio, took_s))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    everything = [row for found in rows.values() for row in found]
    print(
        f"{len(everything)} fetches of {size / 1e6:.0f} MB: {wrong} wrong accepted, {stuck} stuck,"
    )
    print(
        f"{left} parts left over, {statistics.mean(r[1] for r in everything):.3f} × the size sent"
    )
    for kind, found in rows.items():
        if found:
            starts, ratio, took_s = (statistics.mean(column) for column in zip(*found, strict=True))
            print(f"{kind:10} {len(found):4}  starts {starts:.1f}  × {ratio:.2f}  {took_s:.1f} s")
    checked_ms, unchecked_ms = (1000 * seconds for seconds in found_s)
    print(
        f"a complete model is found in {checked_ms:.0f} ms, without the check in "
        f"{unchecked_ms:.0f} ms"
    )


if __name__ == "__main__":
    main()
