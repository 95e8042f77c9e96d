"""Turns a stream of sound into a transcript: windows, decoding, repair, stitching, report.

Sound is read block by block and freed when its windows are decoded, so that memory does not grow
with the medium's length.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

from gpu.preset_figures import Preset
from kb.asr import SAMPLE_RATE
from kb.asr.audio.speech_evidence import SpeechEvidence, SpokenLevel
from kb.asr.audio.vad import Audio, SpeechDetector
from kb.asr.batching.language_vote import EARLY_WINDOWS, FixedLanguage, LanguageVote
from kb.asr.batching.window_queue import (
    BatchedWindow,
    LanguageSelector,
    OtherEngine,
    WindowQueue,
    wait,
)
from kb.asr.coverage import without_words
from kb.asr.engines.base import TRANSCRIBE, TRANSLATE, DecodingOptions, DecodingResult
from kb.asr.first_readings import FirstReadings, OnText
from kb.asr.known_words import KnownWords
from kb.asr.quality.candidates import RepairCandidate
from kb.asr.quality.checks import PREVIOUS_WORDS
from kb.asr.quality.detected_speech import with_detection
from kb.asr.quality.expected_errors import with_expected_errors
from kb.asr.quality.pace import PaceEstimate
from kb.asr.quality.repair import RepairQueue
from kb.asr.quality.repair_budget import RepairBudget
from kb.asr.quality.repair_plan import RepairPlan, RepairRequest
from kb.asr.quality.report import WindowResult, quality_report, restore_result_times
from kb.asr.quality.seam_checks import with_seam_doubts
from kb.asr.quality.window_context import Thresholds, WindowContext
from kb.asr.read_progress import ReadProgress
from kb.asr.stitching import WindowText, enforce_order, restore_segment_times, stitch
from kb.asr.windows.window_source import WindowSource
from kb.asr.windows.windowing import Window
from kb.errors import Cancelled, SettingsError
from kb.settings import Settings, get_settings
from kb.types import MediaRef, Segment, Serving, SpeechLimits, Timing, Transcript, Word

log = logging.getLogger(__name__)

AUTO = "auto"

Progress = Callable[[float], None]


class Slots(Protocol):
    """A limit for how many media are decoded and cut at once."""

    def acquire(self, *, timeout: float | None = None) -> bool:
        """Acquire a slot; return False if none became free within `timeout` seconds."""
        ...

    def release(self) -> None:
        """Release a slot."""
        ...


SlotRelease = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class _PendingWindow:
    """A window in the batcher's queue, with its future result."""

    window: Window
    future: Future[BatchedWindow]


class Recognizer:
    """A loaded engine behind a batcher, with a preset. Safe from several threads."""

    def __init__(
        self,
        batcher: WindowQueue,
        preset: Preset,
        *,
        language: str = AUTO,
        detect_speech: bool = True,
        detector: SpeechDetector | None = None,
        preparations: Slots | None = None,
        settings: Settings | None = None,
        plan: RepairPlan | None = None,
        fallback: OtherEngine | None = None,
        hotwords: tuple[str, ...] = (),
        temperature: float = 0.0,
        languages: tuple[str, ...] = (),
        task: str = TRANSCRIBE,
        repair_budget: RepairBudget | None = None,
        urgent: bool = False,
        speech_limits: SpeechLimits | None = None,
    ) -> None:
        """Initialise the recognizer.

        `preparations` limits how many media are read and cut at once. `settings` give the limits of
        the checks and the prompt and, without a `plan`, the repair steps; `fallback` is the engine
        for the last step. `hotwords` go into the prompt, the most important first, if the model
        supports them; `temperature` is that of the first readings. The detected language is one of
        `languages`, if there are any. `task`: transcribe, or translate into English.
        `repair_budget` is shared by all media of a run (default: by those of this object).
        `urgent`: the windows come before those of media that are not. `speech_limits` are those of
        a caller for the detection.

        Raises SettingsError if the model does not support the requested language, temperature or
        task.
        """
        for code in (*languages, *((language,) if language != AUTO else ())):
            if not batcher.engine.supports_language(code):
                raise SettingsError(
                    "recognizer.language",
                    "The model {model} does not know the language {language!r}.",
                    hint="Give a two-letter code it knows (--language, KB_LANGUAGE), or auto.",
                    model=batcher.engine.model,
                    language=code,
                )
        if task == TRANSLATE and TRANSLATE not in batcher.engine.decoding_methods:
            raise SettingsError(
                "recognizer.translate",
                "The model {model} does not translate.",
                hint="Name a multilingual model of the Whisper family, such as small.",
                model=batcher.engine.model,
            )
        if temperature > 0 and "temperature" not in batcher.engine.decoding_methods:
            raise SettingsError(
                "recognizer.temperature",
                "The model {model} knows no temperature.",
                hint="Leave it at 0.",
                model=batcher.engine.model,
            )
        self.first_options = DecodingOptions(temperature, task=task)
        self.task, self.languages = task, languages
        self.batcher = batcher
        self.preset = preset
        self.fixed_language = None if language == AUTO else language
        self.detect_speech = detect_speech
        self.detector = detector or SpeechDetector()
        self._preparations = preparations
        settings = settings or get_settings()
        self.limits = Thresholds.of(settings)
        self.plan = plan or RepairPlan.of(settings)
        self.fallback = fallback
        self.hotwords, self.prompt_tokens = hotwords, settings.prompt_tokens
        self.repair_budget = repair_budget or RepairBudget()
        self.urgent = urgent
        self.speech_limits = speech_limits
        self.longest_pause_s = settings.longest_pause_s or math.inf
        if not detect_speech:
            self.longest_pause_s = math.inf

    @contextmanager
    def preparation_slot(self, check: Callable[[], None]) -> Iterator[SlotRelease]:
        """Hold one of the preparation slots; `check` is called during the wait and may raise.

        Yields a function whose context manager releases the slot for a while: an item that only
        waits for the recognizer must not block the preparation of others.
        """
        semaphore = self._preparations
        if semaphore is None:
            yield nullcontext
            return
        held = False

        def acquire() -> None:
            nonlocal held
            while not semaphore.acquire(timeout=0.2):
                check()
            held = True

        @contextmanager
        def release_for_a_while() -> Iterator[None]:
            nonlocal held
            semaphore.release()
            held = False
            yield
            acquire()

        acquire()
        try:
            yield release_for_a_while
        finally:
            if held:
                semaphore.release()

    def transcribe(
        self,
        blocks: Iterable[Audio],
        media: MediaRef,
        *,
        expected_s: float | None = None,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
        on_text: OnText | None = None,
        known_words: KnownWords | None = None,
    ) -> Transcript:
        """Return the transcript of one medium.

        `blocks`: float32 arrays of 16 kHz mono sound in order; `expected_s`: the medium's nominal
        duration, for `progress` (0..1); `on_text` gets the first reading of each stretch, in order
        of time. `known_words` are those of spans whose sound another transcript has: their windows
        are checked as all others, and decoded only where they are suspect. Raises Cancelled when
        `cancelled` returns true, and TranscriptionError or GPUError when the engine fails. Errors
        raised by `blocks` are not caught.
        """
        run = _Run(self, expected_s, progress, cancelled, on_text, known_words)
        began = time.perf_counter()
        try:
            segments = run.read_all(blocks)
        finally:
            self.batcher.cancel(run)
            if self.fallback:
                self.fallback.cancel(run)
            run.repairs.close()
        engine = self.batcher.engine
        source = run.source
        audio_s = source.samples / SAMPLE_RATE
        segments, order_flags = enforce_order(segments, self.limits.backwards_s)
        coverage, windows = quality_report(
            source.speech(), segments, run.results, run.repairs.count, order_flags
        )
        total_s = time.perf_counter() - began
        found = Transcript(
            media=replace(media, duration_s=round(audio_s, 3)),
            segments=tuple(segments),
            language=run.vote.settled_language if segments else (self.fixed_language or "und"),
            engine=engine.name,
            model=engine.model,
            preset=self.preset.name,
            coverage=coverage,
            timing=Timing(
                load_s=round(engine.load_s, 3),
                decode_s=round(source.decode_s, 3),
                vad_s=round(source.vad_s, 3),
                asr_s=round(run.asr_s, 3),
                align_s=round(run.align_s, 3),
                repair_s=round(run.repairs.busy_s, 3),
                total_s=round(total_s, 3),
                media_s=round(audio_s, 3),
            ),
            chunk_s=self.preset.chunk_s,
            timestamps=self.preset.timestamps,
            warnings=() if segments else (without_words(coverage, engine.model),),
            windows=windows,
        )
        sound = source.meter.facts(found.words, coverage.speech_s)
        serving = Serving(language_probability=run.vote.probability if segments else None)
        found = replace(found, sound=sound, serving=serving)
        # What is known about an engine's errors is known for transcripts alone.
        return found if self.task == TRANSLATE else with_expected_errors(found)


class _Run:
    """The transcription of one medium."""

    def __init__(
        self,
        owner: Recognizer,
        expected_s: float | None,
        progress: Progress | None,
        cancelled: Callable[[], bool] | None,
        on_text: OnText | None,
        known_words: KnownWords | None,
    ) -> None:
        self._owner = owner
        self._known_words = known_words
        self._first_readings = FirstReadings(on_text)
        self._progress = ReadProgress(progress, expected_s)
        self._cancelled = cancelled
        self._release_slot: SlotRelease = nullcontext
        self.vote = LanguageVote(owner.fixed_language, owner.languages)
        self.asr_s = self.align_s = 0.0
        engine = owner.batcher.engine
        self.source = WindowSource(
            owner.detector if owner.detect_speech else None,
            limit_s=min(owner.preset.chunk_s, engine.receptive_field_s),
            overlap_s=owner.preset.overlap_s,
            longest_pause_s=owner.longest_pause_s,
            residual_s=owner.limits.uncovered_s if owner.plan.share > 0 else None,
            limits=owner.speech_limits,
        )
        self.results: list[WindowResult] = []
        # The following times are those of the trimmed sound, until the text is finished.
        self._window_texts: list[WindowText] = []
        self._previous_words: tuple[Word, ...] = ()
        self._pace = PaceEstimate()
        self._spoken_level = SpokenLevel()
        self._early_settled = False
        self.repairs = RepairQueue(
            self._submit_repair,
            owner.plan,
            limit_s=engine.receptive_field_s,
            decoding_methods=engine.decoding_methods,
            fallback=owner.fallback.name if owner.fallback else "",
            check=self._check,
            budget=owner.repair_budget,
        )

    def read_all(self, blocks: Iterable[Audio]) -> list[Segment]:
        """Return all segments in order of time.

        Windows are freed when they are decoded; the batcher limits how many wait.
        """
        pending: deque[_PendingWindow] = deque()
        with self._owner.preparation_slot(self._check) as self._release_slot:
            for window in self.source.windows(blocks, self._check):
                submitted = self._submit(self._with_context(window))
                pending.append(submitted)
                self._progress.add(submitted.future, self.source.time_map.end(window.end_s))
                self._settle_early_windows(pending)
                while pending and self._early_settled and pending[0].future.done():
                    self._collect(pending.popleft())
        self._release_slot = nullcontext
        for each in islice(pending, EARLY_WINDOWS):
            wait(each.future, self._check)
        self._settle_early_windows(pending, ended=True)
        while pending:
            self._collect(pending.popleft())
        self._first_readings.end()
        self._queue_residual_speech()
        for candidate in self.repairs.finish():
            self._finish_window(candidate)
        self.asr_s += self.repairs.busy_s - self.repairs.align_s
        self.align_s += self.repairs.align_s
        self._progress.end()
        time_map = self.source.time_map
        segments = stitch(self._window_texts)
        pace = self._pace.add(())
        self.results = with_seam_doubts(self.results, self._window_texts, segments, pace)
        self.results = [restore_result_times(time_map, window) for window in self.results]
        return restore_segment_times(time_map, segments)

    def _settle_early_windows(self, pending: deque[_PendingWindow], *, ended: bool = False) -> None:
        """Count the votes of the first windows together, once all of them are decoded."""
        if self._early_settled:
            return
        early = list(islice(pending, EARLY_WINDOWS))
        if self.vote.fixed or (
            (ended or len(early) == EARLY_WINDOWS) and all(each.future.done() for each in early)
        ):
            self.vote.settle(each.window for each in early)
            self._early_settled = True

    def _with_context(self, window: Window) -> Window:
        names, most = self._owner.hotwords, self._owner.prompt_tokens
        return replace(window, hotwords=names, prompt_tokens=most, time_map=self.source.time_map)

    def _submit(self, window: Window) -> _PendingWindow:
        owner = self._owner
        known = self._known_words.submit(window) if self._known_words else None
        if known is not None:
            self.vote.add_known(window, known.result().decoded.language)
            return _PendingWindow(window, known)
        future = self._queue(owner.batcher, window, self.vote, owner.first_options)
        return _PendingWindow(window, future)

    def _submit_repair(self, request: RepairRequest) -> Future[BatchedWindow] | None:
        batcher, fallback = self._owner.batcher, self._owner.fallback
        if request.fallback:
            fallback_batcher = fallback.open() if fallback else None
            if fallback_batcher is None or not self._can_use(fallback_batcher, request.language):
                return None
            batcher = fallback_batcher
        vote = FixedLanguage(request.language)
        options = replace(request.options, task=self._owner.task)
        return self._queue(batcher, request.window, vote, options)

    def _can_use(self, batcher: WindowQueue, language: str) -> bool:
        engine, task = batcher.engine, self._owner.task
        translates = task != TRANSLATE or TRANSLATE in engine.decoding_methods
        return translates and engine.supports_language(language)

    def _queue(
        self,
        batcher: WindowQueue,
        window: Window,
        vote: LanguageSelector,
        options: DecodingOptions,
    ) -> Future[BatchedWindow]:
        return batcher.submit(
            self,
            window,
            vote,
            self._check,
            options,
            urgent=self._owner.urgent,
            while_waiting=self._release_slot,
        )

    def _collect(self, pending: _PendingWindow) -> None:
        """Wait for a window's first attempt; queue the window for repair if it is suspect."""
        window, result = pending.window, wait(pending.future, self._check)
        self.vote.settle([window])
        language = self.vote.settled_choice(window)
        if language is not None:
            # Its batch came before the windows that decide: the text is in another language.
            self._add_busy(result)
            vote = FixedLanguage(language)
            owner = self._owner
            again = self._queue(owner.batcher, window, vote, owner.first_options)
            result = wait(again, self._check)
        self._add_busy(result)
        self.repairs.add_first_attempt(result)
        self._first_readings.add(window, result.decoded.segments)
        candidate = RepairCandidate(
            window, self._window_context(window, result.decoded), self._owner.limits
        )
        words = [word for segment in candidate.best_result.segments for word in segment.words]
        self._previous_words = tuple(words[-PREVIOUS_WORDS:])
        if candidate.flags:
            log.debug(
                "Suspect: %.2f-%.2f s: %s",
                *window.time_map.span(window.start_s, window.end_s),
                ", ".join(flag.name for flag in candidate.flags),
            )
            self.repairs.add(candidate)
        else:
            self._finish_window(candidate)
        for finished in self.repairs.step():
            self._finish_window(finished)

    def _add_busy(self, result: BatchedWindow) -> None:
        self.asr_s += result.asr_s
        self.align_s += result.align_s

    def _queue_residual_speech(self) -> None:
        """Queue the speech between the windows for repair, in the item's language."""
        language = self.vote.known_language
        for window in self.source.residual_windows if language else ():
            empty = DecodingResult((), language, 0.0, 0.0, window.start_s)
            context = replace(
                self._window_context(window, empty),
                previous_words=(),
                detected_language=("", 0.0),
                evidence=None,
            )
            if self._owner.plan.share > 0:
                whole = self._with_context(window)
                self.repairs.add(RepairCandidate(whole, context, self._owner.limits, residual=True))

    def _finish_window(self, candidate: RepairCandidate) -> None:
        window = candidate.window
        candidate.give_room()
        self._window_texts.append(
            WindowText(window.index, window.start_s, window.overlap_s, candidate.best_result)
        )
        self.results.append(candidate.result())

    def _window_context(self, window: Window, decoded: DecodingResult) -> WindowContext:
        context = WindowContext(
            start_s=window.start_s,
            end_s=window.end_s,
            from_s=window.start_s + window.overlap_s / 2,
            to_s=window.end_s - window.shared_s / 2,
            decoded=decoded,
            # Without detection all sound counts as speech, and no word counts as on silence.
            speech=window.speech,
            previous_words=self._previous_words,
            languages=self.vote.languages,
            detected_language=self.vote.best_guess(window),
            pace=self._pace.add(word for s in decoded.segments for word in s.words),
        )
        if not self._owner.detect_speech:
            return context
        near = self.source.probabilities_near(window.start_s, window.end_s)
        evidence = SpeechEvidence(self._owner.detector, window.audio, window.start_s, near)
        return with_detection(context, near, evidence, self._spoken_level)

    def _check(self) -> None:
        self._progress.update()
        if self._cancelled and self._cancelled():
            raise Cancelled("recognizer.stopped", "Stopped before the end; nothing was written.")
