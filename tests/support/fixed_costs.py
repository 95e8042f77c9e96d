"""Costs that each of thousands of tests would pay for nothing that it proves."""

from __future__ import annotations

import functools
import logging
import os
import sys
from typing import Any

import _pytest.logging

from tests.support import new_databases


def lower() -> None:
    """Lower the costs of what the collected tests have imported."""
    new_databases.start()
    _catch_logs_at_the_root()
    if "streamlit" in sys.modules:
        _look_for_components_once()
    # Data that reaches the disk late is lost where a machine stops. No test stops one.
    os.fsync = _no_wait


def _no_wait(_file: object) -> None:
    """Take the place of `os.fsync`."""


def _catch_logs_at_the_root() -> None:
    """Let pytest catch the log at the root logger alone.

    It looks at all loggers three times in a test, which are almost two thousand, for those that
    keep their records to themselves. Those are Streamlit's.
    """
    catching: Any = _pytest.logging.catching_logs
    if "attached_loggers" not in getattr(catching, "__slots__", ()):
        return  # a version of pytest that does so itself

    def enter(self: Any) -> logging.Handler:
        root = logging.getLogger()
        root.addHandler(self.handler)
        self.attached_loggers.append(root)
        if self.level is not None:
            self.handler.setLevel(self.level)
            self.orig_level = root.level
            root.setLevel(min(self.orig_level, self.level))
        found: logging.Handler = self.handler
        return found

    catching.__enter__ = enter


def _look_for_components_once() -> None:
    """Let Streamlit read the metadata of all installed packages once, not for each page."""
    from streamlit.components.v2 import manifest_scanner

    manifest_scanner.scan_component_manifests = functools.cache(
        manifest_scanner.scan_component_manifests
    )
