"""One thread owns the model; windows of all items are queued for it and decoded in batches.

A batch starts when it is full, or when no new window has arrived for a short time.
`kb.asr.batching.scheduler` decides which windows share a batch (items take turns, one language
per batch if possible, longest first), `kb.asr.batching.batch_size` decides how many. When the
device runs out of memory, the batch is halved and the same windows are decoded again. When the
device's context is broken, this process cannot decode any more: all waiting calls fail with
that error, and the owner of the process starts a new one.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from gpu.manager import BatchCeiling, GPUManager
from gpu.status import BatchState
from gpu.throttle import Throttle
from kb.asr.batching import batch_size
from kb.asr.batching.batch_ahead import BatchAhead, Held
from kb.asr.batching.batch_size import AdaptiveBatchSize
from kb.asr.batching.preparation_growth import PreparationGrowth
from kb.asr.batching.scheduler import FairScheduler, Ticket
from kb.asr.batching.window_queue import BatchedWindow, LanguageSelector
from kb.asr.engines.base import (
    GREEDY,
    DecodingOptions,
    EncodedBatch,
    Engine,
    MemoryKeepingEngine,
    PreparedBatch,
    PreparingEngine,
)
from kb.asr.engines.errors import explain, recognizer_closed
from kb.asr.windows.windowing import Window
from kb.errors import DeviceLost, KBError

log = logging.getLogger(__name__)

BESIDE_URGENT = "short requests are expected"

PATIENCE_S = 0.03  # wait of an incomplete batch for more windows
USUAL_ON_CARD = 2  # batches on the device at once: one in the decoder, one in the encoder
QUEUED_BATCHES = 2  # most full batches in the queue; 16 windows of 30 s are 31 MB
IDLE_S = 20.0  # after so long without work the memory that no tensor uses is returned to the device
URGENT_EXPECTED_S = 60.0  # after an urgent request, another one is expected for so long
# Most windows of a batch on a CPU meanwhile, because an urgent one waits for the batch under way. A
# window takes 2 % longer than in a batch of 8, in one of 2 it would take 20 % longer (demo model).
BATCH_BESIDE_URGENT = 4
THROTTLE_POLL_S = 5.0  # interval at which the throttle is read while the device rests


@dataclass(slots=True, eq=False)
class _Job:
    window: Window
    vote: LanguageSelector
    options: DecodingOptions = GREEDY
    future: Future[BatchedWindow] = field(default_factory=Future)


@dataclass(slots=True)
class _Counts:
    last: int = 0
    batches: int = 0
    windows: int = 0
    audio_s: float = 0.0
    busy_s: float = 0.0
    rested_s: float = 0.0


class Batcher:
    """The owner of one engine. `submit` may be called from any thread; call `close` at the end."""

    def __init__(
        self,
        engine: Engine,
        manager: GPUManager,
        ceiling: int,
        *,
        max_batch: Callable[[], BatchCeiling] | None = None,
        throttle: Callable[[], Throttle] = Throttle,
        window_bytes: int = 0,
        growth: PreparationGrowth | None = None,
        on_card: int = USUAL_ON_CARD,
    ) -> None:
        """`ceiling`: most windows in a batch, by the preset or by the device.

        `max_batch`: the present limit by memory; `throttle`: the share of the time that the device
        rests; `window_bytes`: the computed memory of one window, for display; `growth`: counts how
        well the batches are fed; `on_card`: most batches on the device at once, 1 to 3.
        """
        self.engine = engine
        self.device_error: DeviceLost | None = None  # set once the device's context is broken
        self._manager = manager
        self._throttle = throttle
        self._window_bytes = window_bytes
        self._growth = growth
        self._size = AdaptiveBatchSize(
            ceiling, max_batch, batch_size.GROW_AFTER, padded=manager.on_gpu
        )
        self._scheduler: FairScheduler[_Job] = FairScheduler()
        self._counts = _Counts()
        self._urgent_expected_until = -math.inf  # by the monotonic clock
        self._changed = threading.Condition()
        self._closing = False
        self._ahead: BatchAhead[_Job] | None = None
        self._on_card = on_card
        if on_card > 1 and isinstance(engine, PreparingEngine) and engine.prepares:
            self._ahead = BatchAhead(
                engine,
                self._changed,
                self._take_full,
                lambda job: job.window,
                manager.apply,
                self._has_room,
            )
        self._thread = threading.Thread(target=self._work, name="recognizer", daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:
        """The current batch size; small on a CPU while urgent windows are expected."""
        if self._manager.on_gpu or time.monotonic() > self._urgent_expected_until:
            return self._size.size
        return min(self._size.size, BATCH_BESIDE_URGENT)

    @property
    def ceiling(self) -> int:
        """The most windows that a batch may have."""
        return self._size.ceiling

    @property
    def queue_capacity(self) -> int:
        """The number of windows that the queue holds."""
        return QUEUED_BATCHES * self._size.ceiling

    @property
    def audio_s(self) -> float:
        """Seconds of sound decoded so far."""
        return self._counts.audio_s

    def state(self) -> BatchState:
        """Return the batch size, the reason for its limit, and the work done so far."""
        with self._changed:
            waiting, items = len(self._scheduler), len(self._scheduler.owners)
        size, counts, present = self._size, self._counts, self.size
        return BatchState(
            size=present,
            ceiling=size.ceiling,
            reason=size.reason if present == size.size else BESIDE_URGENT,
            last=counts.last,
            waiting=waiting,
            items=items,
            batches=counts.batches,
            windows=counts.windows,
            halved=size.halved,
            repeated=size.repeated,
            heard_s=round(counts.audio_s, 1),
            busy_s=round(counts.busy_s, 6),
            rested_s=round(counts.rested_s, 6),
            window_bytes=self._window_bytes,
        )

    def submit(
        self,
        owner: Hashable,
        window: Window,
        vote: LanguageSelector,
        check: Callable[[], None] | None = None,
        options: DecodingOptions = GREEDY,
        *,
        urgent: bool = False,
        while_waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Future[BatchedWindow]:
        """Queue a window of `owner`; `vote` chooses its language after the encoder.

        Waits while the queue is full. `check` is called during the wait and may raise. The wait
        runs inside `while_waiting()`, so that the caller can let other items proceed. An owner with
        few windows in the queue does not wait for one with many. All windows of an owner are
        `urgent` or none: they come before those of owners that are not.
        """
        job = _Job(window, vote, options)
        length_s = sum(span.duration_s for span in window.speech) or window.duration_s
        ticket = Ticket(owner, job, options, length_s, lambda: vote.expected, urgent)
        if urgent:
            self.expect_urgent()
        if not self._try_enqueue(ticket):
            with while_waiting():
                while not self._try_enqueue(ticket):
                    with self._changed:
                        self._changed.wait(0.2)
                    if check:
                        check()
        return job.future

    def _try_enqueue(self, ticket: Ticket[_Job]) -> bool:
        """Queue a ticket if there is room for it."""
        with self._changed:
            if self._closing:
                raise self.device_error or recognizer_closed()
            scheduler, owners = self._scheduler, len(self._scheduler.owners)
            own = scheduler.queued_of(ticket.owner)
            # Every item may queue its share of one batch, even if the queue is full.
            share = max(1, self._size.ceiling // max(1, owners + (own == 0)))
            if ticket.urgent:
                share = self._size.ceiling
            if len(scheduler) >= self.queue_capacity and own >= share:
                return False
            scheduler.add(ticket)
            self._changed.notify_all()
            return True

    def expect_urgent(self) -> None:
        """Expect urgent windows for a minute from now on: batches on a CPU stay small."""
        self._urgent_expected_until = time.monotonic() + URGENT_EXPECTED_S

    def cancel(self, owner: Hashable) -> None:
        """Remove the waiting windows of `owner`; results of a running batch are discarded."""
        with self._changed:
            dropped = self._scheduler.remove(owner)
            self._changed.notify_all()
        for job in dropped:
            job.future.cancel()

    def set_ceiling(self, ceiling: int) -> None:
        """Set the most windows in a batch, from the next batch on."""
        with self._changed:
            if ceiling != self._size.ceiling:
                self._size.set_ceiling(ceiling)
                self._changed.notify_all()

    def renew_limit(self, window_bytes: int) -> None:
        """Ask for the limit again, from the next batch on; `window_bytes` as in the constructor."""
        with self._changed:
            self._window_bytes = window_bytes
            self._size.set_ceiling(self._size.ceiling)
            self._changed.notify_all()

    def close(self) -> None:
        """Stop the thread and a running decode; waiting windows are cancelled."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self.engine.stop()
        self._thread.join()
        if self._ahead is not None:
            self._ahead.close()
        self._drop_all()

    def _work(self) -> None:
        try:
            self._manager.apply()  # torch's number of threads is set per thread
            ended = time.perf_counter()
            while (found := self._next()) is not None:
                batch, held = found
                began = time.perf_counter()
                try:
                    self._run(batch, held)
                    self._let_ahead_finish()
                    busy_s = time.perf_counter() - began
                    if self._growth is not None:
                        self._growth.add(
                            began - ended, busy_s, min(1.0, len(batch) / self._size.size)
                        )
                    self._rest(busy_s)
                except Exception as error:  # an error of one batch must not end this thread
                    log.exception("A batch was given up")
                    for job in batch:
                        if not job.future.done():
                            job.future.set_exception(explain(error, self._manager))
                ended = time.perf_counter()
        finally:
            # No call may wait for a thread that has ended.
            with self._changed:
                self._closing = True
            self._drop_all()

    def _drop_all(self) -> None:
        with self._changed:
            owners = self._scheduler.owners
            running = self._ahead.drop() if self._ahead else []
        for job in running:
            job.future.set_exception(self.device_error or recognizer_closed())
        for owner in owners:
            self.cancel(owner)

    def _next(self) -> tuple[list[_Job], Held[_Job] | None] | None:
        """Wait for the next batch, prepared or not; return None when the batcher is closed."""
        tidy = False
        while not self._wait_for_work(None if tidy else IDLE_S):
            # Outside of the lock, so that `submit` does not wait for the clean-up.
            if isinstance(self.engine, MemoryKeepingEngine):
                self.engine.free_batch_memory()
            self._manager.cleanup()
            tidy = True
        with self._changed:
            if self._ahead is not None and not self._closing:
                held = self._ahead.next_of(urgent=self._scheduler.has_urgent)
                if held is not None:
                    self._ahead.allowed = True
                    self._changed.notify_all()
                    return held.jobs, held
            deadline = time.monotonic() + PATIENCE_S
            while len(self._scheduler) < self.size and not self._closing:
                left = deadline - time.monotonic()
                before = len(self._scheduler)
                if left <= 0 or not self._changed.wait(left):
                    break
                if len(self._scheduler) > before:
                    deadline = time.monotonic() + PATIENCE_S
            if self._closing:
                return None
            batch = self._choose()
            if self._ahead is not None:
                self._ahead.allowed = True
            self._changed.notify_all()
            return batch, None

    def _has_room(self, held: int) -> bool:
        """Return True if a batch may be prepared beside the one under way and `held` others.

        The memory of a window counts its part in the decoder and in the encoder, so that it has
        room for one batch ahead; a second one needs as much again to be free.
        """
        if held == 0 or held >= self._on_card - 1:
            return held == 0
        needed = self._size.size * self._window_bytes
        return needed > 0 and self._manager.memory().free >= needed

    def _take_full(self) -> list[_Job]:
        """Return the next batch if it is full; called with the lock held."""
        if self._closing or len(self._scheduler) < self.size:
            return []
        return self._choose()

    def _choose(self) -> list[_Job]:
        """Take a batch from the queue, without cancelled windows; called with the lock held."""
        batch = self._scheduler.next_batch(self.size)
        return [job for job in batch if job.future.set_running_or_notify_cancel()]

    def _let_ahead_finish(self) -> None:
        """Before the device rests, wait for the batches that are being prepared beside."""
        with self._changed:
            held = list(self._ahead.held) if self._ahead else []
            if self._ahead is not None:
                self._ahead.allowed = False
        if held and self._throttle().rest > 0:
            for each in held:
                each.ready.wait()

    def _wait_for_work(self, timeout_s: float | None) -> bool:
        """Wait for a window or for `close`; return False if neither came in time."""
        with self._changed:
            ahead = self._ahead
            return self._changed.wait_for(
                lambda: (
                    len(self._scheduler) > 0
                    or self._closing
                    or (ahead is not None and len(ahead.held) > 0)
                ),
                timeout_s,
            )

    def _run(self, batch: list[_Job], held: Held[_Job] | None = None) -> None:
        """Decode a batch and set the result or the error of every window."""
        self._counts.last = len(batch)
        prepared = held.wait() if held else None
        alone = 0  # number of windows to decode one by one, because together they failed
        while batch:
            part = batch[: 1 if alone else self._size.size]
            whole = len(part) == len(batch)
            error = self._process(part, prepared if whole else None)
            prepared = None
            if error is None:
                if not alone:
                    self._size.on_success(len(part), underutilised=self._throttle().hungry)
            elif self._manager.device_lost(error):
                self._fail_all(error, batch)
                return
            else:
                full = self._manager.out_of_memory(error)
                refused = self._manager.refused(error)
                reason = explain(error, self._manager)
                # Clean up here and not in `except`: the traceback there holds the failed tensors.
                del error
                self._manager.cleanup()
                if full and self._size.on_out_of_memory(len(part)):
                    continue
                if refused and self._size.on_refused(len(part)):
                    continue
                if not full and len(part) > 1:
                    log.warning("%d windows failed, now one by one: %s", len(part), reason.message)
                    alone = len(part)
                    continue
                part[0].future.set_exception(reason)
                part = part[:1]
            batch = batch[len(part) :]
            alone = max(0, alone - len(part))

    def _fail_all(self, error: Exception, unanswered: list[_Job]) -> None:
        """Fail all waiting windows because the device's context is broken; accept no more."""
        device_error = explain(error, self._manager)
        assert isinstance(device_error, DeviceLost)
        log.error("%s", device_error.message)
        with self._changed:
            self.device_error, self._closing = device_error, True
            waiting = [
                job for owner in self._scheduler.owners for job in self._scheduler.remove(owner)
            ]
            running = self._ahead.drop() if self._ahead else []
            self._changed.notify_all()
        for job in [*unanswered, *running]:
            job.future.set_exception(device_error)
        for job in waiting:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(device_error)

    def _process(self, jobs: list[_Job], prepared: PreparedBatch | None = None) -> Exception | None:
        """Decode and set the results; return an error instead of raising it."""
        began = time.perf_counter()
        try:
            results = self._decode(jobs, prepared)
        except Exception as error:
            return error
        finally:
            self._counts.busy_s += time.perf_counter() - began
        counts = self._counts
        counts.batches += 1
        counts.windows += len(jobs)
        counts.audio_s += sum(job.window.medium_s for job in jobs)
        for job, result in zip(jobs, results, strict=True):
            job.future.set_result(result)
        return None

    def _encode(self, jobs: list[_Job], prepared: PreparedBatch | None) -> EncodedBatch:
        if prepared is None:
            return self.engine.encode([job.window for job in jobs])
        assert isinstance(self.engine, PreparingEngine)
        return self.engine.encode_prepared(prepared)

    def _decode(self, jobs: list[_Job], prepared: PreparedBatch | None) -> list[BatchedWindow]:
        engine = self.engine
        began, aligned = time.perf_counter(), engine.align_s
        ahead_s = prepared.seconds if prepared else 0.0
        encoded = self._encode(jobs, prepared)
        found = list(zip(jobs, encoded.languages, strict=True))
        for job, logprobs in found:
            job.vote.add(job.window, logprobs)
        languages = [
            job.vote.choose(job.window, logprobs_of_window) for job, logprobs_of_window in found
        ]
        # All windows of a batch are of one kind: `FairScheduler` never mixes two kinds.
        decoded = engine.decode(encoded, languages, jobs[0].options)
        align_s = (engine.align_s - aligned) / len(jobs)
        asr_s = (time.perf_counter() - began + ahead_s) / len(jobs) - align_s
        if len(decoded) != len(jobs):
            raise RuntimeError(f"{len(jobs)} windows were given {len(decoded)} texts")
        return [BatchedWindow(text, asr_s, align_s, self._explain) for text in decoded]

    def _explain(self, error: Exception) -> KBError:
        return explain(error, self._manager)

    def _rest(self, busy_s: float) -> None:
        """Pause after `busy_s` seconds of work, for the throttle's share of the time."""
        began = time.perf_counter()
        rested_s = 0.0
        with self._changed:
            while not self._closing:
                rest = min(0.95, self._throttle().rest)
                left_s = busy_s * rest / (1 - rest) - rested_s
                if left_s <= 0:
                    break
                # The device may have cooled down during the pause.
                self._changed.wait_for(lambda: self._closing, min(THROTTLE_POLL_S, left_s))
                rested_s = time.perf_counter() - began
        self._counts.rested_s += rested_s
