"""Repair: decodes suspect windows again until an attempt is clean or the budget is spent.

The steps: the window with shifted borders; the parts that still have no words, each as a window;
then the window at rising temperatures (openai/whisper's fall-back, transcribe.py); then with
beams; then by another engine, if one is set. An attempt with shifted borders that agrees with
the first one ends the repair: a third attempt would agree too.

**Score.** The chosen attempt is the one with the highest

    covered share of the detected speech (1 where there is none)
    - half the share of the window that has flags other than `uncovered`
    - 0.02 for each flag
    + 0.1 * exp(mean log-probability)

so that words for speech weigh most, doubt about them less, and confidence decides only
between equals. An empty attempt on speech scores below a doubtful one. `language` does not
count: a window whose likeliest language is not the item's is decoded in both, and the better
attempt is kept without that flag.

Speech that only the looser detection marks, outside of all windows, is decoded once, as a window
of its own (`kb.asr.windows.residual_speech`).

**Cost.** The unit is the time of a first attempt at one window, not a second, so that a busy
machine repairs no less. A window decoded again costs one, a part of it its share of the length (a
quarter at least), with beams `BEAM_COST`, and by another engine its share of the time. `share` of
the windows decoded so far may be spent, counted over all media of a run (see
`kb.asr.quality.repair_budget`).
Windows that wait for the budget are ordered by their flagged seconds, and at most `MOST_WAITING`
wait, because their sound is in memory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from concurrent import futures
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import numpy as np

from kb.asr import SAMPLE_RATE
from kb.asr.batching.batcher import BatchedWindow
from kb.asr.engines.base import GREEDY, DecodingOptions, DecodingResult
from kb.asr.quality.candidates import PARTS, SHIFTED, UNCOVERED, RepairCandidate
from kb.asr.quality.missing_speech import MOST_REPAIRS, find_missing_speech, is_silence
from kb.asr.quality.repair_budget import RepairBudget
from kb.asr.stitching import WindowText, merge_parts
from kb.asr.windows.windowing import Window
from kb.errors import DeviceLost, KBError
from kb.settings import Settings

log = logging.getLogger(__name__)

SHIFT_S = 0.26  # 13 timestamp steps: not a multiple of the encoder positions' neighbourhood
LEAST_SHIFT_S = 0.1
KEPT_S = 0.15
BEAM_COST = 3.0  # five beams took 3.2 times as long as greedy decoding
LEAST_COST = 0.25
MOST_FOR_PARTS = 2.0  # if the parts cost more, the whole window is cheaper
MOST_WAITING = 32


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """The steps allowed for suspect windows (settings `KB_REPAIR_...`)."""

    share: float
    temperatures: tuple[float, ...]
    beams: int

    @classmethod
    def of(cls, settings: Settings) -> RepairPlan:
        """Return the plan of the settings."""
        values = settings.repair_temperatures.split(",")
        return cls(
            share=settings.repair_share,
            temperatures=tuple(float(value) for value in values if value.strip()),
            beams=settings.repair_beams,
        )


@dataclass(frozen=True, slots=True)
class RepairRequest:
    """A window, or a `part` of one, to decode again; `fallback`: with the other engine."""

    window: Window
    language: str
    options: DecodingOptions = GREEDY
    fallback: bool = False
    part: bool = False

    def cost(self, limit_s: float) -> float:
        """Return the cost in units of a first attempt at one window."""
        if self.options.beams > 1:
            return BEAM_COST
        return max(LEAST_COST, self.window.duration_s / limit_s) if self.part else 1.0


SubmitRequest = Callable[[RepairRequest], "Future[BatchedWindow] | None"]
"""Submits a request for decoding; returns None if that is not possible."""
RequestSteps = Generator[list[RepairRequest], list[DecodingResult], None]


def shift_window(window: Window, limit_s: float) -> Window:
    """Return the same speech with shifted borders, at another place in the window.

    Silence is added before the window. If the window would become too long for the recognizer,
    silence at the end is removed; if there is too little of it, sound at the beginning is removed
    instead. Detection may be late: `KEPT_S` before and after the speech is kept.
    """
    lead_s = tail_s = 0.0
    if window.speech:
        lead_s = max(0.0, window.speech[0].start_s - KEPT_S - window.start_s)
        tail_s = max(0.0, window.end_s - window.speech[-1].end_s - KEPT_S)
    room_s = limit_s - window.duration_s
    by_s = min(SHIFT_S, room_s + tail_s)
    if by_s < LEAST_SHIFT_S:
        cut_s = min(SHIFT_S, max(LEAST_SHIFT_S / 2, lead_s))
        return window.part(window.start_s + cut_s, window.end_s)
    if by_s > room_s:
        window = window.part(window.start_s, window.end_s - (by_s - room_s))
    silence = np.zeros(round(by_s * SAMPLE_RATE), np.float32)
    audio = np.concatenate([silence, window.audio])
    return replace(window, start_s=window.start_s - silence.size / SAMPLE_RATE, audio=audio)


@dataclass(slots=True)
class RepairLadder:
    """The repair steps of one candidate: the next requests, and those in progress."""

    candidate: RepairCandidate
    steps: RequestSteps
    requests: list[RepairRequest] = field(default_factory=list)
    futures: list[Future[BatchedWindow]] = field(default_factory=list)


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
        self._decoding_methods = decoding_methods
        self._fallback = fallback
        self._check = check
        self._waiting: list[RepairLadder] = []
        self._running: list[RepairLadder] = []
        self._finished: list[RepairCandidate] = []
        self._first_s = 0.0
        self._windows = 0
        self._budget = budget or RepairBudget()
        self.count = 0  # number of attempts after the first
        self.busy_s = 0.0  # the model's busy time for them
        self.align_s = 0.0  # the part of it spent on word times

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
        ladder = RepairLadder(candidate, self._repair_steps(candidate))
        self._advance(ladder, lambda: next(ladder.steps))
        if len(self._waiting) > MOST_WAITING:
            least = min(self._waiting, key=lambda ladder: ladder.candidate.doubt_s)
            self._waiting.remove(least)
            self._finished.append(least.candidate)

    def step(self) -> list[RepairCandidate]:
        """Start requests within the budget and collect results; return the finished windows."""
        self._waiting.sort(key=lambda ladder: -ladder.candidate.doubt_s)
        for ladder in list(self._waiting):
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
        done, self._finished = self._finished, []
        return done

    def finish(self) -> list[RepairCandidate]:
        """Continue until every window is finished; windows beyond the budget keep their flags."""
        done: list[RepairCandidate] = []
        while True:
            done += self.step()
            for future in [future for ladder in self._running for future in ladder.futures]:
                while not future.done():
                    self._check()
                    futures.wait([future], timeout=0.2)
            affordable = any(
                self._budget.can_spend(self._cost(ladder.requests), self._plan.share)
                for ladder in self._waiting
            )
            if not self._running and not affordable:
                break
        done += [ladder.candidate for ladder in self._waiting]
        self._waiting.clear()
        return done

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
            busy_s = result.asr_s + result.align_s
            self.count += 1
            self.busy_s += busy_s
            self.align_s += result.align_s
            if request.fallback and self._first_s > 0:
                self._budget.adjust(max(0.0, busy_s / (self._first_s / self._windows) - 1.0))
        self._advance(ladder, lambda: ladder.steps.send(results))

    def _repair_steps(self, candidate: RepairCandidate) -> RequestSteps:
        """Yield the repair requests of one window until no step is left."""
        window = candidate.window
        language = candidate.first_result.language
        if any(flag.name == "language" for flag in candidate.flags):
            language = candidate.context.languages[0]
        again = shift_window(window, self._limit_s)
        results = yield [RepairRequest(again, language, part=candidate.residual)]
        for decoded in results:
            if candidate.add_attempt(SHIFTED, decoded):
                return
        if candidate.residual:
            return
        agreed = candidate.resolve_if_agreed()
        if any(flag.name == UNCOVERED for flag in candidate.flags):
            yield from self._fill(candidate)
        if agreed or not candidate.flags:
            return
        escalation = [
            DecodingOptions(t)
            for t in self._plan.temperatures
            if "temperature" in self._decoding_methods
        ]
        if self._plan.beams > 1 and "beam" in self._decoding_methods:
            escalation.append(DecodingOptions(beams=self._plan.beams))
        for options in escalation:
            results = yield [RepairRequest(window, language, options)]
            name = (
                f"beam {options.beams}"
                if options.beams > 1
                else f"temperature {options.temperature:g}"
            )
            for decoded in results:
                if candidate.add_attempt(name, decoded):
                    return
        if self._fallback:
            results = yield [RepairRequest(window, language, fallback=True)]
            for decoded in results:
                candidate.add_attempt(f"engine {self._fallback}", decoded)

    def _fill(self, candidate: RepairCandidate) -> RequestSteps:
        """Decode the parts without words as windows of their own, and insert their texts."""
        window, first = candidate.window, candidate.best_result
        texts = [WindowText(window.index, window.start_s, window.overlap_s, first)]
        parts = find_missing_speech(window, first, part=False)[:MOST_REPAIRS]
        left = MOST_REPAIRS - len(parts)
        while parts:
            requests = [RepairRequest(part, first.language, part=True) for part in parts]
            if self._cost(requests) > MOST_FOR_PARTS:
                break
            results = yield requests
            still_missing: list[Window] = []
            for part, decoded in zip(parts, results, strict=True):
                read = replace(decoded, segments=()) if is_silence(decoded) else decoded
                texts.append(WindowText(window.index, part.start_s, 0.0, read))
                still_missing += find_missing_speech(part, read, part=True)
            parts = still_missing[:left]
            left -= len(parts)
        if len(texts) > 1:
            candidate.add_attempt(PARTS, replace(first, segments=merge_parts(texts)))
