"""Publishing to ODIN under faults: the project must end exactly as after a clean run.

    python -m benchmarks.odin [--documents 300] [--faults 0.15] [--kills 10]

A fake of the service (tests/fakes/odin.py) injects faults of every kind into the given share of
all requests. The publishing process is killed repeatedly, around uploads, and restarted until
it reports that every document is indexed. One item in five is already in the project with an
older transcript, which must be replaced; at no moment may the project lack both versions.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.support.common import figure
from kb.errors import KBError
from kb.settings import Settings
from kb.sinks.odin.sink import OdinSink
from kb.sinks.odin.sync import SyncItem, apply_plan, make_plan, publish_many
from kb.types import DocumentFacts, MediaItem, Passage
from tests.fakes.odin import UPLOAD_FAULTS, FakeOdin

ROOT = Path(__file__).resolve().parent.parent

DOCUMENT_BYTES = 4_000
MOST_RUNS = 200
VOCABULARY = ("river", "garden", "machine", "window", "letter", "music", "früh", "人工", "open")


def source(number: int, version: int) -> SyncItem:
    """Return the item of that number, the same in every process, 1 to 3 documents long."""
    rng = random.Random(f"{number}/{version}")
    item = MediaItem(
        id=f"youtube:video{number:06d}",
        source="youtube",
        url=f"https://youtu.be/video{number:06d}",
        title=f"Talk {number % 7}: 100 % ~ “quoted”",
        published="2026-02-03",
        description=f"Line one\nLine 'two' of {number} 🎬",
    )
    passages = [
        Passage(
            id=f"{item.id}#{count:04d}",
            item_id=item.id,
            start_s=count * 30.0,
            end_s=count * 30.0 + 30.0,
            text=" ".join(rng.choice(VOCABULARY) for _ in range(40)),
            deep_link=f"{item.url}?t={count * 30}",
        )
        for count in range(6 + 10 * (number % 3))
    ]
    return SyncItem(item, passages, DocumentFacts("en", "demo", "whisper", "stabil", 0.99, "A"))


def ids_for(documents: int) -> list[str]:
    """Return the ids of items that have at least `documents` documents together."""
    found: list[str] = []
    sink = OdinSink(Settings(odin_document_bytes=DOCUMENT_BYTES))
    while documents > 0:
        one = source(len(found), 2)
        documents -= len(sink.documents(one.item, one.passages, one.facts).documents)
        found.append(one.item.id)
    return found


def load(version: int) -> Any:
    return lambda item_id: source(int(item_id[-6:]), version)


def client(home: Path, settings: dict[str, Any], ids: list[str], version: int) -> int:
    """Run the publishing process once; return 0 if every document is indexed."""
    sink = OdinSink(Settings(home=home, odin_document_bytes=DOCUMENT_BYTES, **settings))
    try:
        return 0 if publish_many(sink, ids, load(version)).ok else 1
    except KBError as error:
        print(error.message, file=sys.stderr)
        return 1


def clean_run(folder: Path, ids: list[str]) -> tuple[dict[str, bytes], float]:
    """Return the project's documents after a run without faults, and documents a second."""
    with FakeOdin(folder / "clean-odin", index_s=0.1) as odin:
        started = time.perf_counter()
        assert client(folder / "clean-home", odin.settings(), ids, 2) == 0
        held = odin.indexed()
        return held, len(held) / (time.perf_counter() - started)


class Storm:
    """The run with faults: it restarts the client until it exits with 0, and kills it meanwhile."""

    def __init__(self, folder: Path, ids: list[str], faults: float, kills: int, seed: int) -> None:
        self.folder, self.ids, self.seed = folder, ids, seed
        self.fault_rate = faults
        self.random = random.Random(seed)
        self.kill_at: list[int] = []
        self.kills_wanted = kills
        self.kills = self.runs = self.uploads = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def run(self, expected: int) -> FakeOdin:
        """Run the client until it succeeds; return the fake service, still open."""
        odin = FakeOdin(self.folder / "odin", index_s=0.1, delete_s=0.05, seed=self.seed)
        odin.__enter__()
        odin.retry_after_s = 0.05
        before = self.ids[::5]
        home = self.folder / "home"
        assert client(home, odin.settings(), before, 1) == 0
        odin.on_upload = self._uploaded
        odin.fault_rate = self.fault_rate
        step = expected / (self.kills_wanted + 1)
        self.kill_at = [round(step * (n + 1)) for n in range(self.kills_wanted)]
        while self.runs < MOST_RUNS:
            self.runs += 1
            process = self._start(home, odin)
            with self._lock:
                self._process = process
            if process.wait() == 0:
                break
        odin.fault_rate = 0.0
        return odin

    def _start(self, home: Path, odin: FakeOdin) -> subprocess.Popen[bytes]:
        job = {
            "home": str(home),
            "settings": odin.settings(odin_retries=3),
            "ids": self.ids,
        }
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.odin", "--client"],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env=environment,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(job).encode())
        process.stdin.close()
        return process

    def _uploaded(self, _name: str) -> None:
        """Kill the client if a kill is due: before or after it receives the upload's answer."""
        with self._lock:
            self.uploads += 1
            due = bool(self.kill_at) and self.uploads >= self.kill_at[0] and self._process
            if not due or self._process is None or self._process.poll() is not None:
                return
            self.kill_at.pop(0)
            self.kills += 1
            process, self._process = self._process, None
            if self.random.random() < 0.5:
                process.kill()
            else:
                threading.Timer(self.random.uniform(0, 0.1), process.kill).start()


def measure(documents: int, faults: float, kills: int, seed: int = 1) -> bool:
    """Run both, print the figures of their comparison; return True if every target is met."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        ids = ids_for(documents)
        expected, speed = clean_run(folder, ids)
        storm = Storm(folder, ids, faults, kills, seed)
        started = time.perf_counter()
        odin = storm.run(len(expected))
        elapsed_s = time.perf_counter() - started
        try:
            everything, held = odin.documents(), odin.indexed()
            sink = OdinSink(
                Settings(
                    home=folder / "home", odin_document_bytes=DOCUMENT_BYTES, **odin.settings()
                )
            )
            plan = make_plan(sink, map(load(2), ids))
            apply_plan(sink, plan, load(2))
            after = odin.indexed()
        finally:
            odin.__exit__(None, None, None)
    same = sum(held.get(name) == content for name, content in expected.items())
    met = [
        figure("odin_documents", len(expected), "documents", at_least=documents),
        figure("odin_faults_injected", sum(odin.faults.values()), "faults"),
        figure(
            "odin_fault_kinds",
            len(odin.faults),
            "kinds",
            # With fewer requests, some kinds of faults may not occur.
            at_least=len(UPLOAD_FAULTS) if documents * faults > 2 * len(UPLOAD_FAULTS) else None,
        ),
        figure("odin_client_kills", storm.kills, "kills", at_least=kills),
        figure("odin_client_runs", storm.runs, "runs", at_most=MOST_RUNS - 1),
        figure("odin_indexed_as_clean", same, "documents", at_least=len(expected)),
        figure("odin_surplus", len(everything.keys() - expected.keys()), "documents", at_most=0),
        figure("odin_moments_without", len(odin.gaps), "items", at_most=0),
        figure("odin_plan_after", len(plan.steps), "steps", at_most=0),
        figure("odin_changed_by_sync_after", int(after != held), "documents", at_most=0),
        figure("odin_uploads_taken", storm.uploads / len(expected), "per document"),
        figure("odin_storm_seconds", elapsed_s, "s"),
        figure("odin_clean_speed", speed, "documents/s"),
    ]
    return all(met)


def main() -> int:
    parser = argparse.ArgumentParser(description="ODIN under faults")
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--faults", type=float, default=0.15)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--client", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.client:
        job = json.loads(sys.stdin.buffer.read())
        return client(Path(job["home"]), job["settings"], job["ids"], 2)
    return 0 if measure(chosen.documents, chosen.faults, chosen.kills, chosen.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
