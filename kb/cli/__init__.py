"""The command line `kb`."""

from __future__ import annotations

from kb.cli.main import main, run

__all__ = [
    "main",
    "run",
]
