"""The owner of the model: batches from many items, lack of memory, cancelling and closing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from gpu.manager import GPUManager
from gpu.throttle import Throttle
from kb.asr import SAMPLE_RATE
from kb.asr.batching import batcher as batching
from kb.asr.batching.adjustable_semaphore import AdjustableSemaphore
from kb.asr.batching.batcher import Batcher
from kb.asr.batching.language_vote import LanguageVote
from kb.asr.batching.preparation_growth import BATCHES, PreparationGrowth
from kb.asr.batching.window_queue import wait
from kb.asr.engines.base import GREEDY, DecodingOptions, DecodingResult, EncodedBatch
from kb.asr.quality.repair_plan import RepairPlan
from kb.asr.recognizer import Recognizer
from kb.errors import Cancelled, TranscriptionError
from kb.types import MediaRef, Transcript
from tests.support.batchers import MANAGER, Held, Small, nobody_stops, window
from tests.support.compose import compose, random_plan
from tests.support.raising import raises
from tests.support.speech import Oracle, bank, blocks, detector, preset
from tests.support.waiting import WAIT_S, until


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


def test_batches_that_are_not_full_bring_more_preparation_slots(
    opened: Callable[..., Batcher],
) -> None:
    slots = AdjustableSemaphore(1)
    batcher = opened(Oracle(()), 4, growth=PreparationGrowth(slots, lambda: 3))
    assert slots.acquire()
    for index in range(BATCHES):  # one window of four in each batch
        wait(batcher.submit("talk", window(index), LanguageVote("en")), nobody_stops)
    until(lambda: slots.count == 2)
    assert (slots.floor, slots.in_use) == (1, 1)


def test_an_urgent_window_waits_only_for_the_batch_under_way(
    opened: Callable[..., Batcher],
) -> None:
    """And batches on a CPU stay small for a minute, because another one is expected."""
    engine = Held()
    batcher = opened(engine, 8)
    futures = [batcher.submit("talk", window(0), LanguageVote("en"))]
    assert engine.started.wait(90)
    futures += [batcher.submit("talk", window(10 + i), LanguageVote("en")) for i in range(15)]
    assert len(batcher._scheduler) == 15 and batcher.size == 8
    futures += [
        batcher.submit("clip", window(90 + i), LanguageVote("en"), urgent=True) for i in range(3)
    ]  # the queue is full; it has room for them
    assert (batcher.size, batcher.state().reason) == (4, batching.BESIDE_URGENT)
    engine.go.set()
    for future in futures:
        wait(future, nobody_stops)
    assert engine.batches[:3] == [1, 4, 4] and {90, 91, 92} < set(engine.order[1:5])
    batcher._urgent_expected_until = time.monotonic() - 1
    assert batcher.size == 8 and batcher.state().reason == "the preset's most is 8"


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

    with pytest.raises(Cancelled):
        wait(future, stop)  # the engine is held: without the stop it would not end


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


@pytest.mark.slow
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
        engine.may_end = lambda: short.done() or batcher.state().items == 2
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


def test_the_state_names_the_batch_and_its_limit(
    opened: Callable[..., Batcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "PATIENCE_S", WAIT_S)  # the four go together
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


def test_words_are_made_in_the_thread_that_waits_for_them() -> None:
    class Unread:
        def __init__(self, text: DecodingResult, fails: bool) -> None:
            self.text, self.fails = text, fails

        def read(self) -> DecodingResult:
            threads.append(threading.current_thread())
            if self.fails:
                raise ValueError("no such token")
            return self.text

    class Tokens(Oracle):
        def decode(self, *given: Any) -> Any:
            found = super().decode(*given)
            return [Unread(text, text.last_s == 1.0) for text in found]

    threads: list[threading.Thread] = []
    batcher = Batcher(Tokens(()), MANAGER, 2)
    futures = [batcher.submit("item", window(s), LanguageVote("en")) for s in (1.0, 2.0)]
    bad, good = (wait(future, nobody_stops) for future in futures)
    assert not threads
    assert good.decoded is good.decoded
    with raises(TranscriptionError, "recognizer.failed", kind="ValueError", cause="no such token"):
        _ = bad.decoded
    assert set(threads) == {threading.current_thread()}
    assert len(threads) == 2
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


def test_closing_ends_a_running_decode_and_all_waiting_calls() -> None:
    engine = Held()
    batcher = Batcher(engine, MANAGER, 1)
    running = batcher.submit("item", window(0), LanguageVote("en"))
    assert engine.started.wait(90)
    waiting = batcher.submit("item", window(1), LanguageVote("en"))

    def go_on_at_the_end() -> None:
        until(lambda: batcher._closing)
        engine.go.set()

    threading.Thread(target=go_on_at_the_end).start()
    batcher.close()
    assert engine.stopped
    assert running.done()
    with raises(TranscriptionError, "recognizer.closed"):
        wait(waiting, nobody_stops)
    with raises(TranscriptionError, "recognizer.closed"):
        batcher.submit("item", window(2), LanguageVote("en"))


def test_busy_time_is_shared_by_number(
    opened: Callable[..., Batcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "PATIENCE_S", WAIT_S)  # the four go together

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
    began = time.monotonic()
    engine.go.set()
    answers = [wait(future, nobody_stops) for future in futures]
    took_s = time.monotonic() - began
    assert engine.batches == [4]
    assert sum(answer.align_s for answer in answers) == pytest.approx(0.08)
    assert len({answer.asr_s for answer in answers}) == 1
    assert 0.1199 <= sum(answer.asr_s for answer in answers) <= took_s


# The language of an item


def test_a_transcription_can_be_stopped_while_it_waits(opened: Callable[..., Batcher]) -> None:
    said = compose(bank(), random_plan(bank(), 20, np.random.default_rng(1)))
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    recognizer = Recognizer(opened(Held()), preset(), detector=detector())
    with raises(Cancelled, "recognizer.stopped"):
        recognizer.transcribe(blocks(said.audio), MediaRef("x", "", 0.0), cancelled=stop.is_set)
