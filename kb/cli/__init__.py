"""The command line `kb`."""

from __future__ import annotations

import gc

# What imports make is not garbage, and to look for some in it takes a quarter of a short command.
_collects = gc.isenabled()
gc.disable()

from kb.cli.main import main, run  # noqa: E402

gc.freeze()
if _collects:
    gc.enable()

__all__ = [
    "main",
    "run",
]
