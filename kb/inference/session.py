"""A loaded model with everything that is needed to transcribe a media file."""

from __future__ import annotations

import logging
import pickle
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from gpu.devices import NO_DEVICE, Device, unrequested_cpu, usable_cores
from gpu.monitor import GpuCard, Monitor, Sample
from gpu.preset_figures import Preset
from gpu.status import Snapshot
from gpu.throttle import Governor, ThrottleLimits
from gpu.throughput import Calibration
from kb.asr.batching.adjustable_semaphore import AdjustableSemaphore
from kb.asr.quality.repair_budget import RepairBudget
from kb.errors import RetryLater
from kb.hub.fetch_progress import Report
from kb.inference.malloc import return_memory
from kb.inference.memory_fit import MemoryEstimate, estimate_memory
from kb.inference.model_lock import ModelLock
from kb.inference.transcription_options import RowFacts, TranscriptionOptions
from kb.options import RunOptions
from kb.settings import Settings, get_settings
from kb.types import Transcript

if TYPE_CHECKING:
    from gpu.manager import GPUManager
    from kb.asr.audio.vad import SpeechDetector
    from kb.asr.batching.batcher import Batcher
    from kb.asr.batching.fallback_engine import FallbackEngine
    from kb.asr.batching.preparation_growth import PreparationGrowth
    from kb.asr.engines.base import Engine
    from kb.asr.engines.model_table import MachineKind
    from kb.asr.first_readings import OnText
    from kb.inference.readers.messages import Request
    from kb.inference.readers.pool import ReaderPool

log = logging.getLogger(__name__)

Progress = Callable[[float], None]

URGENT_PREPARATIONS = 2  # urgent media that are decoded and cut at once, beside all others
FALLBACK_BATCH = 4  # windows per batch of the fallback engine: few, in shared memory


class InferenceSession:
    """The model of one process: loaded at first use, kept until another model is requested.

    `transcribe` may be called from several threads at once: their windows share batches.
    """

    def __init__(
        self,
        settings: Settings,
        preparations: AdjustableSemaphore | None = None,
        *,
        on_snapshot: Callable[[Snapshot], None] | None = None,
        calibrations: Callable[[], Sequence[Calibration]] = tuple,
        cpu_reason: str = "",
        readers: ReaderPool | None = None,
    ) -> None:
        """Load nothing yet: the hardware and the model are set up at first use.

        `preparations` limits how many media are decoded and cut at once; the limit follows the
        options of the media in progress. `on_snapshot` gets a snapshot every few seconds after the
        first request for a model, on a separate thread. `calibrations`: measurements of this
        machine. `cpu_reason`: reason for using the CPU despite the settings, as a clause.
        `readers`: processes that read the media for this one, if the settings and the device want
        them.
        """
        self._settings = settings
        self._preparations = preparations
        self._urgent_preparations = AdjustableSemaphore(URGENT_PREPARATIONS)
        self._on_snapshot = on_snapshot
        self._calibrations = calibrations
        self._cpu_reason = cpu_reason
        self._readers = readers
        # Gets the state of a model's fetch several times a second.
        self.on_fetch: Report = lambda state: None
        self._monitor: Monitor | None = None
        self._governor = Governor(
            ThrottleLimits(
                settings.gpu_max_temperature_c,
                settings.gpu_max_utilisation / 100,
                settings.gpu_give_way,
            )
        )
        self._previous_audio_s = 0.0  # by models that have been unloaded
        self._options: TranscriptionOptions | None = None
        self._lock = threading.Lock()
        self._model_lock = ModelLock(self._lock)
        self._manager: GPUManager | None = None
        self._batcher: Batcher | None = None
        self._memory: MemoryEstimate | None = None  # of the loaded model
        self._detector: SpeechDetector | None = None
        self._fallbacks: dict[str, FallbackEngine] = {}  # by their setting
        self._idle_timer: threading.Timer | None = None
        self._repair_budget = RepairBudget()

    def __enter__(self) -> InferenceSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def manager(self) -> GPUManager:
        """The hardware, probed at first use."""
        with self._lock:
            return self._hardware()

    @property
    def kind(self) -> MachineKind:
        """The kind of this machine."""
        return "gpu" if self.manager.on_gpu else "cpu"

    def model_name(self, requested: str | None = None) -> str:
        """Return the model for `requested`; without it, the setting's or the device's default.

        The name may be one of models.yaml. Raises SettingsError, and ModelUnavailable if the
        setting has a plain name and the current folder a folder of that name, which a setting must
        name as a path.
        """
        from kb.inference import model_choice

        return model_choice.model_name(requested or "", self._settings, lambda: self.kind)

    def transcription_options(
        self,
        options: RunOptions,
        settings: Settings | None = None,
        preset: Preset | None = None,
        facts: RowFacts | None = None,
    ) -> TranscriptionOptions:
        """Return the options of the transcription for a run's options. Raises SettingsError.

        `settings`, `preset` and `facts` are those of a request from elsewhere; by default this
        process's hold. How many items are prepared at once is decided here.
        """
        own = settings or self._settings
        if preset is None:
            preset, workers = options.resolve_preset(own), options.preparation_workers(own)
        else:
            workers = options.workers or self._settings.workers or preset.workers
        from kb.inference import model_choice

        requested = options.model or own.model
        if facts is not None and own.model:
            model = own.model  # no name of this machine's table
        else:
            model = model_choice.model_name(requested, own, lambda: self.kind)
        found = model_choice.transcription_options(
            options, own, model, replace(preset, workers=workers), facts
        )
        return replace(found, settings=settings)

    def prepare(
        self, options: TranscriptionOptions, cancelled: Callable[[], bool] | None = None
    ) -> None:
        """Load the model of these options now; wait while another model is in use.

        Raises ModelUnavailable, SettingsError, Cancelled.
        """
        self._fetch_models(options, cancelled)
        with self._lock:
            self._load_if_needed(options, cancelled)
            self._await_idle()

    def transcribe(
        self,
        path: Path,
        options: TranscriptionOptions,
        *,
        sha256: str = "",
        shown_as: str = "",
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
        on_ready: Callable[[], None] | None = None,
        on_text: OnText | None = None,
    ) -> Transcript:
        """Transcribe one media file.

        `shown_as` is the path that the transcript names; `on_ready` is called once, when its model
        is loaded and its turn has come; `on_text` gets the first reading of each stretch, in order
        of time: the transcript may differ where a stretch was read again. Raises MediaUnavailable
        (missing, no sound, unreadable), ModelUnavailable, TranscriptionError, GPUError, RetryLater,
        Cancelled. A truncated file gives the words before its end, with a warning.
        """
        transcript: Transcript = pickle.loads(
            self.transcribe_pickled(
                path,
                options,
                sha256=sha256,
                shown_as=shown_as,
                progress=progress,
                cancelled=cancelled,
                on_ready=on_ready,
                on_text=on_text,
            )
        )
        return transcript

    def transcribe_pickled(
        self,
        path: Path,
        options: TranscriptionOptions,
        *,
        sha256: str = "",
        shown_as: str = "",
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
        on_ready: Callable[[], None] | None = None,
        on_text: OnText | None = None,
    ) -> bytes:
        """Transcribe one media file; return the transcript pickled, as a reader sends it."""
        if self._readers is not None:
            from kb.inference.readers.pool import reader_count

            most = reader_count(self._settings.readers, usable_cores(), self._is_on_gpu)
            if most > 0:
                from kb.inference.readers.messages import Request

                request = Request(path, options, sha256, shown_as, on_text is not None)
                return self._read_beside(most, request, progress, cancelled, on_ready, on_text)
        from kb.inference.read_medium import check_medium, read_medium

        began = time.perf_counter()
        check_medium(path, options, self._settings)
        with self._turn(options, cancelled, on_ready) as (batcher, detector, slots):
            transcript = read_medium(
                path,
                options,
                self._settings,
                batcher,
                began=began,
                detector=detector(),
                slots=slots,
                other=self._fallback_engine(options),
                budget=self._repair_budget,
                sha256=sha256,
                shown_as=shown_as,
                cpu_reason=self._unrequested_cpu(),
                device=self.manager.device,
                progress=progress,
                cancelled=cancelled,
                on_text=on_text,
            )
        return pickle.dumps(transcript)

    def _read_beside(
        self,
        most: int,
        request: Request,
        progress: Progress | None,
        cancelled: Callable[[], bool] | None,
        on_ready: Callable[[], None] | None,
        on_text: OnText | None,
    ) -> bytes:
        """Let a reader read a medium, with this process's model; there may be `most` readers."""
        assert self._readers is not None
        options = request.options
        with self._readers.open(most, request, cancelled) as reading:
            reading.wait_until_checked()
            with self._turn(options, cancelled, on_ready) as (batcher, _, slots):
                return reading.run(
                    batcher,
                    self._fallback_engine(options),
                    slots,
                    options,
                    cpu_reason=self._unrequested_cpu(),
                    device=self.manager.device,
                    progress=progress,
                    on_text=on_text,
                )

    @contextmanager
    def _turn(
        self,
        options: TranscriptionOptions,
        cancelled: Callable[[], bool] | None,
        on_ready: Callable[[], None] | None,
    ) -> Iterator[tuple[Batcher, Callable[[], SpeechDetector], AdjustableSemaphore | None]]:
        """Yield the model's queue, the detector and the slots for one medium."""
        with self._use_model(options, cancelled) as batcher, ExitStack() as exit_stack:
            if on_ready:
                on_ready()
            slots = self._urgent_preparations if options.urgent else self._preparations
            if slots is not None and not options.urgent:
                exit_stack.enter_context(slots.limited_to(options.preset.workers))
            yield batcher, self._speech_detector, slots

    def close(self) -> None:
        """Free the model."""
        with self._lock:
            self._unload()
            fallbacks, self._fallbacks = self._fallbacks, {}
            monitor, self._monitor = self._monitor, None
        for fallback in fallbacks.values():
            fallback.close()
        if monitor is not None:
            monitor.close()

    @property
    def device(self) -> Device:
        """The device in use, probed at first use."""
        return self.manager.describe()

    def renew_calibrations(self, found: Sequence[Calibration]) -> None:
        """Use new measurements of this machine: a loaded model takes them for its next batch.

        Waits while a model is being loaded.
        """
        self._calibrations = lambda: found
        with self._lock:
            batcher, memory, options = self._batcher, self._memory, self._options
            if batcher is None or memory is None or options is None:
                return
            fresh = self._estimate_memory(options, self._hardware(), memory.baseline_bytes)
            if fresh != memory:
                self._memory = fresh
                batcher.renew_limit(fresh.window_bytes)

    def snapshot(self, sample: Sample | None = None) -> Snapshot:
        """Return the current state. Does not block, not even while a model is loading."""
        batcher, options, slots = self._batcher, self._options, self._preparations
        return Snapshot(
            device=self._manager.describe() if self._manager else NO_DEVICE,
            engine=options.engine if options else "",
            model=options.model if options else "",
            preset=options.preset.name if options else "",
            batch=batcher.state() if batcher else None,
            throttle=self._governor.now,
            media=self._model_lock.busy,
            sample=sample,
            preparing=slots.in_use if slots else 0,
            preparation_slots=slots.count if slots else 0,
            preparation_floor=slots.floor if slots else 0,
        )

    @contextmanager
    def engine(self, options: TranscriptionOptions) -> Iterator[tuple[Engine, GPUManager]]:
        """Yield the loaded engine of these options for exclusive use, for measuring.

        Raises the errors of `prepare`.
        """
        from kb.asr.engines import load_engine

        self._fetch_models(options, None)
        with self._lock:
            self._unload()
            manager = self._set_up(options)
            loaded = load_engine(options.engine, options.model, manager)
            try:
                yield loaded, manager
            finally:
                loaded.close()

    def _is_on_gpu(self) -> bool:
        # Without the lock, which is held while a model is loaded.
        return (self._manager or self.manager).on_gpu

    def _fallback_engine(self, options: TranscriptionOptions) -> FallbackEngine | None:
        """Return the engine for windows that remain suspect, if the settings name one."""
        setting = (options.settings or self._settings).repair_engine
        if not setting or setting == f"{options.engine}:{options.model}":
            return None
        from kb.asr.batching.fallback_engine import FallbackEngine

        with self._lock:
            if setting not in self._fallbacks:
                self._fallbacks[setting] = FallbackEngine(
                    setting, self._hardware, FALLBACK_BATCH, throttle=lambda: self._governor.now
                )
            return self._fallbacks[setting]

    def _unrequested_cpu(self) -> str:
        """Return the reason for the CPU where a GPU was requested or failed, else an empty text."""
        device = self._hardware().describe()
        if device.kind == "CPU" and self._cpu_reason:
            return self._cpu_reason
        return unrequested_cpu(self._settings.device, device)

    def _hardware(self) -> GPUManager:
        if self._manager is None:
            from gpu.manager import GPUManager

            get_settings()  # sets the allocator's environment, which torch reads on import
            self._manager = GPUManager(
                self._settings.device,
                cpu_threads=self._settings.cpu_threads,
                reserve_gb=self._settings.gpu_reserve_gb,
                dtype=self._settings.dtype,
            )
            if self._cpu_reason:
                self._manager.fall_back(self._cpu_reason)
        return self._manager

    @contextmanager
    def _use_model(
        self, options: TranscriptionOptions, cancelled: Callable[[], bool] | None
    ) -> Iterator[Batcher]:
        """Keep the model of these options loaded for one medium, until the block ends."""
        self._fetch_models(options, cancelled)
        with self._lock:
            found = self._load_if_needed(options, cancelled)
            self._model_lock.acquire()
        try:
            yield found
        finally:
            with self._lock:
                self._model_lock.release()
                self._await_idle()

    def _fetch_models(
        self, options: TranscriptionOptions, cancelled: Callable[[], bool] | None
    ) -> None:
        """Fetch the files of these options' models, without the lock: other models go on."""
        if self._model_lock.loaded == options.model_key:
            return
        from kb.inference.model_fetch import fetch_models, within_floor

        fetch_models(
            options.engine,
            options.model,
            report=self.on_fetch,
            cancelled=cancelled or (lambda: False),
            conduct=within_floor(self._settings),
        )

    def _load_if_needed(
        self, options: TranscriptionOptions, cancelled: Callable[[], bool] | None
    ) -> Batcher:
        manager = self._hardware()
        from kb.inference.model_choice import check_machine

        model_key = options.model_key
        check_machine(options, "gpu" if manager.on_gpu else "cpu")
        self._require_loaded(options)
        self._model_lock.wait(model_key, cancelled, urgent=options.urgent)
        if self._batcher is None or self._model_lock.loaded != model_key:
            from kb.asr.batching.batcher import Batcher
            from kb.asr.engines import load_engine
            from kb.inference.model_trial import refusals_remembered, try_model

            self._unload()
            self._options = options
            manager = self._set_up(options)
            with refusals_remembered():
                engine = load_engine(options.engine, options.model, manager)
                try:
                    try_model(engine, options.model, manager)
                except BaseException:
                    engine.close()
                    raise
            baseline_bytes = manager.memory().used - manager.permanent_bytes
            self._memory = memory = self._estimate_memory(options, manager, baseline_bytes)
            self._batcher = Batcher(
                engine,
                manager,
                options.preset.batch_size,
                max_batch=lambda: (self._memory or memory).max_batch(
                    (self._options or options).preset, manager
                ),
                throttle=lambda: self._governor.now,
                window_bytes=memory.window_bytes,
                growth=self._preparation_growth(manager),
                on_card=self._settings.batches_on_card,
            )
            self._model_lock.mark_loaded(model_key)
        elif not self._model_lock.busy and self._options != options:
            # Only the preset differs: no model has to be loaded.
            self._options = options
            manager.preset = options.preset
            manager.apply()
            self._batcher.set_ceiling(options.preset.batch_size)
        return self._batcher

    def _estimate_memory(
        self, options: TranscriptionOptions, manager: GPUManager, baseline_bytes: int | None
    ) -> MemoryEstimate:
        return estimate_memory(
            options.engine, options.model, manager, self._calibrations(), baseline_bytes
        )

    def _speech_detector(self) -> SpeechDetector:
        from kb.asr.audio.vad import SpeechDetector

        with self._lock:
            if self._detector is None:
                self._detector = SpeechDetector()
            return self._detector

    def _preparation_growth(self, manager: GPUManager) -> PreparationGrowth | None:
        """Return the control of the preparation slots; on a CPU the recognizer has the cores."""
        if self._preparations is None or not manager.on_gpu:
            return None
        from kb.asr.batching.preparation_growth import PreparationGrowth

        self._preparations.set_extra(0)
        return PreparationGrowth(self._preparations, usable_cores)

    def _require_loaded(self, options: TranscriptionOptions) -> None:
        """Raise RetryLater if another model is in use and these options may not replace it."""
        loaded = self._model_lock.loaded
        if options.may_swap or not self._model_lock.busy or loaded == options.model_key:
            return
        raise RetryLater(
            "recognizer.other_model",
            "The model {model} is not loaded, and {loaded} is at work.",
            hint="Try again later, or use the loaded model.",
            model=options.model,
            loaded=loaded[1] if loaded else "",
        )

    def _set_up(self, options: TranscriptionOptions) -> GPUManager:
        """Prepare the process for a model, and start monitoring its load."""
        manager = self._hardware()
        return_memory()
        manager.preset = options.preset  # the preset's memory budget
        manager.use_dtype(self._settings.dtype if options.dtype == "auto" else options.dtype)
        manager.apply()
        if self._monitor is None and (self._on_snapshot or manager.on_gpu):
            card = GpuCard.find(manager.uuid) if manager.kind == "CUDA" else None
            self._monitor = Monitor(
                card, own=self._own_memory, audio_s=self._audio_s, on_sample=self._on_sample
            ).start()
        return manager

    def _own_memory(self) -> tuple[int, int] | None:
        if self._manager is None:
            return None
        memory = self._manager.memory()
        return memory.used, memory.peak

    def _audio_s(self) -> float:
        batcher = self._batcher
        return self._previous_audio_s + (batcher.audio_s if batcher else 0.0)

    def _on_sample(self, sample: Sample) -> None:
        if self._manager is not None and self._manager.on_gpu:
            self._governor.update(sample)
        if self._on_snapshot:
            self._on_snapshot(self.snapshot(sample))

    def _await_idle(self) -> None:
        """Unload the model after its idle time, if it has one and no medium uses it."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        idle_s = self._options.idle_s if self._options else None
        if idle_s is not None and not self._model_lock.busy:
            self._idle_timer = threading.Timer(idle_s, self._unload_idle)
            self._idle_timer.daemon = True
            self._idle_timer.start()

    def _unload_idle(self) -> None:
        with self._lock:
            present = self._idle_timer is threading.current_thread()
            if present and not self._model_lock.busy and not self._model_lock.waiting:
                log.info("The model was idle and is unloaded.")
                self._unload()

    def _unload(self) -> None:
        if self._batcher is not None:
            self._batcher.close()
            self._previous_audio_s += self._batcher.audio_s
            self._batcher.engine.close()
            self._batcher = self._memory = None
            self._model_lock.loaded = None
