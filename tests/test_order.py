"""The division of the tests between processes."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import pytest

from tests.support.order import arrange


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_each_part_begins_with_long_modules_and_no_test_is_lost(
    request: pytest.FixtureRequest, processes: int
) -> None:
    items = request.session.items
    found = arrange(list(items), processes)
    assert Counter(item.nodeid for item in found) == Counter(item.nodeid for item in items)
    for number in range(processes):
        size = len(found) // (processes - number)  # as `worksteal` divides the list
        part, found = found[:size], found[size:]
        modules = [list(each) for _, each in groupby(part, lambda item: item.path)]
        marked = [
            any(item.get_closest_marker("slow") or item.get_closest_marker("browser") for item in m)
            for m in modules
        ]
        assert marked == sorted(marked, reverse=True)
