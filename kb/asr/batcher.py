"""One thread owns the model; windows of any item wait for it and are decoded together.

A batch goes when it is full, or when nothing new has come for a moment. Windows are taken
from the items in turn, so that a short item is not held up behind a long one. When the
device's memory is full the batch is halved and the same windows are decoded again; after a
quiet stretch it grows back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Protocol

from gpu.manager import GPUManager
from kb.asr.engines.base import GREEDY, Decoded, Decoding, Engine
from kb.asr.windows import Window
from kb.errors import GPUError, KBError, TranscriptionError

log = logging.getLogger(__name__)

_DEVICE_SIGNS = ("CUDA error", "HIP error", "CUDNN_STATUS", "CUBLAS_STATUS", "MPS backend")

PATIENCE_S = 0.03  # how long a batch that is not full waits for more windows
ROOM = 2  # full batches that wait at most; 16 windows of 30 s are 31 MB
GROW_AFTER = 20  # batches without trouble before the batch may grow again


class LanguageVote(Protocol):
    """Decides which language each window of an item is read in."""

    def add(self, window: Window, languages: Mapping[str, float]) -> None:
        """Takes what was heard of a window; called again for the same one, changes nothing."""
        ...

    def choose(self, window: Window, languages: Mapping[str, float]) -> str:
        """The language to read a window in, once all of its batch have been added."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A window's text with its share of the model's busy time, in seconds."""

    decoded: Decoded
    asr_s: float
    align_s: float


@dataclass(slots=True)
class _Job:
    window: Window
    vote: LanguageVote
    how: Decoding = GREEDY
    future: Future[Answer] = field(default_factory=Future)


class Batcher:
    """The owner of one engine. Submit from any thread; close when done."""

    def __init__(self, engine: Engine, manager: GPUManager, ceiling: int) -> None:
        """`ceiling`: most windows a batch (the preset's, or what the device allows)."""
        self.engine = engine
        self.ceiling = self.size = max(1, ceiling)
        self.room = ROOM * self.ceiling
        self._manager = manager
        self._waiting: OrderedDict[Hashable, deque[_Job]] = OrderedDict()
        self._count = 0
        self._quiet = 0
        self._grow_after = GROW_AFTER
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="recognizer", daemon=True)
        self._thread.start()

    def submit(
        self,
        owner: Hashable,
        window: Window,
        vote: LanguageVote,
        check: Callable[[], None] | None = None,
        how: Decoding = GREEDY,
    ) -> Future[Answer]:
        """Queues a window of `owner`; `vote` names its language once it has been heard.

        Waits while the queue is full; `check` is called meanwhile and may raise.
        """
        job = _Job(window, vote, how)
        with self._changed:
            while self._count >= self.room and not self._closing:
                self._changed.wait(0.2)
                if check:
                    check()
            if self._closing:
                raise _closed()
            self._waiting.setdefault(owner, deque()).append(job)
            self._count += 1
            self._changed.notify_all()
        return job.future

    def cancel(self, owner: Hashable) -> None:
        """Drops what waits of `owner`; what is on the device is finished and thrown away."""
        with self._changed:
            dropped = self._waiting.pop(owner, deque())
            self._count -= len(dropped)
            self._changed.notify_all()
        for job in dropped:
            job.future.cancel()

    def set_ceiling(self, ceiling: int) -> None:
        """Another most windows a batch, from the next batch on."""
        with self._changed:
            if ceiling == self.ceiling:
                return
            self.ceiling = self.size = max(1, ceiling)
            self.room = ROOM * self.ceiling
            self._changed.notify_all()

    def close(self) -> None:
        """Ends the thread, a running decode included; what still waits is cancelled."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self.engine.stop()
        self._thread.join()
        for owner in list(self._waiting):
            self.cancel(owner)

    def _work(self) -> None:
        try:
            self._manager.apply()  # the number of threads is set per thread
            while (batch := self._next()) is not None:
                self._run(batch)
        finally:
            # Nobody may wait for a thread that is gone.
            with self._changed:
                self._closing = True
            for owner in list(self._waiting):
                self.cancel(owner)

    def _next(self) -> list[_Job] | None:
        with self._changed:
            while not self._count and not self._closing:
                self._changed.wait()
            deadline = time.monotonic() + PATIENCE_S
            while self._count < self.size and not self._closing:
                left = deadline - time.monotonic()
                before = self._count
                if left <= 0 or not self._changed.wait(left):
                    break
                if self._count > before:
                    deadline = time.monotonic() + PATIENCE_S
            if self._closing:
                return None
            batch: list[_Job] = []
            while self._count and len(batch) < self.size:
                owner, jobs = self._waiting.popitem(last=False)
                batch.append(jobs.popleft())
                self._count -= 1
                if jobs:
                    self._waiting[owner] = jobs  # to the end: the next item's turn
            self._changed.notify_all()
            return batch

    def _run(self, batch: list[_Job]) -> None:
        batch = [job for job in batch if job.future.set_running_or_notify_cancel()]
        batch.sort(key=lambda job: (job.how.temperature, job.how.beams))
        while batch:
            # Windows that are decoded together are decoded alike.
            alike = [job for job in batch if job.how == batch[0].how]
            part = alike[: self.size]
            error = self._answer(part)
            # Here and not where it was caught: its traceback holds the tensors of the failure.
            if error is not None and self._manager.out_of_memory(error) and len(part) > 1:
                del error
                self._shrink(len(part))
                continue
            if error is not None and len(part) > 1:
                log.warning("A batch of %d failed, now one by one: %r", len(part), error)
                for job in part:
                    alone = self._answer([job])
                    if alone is not None:
                        job.future.set_exception(explain(alone, self._manager))
            elif error is not None:
                part[0].future.set_exception(explain(error, self._manager))
            else:
                self._grow()
            batch = batch[len(part) :]

    def _answer(self, jobs: list[_Job]) -> Exception | None:
        """Decodes and hands out the answers; gives back what went wrong instead of raising."""
        try:
            answers = self._decode(jobs)
        except Exception as error:
            return error
        for job, answer in zip(jobs, answers, strict=True):
            job.future.set_result(answer)
        return None

    def _decode(self, jobs: list[_Job]) -> list[Answer]:
        engine = self.engine
        began, aligned = time.perf_counter(), engine.align_s
        heard = engine.hear([job.window for job in jobs])
        found = list(zip(jobs, heard.languages, strict=True))
        for job, heard_languages in found:
            job.vote.add(job.window, heard_languages)
        languages = [job.vote.choose(job.window, about) for job, about in found]
        decoded = engine.decode(heard, languages, jobs[0].how)
        align_s = (engine.align_s - aligned) / len(jobs)
        asr_s = (time.perf_counter() - began) / len(jobs) - align_s
        return [Answer(text, asr_s, align_s) for text in decoded]

    def _shrink(self, failed: int) -> None:
        """After "out of memory" with `failed` windows: go on with half of them."""
        if self.size == self.ceiling:
            # Each fall from the full size makes the next try at it come later.
            self._grow_after = min(self._grow_after * 2, 16 * GROW_AFTER)
        self.size = max(1, failed // 2)
        self._quiet = 0
        self._manager.cleanup()
        log.warning("The device's memory is full; going on with %d windows a batch", self.size)

    def _grow(self) -> None:
        if self.size >= self.ceiling:
            return
        self._quiet += 1
        if self._quiet >= self._grow_after:
            self._quiet = 0
            self.size = min(self.ceiling, self.size * 2)


def _closed() -> TranscriptionError:
    return TranscriptionError(
        "The recognizer was closed before it had read everything.", hint="Try again."
    )


def explain(error: Exception, manager: GPUManager) -> KBError:
    """Any failure of the engine as an error with a next step."""
    if isinstance(error, KBError):
        return error
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    if manager.out_of_memory(error):
        return GPUError(
            f"Not even one window fits into the device's memory: {first}",
            hint="Close other programs that use the GPU, choose a smaller model, or KB_DEVICE=cpu.",
        )
    if any(sign in str(error) for sign in _DEVICE_SIGNS):
        return GPUError(
            f"The device failed: {first}",
            hint="Look at its driver with: kb doctor. To go on without it: KB_DEVICE=cpu.",
        )
    return TranscriptionError(
        f"The recognizer failed: {type(error).__name__}: {first}",
        hint="Try again; with the same result, try another model or a smaller --batch-size.",
    )


def wait(future: Future[Answer], check: Callable[[], None]) -> Answer:
    """The answer; `check` is called while it is waited for, and may raise."""
    while True:
        try:
            return future.result(timeout=0.2)
        except TimeoutError:
            if future.done():
                raise
        except CancelledError:
            raise _closed() from None
        check()
