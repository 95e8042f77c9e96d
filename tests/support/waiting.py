"""A wait for a condition with a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable

# Far above what any condition takes, also on a slow and busy machine: a test that passes never
# waits for it.
WAIT_S = 240.0


def until(
    true: Callable[[], object], what: str = "the condition", *, every_s: float = 0.02
) -> None:
    """Wait until the condition is true; after the time limit, fail and name `what`."""
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(every_s)
