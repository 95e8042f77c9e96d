"""NVIDIA Parakeet with transformers: transducer (TDT) and CTC models.

The encoder processes a whole window at once, and the decoder gives a time for every token, so
that no alignment is needed. Memory grows with the square of a window's length: windows are at
most a minute long. The models omit speech without any sign (an ending, a window with a long
pause): the checks that hold for every engine find such losses.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from kb.asr import SAMPLE_RATE
from kb.asr.audio.word_edges import snap_to_sound, snap_to_speech
from kb.asr.engines.base import GREEDY, DecodingOptions, DecodingResult, EncodedBatch
from kb.asr.engines.model_lookup import check_weights, read_pretrained, resolve
from kb.asr.engines.segmentation import split_into_segments
from kb.asr.windows.windowing import Window
from kb.errors import ModelUnavailable
from kb.types import Segment, Word

if TYPE_CHECKING:
    from gpu.manager import GPUManager

RECEPTIVE_FIELD_S = 60.0
_WORD = "▁"  # prefix of a token that begins a word
_KINDS = {"parakeet_tdt": "ParakeetForTDT", "parakeet_ctc": "ParakeetForCTC"}

# Languages of nvidia/parakeet-tdt-0.6b-v3; the model detects the language of a window.
_EUROPEAN = frozenset({
    "bg", "hr", "cs", "da", "nl", "en", "et", "fi", "fr", "de", "el", "hu", "it", "lv", "lt",
    "mt", "pl", "pt", "ro", "sk", "sl", "es", "sv", "ru", "uk",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Token:
    """A token with its encoder frames and its log-probability."""

    piece: str
    first: int
    end: int
    logprob: float


class ParakeetEngine:
    """A Parakeet model behind the engine interface."""

    name = "parakeet"
    decoding_methods: frozenset[str] = frozenset()
    receptive_field_s = RECEPTIVE_FIELD_S

    def __init__(
        self, loaded: Any, processor: Any, model_name: str, manager: GPUManager, load_s: float
    ) -> None:
        self.model = model_name
        self.load_s = load_s
        self.align_s = 0.0
        self._manager = manager
        self._parakeet = loaded
        self._extractor = processor.feature_extractor
        self._tokenizer = processor.tokenizer
        self._ctc = loaded.config.model_type == "parakeet_ctc"
        factor = int(loaded.config.encoder_config.subsampling_factor)
        self._frame_s = factor * int(self._extractor.hop_length) / SAMPLE_RATE
        self._blank = int(loaded.config.pad_token_id if self._ctc else loaded.config.blank_token_id)
        self._vocabulary = int(loaded.config.vocab_size)
        if not self._ctc:
            # A converted checkpoint may lack these values: decoding starts with a blank, and the
            # scores of the durations, which follow those of the tokens, are not tokens.
            generation = loaded.generation_config
            generation.decoder_start_token_id = self._blank
            durations = len(loaded.config.durations)
            generation.suppress_tokens = list(range(self._vocabulary, self._vocabulary + durations))
        self._stopped = threading.Event()

    @classmethod
    def load(cls, model: str, manager: GPUManager) -> ParakeetEngine:
        """Load `model` (hub name or folder). Raises ModelUnavailable and GPUError."""
        import transformers
        from transformers import AutoConfig, ParakeetProcessor

        ref = resolve(model)
        if ref.local and not Path(ref.target, "config.json").is_file():
            raise ModelUnavailable(
                "model.no_config_parakeet",
                "Model folder {folder}: config.json missing.",
                hint="Give a folder written by save_pretrained of a Parakeet model and its "
                "processor.",
                folder=ref.target,
            )
        began = time.perf_counter()

        def read(folder: Path) -> tuple[Any, Any]:
            kind = AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            ).model_type
            if kind not in _KINDS:
                raise ModelUnavailable(
                    "model.not_parakeet",
                    "Model {name} is not a Parakeet model but one of the kind {kind!r}.",
                    hint="The engine parakeet reads nvidia/parakeet-tdt-0.6b-v3 and its like; "
                    "for Whisper models: --engine whisper.",
                    name=ref.name,
                    kind=kind,
                )
            processor = ParakeetProcessor.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            found, info = getattr(transformers, _KINDS[kind]).from_pretrained(
                folder,
                dtype=manager.dtype,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
            check_weights(ref, info)
            return found, processor

        loaded, processor = read_pretrained(ref, read, manager)
        return cls(loaded, processor, model, manager, time.perf_counter() - began)

    def supports_language(self, code: str) -> bool:
        return code in _EUROPEAN

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        del self._parakeet
        self._manager.cleanup()

    @torch.inference_mode()
    def encode(self, windows: Sequence[Window]) -> EncodedBatch:
        # There is no language vote and no second decoding of the states: `decode` does all the
        # work.
        return EncodedBatch(tuple(windows), ({},) * len(windows), (0.0,) * len(windows))

    @torch.inference_mode()
    def decode(
        self, encoded: EncodedBatch, languages: Sequence[str], options: DecodingOptions = GREEDY
    ) -> list[DecodingResult]:
        features, mask = self._features(encoded.windows)
        write = self._write_ctc if self._ctc else self._write_tdt
        return [
            self._read(window, tokens, code)
            for window, tokens, code in zip(
                encoded.windows, write(features, mask), languages, strict=True
            )
        ]

    def _features(self, windows: Sequence[Window]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return log-mel [windows, frames, mels] and the mask of sound frames, on the device."""
        # No `device` for the extractor: it would leave the sound on the CPU and fail.
        inputs = self._extractor(
            [window.audio for window in windows],
            sampling_rate=SAMPLE_RATE,
            return_tensors="pt",
            return_attention_mask=True,
        )
        features = inputs["input_features"].to(self._manager.device, self._manager.dtype)
        return features, inputs["attention_mask"].to(self._manager.device)

    def _write_ctc(self, features: torch.Tensor, mask: torch.Tensor) -> list[list[_Token]]:
        output = self._parakeet.generate(
            input_features=features, attention_mask=mask, return_dict_in_generate=True
        )
        chances = output.logits.float().log_softmax(-1).amax(-1).tolist()
        rows: list[list[_Token]] = []
        for numbers, chance in zip(output.sequences.tolist(), chances, strict=True):
            row: list[_Token] = []
            before = self._blank
            for frame, number in enumerate(numbers):
                if number not in (self._blank, before):
                    piece = str(self._tokenizer.convert_ids_to_tokens(number))
                    row.append(_Token(piece, frame, frame + 1, chance[frame]))
                elif number != self._blank and row:
                    last = row[-1]  # the same token continues
                    row[-1] = _Token(last.piece, last.first, frame + 1, last.logprob)
                before = number
            rows.append(row)
        return rows

    def _write_tdt(self, features: torch.Tensor, mask: torch.Tensor) -> list[list[_Token]]:
        steps: list[torch.Tensor] = []

        def record_logprobs(_tokens: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            steps.append(scores[:, : self._vocabulary].float().log_softmax(-1).amax(-1))
            return scores

        frame_counts = self._parakeet.encoder._get_subsampling_output_length(mask.sum(-1)).tolist()
        output = self._parakeet.generate(
            input_features=features,
            attention_mask=mask,
            # Decoding ends with the sound; this is the largest possible number of tokens.
            max_new_tokens=int(self._parakeet.max_symbols_per_step) * max(frame_counts),
            logits_processor=[record_logprobs],
            stopping_criteria=[self._stopping_criterion],
        )
        chances = torch.stack(steps, 1).tolist()
        # The sequence begins with the start token, which has no step.
        numbers, durations = output.sequences[:, 1:].tolist(), output.durations[:, 1:].tolist()
        rows: list[list[_Token]] = []
        for own, lasts, chance, frames in zip(
            numbers, durations, chances, frame_counts, strict=True
        ):
            row: list[_Token] = []
            frame = 0
            for number, last, logprob in zip(own, lasts, chance, strict=True):
                if frame >= frames:
                    break  # padding: other rows of the batch are longer
                if number not in (self._blank, self._tokenizer.pad_token_id):
                    piece = str(self._tokenizer.convert_ids_to_tokens(number))
                    row.append(_Token(piece, frame, frame + max(1, last), logprob))
                frame += last
            rows.append(row)
        return rows

    def _stopping_criterion(self, tokens: torch.Tensor, _scores: Any) -> torch.Tensor:
        return torch.full((tokens.shape[0],), self._stopped.is_set(), device=tokens.device)

    def _read(self, window: Window, tokens: Sequence[_Token], language: str) -> DecodingResult:
        loose = snap_to_speech(self._words(window, tokens), window.speech)
        words = snap_to_sound(loose, window.audio, window.start_s)
        segments = [_segment(own, language) for own in split_into_segments(words)]
        mean = sum(token.logprob for token in tokens) / len(tokens) if tokens else 0.0
        last_s = words[-1].end_s if words else window.start_s
        return DecodingResult(tuple(segments), language, mean, 0.0, last_s)

    def _words(self, window: Window, tokens: Sequence[_Token]) -> list[Word]:
        groups: list[list[_Token]] = []
        for token in tokens:
            if token.piece.startswith(_WORD) or not groups:
                groups.append([])
            groups[-1].append(token)
        words: list[Word] = []
        at_s = window.start_s
        for group in groups:
            text = "".join(token.piece for token in group).replace(_WORD, "").strip()
            if not text:
                continue
            # Punctuation has frames of its own, often after the pause: it does not extend a word.
            spoken = [t for t in group if any(c.isalnum() for c in t.piece)] or group
            begin_s = min(max(at_s, window.start_s + spoken[0].first * self._frame_s), window.end_s)
            end_s = min(window.start_s + spoken[-1].end * self._frame_s, window.end_s)
            at_s = max(begin_s, end_s)
            chance = math.exp(sum(token.logprob for token in group) / len(group))
            words.append(Word(round(begin_s, 3), round(at_s, 3), text, round(chance, 4)))
        return words


def _segment(words: tuple[Word, ...], language: str) -> Segment:
    text = " ".join(word.text for word in words)
    return Segment(words[0].start_s, words[-1].end_s, text, words, language)
