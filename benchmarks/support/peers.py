"""The variants that `throughput.py` compares: our engines and other libraries.

All variants receive the language, decode greedily and use one thread. Ours return word times and
check their text; the others return word times only if their name says so. With random weights,
each variant counts the tokens of every window, so that unequal work is detected.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from gpu.manager import CPU_BATCH_CEILING

BATCH = 8  # windows per call without a measured best size
BATCHES = (1, 4, 8, 16)  # the sizes to try
TOKENS = 64  # per window, with random weights
PREPARING = 2  # files that our variants decode and cut in parallel

Read = Callable[[Sequence[Path], int], list[str]]


@dataclass(frozen=True)
class Model:
    """A model to compare: its folder for transformers, and its folder for CTranslate2.

    `title` is its name in the table; `random` is True for random weights.
    """

    name: str
    title: str
    folder: Path
    converted: Path
    random: bool


@dataclass(frozen=True)
class Peer:
    """A loaded variant: `read` returns the text of each file, with a batch size.

    `busy_s` (ours): the CPU seconds inside calls of the "recognizer" and the "detector" during
    the last reading. `lengths`: the number of windows by number of tokens.
    """

    read: Read
    busy_s: dict[str, float] = field(default_factory=dict)
    lengths: Counter[int] = field(default_factory=Counter)
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Variant:
    """A peer with a name; `open` loads it.

    `batches` is True if it has batches; `max_batch` is its largest batch size; `batch_of` names
    another variant whose best batch size it uses.
    """

    name: str
    open: Callable[[], Peer]
    batches: bool = True
    max_batch: int = BATCHES[-1]
    batch_of: str = ""


PIPELINE = "transformers pipeline"
PIPELINE_WORDS = "transformers pipeline, with word times"
OURS = "ours, whisper"
SHIPPED = "ours, whisper, as shipped"
OURS_CTRANSLATE2 = "ours, faster-whisper"
BATCHED = "faster-whisper, batched"
BATCHED_WORDS = "faster-whisper, batched, with word times"

# The reason why some variants are missing with random weights.
SKIPPED_NOTE = (
    "Left out on random weights, because random timestamps decide how far they go on at a time, "
    "so that their work cannot be made equal: transformers' long form, and the transformers "
    "pipeline with word times. 'As shipped' is left out, too: there is nothing to doubt in random "
    "words."
)


def all_variants(model: Model) -> list[Variant]:
    """Return all variants for this model; the reference of all comparisons is the first."""
    own = CPU_BATCH_CEILING
    variants = [
        Variant(PIPELINE, lambda: pipeline(model)),
        Variant(SHIPPED, lambda: our_peer(model, "whisper", repair=True), max_batch=own),
        Variant(OURS, lambda: our_peer(model, "whisper", repair=False), max_batch=own),
        Variant(
            OURS_CTRANSLATE2, lambda: our_peer(model, "faster-whisper", repair=False), max_batch=own
        ),
        Variant(BATCHED, lambda: faster_whisper(model, batched=True)),
        Variant("faster-whisper, sequential", lambda: faster_whisper(model, batched=False), False),
        Variant(
            BATCHED_WORDS, lambda: faster_whisper(model, batched=True, words=True), batch_of=BATCHED
        ),
    ]
    if not model.random:
        return [
            *variants,
            Variant("transformers long form", lambda: long_form(model)),
            Variant(PIPELINE_WORDS, lambda: pipeline(model, words=True), batch_of=PIPELINE),
        ]
    variants = [variant for variant in variants if variant.name != SHIPPED]
    # (Its package is the extra `bench`.)
    return (
        [*variants, Variant("openai-whisper", openai_whisper, False)]
        if find_spec("whisper")
        else variants
    )


def our_peer(model: Model, engine: str, *, repair: bool) -> Peer:
    """Return our variant, which reads files in parallel as a worker does."""
    from kb.asr.batching.adjustable_semaphore import AdjustableSemaphore
    from kb.inference.session import InferenceSession
    from kb.options import RunOptions
    from kb.settings import get_settings

    updates: dict[str, Any] = {"cpu_threads": 1, "device": "cpu", "workers": PREPARING}
    if not repair:
        updates |= {"repair_share": 0.0}
    recognition = InferenceSession(
        get_settings().model_copy(update=updates), AdjustableSemaphore(PREPARING)
    )

    def options_for(batch: int) -> Any:
        return recognition.transcription_options(
            RunOptions(model=str(model.folder), engine=engine, language="en", batch_size=batch)
        )

    recognition.prepare(options_for(BATCH))
    batcher = recognition._batcher
    assert batcher is not None
    lengths: Counter[int] = Counter()
    busy = _instrument(batcher.engine, recognition._speech_detector(), lengths)

    def read(paths: Sequence[Path], batch: int) -> list[str]:
        busy.update(recognizer=0.0, detector=0.0, times=0.0)
        own = options_for(batch)
        # A worker has twice as many items in flight as a batch has windows (KB_IN_FLIGHT).
        with ThreadPoolExecutor(2 * max(BATCH, batch)) as pool:
            found = list(pool.map(lambda path: recognition.transcribe(path, own), paths))
        return [" ".join(segment.text for segment in one.segments) for one in found]

    return Peer(read, busy, lengths, recognition.close)


def _instrument(engine: Any, detector: Any, lengths: Counter[int]) -> dict[str, float]:
    """Count the CPU seconds inside the models' calls, and the tokens of every window."""
    busy = {"recognizer": 0.0, "detector": 0.0, "times": 0.0}
    lock = threading.Lock()  # detection runs in several threads

    def counted(what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            began = time.thread_time()
            try:
                return call(*args, **options)
            finally:
                took = time.thread_time() - began
                with lock:
                    busy[what] += took

        return run

    detector._session = _Instrumented(detector._session, run=lambda call: counted("detector", call))

    def measured(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            found = call(*args, **options)
            rows = found.rows if hasattr(found, "rows") else [r.sequences_ids[0] for r in found]
            lengths.update(len(row) for row in rows)
            return found

        return run

    if hasattr(engine, "_greedy"):
        engine._run_encoder = counted("recognizer", engine._run_encoder)
        engine._greedy.start = counted("recognizer", engine._greedy.start)
        engine._greedy.decode = counted("recognizer", measured(engine._greedy.decode))
        engine._greedy.align = counted("times", engine._greedy.align)
    else:
        engine._write = measured(engine._write)  # (CTranslate2 has its own threads.)
    return busy


class _Instrumented:
    """An object of a compiled package with some of its methods wrapped."""

    def __init__(self, inner: Any, **wrappers: Callable[[Any], Any]) -> None:
        self._inner = inner
        self._own = {name: wrap(getattr(inner, name)) for name, wrap in wrappers.items()}

    def __getattr__(self, name: str) -> Any:
        return self._own[name] if name in self._own else getattr(self._inner, name)


def pipeline(model: Model, *, words: bool = False) -> Peer:
    """Return transformers' pipeline, used as documented for long audio."""
    import transformers

    ffmpeg_on_path(model.folder.parent / "bin")
    asr = transformers.pipeline(
        "automatic-speech-recognition",
        model=str(model.folder),
        dtype="float32",
        device="cpu",
        chunk_length_s=30,
    )
    options = {"num_beams": 1, "do_sample": False, "language": "en", "task": "transcribe"}
    if model.random:
        options |= {"max_new_tokens": TOKENS, "min_new_tokens": TOKENS}

    lengths: Counter[int] = Counter()
    undo = lengths_of_generate(lengths) if model.random else lambda: None

    def read(paths: Sequence[Path], batch: int) -> list[str]:
        # (With random timestamps it would read most windows twice.)
        found = asr(
            [str(path) for path in paths],
            return_timestamps="word" if words else not model.random,
            generate_kwargs=options,
            batch_size=batch,
        )
        return [str(one["text"]) for one in found]

    return Peer(read, lengths=lengths, close=undo)


def ffmpeg_on_path(folder: Path) -> None:
    """Put our `ffmpeg` on the path, where transformers' pipeline searches for it."""
    import imageio_ffmpeg

    folder.mkdir(exist_ok=True)
    if not (folder / "ffmpeg").exists():
        (folder / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    if str(folder) not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([str(folder), os.environ["PATH"]])


def lengths_of_generate(lengths: Counter[int]) -> Callable[[], None]:
    """Count the tokens that transformers writes; return a function that ends the counting.

    Whisper's `generate` cuts its answer at timestamps, so the inherited `generate` is counted.
    """
    from transformers import GenerationMixin

    plain = GenerationMixin.generate

    def watched(self: Any, *args: Any, **options: Any) -> Any:
        found = plain(self, *args, **options)
        rows = found if hasattr(found, "shape") else found.sequences
        lengths[rows.shape[-1] - options["decoder_input_ids"].shape[-1]] += rows.shape[0]
        return found

    GenerationMixin.generate = watched

    def undo() -> None:
        GenerationMixin.generate = plain

    return undo


def long_form(model: Model) -> Peer:
    """Return transformers' `generate` over whole recordings, several in a batch."""
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    processor = WhisperProcessor.from_pretrained(model.folder)
    whisper = WhisperForConditionalGeneration.from_pretrained(
        model.folder, dtype="float32", attn_implementation="sdpa"
    ).eval()

    def read(paths: Sequence[Path], batch: int) -> list[str]:
        texts: list[str] = []
        for first in range(0, len(paths), batch):
            sounds = [_sound(path) for path in paths[first : first + batch]]
            inputs = processor(
                sounds,
                sampling_rate=16_000,
                return_tensors="pt",
                truncation=False,
                padding="longest",
                return_attention_mask=True,
            )
            if inputs["input_features"].shape[-1] < 3000:
                inputs = processor(
                    sounds, sampling_rate=16_000, return_tensors="pt", return_attention_mask=True
                )
            tokens = whisper.generate(
                **inputs, return_timestamps=True, language="en", task="transcribe", num_beams=1
            )
            texts += processor.batch_decode(tokens, skip_special_tokens=True)
        return texts

    return Peer(read)


def _sound(path: Path) -> np.ndarray:
    import soundfile

    audio, _ = soundfile.read(path, dtype="float32")
    return audio


def faster_whisper(model: Model, *, batched: bool, words: bool = False) -> Peer:
    """Return the faster-whisper package over CTranslate2, in float32 like ours."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    whisper = WhisperModel(
        str(model.converted), device="cpu", compute_type="float32", cpu_threads=1, num_workers=1
    )
    options: dict[str, Any] = {
        "beam_size": 1, "language": "en", "temperature": 0.0, "vad_filter": True,
        "word_timestamps": words,
    }  # fmt: skip
    lengths: Counter[int] = Counter()
    if model.random:
        # (CTranslate2 writes half of the given length minus the prompt.)
        options |= {
            "max_new_tokens": 2 * TOKENS - 2, "suppress_tokens": [50257], "suppress_blank": False
        }  # fmt: skip

        def measured(call: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any, **given: Any) -> Any:
                found = call(*args, **given)
                lengths.update(len(one.sequences_ids[0]) for one in found)
                return found

            return run

        whisper.model = _Instrumented(whisper.model, generate=measured)
    transcribe: Callable[..., Any] = whisper.transcribe
    if batched:
        # The demo weights were trained almost only with timestamps.
        options |= {"without_timestamps": model.random}
        transcribe = BatchedInferencePipeline(whisper).transcribe
    else:
        options |= {
            "condition_on_previous_text": False, "log_prob_threshold": None,
            "compression_ratio_threshold": None, "without_timestamps": model.random,
        }  # fmt: skip

    def read(paths: Sequence[Path], batch: int) -> list[str]:
        size = {"batch_size": batch} if batched else {}
        return [
            " ".join(s.text for s in transcribe(str(path), **options, **size)[0]) for path in paths
        ]

    return Peer(read, lengths=lengths)


def openai_whisper() -> Peer:
    """Return the original Whisper package with random weights of the same shape."""
    import whisper
    from whisper.decoding import DecodingTask
    from whisper.model import ModelDimensions, Whisper

    original = Whisper(ModelDimensions(80, 1500, 384, 6, 4, 51865, 448, 384, 6, 4)).eval()

    lengths: Counter[int] = Counter()
    loop = DecodingTask._main_loop

    def watched(self: Any, *args: Any) -> Any:
        found = loop(self, *args)
        lengths[found[0].shape[-1] - len(self.initial_tokens)] += found[0].shape[0]
        return found

    DecodingTask._main_loop = watched

    def read(paths: Sequence[Path], _batch: int) -> list[str]:
        found = [
            whisper.transcribe(
                original,
                _sound(path),
                language="en",
                temperature=0.0,
                fp16=False,
                condition_on_previous_text=False,
                compression_ratio_threshold=None,
                logprob_threshold=None,
                no_speech_threshold=None,
                without_timestamps=True,
                sample_len=TOKENS,
                suppress_tokens="50257",
            )
            for path in paths
        ]
        return [str(one["text"]) for one in found]

    return Peer(read, lengths=lengths)
