"""The dashboard as users start it, on a free loopback port, for tests and screenshots."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import end_processes_of

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 240
PORTS = (20_000, 32_000)  # below those that systems give to connections and to port 0


def free_port() -> int:
    """Return a loopback port that is free, for a program that must be told its port.

    Until it binds the port, no connection of another process can get it.
    """
    while True:
        port = random.SystemRandom().randrange(*PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


@contextmanager
def dashboard(
    home: Path, log: Path, *, cwd: Path = ROOT, script: str = "streamlit_app.py", **settings: str
) -> Iterator[str]:
    """Run `streamlit run` over a library folder; yield its address, and end it afterwards.

    `script` is the page's file, relative to the repository.

    It uses the demo recognizer unless `settings` (environment variables) change it. Tests that
    write `.env` pass a different `cwd`, which must hold an `.env` and receives the page's
    configuration.
    """
    if cwd != ROOT:
        (cwd / ".streamlit").mkdir(exist_ok=True)
        shutil.copy(ROOT / ".streamlit" / "config.toml", cwd / ".streamlit")
    port = free_port()
    environment: Mapping[str, str] = {
        **os.environ,
        "KB_HOME": str(home),
        "KB_MODEL": "demo",
        "KB_PRESET": "optimiert",
        "KB_SINKS": "local",
        "PYTHONPATH": str(ROOT),
        "KB_ENV_FILE": os.devnull if cwd == ROOT else str(cwd / ".env"),
        **settings,
    }
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / script)]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, "--server.port", str(port)],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_ready(server, f"{address}/_stcore/health", log)
            yield address
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            end_processes_of(home)  # a worker or a task outlives its server


def worker_pids(home: Path) -> list[int]:
    """Return the process ids of the library's workers that have not signed off."""
    database = home / "kb.sqlite"
    if not database.exists():
        return []
    with sqlite3.connect(database, timeout=30) as connection:
        query = "SELECT pid FROM kb_workers WHERE ended_at IS NULL AND host = ?"
        try:
            return [int(pid) for (pid,) in connection.execute(query, [socket.gethostname()])]
        except sqlite3.OperationalError:  # no such table yet
            return []


def _wait_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    ends = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < ends:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"The dashboard did not start:\n{log.read_text(errors='replace')}")
