"""`kb serve` as a process of its own, over a library of tests or benchmarks."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from kb.settings import PROJECT_ROOT
from tests.support.waiting import WAIT_S, until
from tests.support.workers import Lab


@dataclass
class ServeProcess:
    """A running server: its address, its process and that process's log."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path

    def family(self) -> list[psutil.Process]:
        """Return the server's process and its children."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def kill(self) -> None:
        """End it by SIGKILL, and wait for its children, which end with it."""
        _, *children = self.family()
        self.process.kill()
        self.process.wait()
        psutil.wait_procs(children, WAIT_S)

    def stop(self) -> None:
        """End it as a service manager does; it must end well."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(WAIT_S) == 0, self.log.read_text()
        assert "Traceback" not in self.log.read_text()


@contextmanager
def serving(lab: Lab, name: str) -> Iterator[ServeProcess]:
    """Run `kb serve` at a free port; yield it once it has decoded a sound.

    It is stopped at the end, unless it was killed.
    """
    log = lab.folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "kb.cli", "serve", "--port", "0"],
            env=lab.environment(), cwd=PROJECT_ROOT, stdin=subprocess.DEVNULL,
            stdout=output, stderr=output,
        )  # fmt: skip

    def address() -> str:
        assert process.poll() is None, log.read_text()
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        return found[0] if found else ""

    try:
        until(lambda: bool(address()))
        until(lambda: _is_ready(address()))
        server = ServeProcess(address(), process, log)
        yield server
        if process.poll() is None:
            server.stop()
    finally:
        process.kill()
        process.wait()


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health/ready", timeout=WAIT_S).status_code == 200
    except httpx.TransportError:
        return False
