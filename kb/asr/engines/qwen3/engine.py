"""Qwen3-ASR with transformers, and its forced aligner for the word times.

The model is an audio encoder before a language model: for a window's sound it answers `language
English<asr_text>...`, and `language None<asr_text>` if there is no speech. A language is requested
by a prompt that already holds the beginning of the answer. The text has no times: a second model
with the same architecture receives sound and text together and returns start and end of every
word, in steps of 80 ms.
(Qwen3-ASR Technical Report, 2026; https://huggingface.co/papers/2601.21337)

The aligner was trained on eleven of the thirty languages (Chinese, Cantonese, English, French,
German, Italian, Japanese, Korean, Portuguese, Russian, Spanish); in the others its times are
less accurate. Like every language model it may loop or repeat a list of names: the checks that
hold for every engine find loops; this module checks for repeated names.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from transformers.models.qwen3_asr.processing_qwen3_asr import LANGUAGE_CODE_TO_NAME

from kb.asr import SAMPLE_RATE
from kb.asr.engines.base import GREEDY, DecodingOptions, DecodingResult, EncodedBatch
from kb.asr.engines.prompt import echoes_hotwords
from kb.asr.engines.qwen3.aligner import Aligner, Text, prepare_inputs
from kb.asr.engines.qwen3.loader import load_pair
from kb.asr.windows.windowing import Window
from kb.settings import get_settings

if TYPE_CHECKING:
    from gpu.manager import GPUManager

# Both models accept minutes of sound (the aligner 5), but a longer window has no advantage: the
# encoder's attention spans 8 s, and if a window loops or ends early, all of its text is affected.
RECEPTIVE_FIELD_S = 30.0
# Qwen's own program allows 512 tokens in 30 s; no script needs more.
TOKENS_PER_S, LEAST_TOKENS = 16, 32

_LANGUAGE_PREFIX, _TEXT, _SILENCE = "language", "<asr_text>", "None"


@dataclass(frozen=True, slots=True)
class _States:
    """The input of both models for a batch.

    Log-mel [windows, mels, frames], which of the frames are sound, and the encoder's states of each
    window [positions, width].
    """

    features: torch.Tensor
    mask: torch.Tensor
    sounds: tuple[torch.Tensor, ...]


class Qwen3AsrEngine:
    """A Qwen3-ASR model and its aligner behind the engine interface."""

    name = "qwen3-asr"
    decoding_methods: frozenset[str] = frozenset()
    receptive_field_s = RECEPTIVE_FIELD_S
    supports_hotwords = True

    def __init__(
        self,
        recognizer: tuple[Any, Any],
        aligner: tuple[Any, Any],
        model_name: str,
        manager: GPUManager,
        load_s: float,
    ) -> None:
        """`recognizer` and `aligner`: one model each, with its processor."""
        self.model = model_name
        self.load_s = load_s
        self.align_s = 0.0
        self._manager = manager
        self._qwen, self._processor = recognizer
        self._aligner = Aligner(*aligner, manager)
        self._tokenizer = self._processor.tokenizer
        # The first token of its name identifies a language: no two names begin with the same token.
        named = (*LANGUAGE_CODE_TO_NAME.values(), _SILENCE)
        self._language_tokens = [self._tokenizer.encode(f" {name}")[0] for name in named]
        self._text = self._tokenizer.convert_tokens_to_ids(_TEXT)
        self._stopped = threading.Event()

    @classmethod
    def load(cls, model: str, manager: GPUManager) -> Qwen3AsrEngine:
        """Load `model` and the aligner of the settings (hub names or folders).

        Raises ModelUnavailable, GPUError and DeviceLost.
        """
        began = time.perf_counter()
        recognizer, aligner = load_pair(model, get_settings().qwen_aligner, manager)
        return cls(recognizer, aligner, model, manager, time.perf_counter() - began)

    def supports_language(self, code: str) -> bool:
        return code in LANGUAGE_CODE_TO_NAME

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        del self._qwen, self._aligner
        self._manager.cleanup()

    @torch.inference_mode()
    def encode(self, windows: Sequence[Window]) -> EncodedBatch:
        states = self._run_encoder(windows)
        prompts = self._prompts(windows, [_LANGUAGE_PREFIX] * len(windows))
        logits = self._qwen(**self._embed(prompts, states.sounds), logits_to_keep=1).logits
        language_logits = logits[:, -1, self._language_tokens].float()
        no_speech = language_logits.softmax(-1)[:, -1].tolist()
        chances = language_logits[:, :-1].log_softmax(-1).tolist()
        languages = tuple(dict(zip(LANGUAGE_CODE_TO_NAME, row, strict=True)) for row in chances)
        return EncodedBatch(tuple(windows), languages, tuple(no_speech), states)

    @torch.inference_mode()
    def decode(
        self, encoded: EncodedBatch, languages: Sequence[str], options: DecodingOptions = GREEDY
    ) -> list[DecodingResult]:
        windows, states = encoded.windows, encoded.states
        texts = self._write(windows, languages, states.sounds)
        echoing = [
            n for n, window in enumerate(windows) if echoes_hotwords(window.hotwords, texts[n].text)
        ]
        if echoing:
            without_hotwords = [replace(windows[n], hotwords=()) for n in echoing]
            sounds = [states.sounds[n] for n in echoing]
            plain = self._write(without_hotwords, [languages[n] for n in echoing], sounds)
            for n, text in zip(echoing, plain, strict=True):
                texts[n] = text
        if self._stopped.is_set():
            texts = [Text() for _ in texts]
        began = time.perf_counter()
        counts = [len(sound) for sound in states.sounds]
        found = self._aligner.read(windows, texts, languages, states.features, states.mask, counts)
        self.align_s += time.perf_counter() - began
        return [
            DecodingResult(
                segments,
                code,
                text.mean,
                no_speech,
                segments[-1].end_s if segments else window.start_s,
            )
            for window, segments, text, code, no_speech in zip(
                windows, found, texts, languages, encoded.no_speech, strict=True
            )
        ]

    def _run_encoder(self, windows: Sequence[Window]) -> _States:
        found = [
            # One by one, so that a window's features do not depend on the others in the batch.
            self._processor.feature_extractor(
                window.audio,
                sampling_rate=SAMPLE_RATE,
                padding=True,
                return_attention_mask=True,
                return_tensors="pt",
                device=str(self._manager.device) if self._manager.on_gpu else "cpu",
            )
            for window in windows
        ]
        longest = max(one["input_features"].shape[-1] for one in found)

        def stacked(name: str) -> torch.Tensor:
            rows = [one[name][0] for one in found]
            return torch.stack(
                [torch.nn.functional.pad(row, (0, longest - row.shape[-1])) for row in rows]
            )

        frames = [int(one["attention_mask"].sum()) for one in found]
        features = stacked("input_features").to(self._manager.device, self._manager.dtype)
        mask = stacked("attention_mask").to(self._manager.device)
        sounds = self._qwen.get_audio_features(features, mask).pooler_output
        return _States(features, mask, sounds.split([self._positions(n) for n in frames]))

    def _positions(self, frames: int) -> int:
        """Return the number of encoder positions for `frames`: an eighth, chunk by chunk."""
        chunk = 2 * int(self._qwen.config.audio_config.n_window)
        return frames // chunk * -(-chunk // 8) + -(-(frames % chunk) // 8)

    def _prompts(self, windows: Sequence[Window], answers: Sequence[str]) -> list[str]:
        """Return the prompt of each window, with the beginning of its answer."""
        conversations = []
        for window, answer in zip(windows, answers, strict=True):
            system_message = {"type": "text", "text": self._hotword_text(window)}
            answer_start = {"type": "text", "text": answer}
            conversations.append(
                [
                    {"role": "system", "content": [system_message]},
                    {"role": "user", "content": [{"type": "audio"}]},
                    {"role": "assistant", "content": [answer_start]},
                ]
            )
        found: list[str] = self._processor.apply_chat_template(
            conversations, tokenize=False, continue_final_message=True
        )
        return found

    def _hotword_text(self, window: Window) -> str:
        """Return the window's first hotwords, as many as fit, without control tokens."""
        kept = ""
        for name in window.hotwords:
            plain = name.replace("<", " ").replace(">", " ")
            longer = f"{kept}, {plain}" if kept else plain
            if len(self._tokenizer.encode(longer)) > window.prompt_tokens:
                break
            kept = longer
        return kept

    def _embed(
        self, prompts: Sequence[str], sounds: Sequence[torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Return the embedded prompts with the sound in its place, for the language model."""
        counts = [len(sound) for sound in sounds]
        inputs = prepare_inputs(self._processor, prompts, counts, self._manager.device)
        numbers = inputs.pop("input_ids")
        embedded = self._qwen.get_input_embeddings()(numbers)
        places = (numbers == self._processor.audio_token_id)[..., None]
        audio_states = torch.cat(tuple(sounds)).to(embedded.dtype)
        return {**inputs, "inputs_embeds": embedded.masked_scatter(places, audio_states)}

    def _write(
        self, windows: Sequence[Window], languages: Sequence[str], sounds: Sequence[torch.Tensor]
    ) -> list[Text]:
        """Decode the texts token by token, each limited by its window's length."""
        most = [LEAST_TOKENS + math.ceil(w.duration_s * TOKENS_PER_S) for w in windows]
        limits = torch.tensor(most, device=self._manager.device)
        steps: list[torch.Tensor] = []

        def record_logprobs(_tokens: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            steps.append(scores.float().log_softmax(-1).amax(-1))
            return scores

        def length_reached(tokens: torch.Tensor, _scores: Any) -> torch.Tensor:
            return (limits <= tokens.shape[1]) | self._stopped.is_set()

        answers = [f"{_LANGUAGE_PREFIX} {LANGUAGE_CODE_TO_NAME[code]}{_TEXT}" for code in languages]
        inputs = self._embed(self._prompts(windows, answers), sounds)
        numbers = self._qwen.generate(
            **inputs,
            do_sample=False,
            num_beams=1,
            max_new_tokens=max(most),
            logits_processor=[record_logprobs],
            stopping_criteria=[length_reached],
        ).tolist()
        logprobs = torch.stack(steps, 1).tolist()
        ends = self._qwen.generation_config.eos_token_id
        last = {ends} if isinstance(ends, int) else set(ends)
        texts = []
        for own, chances, count in zip(numbers, logprobs, most, strict=True):
            end = next((n for n, number in enumerate(own) if number in last), count)
            # If the model starts its answer again, only the part after that counts.
            first = 1 + max((n for n, x in enumerate(own[:end]) if x == self._text), default=-1)
            # The end token counts as well, unless the length limit was reached.
            sure = chances[first : min(end + 1, count)]
            texts.append(Text.from_tokens(self._tokenizer, own[first:end], sure))
        return texts
