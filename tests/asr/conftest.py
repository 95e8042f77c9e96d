"""A fixture that opens batchers and closes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kb.asr.batching.batcher import Batcher
from tests.support.batchers import MANAGER, Held
from tests.support.speech import Oracle


@pytest.fixture
def opened() -> Iterator[Callable[..., Batcher]]:
    made: list[Batcher] = []

    def make(engine: Oracle, ceiling: int = 4) -> Batcher:
        made.append(Batcher(engine, MANAGER, ceiling))
        return made[-1]

    yield make
    for batcher in made:
        if isinstance(batcher.engine, Held):
            batcher.engine.go.set()
        batcher.close()
