"""A scan of all output of a test run for API keys and passwords of services.

`start()` scans all text that a user or a log could receive: the texts of our errors, the
tracebacks that tests read, log records, captured output (of child processes too), and the data
that the dashboard sends to a browser. The last tests of the run check the findings of `watch`,
and scan the files that the run has written (see test_secrets.py).

Under pytest-xdist each worker process has a separate `watch`. At its end a worker sends its
findings to the controller, which then collects and runs the tests marked `whole_run`.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import traceback
from collections import Counter
from collections.abc import Callable, Generator
from functools import wraps
from typing import Any

import pytest

from kb.errors import KBError

# The form of a Google API key, and the suffix of every credential that tests give to ODIN. The
# keys of tests are composed at run time, so that no file holds one.
SECRET = re.compile(rb"AIza[0-9A-Za-z_-]{30,}|-PROBE\b")
_LITERALS = (b"AIza", b"-PROBE")


def find_secret(data: bytes) -> re.Match[bytes] | None:
    """Return the first secret in the data; None if there is none."""
    # Whole runs write gigabytes. A search for bytes is many times faster than for an expression.
    return SECRET.search(data) if any(each in data for each in _LITERALS) else None


class SecretWatch:
    """Counts of the scanned texts by kind, and the places of the secrets found."""

    def __init__(self) -> None:
        self.scanned: Counter[str] = Counter()
        self.seen: list[str] = []

    def report(self) -> dict[str, Any]:
        """Return the counts and findings as plain values, for the controller process."""
        return {"scanned": dict(self.scanned), "seen": list(self.seen)}

    def add(self, report: dict[str, Any]) -> None:
        """Add the report of another process."""
        self.scanned.update(report["scanned"])
        self.seen.extend(report["seen"])

    def scan(self, kind: str, output: object, test: str = "") -> None:
        """Scan a text or bytes; ignore any other type."""
        data = output.encode(errors="replace") if isinstance(output, str) else output
        if not isinstance(data, bytes) or not data:
            return
        self.scanned[kind] += 1
        if match := find_secret(data):
            before = data[max(0, match.start() - 60) : match.start()].decode(errors="replace")
            around = re.sub(r"[\w-]+$", "", before)
            test = test or os.environ.get("PYTEST_CURRENT_TEST", "between tests")
            self.seen.append(f"{kind} in {test}: {around!r}…")


watch = SecretWatch()


class _Handler(logging.Handler):
    """A handler that scans every log record with its traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        watch.scan("log", self.format(record))


class Plugin:
    """A pytest plugin that scans captured output and runs the tests marked `whole_run` last."""

    def __init__(self, config: pytest.Config) -> None:
        self.is_worker = hasattr(config, "workerinput")  # a worker process of pytest-xdist
        self.last: list[str] = []  # node ids of tests that the controller runs

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self.is_worker:
            return  # the controller receives the same report
        for _, content in report.sections:
            watch.scan("output", content, report.nodeid)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        last = [item for item in items if item.get_closest_marker("whole_run")]
        others = [item for item in items if item not in last]
        if self.is_worker:
            self.last = [item.nodeid for item in last]
            items[:] = others
        else:
            items[:] = others + last

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.is_worker:
            session.config.workeroutput["secret_watch"] = {  # type: ignore[attr-defined]
                **watch.report(),
                "last": self.last,
            }

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        report = getattr(node, "workeroutput", {}).get("secret_watch")
        if report:  # a crashed worker sends no report, and its test fails anyway
            watch.add(report)
            self.last = report["last"]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        result = yield
        if self.last and not self.is_worker:
            collected = session.testscollected
            root = session.config.rootpath
            items = session.perform_collect([f"{root}/{node_id}" for node_id in self.last])
            session.testscollected = collected + len(items)
            # None is left where the run's marks deselect them.
            for place, item in enumerate(items):
                following = items[place + 1] if place + 1 < len(items) else None
                session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        return result


def start(config: pytest.Config) -> None:
    """Start to scan, until the end of the run."""
    config.pluginmanager.register(Plugin(config))
    logging.getLogger().addHandler(_Handler())
    _after(
        KBError, "__init__", lambda error, _: watch.scan("error", f"{error.message} {error.hint}")
    )
    _after(pytest.ExceptionInfo, "fill_unfilled", lambda info, _: _traceback(info))
    _after(pytest.CaptureFixture, "readouterr", lambda _, read: _outputs(read))
    _after(subprocess.Popen, "communicate", lambda _, read: _outputs(read))
    try:
        from playwright.sync_api import Browser, BrowserContext
    except ImportError:  # `make quick` without Playwright
        return
    for kind in (Browser, BrowserContext):
        _after(kind, "new_page", lambda _, page: page.on("websocket", _frames))


def _after(owner: type, name: str, then: Callable[[Any, Any], None]) -> None:
    """Call `then(self, result)` after each call of a method."""
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
