"""The order of tests that run in several processes: long modules first, evenly divided.

pytest-xdist's `worksteal` gives each process a contiguous part of the list, and a process that has
finished takes over the last half of what another still has. So each part begins with its share of
the modules that start workers and browsers, and ends with short tests, which are easy to divide.
A module stays together, because its fixtures would be set up once in each process.
"""

from __future__ import annotations

from itertools import groupby

import pytest

# Seconds of a test by its mark, rounded averages of a run; of any other test, and of each further
# case of a parametrized one, `SHORT_S`.
SECONDS = {"long": 20.0, "browser": 12.0, "slow": 4.0}
SHORT_S = 0.2


def arrange(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """Return the items in the order in which `processes` processes share them evenly."""
    modules = [list(found) for _, found in groupby(items, lambda item: item.path)]
    heavy = [module for module in modules if any(_is_long(item) for item in module)]
    light = [item for module in modules if module not in heavy for item in module]
    parts: list[list[pytest.Item]] = [[] for _ in range(processes)]
    loads = [0.0] * processes
    for module in sorted(heavy, key=_seconds, reverse=True):
        least = loads.index(min(loads))
        parts[least] += module
        loads[least] += _seconds(module)
    for number, part in enumerate(parts):
        # The size of this process's part, as `worksteal` computes it.
        size = (sum(map(len, parts[number:])) + len(light)) // (processes - number)
        missing = max(0, size - len(part))
        part += light[:missing]
        del light[:missing]
    return [item for part in parts for item in part] + light


def _is_long(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in SECONDS)


def _seconds(module: list[pytest.Item]) -> float:
    of_function = {}
    for item in module:
        name = getattr(item, "originalname", item.name)
        of_function[name] = next(
            (s for mark, s in SECONDS.items() if item.get_closest_marker(mark)), SHORT_S
        )
    return sum(of_function.values()) + SHORT_S * (len(module) - len(of_function))
