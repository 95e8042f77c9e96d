"""The dashboard's page in the user's browser: whether one can be opened here, and opening it.

The server opens it, because only the server knows the port that it got in the end; `kb app`
asks it to. The browser is started by a process of its own: some keep their caller waiting for
as long as they run, and some write to the terminal.
"""

from __future__ import annotations

import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Mapping

OPEN_BROWSER_FLAG = "--open-browser"  # to the page's script, after `--`
READY_S = 120.0  # so long may the server take until it answers
POLL_S = 0.2
OPENS_S = 15.0  # a browser that has not failed by then is there
WILDCARD_HOSTS = ("", "0.0.0.0", "::")

_OPEN = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.argv[1]))"


def unavailable_reason(environment: Mapping[str, str], platform: str = sys.platform) -> str:
    """Return the reason why no browser can be opened here, as a clause; empty if one can.

    A `BROWSER` that the user has set is trusted beyond a display: editors that work on another
    machine set it to open pages on the one in front of them.
    """
    if environment.get("CI", "").lower() not in ("", "0", "false"):
        return "this is a CI run"
    if environment.get("BROWSER"):
        return ""
    if any(environment.get(name) for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")):
        return "this is an SSH session"
    if platform in ("win32", "cygwin", "darwin"):
        return ""
    if not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        return "there is no display"
    return ""


def address(host: str | None, port: int, base: str = "", *, tls: bool = False) -> str:
    """The page's address for this machine's own browser; `host` as the server is bound to."""
    name = "127.0.0.1" if (host or "").strip("[]") in WILDCARD_HOSTS else str(host).strip("[]")
    if ":" in name:
        name = f"[{name}]"
    path = base.strip("/")
    return f"{'https' if tls else 'http'}://{name}:{port}/" + (f"{path}/" if path else "")


def open_when_ready(url: str, health: str, stopping: threading.Event) -> bool:
    """Opens the page once the server answers at `health`, a path below the page.

    Returns whether a browser was opened. Ends early when `stopping` is set.
    """
    for _ in range(round(READY_S / POLL_S)):
        if stopping.is_set():
            return False
        if _responds(url + health.lstrip("/")):
            return _open_browser(url)
        stopping.wait(POLL_S)
    return False


def _responds(url: str) -> bool:
    # Our own server: its certificate is in another name, and no proxy stands before it.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _open_browser(url: str) -> bool:
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _OPEN, url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C ends the server, not the browser
        )
        return process.wait(OPENS_S) == 0
    except subprocess.TimeoutExpired:
        return True  # it runs, and its starter waits for its end
    except OSError:
        return False
