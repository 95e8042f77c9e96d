"""An engine whose readings are faulty until it decodes with an option that cures it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kb.asr.engines.base import GREEDY, DecodingOptions, DecodingResult, EncodedBatch
from tests.fakes.faults import FaultyEngine
from tests.support.compose import (
    Composition,
    compose,
    join,
    random_plan,
)
from tests.support.speech import Oracle, bank

WAYS = frozenset({"temperature", "beam"})


def talk(count: int = 60, seed: int = 3) -> Composition:
    """Return about 40 s of speech in phrases, with one long pause in the middle."""
    rng = np.random.default_rng(seed)
    parts = [compose(bank(), random_plan(bank(), count // 2, rng), rng=rng) for _ in range(2)]
    return join(*parts, pause=1.0)


class Wayward(Oracle):
    """An oracle that fails unless it decodes with one of the options `cured_by`."""

    def __init__(
        self, said: Composition, cured_by: Sequence[DecodingOptions], limit_s: float = 99
    ) -> None:
        super().__init__(said.words, decoding_methods=WAYS)
        self.cured_by = cured_by
        self.asked: list[DecodingOptions] = []
        self.limit_s = limit_s

    def decode(
        self, encoded: EncodedBatch, languages: Sequence[str], options: DecodingOptions = GREEDY
    ) -> list[DecodingResult]:
        self.asked += [options] * len(languages)
        found = super().decode(encoded, languages)
        if options in self.cured_by:
            return found
        # Every reading has a different fault, so that no two readings agree.
        number = len(self.asked)
        return [
            FaultyEngine(_Said(decoded), share=1.0, seed=number, kinds=["loop"]).decode(
                EncodedBatch((window,), ({},), (0.0,)), ["en"]
            )[0]
            for window, decoded in zip(encoded.windows, found, strict=True)
        ]


class _Said:
    """An engine that returns the given result."""

    def __init__(self, decoded: DecodingResult) -> None:
        self._decoded = decoded

    def decode(self, *_: object) -> list[DecodingResult]:
        return [self._decoded]
