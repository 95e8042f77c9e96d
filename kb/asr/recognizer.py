"""From a stream of sound to a transcript: detect, cut, batch, decode, doubt, stitch, account.

Sound is taken block by block and let go as soon as its windows are read, so that memory does
not grow with the medium's length.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace

import numpy as np

from gpu.presets import Preset
from kb.asr import SAMPLE_RATE
from kb.asr.audio.pause_trimmer import Condenser
from kb.asr.audio.vad import (
    CUT_THRESHOLD,
    FRAME,
    FRAME_S,
    LEDGER_THRESHOLD,
    Audio,
    SpeechDetector,
    SpeechRule,
    spans,
)
from kb.asr.batching.adjustable_semaphore import Places
from kb.asr.batching.batcher import Answer, Batcher, wait
from kb.asr.batching.fallback_engine import SecondEngine
from kb.asr.batching.language_vote import Agreed, Vote
from kb.asr.engines.base import Decoded
from kb.asr.quality.candidates import Case
from kb.asr.quality.checks import BEFORE, Evidence, Limits
from kb.asr.quality.repair import Plan, Repairs, Request
from kb.asr.quality.repair_budget import Purse
from kb.asr.quality.report import Settled, ledger, settled_on
from kb.asr.stitching import Read, in_order, segments_on, stitch
from kb.asr.windows.residual_speech import Outside
from kb.asr.windows.windowing import Window, WindowCutter
from kb.errors import Cancelled, SettingsError
from kb.settings import Settings, get_settings
from kb.types import MediaRef, Segment, SpeechSpan, Timing, Transcript, Word

log = logging.getLogger(__name__)

AUTO = "auto"
EDGE_S = 2.0  # detection at a window's edge depends on what was before it

Progress = Callable[[float], None]
Aside = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A window that is with the batcher."""

    window: Window
    future: Future[Answer]


class Recognizer:
    """A loaded engine behind a batcher, with a preset. Media may be read from several threads."""

    def __init__(
        self,
        batcher: Batcher,
        preset: Preset,
        *,
        language: str = AUTO,
        detect_speech: bool = True,
        detector: SpeechDetector | None = None,
        preparations: threading.Semaphore | Places | None = None,
        settings: Settings | None = None,
        plan: Plan | None = None,
        second: SecondEngine | None = None,
        names: tuple[str, ...] = (),
        purse: Purse | None = None,
    ) -> None:
        """`preparations` bounds how many media are decoded and cut at once; `settings` say what
        is doubted and, unless there is a `plan`, what is done about it; `second` is the engine
        that may be asked at last; `names` are told to the recognizer beforehand, the most
        important first, where it can be told any; `purse` is what reading again may cost, one
        for all media of a run (else one for those that this object reads).

        Raises SettingsError if the model does not know the language asked for."""
        if language != AUTO and not batcher.engine.knows_language(language):
            raise SettingsError(
                f"The model {batcher.engine.model} does not know the language {language!r}.",
                hint="Give a two-letter code it knows (--language, KB_LANGUAGE), or auto.",
            )
        self.batcher = batcher
        self.preset = preset
        self.fixed_language = None if language == AUTO else language
        self.detect_speech = detect_speech
        self.detector = detector or SpeechDetector()
        self._preparations = preparations
        settings = settings or get_settings()
        self.limits = Limits.of(settings)
        self.plan = plan or Plan.of(settings)
        self.second = second
        self.names = names
        self.purse = purse or Purse()
        self.longest_pause_s = settings.longest_pause_s or math.inf
        if not detect_speech:
            self.longest_pause_s = math.inf

    @contextmanager
    def preparing(self, check: Callable[[], None]) -> Iterator[Aside]:
        """A place among those who prepare; `check` may raise while it is waited for.

        Gives what lets go of the place for a while: whoever waits for the recognizer only must
        not hold up those who have something to prepare.
        """
        places = self._preparations
        if places is None:
            yield nullcontext
            return
        held = False

        def take() -> None:
            nonlocal held
            while not places.acquire(timeout=0.2):
                check()
            held = True

        @contextmanager
        def aside() -> Iterator[None]:
            nonlocal held
            places.release()
            held = False
            yield
            take()

        take()
        try:
            yield aside
        finally:
            if held:
                places.release()

    def transcribe(
        self,
        blocks: Iterable[Audio],
        media: MediaRef,
        *,
        expected_s: float | None = None,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Transcript:
        """The transcript of one medium.

        `blocks`: float32 arrays of 16 kHz mono sound in order; `expected_s`: the medium's
        claimed duration, for `progress` (0..1). Raises Cancelled when `cancelled` says so,
        TranscriptionError or GPUError when the engine fails; what `blocks` raises passes
        through.
        """
        run = _Run(self, expected_s, progress, cancelled)
        began = time.perf_counter()
        try:
            segments = run.read_all(blocks)
        finally:
            self.batcher.cancel(run)
            if self.second:
                self.second.cancel(run)
        engine = self.batcher.engine
        probabilities = np.concatenate(run.probabilities or [np.zeros(0, np.float32)])
        heard_s = run.samples / SAMPLE_RATE
        speech = spans(probabilities, SpeechRule(LEDGER_THRESHOLD)) if self.detect_speech else []
        speech = [replace(s, end_s=min(s.end_s, heard_s)) for s in speech if s.start_s < heard_s]
        segments, disorder = in_order(segments, self.limits.backwards_s)
        coverage, windows = ledger(speech, segments, run.settled, run.repairs.count, disorder)
        total_s = time.perf_counter() - began
        return Transcript(
            media=replace(media, duration_s=round(heard_s, 3)),
            segments=tuple(segments),
            language=run.vote.winner if segments else (self.fixed_language or "und"),
            engine=engine.name,
            model=engine.model,
            preset=self.preset.name,
            coverage=coverage,
            timing=Timing(
                load_s=round(engine.load_s, 3),
                decode_s=round(run.decode_s, 3),
                vad_s=round(run.vad_s, 3),
                asr_s=round(run.asr_s, 3),
                align_s=round(run.align_s, 3),
                repair_s=round(run.repairs.took_s, 3),
                total_s=round(total_s, 3),
                media_s=round(heard_s, 3),
            ),
            chunk_s=self.preset.chunk_s,
            timestamps=self.preset.timestamps,
            warnings=() if segments else ("No speech was found in this medium.",),
            windows=windows,
        )


class _Run:
    """One medium on its way through a recognizer."""

    def __init__(
        self,
        owner: Recognizer,
        expected_s: float | None,
        progress: Progress | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._owner = owner
        self._expected_s = expected_s
        self._progress = progress
        self._cancelled = cancelled
        self._aside: Aside = nullcontext
        self.vote = Vote(owner.fixed_language)
        self.probabilities: list[Audio] = []
        self._frames = 0
        self.samples = 0
        self.decode_s = self.vad_s = self.asr_s = self.align_s = 0.0
        self.settled: list[Settled] = []
        self._condenser = Condenser(owner.longest_pause_s)
        # From here on all times are those of the condensed sound, until the text is finished.
        self._heard: list[Audio] = []  # its probabilities
        self._reads: list[Read] = []
        self._before: tuple[Word, ...] = ()
        engine = owner.batcher.engine
        self.repairs = Repairs(
            self._ask_again,
            owner.plan,
            limit_s=engine.receptive_field_s,
            ways=engine.ways,
            other=owner.second.name if owner.second else "",
            check=self._check,
            purse=owner.purse,
        )
        limit_s = min(owner.preset.chunk_s, engine.receptive_field_s)
        self._outside = Outside(limit_s, owner.limits.uncovered_s)

    def read_all(self, blocks: Iterable[Audio]) -> list[Segment]:
        """All segments in order of time.

        Windows are let go as soon as they are read; how many wait is the batcher's bound.
        """
        asked: deque[_Asked] = deque()
        with self._owner.preparing(self._check) as self._aside:
            for window in self._windows(blocks):
                asked.append(self._ask(self._complete(window)))
                while asked and asked[0].future.done():
                    self._take(asked.popleft())
        self._aside = nullcontext
        while asked:
            self._take(asked.popleft())
        self._read_outside()
        for case in self.repairs.finish():
            self._settle(case)
        self.asr_s += self.repairs.took_s - self.repairs.align_s
        self.align_s += self.repairs.align_s
        self._tell(1.0)
        clock = self._condenser.clock
        self.settled = [settled_on(clock, window) for window in self.settled]
        return segments_on(clock, stitch(self._reads))

    def _complete(self, window: Window) -> Window:
        return replace(window, names=self._owner.names, clock=self._condenser.clock)

    def _ask(self, window: Window) -> _Asked:
        batcher = self._owner.batcher
        return _Asked(
            window, batcher.submit(self, window, self.vote, self._check, aside=self._aside)
        )

    def _ask_again(self, request: Request) -> Future[Answer] | None:
        batcher, other = self._owner.batcher, self._owner.second
        if request.other:
            found = other.open() if other else None
            if found is None or not found.engine.knows_language(request.language):
                return None
            batcher = found
        vote = Agreed(request.language)
        return batcher.submit(
            self, request.window, vote, self._check, request.how, aside=self._aside
        )

    def _take(self, asked: _Asked) -> None:
        """Waits for a window's first reading; what is suspect goes to be read again."""
        window, answer = asked.window, wait(asked.future, self._check)
        self.asr_s += answer.asr_s
        self.align_s += answer.align_s
        self.repairs.first_read(answer)
        case = Case(window, self._evidence(window, answer.decoded), self._owner.limits)
        words = [word for segment in case.text.segments for word in segment.words]
        self._before = tuple(words[-BEFORE:])
        if case.signs:
            log.debug(
                "Suspect: %.2f-%.2f s: %s",
                *window.clock.span(window.start_s, window.end_s),
                ", ".join(sign.name for sign in case.signs),
            )
            self.repairs.add(case)
        else:
            self._settle(case)
        for settled in self.repairs.step():
            self._settle(settled)
        if self._expected_s:
            self._tell(min(window.clock.end(window.end_s) / self._expected_s, 1.0))

    def _read_outside(self) -> None:
        """Speech between the windows, in the item's language; where there is none, it is told."""
        language = self.vote.expected
        for window in self._outside.found if language else ():
            nothing = Decoded((), language, 0.0, 0.0, window.start_s)
            evidence = replace(self._evidence(window, nothing), before=(), heard=("", 0.0))
            if self._owner.plan.share > 0:
                whole = self._complete(window)
                self.repairs.add(Case(whole, evidence, self._owner.limits, outside=True))

    def _settle(self, case: Case) -> None:
        window = case.window
        self._reads.append(Read(window.index, window.start_s, window.overlap_s, case.text))
        self.settled.append(case.settled())

    def _evidence(self, window: Window, decoded: Decoded) -> Evidence:
        return Evidence(
            start_s=window.start_s,
            end_s=window.end_s,
            from_s=window.start_s + window.overlap_s / 2,
            to_s=window.end_s - window.shared_s / 2,
            decoded=decoded,
            # Where nobody looked, everything may be speech, and no word stands on silence.
            speech=self._speech(window) if self._owner.detect_speech else window.speech,
            before=self._before,
            languages=self.vote.languages,
            heard=self.vote.likeliest(window),
        )

    def _speech(self, window: Window) -> tuple[SpeechSpan, ...]:
        return self._marked(window.start_s, window.end_s)

    def _marked(self, from_s: float, to_s: float) -> tuple[SpeechSpan, ...]:
        """What the looser detection marks around here, by the probabilities known so far."""
        first = max(0, round((from_s - EDGE_S) / FRAME_S))
        last = round((to_s + EDGE_S) / FRAME_S)
        pieces: list[Audio] = []
        at = 0
        for piece in self._heard:
            if at < last and at + piece.size > first:
                pieces.append(piece[max(0, first - at) : last - at])
            at += piece.size
        probabilities = np.concatenate(pieces or [np.zeros(0, np.float32)])
        found = spans(probabilities, SpeechRule(LEDGER_THRESHOLD), offset_s=first * FRAME_S)
        return tuple(found)

    def _check(self) -> None:
        if self._cancelled and self._cancelled():
            raise Cancelled("Stopped before the end; nothing was written.")

    def _windows(self, blocks: Iterable[Audio]) -> Iterator[Window]:
        owner = self._owner
        limit_s = min(owner.preset.chunk_s, owner.batcher.engine.receptive_field_s)
        cutter = WindowCutter(
            limit_s,
            overlap_s=min(owner.preset.overlap_s, limit_s / 3),
            detect=owner.detect_speech,
            rule=SpeechRule(CUT_THRESHOLD),
        )
        stream = owner.detector.stream()
        iterator = iter(blocks)
        while True:
            began = time.perf_counter()
            block = next(iterator, None)
            self.decode_s += time.perf_counter() - began
            self._check()
            if block is None:
                break
            self.samples += block.size
            began = time.perf_counter()
            found = stream.push(block) if owner.detect_speech else self._unheard(self.samples)
            self.vad_s += time.perf_counter() - began
            yield from self._cut(cutter, *self._condenser.push(block, self._note(found)))
        rest = stream.finish() if owner.detect_speech else self._unheard(self.samples + FRAME - 1)
        yield from self._cut(cutter, *self._condenser.finish(self._note(rest)), final=True)

    def _cut(
        self, cutter: WindowCutter, audio: Audio, probabilities: Audio, *, final: bool = False
    ) -> Iterator[Window]:
        """Windows of the sound that has come, as far as it is known; what lies between is kept."""
        look = self._owner.detect_speech and self._owner.plan.share > 0
        self._heard.append(probabilities)
        if look:
            self._outside.push(audio)
        for window in cutter.push(audio, probabilities, final=final):
            self._outside.covered(window)
            yield window
        if look:
            self._outside.look(None if final else cutter.decided_s, self._marked)

    def _note(self, probabilities: Audio) -> Audio:
        self.probabilities.append(probabilities)
        self._frames += probabilities.size
        return probabilities

    def _unheard(self, samples: int) -> Audio:
        """Probabilities where nobody looked: every frame may be speech."""
        return np.ones(samples // FRAME - self._frames, np.float32)

    def _tell(self, fraction: float) -> None:
        if self._progress:
            self._progress(fraction)
