"""Two versions of the product, each in a process of its own, that read the same files in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from benchmarks.support.trust_reader import PRESET
from kb.transcript.formats.json_document import from_document
from kb.types import Transcript
from tests.support.compose import Composition, write_wav

HERE = Path(__file__).resolve().parent.parent.parent
PROGRAM = Path(__file__).with_name("checkout_program.py")


@dataclass(frozen=True)
class CheckoutReading:
    """A transcript, and the CPU seconds of the whole way from the file to it."""

    transcript: Transcript
    cpu_s: float


class Checkout:
    """The product of one folder with its code, on one thread."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), PRESET], cwd=folder, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def __enter__(self) -> Checkout:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def read(self, path: Path) -> CheckoutReading:
        """Transcribe a file. Raises RuntimeError if the process has ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The reader of {path} ended: {self._process.wait()}")
        answer = json.loads(line)
        return CheckoutReading(from_document(answer["transcript"]), answer["cpu_s"])


@dataclass
class Versions:
    """An earlier version beside this one; the order in which they read a file alternates."""

    before: Checkout
    now: Checkout
    folder: Path
    _turns: int = 0

    def read(self, said: Composition) -> tuple[CheckoutReading, CheckoutReading]:
        """Return the readings of the earlier version and of this one."""
        path = write_wav(self.folder / "said.wav", said)
        self._turns += 1
        if self._turns % 2:
            before = self.before.read(path)
            return before, self.now.read(path)
        now = self.now.read(path)
        return self.before.read(path), now
