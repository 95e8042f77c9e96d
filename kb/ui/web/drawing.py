"""The pages that are being drawn: what is done ahead or later gives way to them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_threads: set[int] = set()


@contextmanager
def drawing() -> Iterator[None]:
    """Mark this thread as one that draws a page."""
    thread = threading.get_ident()
    _threads.add(thread)
    try:
        yield
    finally:
        _threads.discard(thread)


def is_drawing() -> bool:
    """Return True while any page of this process is drawn."""
    return bool(_threads)
