"""Every way of transcribing that `throughput.py` compares: ours and the others'.

All get the language, write greedily and use one thread; each of the others has the batch that
suits it best here. Ours gives word times and checks its text, the others do neither.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 8  # windows a call, for all that batch
TOKENS = 64  # a window's, where weights are random

Read = Callable[[Sequence[Path]], list[str]]


@dataclass(frozen=True)
class Model:
    """What is compared: a folder of transformers, one of CTranslate2; random weights or not.

    `title` is how the table names it.
    """

    name: str
    title: str
    folder: Path
    converted: Path
    random: bool


@dataclass(frozen=True)
class Peer:
    """`read` gives the text of each file; `busy_s` (ours) the seconds inside model calls."""

    name: str
    group: str  # transformers or ctranslate2: what runs the model
    ours: bool
    read: Read
    busy_s: Callable[[], float] = lambda: 0.0


def everyone(model: Model) -> list[Peer]:
    """All that can read with this model."""
    peers = [
        ours(model, "whisper", repair=True),
        ours(model, "whisper", repair=False),
        pipeline(model),
        ours(model, "faster-whisper", repair=False),
        faster_whisper(model, batched=True),
        faster_whisper(model, batched=False),
    ]
    if model.random:
        # Random timestamps would decide how far the long form goes on at a time.
        peers = [peer for peer in peers if "as shipped" not in peer.name]
        # (Its package is the extra `bench`.)
        return [*peers, openai_whisper()] if find_spec("whisper") else peers
    return [*peers, long_form(model)]


def ours(model: Model, engine: str, *, repair: bool) -> Peer:
    """Our own way, files side by side as a worker takes them."""
    from kb.jobs.options import RunOptions
    from kb.jobs.recognition import Recognition
    from kb.settings import get_settings

    updates: dict[str, Any] = {"cpu_threads": 1, "device": "cpu"}
    if not repair:
        updates |= {"repair_share": 0.0}
    recognition = Recognition(get_settings().model_copy(update=updates), threading.Semaphore(2))
    recipe = recognition.recipe(
        RunOptions(model=str(model.folder), engine=engine, language="en", batch_size=BATCH)
    )
    recognition.prepare(recipe)
    batcher = recognition._batcher
    assert batcher is not None
    busy = _watch(batcher.engine, recognition)

    def read(paths: Sequence[Path]) -> list[str]:
        busy[0] = 0.0
        with ThreadPoolExecutor(BATCH) as pool:
            found = list(pool.map(lambda path: recognition.transcribe(path, recipe), paths))
        return [" ".join(segment.text for segment in one.segments) for one in found]

    shown = f"ours, {engine}" + (", as shipped" if repair else "")
    group = "ctranslate2" if engine == "faster-whisper" else "transformers"
    return Peer(shown, group, True, read, lambda: busy[0])


def _watch(engine: Any, recognition: Any) -> list[float]:
    """Counts CPU seconds spent inside the models' own calls (recognizer and detector)."""
    import time

    busy = [0.0]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            began = time.thread_time()
            try:
                return call(*args, **options)
            finally:
                busy[0] += time.thread_time() - began

        return run

    if hasattr(engine, "_greedy"):
        engine._encode = counted(engine._encode)
        engine._greedy.begin = counted(engine._greedy.begin)
        engine._greedy.write = counted(engine._greedy.write)
    else:
        for name in ("hear", "_write", "_timed"):
            setattr(engine, name, counted(getattr(engine, name)))
    return busy


def pipeline(model: Model) -> Peer:
    """transformers' ready-made pipeline as its documentation has it for long sound."""
    import transformers

    asr = transformers.pipeline(
        "automatic-speech-recognition",
        model=str(model.folder),
        dtype="float32",
        device="cpu",
        chunk_length_s=30,
        batch_size=BATCH,
    )
    options = {"num_beams": 1, "do_sample": False, "language": "en", "task": "transcribe"}
    if model.random:
        options |= {"max_new_tokens": TOKENS, "min_new_tokens": TOKENS}

    def read(paths: Sequence[Path]) -> list[str]:
        # (Arrays: by path it would look for an ffmpeg on the system's path.)
        sounds = [{"raw": _sound(path), "sampling_rate": 16_000} for path in paths]
        found = asr(sounds, return_timestamps=True, generate_kwargs=options)
        return [str(one["text"]) for one in found]

    return Peer("transformers pipeline", "transformers", False, read)


def long_form(model: Model) -> Peer:
    """transformers' `generate` over whole recordings, several at once."""
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    processor = WhisperProcessor.from_pretrained(model.folder)
    whisper = WhisperForConditionalGeneration.from_pretrained(
        model.folder, dtype="float32", attn_implementation="sdpa"
    ).eval()

    def read(paths: Sequence[Path]) -> list[str]:
        texts: list[str] = []
        for first in range(0, len(paths), BATCH):
            sounds = [_sound(path) for path in paths[first : first + BATCH]]
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

    return Peer("transformers long form", "transformers", False, read)


def _sound(path: Path) -> np.ndarray:
    import soundfile

    audio, _ = soundfile.read(path, dtype="float32")
    return audio


def faster_whisper(model: Model, *, batched: bool) -> Peer:
    """The faster-whisper package over CTranslate2, in float32 as ours is."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    whisper = WhisperModel(
        str(model.converted), device="cpu", compute_type="float32", cpu_threads=1, num_workers=1
    )
    options: dict[str, Any] = {
        "beam_size": 1, "language": "en", "temperature": 0.0, "vad_filter": True
    }  # fmt: skip
    if model.random:
        options |= {"max_new_tokens": TOKENS, "suppress_tokens": [50257], "suppress_blank": False}
    if batched:
        # Timestamps as trained; without them the demo weights have hardly been shown anything.
        options |= {"batch_size": BATCH, "without_timestamps": model.random}
        run = BatchedInferencePipeline(whisper).transcribe
    else:
        options |= {
            "condition_on_previous_text": False, "log_prob_threshold": None,
            "compression_ratio_threshold": None, "without_timestamps": model.random,
        }  # fmt: skip
        run = whisper.transcribe

    def read(paths: Sequence[Path]) -> list[str]:
        return [" ".join(s.text for s in run(str(path), **options)[0]) for path in paths]

    shown = "faster-whisper, " + ("batched" if batched else "sequential")
    return Peer(shown, "ctranslate2", False, read)


def openai_whisper() -> Peer:
    """The original, with random weights of the same shape."""
    import whisper
    from whisper.model import ModelDimensions, Whisper

    original = Whisper(ModelDimensions(80, 1500, 384, 6, 4, 51865, 448, 384, 6, 4)).eval()

    def read(paths: Sequence[Path]) -> list[str]:
        return [
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
            )["text"]
            for path in paths
        ]

    return Peer("openai-whisper", "transformers", False, read)
