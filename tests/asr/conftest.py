"""A fixture that opens batchers and closes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kb.asr.batching.batcher import Batcher
from kb.asr.batching.preparation_growth import PreparationGrowth
from tests.support.batchers import MANAGER, Held
from tests.support.speech import Oracle


@pytest.fixture
def opened() -> Iterator[Callable[..., Batcher]]:
    made: list[Batcher] = []

    def make(engine: Oracle, ceiling: int = 4, growth: PreparationGrowth | None = None) -> Batcher:
        made.append(Batcher(engine, MANAGER, ceiling, growth=growth))
        return made[-1]

    yield make
    for batcher in made:
        if isinstance(batcher.engine, Held):
            batcher.engine.go.set()
        batcher.close()
