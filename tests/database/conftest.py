"""Here the product makes the tables of each database itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.new_databases import as_the_product_makes_them


@pytest.fixture(autouse=True)
def own_tables() -> Iterator[None]:
    with as_the_product_makes_them():
        yield
