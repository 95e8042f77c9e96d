"""Opening of the dashboard's page in the user's browser, and the check that this is possible.

The server opens the page at the request of `kb app`, because only the server knows its final
port. A separate process starts the browser, because some browsers block their caller while they
run, and some write to the terminal.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping

from kb.settings import python_command

OPEN_BROWSER_FLAG = "--open-browser"  # argument of the page's script, after `--`
READY_S = 120.0  # maximum time until the server answers
POLL_S = 0.2
OPENS_S = 15.0  # a browser that has not failed within this time counts as opened
WILDCARD_HOSTS = ("", "0.0.0.0", "::")

_OPEN = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.argv[1]))"


def unavailable_reason(environment: Mapping[str, str], platform: str = sys.platform) -> str:
    """Return the reason why no browser can be opened here, as a clause; empty if one can.

    A value of `BROWSER` has priority over the check for a display: editors that work on a remote
    machine set it to open pages on the local one.
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
    """Return the page's address for a browser on this machine; the server is bound to `host`."""
    name = "127.0.0.1" if (host or "").strip("[]") in WILDCARD_HOSTS else str(host).strip("[]")
    if ":" in name:
        name = f"[{name}]"
    path = base.strip("/")
    return f"{'https' if tls else 'http'}://{name}:{port}/" + (f"{path}/" if path else "")


def open_when_ready(url: str, health: str, stopping: threading.Event) -> bool:
    """Open the page when the server answers at `health`, a path below the page.

    Return whether a browser was opened. Ends early when `stopping` is set.
    """
    for _ in range(round(READY_S / POLL_S)):
        if stopping.is_set():
            return False
        if _responds(url + health.lstrip("/")):
            return open_page(url)
        stopping.wait(POLL_S)
    return False


def _responds(url: str) -> bool:
    import ssl
    import urllib.request

    # This is our own server: its certificate has another name, and no proxy must be used.
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


def open_page(url: str) -> bool:
    """Open an address in the user's browser. Return whether a browser was opened."""
    try:
        process = subprocess.Popen(
            python_command("-c", _OPEN, url),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C ends the server, not the browser
        )
        return process.wait(OPENS_S) == 0
    except subprocess.TimeoutExpired:
        return True  # the browser runs, and the process that started it waits for its end
    except OSError:
        return False
