"""Whisper with transformers: encodes once, decodes in batches, aligns words in the same pass."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from kb.asr.audio.log_mel import LogMel
from kb.asr.engines.base import (
    GREEDY,
    TRANSLATE,
    DecodingOptions,
    EncodedBatch,
    PreparedBatch,
)
from kb.asr.engines.model_lookup import is_demo
from kb.asr.engines.prompt import MOST_TOKENS, Prompter
from kb.asr.engines.whisper.batch_shapes import BatchShapes
from kb.asr.engines.whisper.compilation import check_compiler
from kb.asr.engines.whisper.decoder import Decoder
from kb.asr.engines.whisper.gpu_encoder import GPUEncoder
from kb.asr.engines.whisper.greedy_search import (
    LONGEST_PROMPT,
    MAX_NEW_TOKENS,
    DecoderState,
    GreedyDecoder,
)
from kb.asr.engines.whisper.loader import LoadedModel, load_whisper
from kb.asr.engines.whisper.packed_linear import pack_linears
from kb.asr.engines.whisper.recorded_steps import RecordedSteps
from kb.asr.engines.whisper.timestamp_rules import TimestampRules
from kb.asr.engines.whisper.token_words import TokenizedText, UnreadTokens, WordAligner
from kb.asr.windows.windowing import Window
from kb.settings import get_settings

if TYPE_CHECKING:
    from gpu.manager import GPUManager

_MOST_WINDOWS = 16  # windows in a batch, if there is no preset that says it


@dataclass(frozen=True, slots=True)
class Speedups:
    """Options that are faster on some machines only (docs/performance.md)."""

    cuda_graphs: bool = True
    compile_encoder: bool = False

    @classmethod
    def from_settings(cls) -> Speedups:
        settings = get_settings()
        return cls(settings.cuda_graphs, settings.compile_encoder)


class WholeStates(torch.nn.Module):
    """An encoder of transformers that returns its states without their wrapping."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Return the states [windows, positions, width] for log-mel [windows, mels, frames]."""
        states: torch.Tensor = self.encoder(mel).last_hidden_state
        return states


class WhisperEngine:
    """`WhisperForConditionalGeneration` behind the engine interface."""

    name = "whisper"
    decoding_methods = frozenset({"temperature", "beam"})

    def __init__(
        self,
        loaded: LoadedModel,
        model_name: str,
        manager: GPUManager,
        speedups: Speedups | None = None,
        shapes: BatchShapes | None = None,
        *,
        recorded: bool = False,
    ) -> None:
        """Initialise with the loaded model; parts of the model are dropped or replaced.

        `shapes`: the sizes of batches; by default fixed ones on a GPU. `recorded`: decode in memory
        that keeps its place on other devices than NVIDIA's, too, where no step is recorded.
        """
        speedups = speedups or Speedups.from_settings()
        if speedups.compile_encoder:
            check_compiler(manager.kind)
        self.model = model_name
        self.load_s = loaded.load_s
        self.align_s = 0.0
        self._manager = manager
        extractor = loaded.processor.feature_extractor
        self.receptive_field_s = float(extractor.chunk_length)
        most = self._most_windows if manager.on_gpu else None
        self._shapes = shapes = shapes or BatchShapes(most)
        self._mel = LogMel(extractor, manager.device, whole=shapes.fixed)
        config, generation = loaded.model.config, loaded.model.generation_config
        self._multilingual = bool(
            getattr(generation, "is_multilingual", True) and getattr(generation, "lang_to_id", None)
        )
        self._eos = int(config.eos_token_id)
        self._start = int(config.decoder_start_token_id)
        self._no_speech = int(generation.no_timestamps_token_id) - 1
        self._languages: dict[str, int] = {}
        if self._multilingual:
            self._languages = {
                token.strip("<|>"): number for token, number in generation.lang_to_id.items()
            }
            self._tasks = {task: int(n) for task, n in generation.task_to_id.items()}
            if TRANSLATE in self._tasks:
                self.decoding_methods |= {TRANSLATE}
        self._language_tokens = torch.tensor(
            list(self._languages.values()), dtype=torch.long, device=manager.device
        )
        decoder = Decoder(loaded.model, whole_caches=shapes.fixed)
        # The decoder holds its weights in another layout; the first copy is not kept.
        loaded.model.model.decoder.layers = torch.nn.ModuleList()
        rules = TimestampRules(generation, self._eos, int(config.vocab_size), manager.device)
        self._recorded = None
        if speedups.cuda_graphs and (manager.kind == "CUDA" or recorded):
            longest = min(decoder.longest, LONGEST_PROMPT + MAX_NEW_TOKENS)
            self._recorded = RecordedSteps(decoder, rules, longest)
        self._greedy = GreedyDecoder(
            decoder,
            rules,
            start_token=self._start,
            median_width=int(getattr(config, "median_filter_width", 7)),
            recorded=self._recorded,
            shapes=shapes,
        )
        self._word_aligner = WordAligner(
            loaded.processor.tokenizer, eos=self._eos, timestamp_begin=rules.timestamp_begin
        )
        self._prompter = Prompter(loaded.processor.tokenizer, eos=self._eos)
        # The demo recognizer was not trained with prompts; others had them in half of the training.
        self.supports_hotwords = (
            self._prompter.supports_prompt
            and decoder.longest > MOST_TOKENS + LONGEST_PROMPT
            and not is_demo(model_name)
        )
        encoder: Any = loaded.model.get_encoder()
        self._encoder: Any = GPUEncoder(encoder) if shapes.fixed else WholeStates(encoder)
        if not manager.on_gpu:
            pack_linears(encoder, int(config.max_source_positions))
        # The lock: a batch may be prepared in a thread of its own.
        self._hearing = threading.Lock()
        self._side: Any = None
        if manager.kind == "CUDA":
            self._side = torch.cuda.Stream(manager.device)  # type: ignore[no-untyped-call]
        if speedups.compile_encoder:
            # torch's limit is 8 shapes; the powers of two up to 256 are 9.
            dynamo: Any = torch._dynamo.config
            dynamo.recompile_limit = max(dynamo.recompile_limit, 16)
            self._encoder = torch.compile(self._encoder, dynamic=False)

    def _most_windows(self) -> int:
        preset = self._manager.preset
        return preset.batch_size if preset else _MOST_WINDOWS

    @classmethod
    def load(cls, model: str, manager: GPUManager) -> WhisperEngine:
        """Load `model` (hub name, folder or `demo`). Raises ModelUnavailable."""
        return cls(load_whisper(model, manager), model, manager)

    def supports_language(self, code: str) -> bool:
        return code in self._languages if self._multilingual else code == "en"

    def stop(self) -> None:
        self._greedy.stop()

    def close(self) -> None:
        del self._encoder, self._greedy, self._recorded
        self._manager.cleanup()

    def free_batch_memory(self) -> None:
        """Free the memory that is kept from batch to batch; the next one allocates it again."""
        if self._recorded is not None:
            self._recorded.release()
            self._greedy.record(self._recorded)

    @property
    def prepares(self) -> bool:
        return self._side is not None

    @torch.inference_mode()
    def prepare(self, windows: Sequence[Window]) -> PreparedBatch:
        began = time.perf_counter()
        if self._side is None:
            return PreparedBatch(tuple(windows), self._run_encoder(windows), _seconds_since(began))
        with torch.cuda.device(self._side.device), torch.cuda.stream(self._side):
            states = self._run_encoder(windows)
        self._side.synchronize()
        return PreparedBatch(tuple(windows), states, _seconds_since(began))

    def encode(self, windows: Sequence[Window]) -> EncodedBatch:
        with torch.inference_mode(), self._memory_given_back():
            states = self._run_encoder(windows)
        return self._first_step(windows, states)

    def encode_prepared(self, prepared: PreparedBatch) -> EncodedBatch:
        if self._side is not None:
            # The memory belongs to the other stream until this one has read it.
            prepared.states.record_stream(torch.cuda.current_stream())
        return self._first_step(prepared.windows, prepared.states)

    @torch.inference_mode()
    def _first_step(self, windows: Sequence[Window], states: torch.Tensor) -> EncodedBatch:
        with self._memory_given_back():
            state = self._greedy.start(states)
        logits = state.logits.float()
        no_speech = logits.softmax(-1)[:, self._no_speech].tolist()[: len(windows)]
        languages: list[dict[str, float]] = [{} for _ in windows]
        if self._multilingual:
            language_logprobs = logits[:, self._language_tokens].log_softmax(-1)
            languages = [
                dict(zip(self._languages, row, strict=True))
                for row in language_logprobs.tolist()[: len(windows)]
            ]
        return EncodedBatch(tuple(windows), tuple(languages), tuple(no_speech), state)

    def _run_encoder(self, windows: Sequence[Window]) -> torch.Tensor:
        """Return the encoder states [rows, positions, width]; silent rows follow the windows."""
        rows = self._shapes.rows(len(windows))
        with self._hearing:
            mel = self._mel([window.audio for window in windows], rows).to(self._manager.dtype)
            if not self._manager.on_gpu:
                # One by one, so that a window's activations stay in the processor's cache.
                return torch.cat([self._encoder(row) for row in mel[:, None]])
            states: torch.Tensor = self._encoder(mel)
            return states

    @contextmanager
    def _memory_given_back(self) -> Iterator[None]:
        """Free the memory kept from batch to batch if the device's memory is full.

        Until the device has been idle, batches then get memory of their own size.
        """
        try:
            yield
        except Exception as error:
            if self._manager.out_of_memory(error):
                self.free_batch_memory()
                self._greedy.record(None)
            raise

    @torch.inference_mode()
    def decode(
        self, encoded: EncodedBatch, languages: Sequence[str], options: DecodingOptions = GREEDY
    ) -> list[UnreadTokens]:
        prompts = [[self._start] for _ in languages]
        if self._multilingual:
            task = self._tasks[options.task]
            prompts = [[self._start, self._languages[code], task] for code in languages]
        durations_s = [window.duration_s for window in encoded.windows]
        hotwords = [(window.hotwords, window.prompt_tokens) for window in encoded.windows]
        # Only the first attempt has hotwords in its prompt: later ones are independent of them.
        with_names = any(names for names, _ in hotwords)
        with self._memory_given_back():
            if options.is_greedy and self.supports_hotwords and with_names:
                tokens = self._decode_with_hotwords(encoded.states, prompts, durations_s, hotwords)
            else:
                tokens = self._decode_batch(encoded.states, prompts, durations_s, options)
        return [
            UnreadTokens(
                self._word_aligner, window, found, language, no_speech, options.temperature
            )
            for window, found, language, no_speech in zip(
                encoded.windows, tokens, languages, encoded.no_speech, strict=True
            )
        ]

    def _decode_batch(
        self,
        state: DecoderState,
        prompts: Sequence[Sequence[int]],
        durations_s: Sequence[float],
        options: DecodingOptions = GREEDY,
    ) -> list[TokenizedText]:
        fixed = None
        if options.beams > 1 and not options.temperature:
            fixed = self._greedy.beam_search(state, prompts, options.beams)
        result = self._greedy.decode(state, prompts, temperature=options.temperature, fixed=fixed)
        began = time.perf_counter()
        tokens = self._greedy.align(result, durations_s)
        self.align_s += time.perf_counter() - began
        return tokens

    def _decode_with_hotwords(
        self,
        state: DecoderState,
        prompts: Sequence[Sequence[int]],
        durations_s: Sequence[float],
        hotwords: Sequence[tuple[tuple[str, ...], int]],
    ) -> list[TokenizedText]:
        """Decode windows that have hotwords, those with the same prompt together.

        `hotwords`: of each window the names, and the tokens of its prompt, at most.
        A text that echoes the hotwords is decoded again without them.
        """
        found: dict[int, TokenizedText] = {}
        rest = set(range(len(prompts)))
        for own in dict.fromkeys(hotwords):
            prefix = self._prompter.prefix(*own)
            if not prefix:
                continue
            rows = [n for n, of_window in enumerate(hotwords) if of_window == own]
            part = self._greedy.restart(state.select(self._padded(rows)), prefix[0])
            longer = [[*prefix, *prompts[n]] for n in rows]
            texts = self._decode_batch(part, longer, [durations_s[n] for n in rows])
            for n, tokens in zip(rows, texts, strict=True):
                if not self._prompter.echoes_prompt(own[0], tokens.token_ids):
                    found[n] = tokens
                    rest.discard(n)
        if rest:
            rows = sorted(rest)
            plain = self._decode_batch(
                state.select(self._padded(rows)),
                [prompts[n] for n in rows],
                [durations_s[n] for n in rows],
            )
            found.update(zip(rows, plain, strict=True))
        return [found[n] for n in range(len(prompts))]

    def _padded(self, rows: Sequence[int]) -> list[int]:
        """Return the rows with copies of the first one up to a size that batches have."""
        return [*rows, *[rows[0]] * (self._shapes.rows(len(rows)) - len(rows))]


def _seconds_since(began: float) -> float:
    return time.perf_counter() - began
