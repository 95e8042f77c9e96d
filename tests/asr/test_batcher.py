"""The owner of the model: batches from many items, lack of memory, cancelling and closing."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from gpu.manager import GPUManager
from gpu.throttle import Throttle
from kb.asr import SAMPLE_RATE
from kb.asr.batching import batch_size
from kb.asr.batching import batcher as batching
from kb.asr.batching.adjustable_semaphore import AdjustableSemaphore
from kb.asr.batching.batcher import Batcher, wait
from kb.asr.batching.language_vote import LanguageVote
from kb.asr.engines.base import GREEDY, DecodingOptions, DecodingResult, EncodedBatch
from kb.asr.quality.repair import RepairPlan
from kb.asr.recognizer import Recognizer
from kb.asr.windows.windowing import Window
from kb.errors import Cancelled, DeviceLost, GPUError, SettingsError, TranscriptionError
from kb.types import MediaRef, SpeechSpan, Transcript
from tests.support.compose import compose, random_plan
from tests.support.raising import raises
from tests.support.speech import Oracle, bank, blocks, detector, preset
from tests.support.waiting import until

MANAGER = GPUManager("cpu", cpu_threads=1)


class Held(Oracle):
    """An oracle that decodes nothing before `go`, so that windows accumulate."""

    def __init__(self, **more: object) -> None:
        super().__init__((), **more)  # type: ignore[arg-type]
        self.started, self.go = threading.Event(), threading.Event()
        self.order: list[float] = []
        self.takes_s = 0.0  # per batch

    def decode(
        self, encoded: EncodedBatch, languages: Sequence[str], options: DecodingOptions = GREEDY
    ) -> list[DecodingResult]:
        self.started.set()
        assert self.go.wait(90)
        time.sleep(self.takes_s)
        self.order += [window.start_s for window in encoded.windows]
        return super().decode(encoded, languages)


def window(start_s: float = 0.0, seconds: float = 1.0) -> Window:
    audio = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    return Window(0, start_s, audio, (SpeechSpan(start_s, start_s + seconds),))


def nobody_stops() -> None:
    pass


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


def test_windows_of_several_items_share_batches_in_turn(opened: Callable[..., Batcher]) -> None:
    engine = Held()
    batcher = opened(engine, 4)
    futures = [batcher.submit("first", window(0), LanguageVote("en"))]
    assert engine.started.wait(90)  # a batch of this window is now on the device
    futures += [batcher.submit("long", window(10 + i), LanguageVote("en")) for i in range(6)]
    futures += [batcher.submit("short", window(90), LanguageVote("en"))]
    engine.go.set()
    answers = [wait(future, nobody_stops) for future in futures]
    assert len(answers) == 8
    assert engine.batches == [1, 4, 3]
    assert 90 in engine.order[:3]  # the short item did not wait for all of the long one


def test_a_full_queue_holds_the_submitter_who_can_still_be_stopped(
    opened: Callable[..., Batcher],
) -> None:
    engine = Held()
    batcher = opened(engine, 1)

    def stop() -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        for number in range(50):
            batcher.submit("item", window(number), LanguageVote("en"), stop)
    assert number <= batcher.queue_capacity + 1


def test_a_wait_can_be_stopped(opened: Callable[..., Batcher]) -> None:
    batcher = opened(Held())
    future = batcher.submit("item", window(), LanguageVote("en"))

    def stop() -> None:
        raise Cancelled("stop")

    began = time.monotonic()
    with pytest.raises(Cancelled):
        wait(future, stop)
    assert time.monotonic() - began < 2


def test_a_cancelled_item_is_dropped_and_the_others_go_on(opened: Callable[..., Batcher]) -> None:
    engine = Held()
    batcher = opened(engine, 2)
    first = batcher.submit("first", window(0), LanguageVote("en"))
    assert engine.started.wait(90)
    dropped = [batcher.submit("dropped", window(i), LanguageVote("en")) for i in (5, 6)]
    kept = batcher.submit("kept", window(9), LanguageVote("en"))
    batcher.cancel("dropped")
    engine.go.set()
    assert wait(first, nobody_stops).decoded.language == "en"
    assert wait(kept, nobody_stops).decoded.language == "en"
    assert engine.order == [0, 9]
    for future in dropped:
        with pytest.raises(TranscriptionError):
            wait(future, nobody_stops)


def test_each_window_gets_its_own_answer_whatever_the_order(opened: Callable[..., Batcher]) -> None:
    engine = Held()
    batcher = opened(engine, 4)
    first = batcher.submit("first", window(0), LanguageVote("en"))
    until(lambda: engine.batches == [1])
    lengths = (3, 9, 1, 8, 2, 7, 5, 6)
    futures = [
        batcher.submit("item", window(10 * n, length), LanguageVote("en"))
        for n, length in enumerate(lengths, start=1)
    ]
    engine.go.set()
    wait(first, nobody_stops)
    places = [wait(future, nobody_stops).decoded.last_s for future in futures]
    assert places == [10.0 * n for n in range(1, 9)]
    assert engine.batches == [1, 4, 4]
    assert engine.order[1:5] == [20, 40, 60, 80]  # the longest first: 9, 8, 7, 6 s


def test_two_minutes_are_not_held_up_behind_an_hour(opened: Callable[..., Batcher]) -> None:
    """There is one preparation slot, and the long item takes it first."""
    engine = Held()
    batcher = opened(engine, 4)
    places = AdjustableSemaphore(1)

    def read(minutes: int) -> Transcript:
        recognizer = Recognizer(
            batcher, preset(overlap_s=0), language="en", detect_speech=False,
            detector=detector(), preparations=places, plan=RepairPlan(0.0, (), 1),
        )  # fmt: skip
        quiet = (np.zeros(30 * SAMPLE_RATE, np.float32) for _ in range(2 * minutes))
        return recognizer.transcribe(quiet, MediaRef(str(minutes), "", 0.0))

    with ThreadPoolExecutor(2) as pool:
        long = pool.submit(read, 60)
        until(lambda: batcher.state().waiting >= batcher.queue_capacity)
        short = pool.submit(read, 2)
        until(lambda: batcher.state().items == 2)  # it was admitted in spite of the full queue
        # A batch takes a while, as on a real device: an instant one would end the long item before
        # a busy machine lets the short item's thread run.
        engine.takes_s = 0.02
        engine.go.set()
        assert short.result(90).media.duration_s == 120
        assert long.result(90).media.duration_s == 3600
    # Both are cut at the same times, so the second window of a time is from the short item.
    twice = [place for place, at_s in enumerate(engine.order) if at_s in engine.order[:place]]
    assert len(twice) >= 4
    assert max(twice) < len(engine.order) / 4
    assert places.acquire(timeout=0) and not places.acquire(timeout=0)


def test_a_waiting_item_that_is_stopped_keeps_no_place(opened: Callable[..., Batcher]) -> None:
    batcher, places, stop = opened(Held(), 1), AdjustableSemaphore(1), threading.Event()
    recognizer = Recognizer(
        batcher, preset("stabil"), language="en", detect_speech=False,
        detector=detector(), preparations=places,
    )  # fmt: skip
    quiet = (np.zeros(30 * SAMPLE_RATE, np.float32) for _ in range(50))
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(
            recognizer.transcribe, quiet, MediaRef("x", "", 0.0), cancelled=stop.is_set
        )
        until(lambda: batcher.state().waiting >= batcher.queue_capacity)
        stop.set()
        with pytest.raises(Cancelled):
            run.result(90)
    assert batcher.state().waiting == 0
    assert places.acquire(timeout=0) and not places.acquire(timeout=0)


def test_the_state_names_the_batch_and_its_limit(opened: Callable[..., Batcher]) -> None:
    engine = Held(fails=Small(2))
    batcher = opened(engine, 4)
    idle = batcher.state()
    assert (idle.size, idle.ceiling, idle.reason) == (4, 4, "the preset's most is 4")
    futures = [batcher.submit(n % 2, window(n, 2.5), LanguageVote("en")) for n in range(4)]
    until(lambda: batcher.state().halved == 1)
    engine.go.set()
    assert all(wait(future, nobody_stops) for future in futures)
    until(lambda: batcher.state().windows == 4)
    state = batcher.state()
    assert (state.size, state.reason) == (2, "memory ran out with 4 windows")
    assert (state.heard_s, state.waiting, state.items, state.halved) == (10.0, 0, 0, 1)
    assert state.busy_s > 0 and state.last == 4


def test_the_device_rests_as_the_throttle_says() -> None:
    engine = Oracle(())
    batcher = Batcher(engine, MANAGER, 1, throttle=lambda: Throttle(0.5, "hot"))
    futures = [batcher.submit("item", window(n), LanguageVote("en")) for n in range(3)]
    assert all(wait(future, nobody_stops) for future in futures)
    until(lambda: batcher.state().rested_s > 0)
    batcher.close()
    never = Batcher(Oracle(()), MANAGER, 1)
    wait(never.submit("item", window(), LanguageVote("en")), nobody_stops)
    never.close()
    assert never.state().rested_s == 0


def test_a_long_rest_is_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Oracle):
        def decode(
            self, encoded: EncodedBatch, languages: Sequence[str], options: DecodingOptions = GREEDY
        ) -> list[DecodingResult]:
            time.sleep(0.05)
            return super().decode(encoded, languages, options)

    monkeypatch.setattr(batching, "THROTTLE_POLL_S", 0.01)
    batcher = Batcher(Slow(()), MANAGER, 1, throttle=lambda: Throttle(0.9, "hot"))
    assert wait(batcher.submit("item", window(0), LanguageVote("en")), nobody_stops)
    assert wait(batcher.submit("item", window(1), LanguageVote("en")), nobody_stops)
    state = batcher.state()
    assert state.rested_s >= 0.05 * 9
    batcher.close()


def test_an_idle_device_gets_its_memory_back_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tidied(GPUManager):
        count = 0

        def cleanup(self) -> None:
            self.count += 1
            super().cleanup()

    manager = Tidied("cpu", cpu_threads=1)
    monkeypatch.setattr(batching, "IDLE_S", 0.01)
    batcher = Batcher(Oracle(()), manager, 2)
    until(lambda: manager.count == 1)
    wait(batcher.submit("item", window(), LanguageVote("en")), nobody_stops)
    until(lambda: manager.count == 2)
    batcher.close()


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


class Small:
    """A device with memory for `room` windows; the test may increase it."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.refused = 0

    def __call__(self, windows: Sequence[Window]) -> None:
        if len(windows) > self.room:
            self.refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


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


def test_no_fault_ends_the_thread_that_all_wait_for() -> None:
    def broken() -> Throttle:
        if not notified:
            notified.append(True)
            raise ValueError("no such sensor")
        return Throttle()

    notified: list[bool] = []
    batcher = Batcher(Oracle(()), MANAGER, 1, throttle=broken)
    assert wait(batcher.submit("item", window(0), LanguageVote("en")), nobody_stops)
    assert wait(batcher.submit("item", window(1), LanguageVote("en")), nobody_stops)
    assert notified
    batcher.close()


def test_a_failing_device_is_named(opened: Callable[..., Batcher]) -> None:
    def fails(_windows: Sequence[Window]) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    future = opened(Oracle((), fails=fails)).submit("item", window(), LanguageVote("en"))
    with raises(GPUError, "device.failed") as caught:
        wait(future, nobody_stops)
    assert "illegal memory access" in caught.value.values["cause"]


def test_closing_ends_a_running_decode_and_all_waiting_calls() -> None:
    engine = Held()
    batcher = Batcher(engine, MANAGER, 1)
    running = batcher.submit("item", window(0), LanguageVote("en"))
    assert engine.started.wait(90)
    waiting = batcher.submit("item", window(1), LanguageVote("en"))
    threading.Timer(0.2, engine.go.set).start()
    batcher.close()
    assert engine.stopped
    assert running.done()
    with raises(TranscriptionError, "recognizer.closed"):
        wait(waiting, nobody_stops)
    with raises(TranscriptionError, "recognizer.closed"):
        batcher.submit("item", window(2), LanguageVote("en"))


def test_busy_time_is_shared_by_number(opened: Callable[..., Batcher]) -> None:
    class Slow(Held):
        def decode(
            self, encoded: EncodedBatch, languages: Sequence[str], options: DecodingOptions = GREEDY
        ) -> list[DecodingResult]:
            answer = super().decode(encoded, languages)
            time.sleep(0.2)
            self.align_s += 0.08
            return answer

    engine = Slow()
    batcher = opened(engine, 4)
    futures = [batcher.submit(number, window(), LanguageVote("en")) for number in range(4)]
    engine.go.set()
    answers = [wait(future, nobody_stops) for future in futures]
    assert engine.batches == [4]
    assert sum(answer.align_s for answer in answers) == pytest.approx(0.08)
    assert sum(answer.asr_s for answer in answers) == pytest.approx(0.12, abs=0.1)


# The language of an item


def test_the_vote_counts_each_window_once_by_its_speech() -> None:
    vote = LanguageVote(None)
    vote.add(window(0, 10), {"en": -0.1, "de": -3.0})
    for _ in range(5):  # a repeated batch
        vote.add(window(20, 3), {"en": -6.0, "de": -0.01})
    assert vote.language == "en"
    vote.add(window(40, 20), {"en": -4.0, "de": -0.02})
    assert vote.language == "de"


def test_one_sure_window_does_not_outvote_the_rest() -> None:
    vote = LanguageVote(None)
    vote.add(window(0, 10), {"en": -300.0, "de": 0.0})
    for start_s in (20, 40):
        vote.add(window(start_s, 10), {"en": -0.05, "de": -5.0})
    assert vote.language == "en"


def test_a_window_in_another_language_is_read_in_it_unless_one_was_asked_for() -> None:
    sure, unsure = {"en": -5.0, "de": -0.01}, {"en": -0.9, "de": -0.5}
    vote = LanguageVote(None)
    vote.add(window(0, 60), {"en": -0.01, "de": -5.0})
    assert vote.choose(window(), sure) == "de"
    assert vote.choose(window(), unsure) == "en"
    assert LanguageVote("en").choose(window(), sure) == "en"
    assert LanguageVote(None).choose(window(), {}) == "en"  # a model with one language


@pytest.mark.slow
def test_every_window_is_read_in_its_language_and_the_item_named_by_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The vote counts the windows so far: all five are in one batch, however slow the machine is.
    monkeypatch.setattr(batching, "PATIENCE_S", 20.0)
    rng = np.random.default_rng(3)
    said = compose(bank(), random_plan(bank(), 120, rng), rng=rng)

    def languages(shown: Window) -> dict[str, float]:
        german = 20 < shown.start_s < 39
        return {"de": -0.01, "en": -4.6} if german else {"de": -2.0, "en": -0.15}

    oracle = Oracle(said.words, languages=languages)
    batcher = Batcher(oracle, MANAGER, 5)
    recognizer = Recognizer(batcher, preset("stabil"), detector=detector())
    found = recognizer.transcribe(blocks(said.audio), MediaRef("x", "", 0.0))
    batcher.close()
    assert oracle.batches == [5]
    assert found.language == "en"
    assert [s.language for s in found.segments].count("de") == 1


def test_an_unknown_language_is_refused_before_anything_is_read(
    opened: Callable[..., Batcher],
) -> None:
    with raises(SettingsError, "recognizer.language", language="xx") as caught:
        Recognizer(opened(Oracle(())), preset(), language="xx", detector=detector())
    assert caught.value.exit_code == 2


def test_a_transcription_can_be_stopped_while_it_waits(opened: Callable[..., Batcher]) -> None:
    said = compose(bank(), random_plan(bank(), 20, np.random.default_rng(1)))
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    recognizer = Recognizer(opened(Held()), preset(), detector=detector())
    with raises(Cancelled, "recognizer.stopped"):
        recognizer.transcribe(blocks(said.audio), MediaRef("x", "", 0.0), cancelled=stop.is_set)
