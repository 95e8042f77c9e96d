"""Other libraries that run the same weights, for `trust.py`, with their default settings."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kb.asr import SAMPLE_RATE
from kb.asr.engines.faster_whisper.conversion import converted_model_folder
from kb.asr.engines.model_lookup import DEMO_FOLDER


class Pipeline:
    """transformers' pipeline in float32: chunks of 30 s with its stride and its merging."""

    name = f"transformers {importlib.metadata.version('transformers')} pipeline, chunked, float32"

    def __init__(self, batch_size: int) -> None:
        from transformers import pipeline

        self._batch_size = batch_size
        self._run: Any = pipeline(
            "automatic-speech-recognition",
            model=str(DEMO_FOLDER),
            chunk_length_s=30,
            dtype=torch.float32,
            device="cpu",
            ignore_warning=True,  # chunking is experimental, but it is measured here
        )

    def __call__(self, audio: np.ndarray) -> str:
        """Return the text of float32 samples at 16 kHz."""
        found = self._run(
            {"raw": audio.copy(), "sampling_rate": SAMPLE_RATE},
            batch_size=self._batch_size,
            return_timestamps=True,
            # Its default of five beams takes about seven times as long.
            generate_kwargs={"num_beams": 1},
        )
        return str(found["text"])


class FasterWhisper:
    """faster-whisper's batched pipeline over CTranslate2, with its defaults except for the prompt.

    It treats a model with a small vocabulary as an English-only model. With timestamps, its
    prompt is then only the start token, as in the training of the demo recognizer.
    """

    name = (
        f"faster-whisper {importlib.metadata.version('faster-whisper')} batched, "
        f"CTranslate2 {importlib.metadata.version('ctranslate2')}, float32"
    )

    def __init__(self, batch_size: int, folder: Path) -> None:
        """Write the converted model to `folder` in the layout of faster-whisper, and load it."""
        from faster_whisper import BatchedInferencePipeline, WhisperModel

        self._batch_size = batch_size
        made = Path(shutil.copytree(converted_model_folder("demo"), folder))
        for path in (made / "processor").iterdir():
            if not (made / path.name).exists():
                shutil.copy(path, made / path.name)
        shutil.copy(DEMO_FOLDER / "preprocessor_config.json", made)
        model = WhisperModel(str(made), device="cpu", compute_type="float32", cpu_threads=1)
        self._run: Any = BatchedInferencePipeline(model)

    def __call__(self, audio: np.ndarray) -> str:
        """Return the text of float32 samples at 16 kHz."""
        segments, _ = self._run.transcribe(
            audio, language="en", batch_size=self._batch_size, without_timestamps=False
        )
        return " ".join(segment.text.strip() for segment in segments)
