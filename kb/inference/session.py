"""A model in memory with everything needed to turn a media file into a transcript."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from gpu.monitor import Card, Monitor, Sample
from gpu.presets import Preset
from gpu.status import Device, Snapshot
from gpu.throttle import Governor, Limits
from gpu.throughput import Calibration
from kb.asr.batching.adjustable_semaphore import Places
from kb.asr.quality.repair_budget import Purse
from kb.inference.memory_fit import describe_device, need
from kb.inference.model_lock import Exchange
from kb.options import RunOptions
from kb.settings import Settings
from kb.types import MediaRef, Transcript

if TYPE_CHECKING:
    from gpu.manager import GPUManager
    from kb.asr.audio.vad import SpeechDetector
    from kb.asr.batching.batcher import Batcher
    from kb.asr.batching.fallback_engine import SecondEngine
    from kb.asr.engines.base import Engine

Progress = Callable[[float], None]

SECOND_BATCH = 4  # windows a batch of the second engine: they are few, and memory is shared


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides about the words of a transcript."""

    preset: Preset
    engine: str
    model: str
    language: str = "auto"
    detect_speech: bool = True
    normalize: bool = False
    names: tuple[str, ...] = ()  # told to the recognizer beforehand, the most important first


class Recognition:
    """The model of one process: loaded at first use, kept until another one is asked for.

    `transcribe` may be called from several threads at once: their windows share batches.
    """

    def __init__(
        self,
        settings: Settings,
        preparations: Places | None = None,
        *,
        told: Callable[[Snapshot], None] | None = None,
        calibrations: Callable[[], Sequence[Calibration]] = tuple,
        without_gpu: str = "",
    ) -> None:
        """`preparations` bounds how many media are decoded and cut at once; their number
        follows the recipes.

        `told` gets a snapshot every few seconds, once a model has been asked for, on a thread
        of its own. `calibrations`: what was measured on this machine. `without_gpu`: why the
        CPU is to be used whatever the settings say, as a clause.
        """
        self._settings = settings
        self._preparations = preparations
        self._told = told
        self._calibrations = calibrations
        self._without_gpu = without_gpu
        self._monitor: Monitor | None = None
        self._governor = Governor(
            Limits(
                settings.gpu_max_temperature_c,
                settings.gpu_max_utilisation / 100,
                settings.gpu_give_way,
            )
        )
        self._heard_before_s = 0.0  # with models that have been put away
        self._recipe: Recipe | None = None
        self._lock = threading.Lock()
        self._models = Exchange(self._lock)
        self._manager: GPUManager | None = None
        self._batcher: Batcher | None = None
        self._detector: SpeechDetector | None = None
        self._second: SecondEngine | None = None
        self._purse = Purse()

    def __enter__(self) -> Recognition:
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

    def model_name(self, asked: str | None = None) -> str:
        """The model that will be used when `asked` is named: the setting's, or the device's."""
        from kb.asr.engines.model_lookup import DEFAULT_CPU, DEFAULT_GPU

        chosen = asked or self._settings.model
        if chosen:
            return chosen
        return DEFAULT_GPU if self.manager.on_gpu else DEFAULT_CPU

    def recipe(self, options: RunOptions) -> Recipe:
        """What a run with these options uses. Raises SettingsError."""
        return Recipe(
            preset=replace(
                options.resolve_preset(self._settings),
                workers=options.preparing(self._settings),
            ),
            engine=options.engine or self._settings.engine,
            model=self.model_name(options.model),
            language=options.language or self._settings.language,
            detect_speech=options.detect_speech,
            normalize=self._settings.normalize_loudness,
        )

    def prepare(self, recipe: Recipe, cancelled: Callable[[], bool] | None = None) -> None:
        """Loads the recipe's model now; waits for its turn while another one is in use.

        Raises ModelUnavailable, SettingsError, Cancelled.
        """
        with self._lock:
            self._ready(recipe, cancelled)

    def transcribe(
        self,
        path: Path,
        recipe: Recipe,
        *,
        sha256: str = "",
        shown_as: str = "",
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
        ready: Callable[[], None] | None = None,
    ) -> Transcript:
        """The words of one media file.

        `shown_as` is the path that the transcript names; `ready` is called once, when its model
        is loaded and its turn has come. Raises MediaUnavailable (missing,
        no sound, unreadable), ModelUnavailable, TranscriptionError, GPUError, Cancelled.
        A truncated file gives the words that are there, with a warning.
        """
        from kb.asr.recognizer import Recognizer
        from kb.media.decode import decode

        began = time.perf_counter()
        stream = decode(path, normalize=recipe.normalize)
        with (
            self._borrowed(recipe, cancelled) as (batcher, detector),
            stream,
            ExitStack() as under_way,
        ):
            if ready:
                ready()
            if self._preparations is not None:
                under_way.enter_context(self._preparations.asking(recipe.preset.workers))
            recognizer = Recognizer(
                batcher,
                recipe.preset,
                language=recipe.language,
                detect_speech=recipe.detect_speech,
                detector=detector,
                preparations=self._preparations,
                settings=self._settings,
                second=self._second_engine(recipe),
                names=recipe.names,
                purse=self._purse,
            )
            transcript = recognizer.transcribe(
                stream,
                MediaRef(shown_as or str(path), sha256, 0.0),
                expected_s=stream.probe.duration_s,
                progress=progress,
                cancelled=cancelled,
            )
        warnings = transcript.warnings
        if stream.warning:
            warnings = (stream.warning, *warnings)
        elapsed = round(time.perf_counter() - began, 3)
        return replace(
            transcript, warnings=warnings, timing=replace(transcript.timing, total_s=elapsed)
        )

    def close(self) -> None:
        """Frees the model."""
        with self._lock:
            self._drop()
            second, self._second = self._second, None
            monitor, self._monitor = self._monitor, None
        if second is not None:
            second.close()
        if monitor is not None:
            monitor.close()

    @property
    def device(self) -> Device:
        """The device in use, probed at first use."""
        return describe_device(self.manager)

    def snapshot(self, sample: Sample | None = None) -> Snapshot:
        """What goes on here now. Waits for nobody, least of all for a model that is loading."""
        batcher, recipe = self._batcher, self._recipe
        return Snapshot(
            device=describe_device(self._manager) if self._manager else Device("", "", ""),
            engine=recipe.engine if recipe else "",
            model=recipe.model if recipe else "",
            preset=recipe.preset.name if recipe else "",
            batch=batcher.state() if batcher else None,
            throttle=self._governor.now,
            media=self._models.busy,
            sample=sample,
        )

    @contextmanager
    def engine(self, recipe: Recipe) -> Iterator[tuple[Engine, GPUManager]]:
        """The recipe's loaded engine for the caller alone, for measuring.

        Raises what `prepare` raises.
        """
        from kb.asr.engines import load_engine

        with self._lock:
            self._drop()
            manager = self._set_up(recipe)
            loaded = load_engine(recipe.engine, recipe.model, manager)
            try:
                yield loaded, manager
            finally:
                loaded.close()

    def _second_engine(self, recipe: Recipe) -> SecondEngine | None:
        """The engine for what stays doubtful, if the settings name one that is another."""
        wanted = self._settings.repair_engine
        if not wanted or wanted == f"{recipe.engine}:{recipe.model}":
            return None
        from kb.asr.batching.fallback_engine import SecondEngine

        with self._lock:
            if self._second is None:
                self._second = SecondEngine(
                    wanted, self._hardware, SECOND_BATCH, throttle=lambda: self._governor.now
                )
            return self._second

    def _hardware(self) -> GPUManager:
        if self._manager is None:
            from gpu.manager import GPUManager

            self._manager = GPUManager(
                self._settings.device,
                cpu_threads=self._settings.cpu_threads,
                reserve_gb=self._settings.gpu_reserve_gb,
            )
            if self._without_gpu:
                self._manager.fall_back(self._without_gpu)
        return self._manager

    @contextmanager
    def _borrowed(
        self, recipe: Recipe, cancelled: Callable[[], bool] | None
    ) -> Iterator[tuple[Batcher, SpeechDetector]]:
        """The recipe's model for one medium; it is not put away before that is done."""
        with self._lock:
            found = self._ready(recipe, cancelled)
            self._models.enter()
        try:
            yield found
        finally:
            with self._lock:
                self._models.leave()

    def _ready(
        self, recipe: Recipe, cancelled: Callable[[], bool] | None
    ) -> tuple[Batcher, SpeechDetector]:
        manager = self._hardware()
        wanted = (recipe.engine, recipe.model)
        self._models.wait(wanted, cancelled)
        if self._batcher is None or self._models.loaded != wanted:
            from kb.asr.batching.batcher import Batcher
            from kb.asr.engines import load_engine

            self._drop()
            self._recipe = recipe
            manager = self._set_up(recipe)
            engine = load_engine(recipe.engine, recipe.model, manager)
            resting = manager.memory().used - manager.settled
            fits = need(recipe.engine, recipe.model, manager, self._calibrations(), resting)
            self._batcher = Batcher(
                engine,
                manager,
                recipe.preset.batch_size,
                room=lambda: fits.room((self._recipe or recipe).preset, manager),
                throttle=lambda: self._governor.now,
                window_bytes=fits.window_bytes,
            )
            self._models.arrived(wanted)
        elif not self._models.busy and self._recipe != recipe:
            # Another preset: no need to load anything.
            self._recipe = recipe
            manager.preset = recipe.preset
            manager.apply()
            self._batcher.set_ceiling(recipe.preset.batch_size)
        if self._detector is None:
            from kb.asr.audio.vad import SpeechDetector

            self._detector = SpeechDetector()
        return self._batcher, self._detector

    def _set_up(self, recipe: Recipe) -> GPUManager:
        """The process made ready to hold a model; what it does is watched from here on."""
        manager = self._hardware()
        _return_memory()
        manager.preset = recipe.preset  # its memory budget
        manager.apply()
        if self._monitor is None and (self._told or manager.on_gpu):
            card = Card.find(manager.uuid) if manager.kind == "CUDA" else None
            self._monitor = Monitor(
                card, own=self._own_memory, heard_s=self._heard_s, told=self._look
            ).start()
        return manager

    def _own_memory(self) -> tuple[int, int] | None:
        if self._manager is None:
            return None
        memory = self._manager.memory()
        return memory.used, memory.peak

    def _heard_s(self) -> float:
        batcher = self._batcher
        return self._heard_before_s + (batcher.heard_s if batcher else 0.0)

    def _look(self, sample: Sample) -> None:
        if self._manager is not None and self._manager.on_gpu:
            self._governor.look(sample)
        if self._told:
            self._told(self.snapshot(sample))

    def _drop(self) -> None:
        if self._batcher is not None:
            self._batcher.close()
            self._heard_before_s += self._batcher.heard_s
            self._batcher.engine.close()
            self._batcher = None
            self._models.loaded = None


_RETURN_FROM_BYTES = 4 * 2**20
_M_MMAP_THRESHOLD = -3  # its number in glibc's malloc.h


def _return_memory() -> None:
    """Has the C library give the memory of large tensors back as soon as they are freed.

    By itself glibc keeps ever larger blocks for reuse, and windows of differing number and
    length tear holes into them: an hour of speech took a gigabyte where 300 MB were in use.
    Other C libraries do not need it.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _RETURN_FROM_BYTES)
