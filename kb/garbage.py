"""The search for garbage, which is of no use while modules are imported or a library is read."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept() -> Iterator[None]:
    """Look for no garbage in the block, nor later among the objects that exist at its end.

    To look for some among what imports make takes a quarter of a short command, and a fifth of the
    start of the dashboard; of the first reading of a large library it takes 40 %. What an earlier
    block of the same process has left is collected first.
    """
    if gc.get_freeze_count():
        gc.collect()
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()
