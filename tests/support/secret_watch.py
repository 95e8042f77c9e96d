"""Looks at all that a test run says: no key, and no password of a service, may be in it.

`start()` listens to what would be seen by a user or lie in a log: the texts of our errors, the
tracebacks that tests look at, log records, output that is captured (of processes too), and what
the dashboard sends to a browser. The last test of the run asks `watch` what it saw, and looks
through the files that the run left behind (see test_secrets.py).
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import traceback
from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest

from kb.errors import KBError

# The form of a Google API key, and what ends every credential that tests give to ODIN. The
# tests' own keys are put together at run time, so that no file holds one.
SECRET = re.compile(rb"AIza[0-9A-Za-z_-]{30,}|-PROBE\b")


class SecretWatch:
    """Counts what it has looked at, by kind, and remembers where it saw a secret."""

    def __init__(self) -> None:
        self.scanned: Counter[str] = Counter()
        self.seen: list[str] = []

    def scan(self, kind: str, output: object) -> None:
        """Look at a text or at bytes; anything else is empty."""
        data = output.encode(errors="replace") if isinstance(output, str) else output
        if not isinstance(data, bytes) or not data:
            return
        self.scanned[kind] += 1
        if match := SECRET.search(data):
            before = data[max(0, match.start() - 60) : match.start()].decode(errors="replace")
            around = re.sub(r"[\w-]+$", "", before)
            test = os.environ.get("PYTEST_CURRENT_TEST", "between tests")
            self.seen.append(f"{kind} in {test}: {around!r}…")


watch = SecretWatch()


class _Handler(logging.Handler):
    """Every log record, with its traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        watch.scan("log", self.format(record))


class Plugin:
    """What pytest itself captures."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for _, content in report.sections:
            watch.scan("output", content)


def start(config: pytest.Config) -> None:
    """Listen from now on, for the whole run."""
    config.pluginmanager.register(Plugin())
    logging.getLogger().addHandler(_Handler())
    _after(
        KBError, "__init__", lambda error, _: watch.scan("error", f"{error.message} {error.hint}")
    )
    _after(pytest.ExceptionInfo, "fill_unfilled", lambda info, _: _traceback(info))
    _after(pytest.CaptureFixture, "readouterr", lambda _, read: _outputs(read))
    _after(subprocess.Popen, "communicate", lambda _, read: _outputs(read))
    try:
        from playwright.sync_api import Browser, BrowserContext
    except ImportError:  # `make quick` on a machine without it
        return
    for kind in (Browser, BrowserContext):
        _after(kind, "new_page", lambda _, page: page.on("websocket", _frames))


def _after(owner: type, name: str, then: Callable[[Any, Any], None]) -> None:
    """Has `then(self, result)` called after each call of a method."""
    original = getattr(owner, name)

    @wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        then(self, result)
        return result

    setattr(owner, name, call)


def _traceback(info: pytest.ExceptionInfo[BaseException]) -> None:
    watch.scan("traceback", "".join(traceback.format_exception(info.value)))


def _outputs(read: tuple[object, object]) -> None:
    for output in read:
        watch.scan("output", output)


def _frames(socket: Any) -> None:
    socket.on("framereceived", lambda payload: watch.scan("page", payload))
