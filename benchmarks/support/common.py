"""Helpers of all benchmarks: a JSON line for each figure, and statistics of repeated timings."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
LOOP = 2_500_000  # additions of products; about 0.2 s


def figure(
    name: str,
    value: float,
    unit: str,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> bool:
    """Print one figure as a JSON line; return False if it misses its target.

    In the line, `target` is for instance `<= 50` or `>= 0.98`. A figure for information has no
    target; its `target` and `met` are null.
    """
    target: str | None = None
    met: bool | None = None
    if at_most is not None:
        target, met = f"<= {at_most:g}", value <= at_most
    elif at_least is not None:
        target, met = f">= {at_least:g}", value >= at_least
    # Four significant digits; further digits would be noise.
    shown = float(f"{value:.4g}") if isinstance(value, float) else value
    line = {"figure": name, "value": shown, "unit": unit, "target": target, "met": met}
    print(json.dumps(line, ensure_ascii=False), flush=True)
    return met is not False


def show_core() -> None:
    """Print how fast a core is now: processor seconds of a plain loop, least and most of ten.

    Figures of processor time from two runs can be compared only where these are alike.
    """
    costs = []
    for _ in range(10):
        start, total = time.process_time(), 0
        for number in range(LOOP):
            total += number * number
        costs.append(time.process_time() - start)
    figure("processor time of a plain loop, least of ten", min(costs), "s")
    figure("processor time of a plain loop, most of ten", max(costs), "s")


def cheapest(
    measure: Callable[[], Item], cost: Callable[[Item], float], enough: float, turns: int = 2
) -> Item:
    """Return the measurement of least cost, of up to `turns`; one of at most `enough` ends them.

    What else runs on a core can only add to a cost, so the least one says most about the work.
    """
    best = measure()
    for _ in range(turns - 1):
        if cost(best) <= enough:
            break
        best = min(best, measure(), key=cost)
    return best


def timed_ms(action: Callable[[Item], object], items: Iterable[Item]) -> list[float]:
    """Return the wall time of the action on each item, in milliseconds."""
    times = []
    for item in items:
        start = time.perf_counter()
        action(item)
        times.append((time.perf_counter() - start) * 1000)
    return times


def median(values: Iterable[float]) -> float:
    return quantile(values, 0.5)


def p95(values: Iterable[float]) -> float:
    return quantile(values, 0.95)


def quantile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed."""
    ranked = sorted(values)
    return ranked[max(0, -int(-share * len(ranked) // 1) - 1)]
