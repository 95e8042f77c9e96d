"""The next batch goes through the encoder while the present one is decoded."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

import numpy as np
import pytest

from gpu.manager import GPUManager
from gpu.throttle import Throttle
from kb.asr.batching.batch_ahead import MOST_PASSED
from kb.asr.batching.batcher import Batcher
from kb.asr.batching.language_vote import FixedLanguage
from kb.asr.batching.window_queue import BatchedWindow
from kb.asr.engines.base import (
    GREEDY,
    DecodingOptions,
    DecodingResult,
    EncodedBatch,
    PreparedBatch,
)
from kb.asr.windows.windowing import Window
from kb.errors import DeviceLost, KBError
from tests.support.waiting import until

SIZE = 2


def noise(number: int) -> Window:
    return Window(number, 30.0 * number, np.zeros(16_000, np.float32))


class Preparing:
    """An engine without a model: each step waits for leave, and what ran is noted."""

    name, model = "preparing", "none"
    receptive_field_s, load_s, align_s = 30.0, 0.0, 0.0
    decoding_methods: frozenset[str] = frozenset()
    prepares = True

    def __init__(self) -> None:
        self.steps: list[tuple[str, list[int]]] = []
        self.leave = threading.Semaphore(0)  # to decode a batch
        self.prepare_error: Exception | None = None
        self.decode_error: Exception | None = None

    def prepare(self, windows: Sequence[Window]) -> PreparedBatch:
        self.steps.append(("prepare", [w.index for w in windows]))
        if self.prepare_error:
            raise self.prepare_error
        return PreparedBatch(tuple(windows), "states", 0.0)

    def encode(self, windows: Sequence[Window]) -> EncodedBatch:
        self.steps.append(("encode", [w.index for w in windows]))
        return self._encoded(windows)

    def encode_prepared(self, prepared: PreparedBatch) -> EncodedBatch:
        assert prepared.states == "states"
        self.steps.append(("take", [w.index for w in prepared.windows]))
        return self._encoded(prepared.windows)

    def _encoded(self, windows: Sequence[Window]) -> EncodedBatch:
        return EncodedBatch(tuple(windows), tuple({} for _ in windows), tuple(0.0 for _ in windows))

    def decode(
        self, encoded: EncodedBatch, languages: Sequence[str], options: DecodingOptions = GREEDY
    ) -> list[DecodingResult]:
        assert self.leave.acquire(timeout=60)
        if self.decode_error:
            raise self.decode_error
        return [
            DecodingResult((), "en", -float(window.index), 0.0, 0.0) for window in encoded.windows
        ]

    def supports_language(self, code: str) -> bool:
        return True

    def stop(self) -> None:
        self.leave.release(1000)

    def close(self) -> None: ...


@contextmanager
def batcher(
    engine: Preparing, rest: float = 0.0, *, on_card: int = 2, window_bytes: int = 0
) -> Iterator[Batcher]:
    made = Batcher(
        engine,
        GPUManager("cpu", cpu_threads=1),
        SIZE,
        throttle=lambda: Throttle(rest),
        window_bytes=window_bytes,
        on_card=on_card,
    )
    try:
        yield made
    finally:
        made.close()


def submit(
    made: Batcher, numbers: Sequence[int], *, urgent: bool = False
) -> list[Future[BatchedWindow]]:
    owner = "urgent" if urgent else "talk"
    return [
        made.submit(owner, noise(number), FixedLanguage("en"), urgent=urgent) for number in numbers
    ]


def answers(found: Sequence[Future[BatchedWindow]]) -> list[int]:
    return [round(-each.result(60).decoded.avg_logprob) for each in found]


def names(engine: Preparing) -> list[str]:
    return [name for name, _ in engine.steps]


def test_a_full_batch_is_prepared_beside_and_taken_in_its_turn() -> None:
    engine = Preparing()
    with batcher(engine) as made:
        found = submit(made, [1, 2])
        until(lambda: names(engine) == ["encode"])
        found += submit(made, [3])
        assert names(engine) == ["encode"]  # a half batch may still become a full one
        found += submit(made, [4])
        until(lambda: names(engine) == ["encode", "prepare"])
        engine.leave.release(2)
        assert answers(found) == [1, 2, 3, 4]
        assert names(engine) == ["encode", "prepare", "take"]
        assert made.state().batches == 2 and made.state().windows == 4


@pytest.mark.parametrize(
    ("on_card", "window_bytes", "ahead"),
    [
        (1, 1, 0),
        (2, 1, 1),
        (3, 1, 2),
        (3, 2**50, 1),  # memory has no room for a third batch
        (3, 0, 1),  # nothing is known about the memory of a window
    ],
)
def test_memory_and_the_setting_decide_how_many_batches_are_prepared(
    on_card: int, window_bytes: int, ahead: int
) -> None:
    engine = Preparing()
    with batcher(engine, on_card=on_card, window_bytes=window_bytes) as made:
        found = submit(made, [1, 2])
        until(lambda: names(engine) == ["encode"])
        found += submit(made, [3, 4])
        until(lambda: names(engine).count("prepare") == min(ahead, 1))
        found += submit(made, [5, 6])
        until(lambda: names(engine).count("prepare") == ahead)
        if ahead == 2:  # (else the queue is full)
            found += submit(made, [7, 8])
        assert made.state().waiting == len(found) - SIZE * (1 + ahead)
        engine.leave.release(4)
        assert answers(found) == [*range(1, len(found) + 1)]
        taken = [numbers for name, numbers in engine.steps if name != "prepare"]
        assert taken == [[n, n + 1] for n in range(1, len(found), SIZE)]
    if not ahead:
        assert names(engine) == ["encode"] * 3


def test_urgent_windows_overtake_a_prepared_batch_but_not_for_ever() -> None:
    engine = Preparing()
    with batcher(engine) as made:
        talks = submit(made, [1, 2])
        until(lambda: names(engine) == ["encode"])
        talks += submit(made, [3, 4])
        until(lambda: "prepare" in names(engine))
        clips = submit(made, [10], urgent=True)
        for number in range(1, MOST_PASSED + 2):
            # The next short request is there before the batch under way ends.
            clips += submit(made, [10 + number], urgent=True)
            engine.leave.release()
            until(lambda least=2 + number: len(names(engine)) >= least)
        engine.leave.release(20)
        assert answers(talks) == [1, 2, 3, 4]
        assert answers(clips) == [*range(10, 12 + MOST_PASSED)]
    order = [numbers for name, numbers in engine.steps if name != "prepare"]
    assert order[1] != [3, 4] and 10 in order[1]  # the first short request came before the talk
    assert order.index([3, 4]) <= MOST_PASSED + 1


@pytest.mark.parametrize("kind", [RuntimeError, MemoryError])
def test_a_batch_that_cannot_be_prepared_is_encoded_in_its_turn(kind: type[Exception]) -> None:
    engine = Preparing()
    engine.prepare_error = kind("no memory for two batches")
    with batcher(engine) as made:
        found = submit(made, [1, 2])
        until(lambda: names(engine) == ["encode"])
        found += submit(made, [3, 4])
        until(lambda: names(engine) == ["encode", "prepare"])
        engine.leave.release(20)
        found += submit(made, [5, 6, 7, 8])
        assert answers(found) == [1, 2, 3, 4, 5, 6, 7, 8]
    # It is not tried again: each try would take memory that the batch under way needs.
    assert names(engine).count("prepare") == 1


def test_the_device_rests_after_the_batch_that_is_prepared_beside() -> None:
    engine = Preparing()
    with batcher(engine, rest=0.5) as made:
        found = submit(made, [1, 2])
        until(lambda: names(engine) == ["encode"])
        found += submit(made, [3, 4])
        until(lambda: "prepare" in names(engine))
        engine.leave.release(2)
        assert answers(found) == [1, 2, 3, 4]
        until(lambda: made.state().rested_s > 0)


def test_an_end_leaves_no_caller_waiting() -> None:
    engine = Preparing()
    with batcher(engine) as made:
        running = submit(made, [1, 2])
        until(lambda: names(engine) == ["encode"])
        held = submit(made, [3, 4])
        until(lambda: "prepare" in names(engine))
    assert all(each.done() for each in running)
    for each in held:
        with pytest.raises(KBError):
            each.result(1)


def test_a_lost_device_fails_the_prepared_batch_too(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Preparing()
    engine.decode_error = RuntimeError("CUDA error: an illegal memory access was encountered")
    monkeypatch.setattr(GPUManager, "device_lost", staticmethod(lambda error: True))
    with batcher(engine) as made:
        found = submit(made, [1, 2])
        until(lambda: names(engine) == ["encode"])
        found += submit(made, [3, 4])
        until(lambda: "prepare" in names(engine))
        engine.leave.release()
        for each in found:
            with pytest.raises(DeviceLost):
                each.result(60)
