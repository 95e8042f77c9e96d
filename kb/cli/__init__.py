"""The command line `kb`."""

from __future__ import annotations

import os

from kb.garbage import kept

# pydantic reads the metadata of every installed package to find plugins, which are not used here.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

with kept():
    from kb.cli.main import main, run

__all__ = [
    "main",
    "run",
]
