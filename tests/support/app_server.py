"""The dashboard as users start it, on a free loopback port, for tests and screenshots."""

from __future__ import annotations

import os
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
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 90


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def dashboard(home: Path, log: Path, *, cwd: Path = ROOT, **settings: str) -> Iterator[str]:
    """Run `streamlit run` over a library folder; yield its address, and end it afterwards.

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
        "KB_ENV_FILE": os.devnull if cwd == ROOT else str(cwd / ".env"),
        **settings,
    }
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "streamlit_app.py")]
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
            end_workers(home)


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


def end_workers(home: Path) -> None:
    """End the workers of a library by process id, because a worker outlives its server."""
    for pid in worker_pids(home):
        try:
            worker = psutil.Process(pid)
            if "kb.cli" not in " ".join(worker.cmdline()):
                continue
            family = [worker, *worker.children(recursive=True)]
        except psutil.Error:
            continue
        for process in family:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(family, timeout=20)


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
