"""Failures in a batch: full memory, refused shapes, a broken context, bad windows."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

import pytest
import torch

from kb.asr.batching import batch_size
from kb.asr.batching.batcher import Batcher
from kb.asr.batching.language_vote import LanguageVote
from kb.asr.batching.window_queue import wait
from kb.asr.engines.base import GREEDY, DecodingOptions, DecodingResult, EncodedBatch
from kb.asr.windows.windowing import Window
from kb.errors import DeviceLost, GPUError, TranscriptionError
from tests.support.batchers import Held, Small, nobody_stops, window
from tests.support.raising import raises
from tests.support.speech import Oracle
from tests.support.waiting import until

pytestmark = pytest.mark.slow


def test_a_broken_context_fails_all_waiting_windows_at_once(opened: Callable[..., Batcher]) -> None:
    tries = []

    def fails(windows: Sequence[Window]) -> None:
        if tries or len(windows) > 1:
            tries.append(len(windows))
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    engine = Held(fails=fails)
    batcher = opened(engine, 2)
    first = batcher.submit("first", window(0), LanguageVote("en"))
    until(lambda: engine.batches == [1])
    futures = [batcher.submit(n, window(n), LanguageVote("en")) for n in range(4)]
    engine.go.set()
    assert wait(first, nobody_stops)
    for future in futures:
        with raises(DeviceLost, "device.failed") as caught:
            wait(future, nobody_stops)
        assert "illegal memory access" in caught.value.values["cause"]
        assert "KB_DEVICE=cpu" in caught.value.hint
    assert tries == [2]  # no retry on a lost device
    with pytest.raises(DeviceLost):
        batcher.submit("late", window(9), LanguageVote("en"))
    assert batcher.device_error is not None


def test_a_context_that_breaks_while_windows_are_tried_alone(
    opened: Callable[..., Batcher],
) -> None:
    def fails(windows: Sequence[Window]) -> None:
        if len(windows) > 1:
            raise RuntimeError("shapes do not fit")
        if windows[0].start_s == 1:
            raise RuntimeError("CUDA error: unspecified launch failure")

    engine = Held(fails=fails)
    batcher = opened(engine, 3)
    futures = [batcher.submit("item", window(n, 3 - n / 2), LanguageVote("en")) for n in range(3)]
    engine.go.set()
    assert wait(futures[0], nobody_stops)  # was decoded before the failure
    for future in futures[1:]:
        with raises(DeviceLost, "device.failed") as caught:
            wait(future, nobody_stops)
        assert "unspecified launch failure" in caught.value.values["cause"]


def test_fragmented_memory_is_freed_by_a_clean_up(opened: Callable[..., Batcher]) -> None:
    calls = []

    def fails(windows: Sequence[Window]) -> None:
        calls.append(len(windows))
        if len(calls) == 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    engine = Held(fails=fails)
    batcher = opened(engine, 4)
    for round_number in (1, 2):
        engine.go.clear()
        futures = [batcher.submit("first", window(0), LanguageVote("en"))]
        until(lambda number=round_number: len(calls) == 2 * number - 1)  # alone on the device
        futures += [batcher.submit("item", window(n), LanguageVote("en")) for n in range(1, 5)]
        engine.go.set()
        assert all(wait(future, nobody_stops) for future in futures)
    assert calls == [1, 4, 1, 4, 4]  # the last batch repeats all windows
    until(lambda: batcher.state().repeated == 1)
    assert (batcher.size, batcher.state().halved) == (4, 0)


def test_out_of_memory_halves_the_batch_and_loses_no_window(
    opened: Callable[..., Batcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_size, "GROW_AFTER", 2)
    device = Small(3)
    engine = Oracle((), fails=device)
    batcher = opened(engine, 8)
    futures = [batcher.submit(n % 3, window(n), LanguageVote("en")) for n in range(14)]
    assert all(wait(future, nobody_stops) for future in futures)
    assert sorted(start for start, _ in engine.decoded_spans) == list(range(14))
    assert device.refused in (2, 3)
    assert batcher.size <= 4
    device.room = 8
    for n in range(40):
        wait(batcher.submit("more", window(n), LanguageVote("en")), nobody_stops)
    assert batcher.size == 8  # the original size


@pytest.mark.parametrize(
    ("most", "message"),
    [
        (3, "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"),
        (1, "CUDA error: invalid configuration argument"),
        (0, "cuBLAS failed with status CUBLAS_STATUS_NOT_SUPPORTED"),
    ],
)
def test_a_refused_shape_makes_the_batch_smaller(
    opened: Callable[..., Batcher], most: int, message: str
) -> None:
    def fails(windows: Sequence[Window]) -> None:
        if len(windows) > most:
            raise RuntimeError(message)

    batcher = opened(Oracle((), fails=fails), 8)
    futures = [batcher.submit("item", window(n), LanguageVote("en")) for n in range(8)]
    for future in futures:
        if most:
            assert wait(future, nobody_stops)
            continue
        with raises(GPUError, "device.refused", cause=message) as caught:
            wait(future, nobody_stops)
        assert not caught.value.retryable
    assert batcher.device_error is None
    state = batcher.state()
    assert state.size <= max(most, 1) and state.halved == 0
    assert "refused" in state.reason


def test_not_even_one_window_fits(opened: Callable[..., Batcher]) -> None:
    batcher = opened(Oracle((), fails=Small(0)), 8)
    future = batcher.submit("item", window(), LanguageVote("en"))
    with raises(GPUError, "device.window_too_large") as caught:
        wait(future, nobody_stops)
    assert "KB_DEVICE=cpu" in caught.value.hint


def test_a_bad_window_fails_alone(opened: Callable[..., Batcher]) -> None:
    def fails(windows: Sequence[Window]) -> None:
        if any(window.start_s == 3 for window in windows):
            raise RuntimeError("shapes do not fit")

    engine = Oracle((), fails=fails)
    batcher = opened(engine, 8)
    futures = [batcher.submit(number, window(number), LanguageVote("en")) for number in range(6)]
    for number, future in enumerate(futures):
        if number == 3:
            with raises(TranscriptionError, "recognizer.failed", kind="RuntimeError") as caught:
                wait(future, nobody_stops)
            assert "shapes do not fit" in caught.value.values["cause"]
            assert caught.value.hint
            assert caught.value.exit_code == 1
        else:
            assert wait(future, nobody_stops).decoded.language == "en"


def test_memory_that_runs_out_for_a_window_alone_is_tried_again(
    opened: Callable[..., Batcher],
) -> None:
    """The tensors of a failed try are freed before the next try."""
    kept: list[weakref.ref[torch.Tensor]] = []
    calls: list[int] = []

    def fails(windows: Sequence[Window]) -> None:
        calls.append(len(windows))
        assert not any(tensor() is not None for tensor in kept)
        states = torch.zeros(4)  # lives as long as the traceback of the error below
        kept.append(weakref.ref(states))
        if len(windows) > 1:
            raise RuntimeError("shapes do not fit")
        if len(calls) == 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    engine = Held(fails=fails)
    batcher = opened(engine, 3)
    first = batcher.submit("first", window(9), LanguageVote("en"))
    until(lambda: calls == [1])
    futures = [batcher.submit("item", window(n), LanguageVote("en")) for n in range(3)]
    engine.go.set()
    assert all(wait(future, nobody_stops) for future in (first, *futures))
    assert calls == [1, 3, 1, 1, 1, 1]


def test_too_few_results_fail_only_their_own_windows(
    opened: Callable[..., Batcher],
) -> None:
    class Short(Oracle):
        def decode(
            self, encoded: EncodedBatch, languages: Sequence[str], options: DecodingOptions = GREEDY
        ) -> list[DecodingResult]:
            found = super().decode(encoded, languages, options)
            return [text for text in found if text.last_s != 5.0]

    batcher = opened(Short(()), 2)
    futures = [batcher.submit("item", window(n), LanguageVote("en")) for n in (4, 5, 6)]
    assert wait(futures[0], nobody_stops) and wait(futures[2], nobody_stops)
    with raises(TranscriptionError, "recognizer.failed", kind="RuntimeError") as caught:
        wait(futures[1], nobody_stops)
    assert "1 windows were given 0 texts" in caught.value.values["cause"]
    assert wait(batcher.submit("item", window(7), LanguageVote("en")), nobody_stops)


def test_a_failing_device_is_named(opened: Callable[..., Batcher]) -> None:
    def fails(_windows: Sequence[Window]) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    future = opened(Oracle((), fails=fails)).submit("item", window(), LanguageVote("en"))
    with raises(GPUError, "device.failed") as caught:
        wait(future, nobody_stops)
    assert "illegal memory access" in caught.value.values["cause"]
