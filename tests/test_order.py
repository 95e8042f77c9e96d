"""The division of the tests between processes."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tests.support.order import SECONDS, arrange


@dataclass
class Item:
    """A test of pytest as the order sees it: its module, its name and its mark."""

    path: Path
    name: str
    mark: str = ""

    def get_closest_marker(self, name: str) -> str | None:
        return name if name == self.mark else None


def run_of(seed: int) -> list[Any]:
    """Return the tests of a run like ours: 100 modules, of which every third has long tests."""
    rng = random.Random(seed)
    items = []
    for module in range(100):
        for number in range(rng.randint(5, 100)):
            is_long = module % 3 == 0 and (number == 0 or rng.random() < 0.2)
            mark = rng.choice(sorted(SECONDS)) if is_long else ""
            items.append(Item(Path(f"test_{module}.py"), f"test_{number}", mark))
    return items


def assert_long_modules_first(found: list[Any], processes: int) -> None:
    """Check that the part of each process begins with long modules and ends with short tests."""
    for number in range(processes):
        size = len(found) // (processes - number)  # as `worksteal` divides the list
        part, found = found[:size], found[size:]
        modules = [list(each) for _, each in groupby(part, lambda item: item.path)]
        marked = [
            any(m for i in tests for m in map(i.get_closest_marker, SECONDS)) for tests in modules
        ]
        assert marked == sorted(marked, reverse=True)


@pytest.mark.parametrize("processes", [2, 3, 5])
@pytest.mark.parametrize("seed", range(5))
def test_each_part_begins_with_long_modules(seed: int, processes: int) -> None:
    items = run_of(seed)
    found = arrange(items, processes)
    assert Counter(map(id, found)) == Counter(map(id, items))
    assert_long_modules_first(found, processes)
    assert found[0].path in {item.path for item in items if item.mark}


@pytest.mark.parametrize("processes", [2, 3, 5])
@pytest.mark.parametrize("marks", ["", "slow", "mixed"])
@pytest.mark.parametrize("count", [0, 1, 4, 30])
def test_no_test_of_a_small_choice_is_lost_and_modules_stay_together(
    count: int, marks: str, processes: int
) -> None:
    def mark(number: int) -> str:
        return ("" if number % 9 else "slow") if marks == "mixed" else marks

    items: list[Any] = [Item(Path(f"test_{n // 7}.py"), f"test_{n}", mark(n)) for n in range(count)]
    found = arrange(items, processes)
    assert Counter(map(id, found)) == Counter(map(id, items))
    heavy = {item.path for item in items if item.mark}
    order = [path for path, _ in groupby(item.path for item in found if item.path in heavy)]
    assert len(order) == len(set(order))


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_no_test_of_this_run_is_lost(request: pytest.FixtureRequest, processes: int) -> None:
    items = list(request.session.items)
    found = arrange(items, processes)
    assert Counter(item.nodeid for item in found) == Counter(item.nodeid for item in items)
    if len(items) > 3000:  # a whole run; long modules chosen by hand may fill more than a part
        assert_long_modules_first(found, processes)
