"""`kb app` opens the dashboard in a browser if it can show one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from kb.service import open_browser
from tests.support.app_server import free_port
from tests.support.processes import end_processes_of
from tests.support.waiting import WAIT_S

# A browser that loads the page and records its content.
BROWSER = """
import pathlib, sys, urllib.request
url = sys.argv[1]
with urllib.request.urlopen(url, timeout=60) as answer:
    body = answer.read().decode()
part = pathlib.Path(sys.argv[0] + ".part")
part.write_text(f"{url}\\n{answer.status}\\n{body}", encoding="utf-8")
part.replace(sys.argv[0] + ".shown")
"""


@pytest.mark.parametrize(
    ("environment", "platform", "reason"),
    [
        ({"DISPLAY": ":0"}, "linux", ""),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", ""),
        ({}, "linux", "there is no display"),
        ({"DISPLAY": ""}, "linux", "there is no display"),
        ({}, "win32", ""),
        ({}, "darwin", ""),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, "linux", "SSH"),
        ({"SSH_TTY": "/dev/pts/1"}, "darwin", "SSH"),
        ({"BROWSER": "helper.sh", "SSH_TTY": "/dev/pts/1"}, "linux", ""),
        ({"DISPLAY": ":0", "CI": "true"}, "linux", "CI"),
        ({"DISPLAY": ":0", "CI": "false"}, "linux", ""),
        ({"CI": "1", "BROWSER": "firefox"}, "win32", "CI"),
    ],
)
def test_the_reason_why_no_browser_can_be_opened(
    environment: Mapping[str, str], platform: str, reason: str
) -> None:
    found = open_browser.unavailable_reason(environment, platform)
    assert reason in found
    assert bool(found) == bool(reason)


@pytest.mark.parametrize(
    ("bound", "url"),
    [
        (("127.0.0.1", 8502), "http://127.0.0.1:8502/"),
        (("0.0.0.0", 80), "http://127.0.0.1:80/"),
        ((None, 8501), "http://127.0.0.1:8501/"),
        (("::", 8501), "http://127.0.0.1:8501/"),
        (("::1", 8501), "http://[::1]:8501/"),
        (("localhost", 8501, "/kb/"), "http://localhost:8501/kb/"),
    ],
)
def test_the_address_names_this_machine(bound: tuple[str, int], url: str) -> None:
    assert open_browser.address(*bound) == url
    assert open_browser.address(*bound, tls=True) == url.replace("http:", "https:")


@contextmanager
def kb_app(
    tmp_path: Path, *arguments: str, before: Sequence[str] = (), **environment: str
) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    """Run `kb app` as in a terminal; yield its process, the server's address and the output.

    `before` is a program that becomes the command, with its arguments.
    """
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ("CI", "BROWSER", "DISPLAY", "WAYLAND_DISPLAY") and name[:4] != "SSH_"
    }
    port, output = free_port(), tmp_path / "output.txt"
    home = tmp_path / "library"
    clean |= {
        "KB_HOME": str(home), "KB_APP_WORKER": "false", "KB_SINKS": "local",
        "STREAMLIT_SERVER_PORT": str(port), **environment,
    }  # fmt: skip
    with output.open("wb") as log:
        process = subprocess.Popen(
            [*before, sys.executable, "-m", "kb.cli", "app", *arguments], env=clean,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    family = [psutil.Process(process.pid)]
    try:
        yield process, f"http://127.0.0.1:{port}/", output
    finally:
        family += family[0].children(recursive=True)
        for each in family:  # all at once, as with Ctrl-C
            with suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGINT)
        _, left = psutil.wait_procs(family, timeout=30)
        for each in left:
            each.kill()
        process.wait(WAIT_S)
        end_processes_of(home)


def wait_for(condition: object, process: subprocess.Popen[bytes], output: Path) -> None:
    """Wait until a condition holds; after the time limit, fail with the output."""
    assert callable(condition)
    ends = time.monotonic() + WAIT_S
    while not condition():
        assert process.poll() is None and time.monotonic() < ends, output.read_text()
        time.sleep(0.1)


def healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}_stcore/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows asks no BROWSER")
def test_the_browser_gets_a_page(tmp_path: Path) -> None:
    script = tmp_path / "browser.py"
    script.write_text(BROWSER, encoding="utf-8")
    shown = tmp_path / "browser.py.shown"
    browser = f"{sys.executable} {script} %s"
    with kb_app(tmp_path, BROWSER=browser) as (process, address, output):
        wait_for(shown.exists, process, output)
        url, status, body = shown.read_text(encoding="utf-8").split("\n", 2)
        assert (url, status) == (address, "200")
        assert "<title>" in body
        assert "No browser" not in output.read_text()


@pytest.mark.slow
def test_a_browser_that_fails_is_reported_and_the_server_goes_on(tmp_path: Path) -> None:
    with kb_app(tmp_path, BROWSER=f"{sys.executable} -c exit(3) %s") as (process, address, output):
        sentence = f"No browser could be opened: open {address} yourself."
        wait_for(lambda: sentence in output.read_text(), process, output)
        wait_for(lambda: healthy(address), process, output)
        assert "Traceback" not in output.read_text()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
@pytest.mark.parametrize("arguments", [[], ["--no-browser"]])
def test_without_a_display_the_server_runs_alone(tmp_path: Path, arguments: list[str]) -> None:
    """The second one is started with nohup: the end of the terminal does not end it."""
    wish, before = ({"BROWSER": "/bin/false"}, ["nohup"]) if arguments else ({}, [])
    with kb_app(tmp_path, *arguments, before=before, **wish) as (process, address, output):
        # Streamlit prints its address after it has begun to answer.
        wait_for(lambda: address.rstrip("/") in output.read_text(), process, output)
        wait_for(lambda: healthy(address), process, output)
        (server,) = psutil.Process(process.pid).children()
        assert open_browser.OPEN_BROWSER_FLAG not in server.cmdline()
        printed = output.read_text()
        assert ("because there is no display" in printed) == (not arguments)
        assert "Traceback" not in printed
        if not before:
            return
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        ignored = next(line for line in status.splitlines() if line.startswith("SigIgn:"))
        assert int(ignored.split()[1], 16) >> (signal.SIGHUP - 1) & 1
        process.send_signal(signal.SIGHUP)
        assert healthy(address) and process.poll() is None
