"""Suspect windows are read again, alone, until a reading is clean or the means are spent.

The ladder: the window with shifted borders; the stretches that are still without words by
themselves; then the window at rising temperatures (openai/whisper's fall-back, transcribe.py);
then with beams; then by another engine, if one is set. A reading with shifted borders that
agrees with the first one ends the ladder: what two readings say alike, a third will say.

**Score.** The reading that stands is the one with the highest

    covered share of the detected speech (1 where there is none)
    - half the share of the window that signs other than `uncovered` speak against
    - 0.02 for each sign
    + 0.1 * exp(mean log-probability)

so that words for speech weigh most, doubt about them less, and confidence decides only
between equals. An empty reading of speech scores below a doubtful one. `language` does not
count: a window that sounds like another language than the item's is read in both, and the
better reading stands without that sign.

Speech that only the looser detection marks, outside of all windows, is read once, as a window
of its own (`kb.asr.windows.residual_speech`).

**Cost.** Counted in windows' worth of time of the first reading, and not in seconds, so that
a busy machine mends no less: a window read again is one, a part of it what its length
amounts to (a quarter at least), with beams `BEAM_COST`, and by another engine as many as its
time amounts to. `share` of the windows read so far may be spent, counted over all media of a
run (`kb.asr.quality.repair_budget` tells why and how).
Windows that wait for the budget are taken by the seconds of doubt, and at most `MOST_WAITING`
wait: their sound is in memory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from concurrent import futures
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import numpy as np

from kb.asr import SAMPLE_RATE
from kb.asr.batching.batcher import Answer
from kb.asr.engines.base import GREEDY, Decoded, Decoding
from kb.asr.quality.candidates import PARTS, SHIFTED, UNCOVERED, Case
from kb.asr.quality.missing_speech import MOST_REPAIRS, is_silence, unread
from kb.asr.quality.repair_budget import Purse
from kb.asr.stitching import Read, whole
from kb.asr.windows.windowing import Window
from kb.errors import DeviceLost, KBError
from kb.settings import Settings

log = logging.getLogger(__name__)

SHIFT_S = 0.26  # 13 timestamp steps: not a whole number of encoder positions' neighbourhoods
LEAST_SHIFT_S = 0.1
KEPT_S = 0.15
BEAM_COST = 3.0  # five beams took 3.2 times as long as greedy decoding
LEAST_COST = 0.25
MOST_FOR_PARTS = 2.0  # more parts than that: the window as a whole is cheaper
MOST_WAITING = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """What may be done about suspect windows (settings `KB_REPAIR_...`)."""

    share: float
    temperatures: tuple[float, ...]
    beams: int

    @classmethod
    def of(cls, settings: Settings) -> Plan:
        """The plan that the settings name."""
        values = settings.repair_temperatures.split(",")
        return cls(
            share=settings.repair_share,
            temperatures=tuple(float(value) for value in values if value.strip()),
            beams=settings.repair_beams,
        )


@dataclass(frozen=True, slots=True)
class Request:
    """A window, or a `part` of one, to be read again; `other`: by the other engine."""

    window: Window
    language: str
    how: Decoding = GREEDY
    other: bool = False

    part: bool = False

    def cost(self, limit_s: float) -> float:
        """In windows' worth of the first reading's time."""
        if self.how.beams > 1:
            return BEAM_COST
        return max(LEAST_COST, self.window.duration_s / limit_s) if self.part else 1.0


Ask = Callable[[Request], "Future[Answer] | None"]
"""Has a request read; None where that cannot be had."""
Ladder = Generator[list[Request], list[Decoded], None]


def shifted(window: Window, limit_s: float) -> Window:
    """The same speech with other borders, so that the recognizer meets it in another place.

    Silence is put before the window; where the recognizer could not hold more, silence at the
    end makes room for it, or else some of that at the beginning is taken away. Detection may be
    late: `KEPT_S` on each side of it stays.
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
class _Climb:
    """A case on its ladder: what it asks for next, and what of that is with the recognizer."""

    case: Case
    ladder: Ladder
    requests: list[Request] = field(default_factory=list)
    futures: list[Future[Answer]] = field(default_factory=list)


class Repairs:
    """The suspect windows of one medium, and the budget for reading them again."""

    def __init__(
        self,
        ask: Ask,
        plan: Plan,
        *,
        limit_s: float,
        ways: frozenset[str],
        other: str = "",
        check: Callable[[], None],
        purse: Purse | None = None,
    ) -> None:
        """`limit_s`: the longest window that the recognizer holds; `ways`: what its engine
        can do; `other`: name of the other engine, if there is one; `check` may raise; `purse`:
        the run's, else one for this medium alone."""
        self._ask = ask
        self._plan = plan
        self._limit_s = limit_s
        self._ways = ways
        self._other = other
        self._check = check
        self._waiting: list[_Climb] = []
        self._going: list[_Climb] = []
        self._done: list[Case] = []
        self._first_s = 0.0
        self._windows = 0
        self._purse = purse or Purse()
        self.count = 0  # readings after the first
        self.took_s = 0.0  # the model's busy time for them
        self.align_s = 0.0  # the part of it that word times took

    def first_read(self, answer: Answer) -> None:
        """A window was read for the first time: the budget grows."""
        self._windows += 1
        self._purse.earn()
        self._first_s += answer.asr_s + answer.align_s

    def add(self, case: Case) -> None:
        """Takes a suspect window in."""
        if self._plan.share <= 0:
            self._done.append(case)
            return
        climb = _Climb(case, self._rungs(case))
        self._go_on(climb, lambda: next(climb.ladder))
        if len(self._waiting) > MOST_WAITING:
            least = min(self._waiting, key=lambda climb: climb.case.doubt_s)
            self._waiting.remove(least)
            self._done.append(least.case)

    def step(self) -> list[Case]:
        """Starts what the budget allows, takes what is read; returns the windows settled."""
        self._waiting.sort(key=lambda climb: -climb.case.doubt_s)
        for climb in list(self._waiting):
            cost = self._cost(climb.requests)
            if not self._purse.pay(cost, self._plan.share):
                continue
            self._waiting.remove(climb)
            asked = [(request, self._ask(request)) for request in climb.requests]
            climb.requests = [request for request, future in asked if future is not None]
            climb.futures = [future for _, future in asked if future is not None]
            self._purse.owe(self._cost(climb.requests) - cost)  # what could not be asked
            self._going.append(climb)
        for climb in list(self._going):
            if all(future.done() for future in climb.futures):
                self._going.remove(climb)
                self._take(climb)
        done, self._done = self._done, []
        return done

    def finish(self) -> list[Case]:
        """Goes on until every window is settled; what the budget does not reach stays as it is."""
        done: list[Case] = []
        while True:
            done += self.step()
            for future in [future for climb in self._going for future in climb.futures]:
                while not future.done():
                    self._check()
                    futures.wait([future], timeout=0.2)
            affordable = any(
                self._purse.affords(self._cost(climb.requests), self._plan.share)
                for climb in self._waiting
            )
            if not self._going and not affordable:
                break
        done += [climb.case for climb in self._waiting]
        self._waiting.clear()
        return done

    def _cost(self, requests: Sequence[Request]) -> float:
        return sum(request.cost(self._limit_s) for request in requests)

    def _go_on(self, climb: _Climb, following: Callable[[], list[Request]]) -> None:
        try:
            climb.requests = following()
        except StopIteration:
            self._done.append(climb.case)
        else:
            self._waiting.append(climb)

    def _take(self, climb: _Climb) -> None:
        answers = []
        for request, future in zip(climb.requests, climb.futures, strict=True):
            try:
                answer = future.result()
            except KBError as error:
                if not request.other or isinstance(error, DeviceLost):
                    raise  # (A device that is lost is so for both.)
                log.warning("The other engine failed: %s", error.message)
                continue
            answers.append(answer.decoded)
            took_s = answer.asr_s + answer.align_s
            self.count += 1
            self.took_s += took_s
            self.align_s += answer.align_s
            if request.other and self._first_s > 0:
                self._purse.owe(max(0.0, took_s / (self._first_s / self._windows) - 1.0))
        self._go_on(climb, lambda: climb.ladder.send(answers))

    def _rungs(self, case: Case) -> Ladder:
        """The rungs for one window, as requests; ends when nothing more is to be done."""
        window = case.window
        tongue = case.first.language
        if any(sign.name == "language" for sign in case.signs):
            tongue = case.seen.languages[0]
        again = shifted(window, self._limit_s)
        answers = yield [Request(again, tongue, part=case.outside)]
        for decoded in answers:
            if case.judge(SHIFTED, decoded):
                return
        if case.outside:
            return
        agreed = case.agree()
        if any(sign.name == UNCOVERED for sign in case.signs):
            yield from self._fill(case)
        if agreed or not case.signs:
            return
        hows = [Decoding(t) for t in self._plan.temperatures if "temperature" in self._ways]
        if self._plan.beams > 1 and "beam" in self._ways:
            hows.append(Decoding(beams=self._plan.beams))
        for how in hows:
            answers = yield [Request(window, tongue, how)]
            name = f"beam {how.beams}" if how.beams > 1 else f"temperature {how.temperature:g}"
            for decoded in answers:
                if case.judge(name, decoded):
                    return
        if self._other:
            answers = yield [Request(window, tongue, other=True)]
            for decoded in answers:
                case.judge(f"engine {self._other}", decoded)

    def _fill(self, case: Case) -> Ladder:
        """The stretches without words, read by themselves and put into their places."""
        window, first = case.window, case.text
        reads = [Read(window.index, window.start_s, window.overlap_s, first)]
        parts = unread(window, first, part=False)[:MOST_REPAIRS]
        left = MOST_REPAIRS - len(parts)
        while parts:
            requests = [Request(part, first.language, part=True) for part in parts]
            if self._cost(requests) > MOST_FOR_PARTS:
                break
            answers = yield requests
            again: list[Window] = []
            for part, decoded in zip(parts, answers, strict=True):
                read = replace(decoded, segments=()) if is_silence(decoded) else decoded
                reads.append(Read(window.index, part.start_s, 0.0, read))
                again += unread(part, read, part=True)
            parts = again[:left]
            left -= len(parts)
        if len(reads) > 1:
            case.judge(PARTS, replace(first, segments=whole(reads)))
