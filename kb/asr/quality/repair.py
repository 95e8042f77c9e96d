"""Repair: decodes suspect windows again until an attempt is clean or the budget is spent.

The steps of one window: `kb.asr.quality.repair_steps`.

**Score.** The chosen attempt is the one with the highest

    covered share of the detected speech (1 where there is none)
    - half the share of the window that has flags other than `uncovered`
    - 0.02 for each flag, 0.07 for `stutter`, 0.22 for `disagreement`
    + 0.1 * exp(mean log-probability)

so that words for speech weigh most, doubt about them less, and confidence decides only
between equals. An empty attempt on speech scores below a doubtful one. `language` does not
count: a window whose likeliest language is not the item's is decoded in both, and the better
attempt is kept without that flag.

The cost of the steps and their budget: `kb.asr.quality.repair_plan`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

from kb.asr.batching.window_queue import BatchedWindow
from kb.asr.engines.base import DecodingResult
from kb.asr.quality.candidates import RepairCandidate
from kb.asr.quality.place_packs import BETWEEN_S, Pack, packs
from kb.asr.quality.repair_budget import RepairBudget
from kb.asr.quality.repair_plan import RepairPlan, RepairRequest, RequestSteps
from kb.asr.quality.repair_steps import StepOptions, repair_steps
from kb.errors import DeviceLost, KBError

log = logging.getLogger(__name__)

MOST_WAITING = 32
FULL_SHARE = 0.8  # of the longest window: enough places to decode them together


SubmitRequest = Callable[[RepairRequest], "Future[BatchedWindow] | None"]
"""Submits a request for decoding; returns None if that is not possible."""


@dataclass(slots=True)
class RepairLadder:
    """The repair steps of one candidate: the next requests, and those in progress."""

    candidate: RepairCandidate
    steps: RequestSteps
    requests: list[RepairRequest] = field(default_factory=list)
    futures: list[Future[BatchedWindow]] = field(default_factory=list)

    @property
    def reads_places(self) -> bool:
        """True if the next requests are places, which share windows with those of other ladders."""
        return all(request.place for request in self.requests)


@dataclass(slots=True)
class PackedLadders:
    """Ladders whose places are decoded together, and their packs in progress.

    Of the last `with_later` ladders, the further readings are in the packs as well.
    """

    ladders: list[RepairLadder]
    packs: list[Pack]
    with_later: int
    futures: list[Future[BatchedWindow]]


class RepairQueue:
    """The suspect windows of one medium, and the budget for decoding them again."""

    def __init__(
        self,
        submit: SubmitRequest,
        plan: RepairPlan,
        *,
        limit_s: float,
        decoding_methods: frozenset[str],
        fallback: str = "",
        check: Callable[[], None],
        budget: RepairBudget | None = None,
    ) -> None:
        """Initialise the queue.

        `limit_s`: longest window of the recognizer; `decoding_methods`: methods that its engine
        supports; `fallback`: name of the other engine, if there is one; `check` may raise;
        `budget`: the run's budget, or one for this medium alone.
        """
        self._submit = submit
        self._plan = plan
        self._limit_s = limit_s
        self._options = StepOptions(plan, limit_s, decoding_methods, fallback)
        self._check = check
        self._waiting: list[RepairLadder] = []
        self._running: list[RepairLadder] = []
        self._packed: list[PackedLadders] = []
        self._finished: list[RepairCandidate] = []
        self._first_s = 0.0
        self._windows = 0
        self._budget = budget or RepairBudget()
        self.count = 0  # number of attempts after the first
        self.busy_s = 0.0  # the model's busy time for them
        self.align_s = 0.0  # the part of it spent on word times

    def close(self) -> None:
        """Let go of the functions that were given: what reads the medium has them and this queue.

        The circle would keep the medium's sound until Python looks for garbage among all objects,
        which a process with a loaded model does rarely.
        """
        del self._submit, self._check

    def add_first_attempt(self, result: BatchedWindow) -> None:
        """Count a first attempt, which increases the budget."""
        self._windows += 1
        self._budget.add_window()
        self._first_s += result.asr_s + result.align_s

    def add(self, candidate: RepairCandidate) -> None:
        """Queue a suspect window."""
        if self._plan.share <= 0:
            self._finished.append(candidate)
            return
        ladder = RepairLadder(candidate, repair_steps(candidate, self._options))
        self._advance(ladder, lambda: next(ladder.steps))
        if len(self._waiting) > MOST_WAITING:
            least = min(self._waiting, key=self._doubt_s_per_cost)
            self._waiting.remove(least)
            self._finished.append(least.candidate)

    def step(self, *, flush: bool = False) -> list[RepairCandidate]:
        """Start requests within the budget and collect results; return the finished windows.

        Places wait until they fill a window; with `flush` they do not.
        """
        self._waiting.sort(key=self._doubt_s_per_cost, reverse=True)
        self._submit_places(flush)
        for ladder in [ladder for ladder in self._waiting if not ladder.reads_places]:
            cost = self._cost(ladder.requests)
            if not self._budget.try_spend(cost, self._plan.share):
                continue
            self._waiting.remove(ladder)
            submitted = [(request, self._submit(request)) for request in ladder.requests]
            ladder.requests = [request for request, future in submitted if future is not None]
            ladder.futures = [future for _, future in submitted if future is not None]
            self._budget.adjust(self._cost(ladder.requests) - cost)  # refund impossible requests
            self._running.append(ladder)
        for ladder in list(self._running):
            if all(future.done() for future in ladder.futures):
                self._running.remove(ladder)
                self._collect(ladder)
        for packed in list(self._packed):
            if all(future.done() for future in packed.futures):
                self._packed.remove(packed)
                self._collect_places(packed)
        done, self._finished = self._finished, []
        return done

    def finish(self) -> list[RepairCandidate]:
        """Continue until every window is finished; windows beyond the budget keep their flags."""
        done: list[RepairCandidate] = []
        while True:
            # Places in progress may come back for another reading, and fill a window with others.
            done += self.step(flush=not self._packed)
            running = [future for ladder in self._running for future in ladder.futures]
            running += [future for packed in self._packed for future in packed.futures]
            for future in running:
                while not future.done():
                    self._check()
                    futures.wait([future], timeout=0.2)
            affordable = any(
                self._budget.can_spend(
                    self._cost(ladder.requests), self._plan.share, places=ladder.reads_places
                )
                for ladder in self._waiting
            )
            if not self._running and not self._packed and not affordable:
                break
        done += [ladder.candidate for ladder in self._waiting]
        self._waiting.clear()
        return done

    def _submit_places(self, flush: bool) -> None:
        """Submit the places of the waiting ladders, together in as few windows as needed.

        Another window costs half of a whole one, however short its sound is: without `flush`, only
        full ones are submitted, and the places that are left wait for others.
        """
        waiting = [ladder for ladder in self._waiting if ladder.reads_places]
        for language in dict.fromkeys(ladder.requests[0].language for ladder in waiting):
            own = [ladder for ladder in waiting if ladder.requests[0].language == language]
            while chosen := self._choose_places(own, flush):
                self._submit_together(chosen, language)
                own = [ladder for ladder in own if ladder not in chosen]

    def _choose_places(self, waiting: Sequence[RepairLadder], flush: bool) -> list[RepairLadder]:
        """Return the ladders whose places fill a window within the budget; with `flush`, all."""
        chosen: list[RepairLadder] = []
        length_s, cost = 0.0, 0.0
        for ladder in waiting:
            own_s = sum(request.window.duration_s + BETWEEN_S for request in ladder.requests)
            if not flush and chosen and length_s + own_s > self._limit_s:
                continue  # a shorter one may fit
            own = self._cost(ladder.requests)
            if self._budget.can_spend(cost + own, self._plan.share, places=True):
                chosen.append(ladder)
                cost, length_s = cost + own, length_s + own_s
        full = length_s >= FULL_SHARE * self._limit_s or len(self._waiting) > MOST_WAITING / 2
        return chosen if flush or full else []

    def _submit_together(self, chosen: Sequence[RepairLadder], language: str) -> None:
        """Submit the places of ladders; the room that is left takes further readings of the last.

        So these need no window of their own in the next round.
        """
        first = [request.window for ladder in chosen for request in ladder.requests]
        together = packs(first, self._limit_s)
        with_later, windows = 0, first
        for ladder in reversed(chosen):
            later = [window for request in ladder.requests for window in request.later]
            more = packs([*windows, *later], self._limit_s)
            if not later or len(more) > len(together) or not self._is_affordable(more):
                break
            with_later, windows, together = with_later + 1, [*windows, *later], more
        requests = [RepairRequest(p.window, language, part=True, place=True) for p in together]
        self._budget.adjust(self._pack_cost(together))
        submitted = [self._submit(request) for request in requests]
        running = [future for future in submitted if future is not None]
        self._waiting = [ladder for ladder in self._waiting if ladder not in chosen]
        self._packed.append(PackedLadders(list(chosen), together, with_later, running))

    def _is_affordable(self, together: Sequence[Pack]) -> bool:
        cost = self._pack_cost(together)
        return self._budget.can_spend(cost, self._plan.share, places=True)

    def _pack_cost(self, together: Sequence[Pack]) -> float:
        return sum(pack.window.duration_s for pack in together) / self._limit_s

    def _collect_places(self, packed: PackedLadders) -> None:
        results: list[DecodingResult] = []
        for pack, future in zip(packed.packs, packed.futures, strict=True):
            result = future.result()
            results += pack.unpack(result.decoded)
            self._count(result)
        own = [[results.pop(0) for _ in ladder.requests] for ladder in packed.ladders]
        last = len(own) - 1
        for place in range(last, last - packed.with_later, -1):  # the order of their submission
            requests = packed.ladders[place].requests
            own[place] += [results.pop(0) for request in requests for _ in request.later]
        for ladder, found in zip(packed.ladders, own, strict=True):
            self._advance(ladder, partial(ladder.steps.send, found))

    def _count(self, result: BatchedWindow) -> None:
        self.count += 1
        self.busy_s += result.asr_s + result.align_s
        self.align_s += result.align_s

    def _doubt_s_per_cost(self, ladder: RepairLadder) -> float:
        return ladder.candidate.doubt_s / max(self._cost(ladder.requests), 0.01)

    def _cost(self, requests: Sequence[RepairRequest]) -> float:
        return sum(request.cost(self._limit_s) for request in requests)

    def _advance(self, ladder: RepairLadder, following: Callable[[], list[RepairRequest]]) -> None:
        try:
            ladder.requests = following()
        except StopIteration:
            self._finished.append(ladder.candidate)
        else:
            self._waiting.append(ladder)

    def _collect(self, ladder: RepairLadder) -> None:
        results = []
        for request, future in zip(ladder.requests, ladder.futures, strict=True):
            try:
                result = future.result()
            except KBError as error:
                if not request.fallback or isinstance(error, DeviceLost):
                    raise  # a lost device is lost for both engines
                log.warning("The other engine failed: %s", error.message)
                continue
            results.append(result.decoded)
            self._count(result)
            if request.fallback and self._first_s > 0:
                busy_s = result.asr_s + result.align_s
                self._budget.adjust(max(0.0, busy_s / (self._first_s / self._windows) - 1.0))
        self._advance(ladder, lambda: ladder.steps.send(results))
