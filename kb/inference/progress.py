"""Progress that is reported in steps of a per cent."""

from __future__ import annotations

from collections.abc import Callable


def rate_limited(report: Callable[[float], None], every: float = 0.01) -> Callable[[float], None]:
    """Return a function that calls `report` after each growth by `every`, and at 1.0."""
    last = -1.0

    def report_if_moved(done: float) -> None:
        nonlocal last
        if done - last >= every or done >= 1.0:
            last = done
            report(done)

    return report_if_moved
