"""Whisper by CTranslate2, the runtime of faster-whisper.

Windows, batches and guards are our own; only the runtime of the faster-whisper package is used.
Two limits of CTranslate2 apply: it treats a model with a small vocabulary (the demo recognizer)
as a model of a single language, which gets the prompt without language and task; and a running
`generate` cannot be stopped.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kb.asr.audio.log_mel import LogMel
from kb.asr.engines import errors
from kb.asr.engines.base import (
    GREEDY,
    TRANSLATE,
    DecodingOptions,
    DecodingResult,
    EncodedBatch,
    UnreadText,
)
from kb.asr.engines.faster_whisper.conversion import converted_model_folder
from kb.asr.engines.faster_whisper.cublas import load_cublas
from kb.asr.engines.whisper.alignment import FRAME_S
from kb.asr.engines.whisper.greedy_search import MAX_NEW_TOKENS
from kb.asr.engines.whisper.token_words import TokenizedText, UnreadTokens, WordAligner
from kb.asr.windows.windowing import Window
from kb.errors import ModelUnavailable, SettingsError
from kb.settings import get_settings

if TYPE_CHECKING:
    from gpu.manager import GPUManager


class FasterWhisperEngine:
    """`ctranslate2.models.Whisper` behind the engine interface."""

    name = "faster-whisper"
    decoding_methods = frozenset({"beam"})  # its sampling is not reproducible

    def __init__(self, folder: Path, model_name: str, manager: GPUManager) -> None:
        """Load the converted model in `folder`.

        Raises GPUError, ModelUnavailable and SettingsError.
        """
        import ctranslate2
        from transformers import GenerationConfig, WhisperProcessor

        began = time.perf_counter()
        self.model = model_name
        self.align_s = 0.0
        self._manager = manager
        self._runtime = ctranslate2
        processor = WhisperProcessor.from_pretrained(
            folder / "processor", local_files_only=True, trust_remote_code=False
        )
        generation = GenerationConfig.from_pretrained(
            folder / "processor", local_files_only=True, trust_remote_code=False
        )
        extractor = processor.feature_extractor
        self.receptive_field_s = float(extractor.chunk_length)
        # CTranslate2 supports only CUDA and the CPU.
        kind = "cuda" if manager.kind == "CUDA" else "cpu"
        if kind == "cuda":
            load_cublas()
        self._mel = LogMel(extractor, manager.device if kind == "cuda" else "cpu")
        try:
            self._whisper = ctranslate2.models.Whisper(
                str(folder),
                device=kind,
                device_index=int(manager.device.partition(":")[2] or 0) if kind == "cuda" else 0,
                compute_type=compute_type(kind, manager),
                intra_threads=manager.threads,
                inter_threads=1,
            )
        except RuntimeError as error:
            raise errors.loading_error(error, model_name, manager) or ModelUnavailable(
                "model.not_loaded_ctranslate2",
                "Model {name} cannot be loaded by CTranslate2: {cause}",
                hint="Use it as it is with: --engine whisper",
                name=model_name,
                cause=error,
            ) from error
        self._multilingual = bool(self._whisper.is_multilingual)
        self._start = int(generation.decoder_start_token_id)
        self._languages: dict[str, int] = {}
        if self._multilingual:
            self._languages = {
                token.strip("<|>"): number for token, number in generation.lang_to_id.items()
            }
            self._tasks = {task: int(n) for task, n in generation.task_to_id.items()}
            if TRANSLATE in self._tasks:
                self.decoding_methods |= {TRANSLATE}
        self._timestamp_begin = int(generation.no_timestamps_token_id) + 1
        self._eos = int(_first(generation.eos_token_id))
        # Not -1, CTranslate2's value for the model's own list: not every model has one.
        self._suppress = list(generation.suppress_tokens or []) or [self._timestamp_begin - 1]
        self._word_aligner = WordAligner(
            processor.tokenizer, eos=self._eos, timestamp_begin=self._timestamp_begin
        )
        self._stopped = threading.Event()
        self.load_s = time.perf_counter() - began

    @classmethod
    def load(cls, model: str, manager: GPUManager) -> FasterWhisperEngine:
        """Load `model` (hub name, folder or `demo`), converting it at the first use.

        Raises ModelUnavailable, GPUError and SettingsError.
        """
        return cls(converted_model_folder(model), model, manager)

    def supports_language(self, code: str) -> bool:
        return code in self._languages if self._multilingual else code == "en"

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        del self._whisper
        self._manager.cleanup()

    def encode(self, windows: Sequence[Window]) -> EncodedBatch:
        mel = self._mel([window.audio for window in windows])
        features = mel if mel.is_cuda else mel.numpy()
        states = self._whisper.encode(self._runtime.StorageView.from_array(features))
        languages: list[dict[str, float]] = [{} for _ in windows]
        if self._multilingual:
            languages = [
                {token.strip("<|>"): math.log(max(chance, 1e-30)) for token, chance in row}
                for row in self._whisper.detect_language(states)
            ]
        # The no-speech probability is known only after decoding.
        return EncodedBatch(tuple(windows), tuple(languages), (0.0,) * len(windows), states)

    def decode(
        self, encoded: EncodedBatch, languages: Sequence[str], options: DecodingOptions = GREEDY
    ) -> Sequence[UnreadText]:
        prompts = [self._prompt(code, options.task) for code in languages]
        found = [] if self._stopped.is_set() else self._write(encoded.states, prompts, options)
        if not found:
            return [
                DecodingResult((), code, 0.0, 0.0, window.start_s)
                for window, code in zip(encoded.windows, languages, strict=True)
            ]
        rows = [[t for t in one.sequences_ids[0] if t != self._eos] for one in found]
        began = time.perf_counter()
        tokens = self._align(encoded, prompts, rows, [one.scores[0] for one in found])
        self.align_s += time.perf_counter() - began
        return [
            UnreadTokens(
                self._word_aligner,
                window,
                own,
                code,
                float(one.no_speech_prob),
                options.temperature,
            )
            for window, own, code, one in zip(
                encoded.windows, tokens, languages, found, strict=True
            )
        ]

    def _prompt(self, language: str, task: str) -> list[int]:
        if not self._multilingual:
            return [self._start]
        return [self._start, self._languages[language], self._tasks[task]]

    def _write(self, states: Any, prompts: list[list[int]], options: DecodingOptions) -> list[Any]:
        results: list[Any] = self._whisper.generate(
            states,
            prompts,
            beam_size=max(1, options.beams),
            # CTranslate2 allows half of this number, minus the prompt.
            max_length=2 * MAX_NEW_TOKENS,
            suppress_blank=False,
            suppress_tokens=self._suppress,
            max_initial_timestamp_index=round(self.receptive_field_s / FRAME_S),
            return_scores=True,
            return_no_speech_prob=True,
        )
        return results

    def _align(
        self,
        encoded: EncodedBatch,
        prompts: list[list[int]],
        rows: list[list[int]],
        means: Sequence[float],
    ) -> list[TokenizedText]:
        """Return the rows with times and probabilities from CTranslate2's alignment."""
        texts = [[t for t in row if t < self._eos] for row in rows]
        frames = [min(3000, 2 * (int(w.duration_s / FRAME_S) + 1)) for w in encoded.windows]
        aligned: list[Any] = [None] * len(rows)
        # All rows of a call have the same prompt; hence one call per language.
        for prompt in {tuple(prompt) for prompt in prompts}:
            same = [n for n, own in enumerate(prompts) if tuple(own) == prompt and texts[n]]
            if not same:
                continue
            states = encoded.states
            if len(same) < len(rows):
                states = self._select_states(states, same)
            results = self._whisper.align(
                states, list(prompt), [texts[n] for n in same], [frames[n] for n in same]
            )
            for number, result in zip(same, results, strict=True):
                aligned[number] = result
        return [
            self._expand_to_row(row, result, mean, window.duration_s)
            for row, result, mean, window in zip(rows, aligned, means, encoded.windows, strict=True)
        ]

    def _select_states(self, states: Any, rows: Sequence[int]) -> Any:
        """Return the encoder states of some windows."""
        import torch

        kind, types = states.dtype, self._runtime.DataType
        if kind == types.bfloat16:
            # The array interface does not support bfloat16; float32 represents all its values.
            states = states.to(types.float32)
        on_cuda = states.device == "cuda"
        whole = torch.as_tensor(states, device="cuda") if on_cuda else np.array(states)
        chosen = self._runtime.StorageView.from_array(whole[list(rows)])
        return chosen if chosen.dtype == kind else chosen.to(kind)

    def _expand_to_row(
        self, row: list[int], result: Any, mean: float, end_s: float
    ) -> TokenizedText:
        """Return edges and probabilities of the text tokens, extended to the row's timestamps."""
        if result is None:
            return TokenizedText(row, [end_s] * (len(row) + 1), [mean] * len(row))
        starts = _entries(result.alignments) * FRAME_S
        chances = [math.log(max(chance, 1e-10)) for chance in result.text_token_probs]
        edges: list[float] = []
        logprobs: list[float] = []
        text = 0
        for token in row:
            after = float(starts[min(text, len(starts) - 1)])
            if token < self._eos:
                edges.append(after)
                logprobs.append(chances[text])
                text += 1
            else:
                # A timestamp closes the word before it, at the time that the timestamp states.
                stated_s = (token - self._timestamp_begin) * FRAME_S
                before = edges[-1] if edges else 0.0
                edges.append(min(max(stated_s, before), after) if text else after)
                logprobs.append(mean)
        edges.append(float(starts[-1]))
        return TokenizedText(row, edges, logprobs)


def compute_type(kind: str, manager: GPUManager) -> str:
    """Return CTranslate2's compute type: KB_COMPUTE_TYPE, or the default of the device.

    Raises SettingsError for one that this device does not support.
    """
    import ctranslate2

    chosen = get_settings().compute_type
    if chosen == "auto":
        # Half precision is float16 here on every card: it is as fast as bfloat16, and the converted
        # weights are stored in it, so that none is rounded a second time.
        half = kind == "cuda" and manager.dtype.itemsize == 2
        return "float16" if half else "float32"
    known = ctranslate2.get_supported_compute_types(kind)
    if chosen not in known:
        raise SettingsError(
            "engine.compute_type",
            "KB_COMPUTE_TYPE: {value!r} is not to be had on this device.",
            hint="Choose one of: auto, {known}.",
            value=chosen,
            known=", ".join(sorted(known)),
        )
    return chosen


def _entries(pairs: Sequence[tuple[int, int]]) -> Any:
    """Return the frame at which the alignment's path enters each token, the end token last."""
    text = np.array([pair[0] for pair in pairs])
    frame = np.array([pair[1] for pair in pairs])
    return frame[np.pad(np.diff(text), (1, 0), constant_values=1).astype(bool)]


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value
