"""Hugging Face Whisper: encode once, decode greedily in batches, align words afterwards."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.whisper.tokenization_whisper import LANGUAGES, _combine_tokens_into_words

from kb.asr.align import FRAME_S, alignment, monotonic_paths
from kb.asr.engines.base import GREEDY, Decoded, Decoding, Heard
from kb.asr.mel import LogMel
from kb.asr.models import Loaded, load_whisper
from kb.asr.refine import draw_in, to_speech
from kb.asr.windows import Window
from kb.types import Segment, Word

if TYPE_CHECKING:
    from gpu.manager import GPUManager

MAX_NEW_TOKENS = 224  # half of Whisper's text context, as openai-whisper has it


@dataclass(frozen=True, slots=True)
class _Phrase:
    """Text tokens between two timestamp tokens; places count generated tokens."""

    first: int
    end: int
    start_s: float
    end_s: float | None


class WhisperEngine:
    """`WhisperForConditionalGeneration` behind the engine interface."""

    name = "whisper"
    ways = frozenset({"temperature", "beam"})

    def __init__(self, loaded: Loaded, model_name: str, manager: GPUManager) -> None:
        self.model = model_name
        self.load_s = loaded.load_s
        self.align_s = 0.0
        self._manager = manager
        self._whisper = loaded.model
        self._tokenizer = loaded.processor.tokenizer
        extractor = loaded.processor.feature_extractor
        self.receptive_field_s = float(extractor.chunk_length)
        self._mel = LogMel(extractor, manager.device)
        generation = loaded.model.generation_config
        # The pipeline's defaults (five beams in some hub configs) are not ours.
        generation.num_beams = 1
        generation.do_sample = False
        generation.max_length = None
        self._config = generation
        self._multilingual = bool(
            getattr(generation, "is_multilingual", True) and getattr(generation, "lang_to_id", None)
        )
        if not self._multilingual:
            # What a config says about them is refused by `generate` for such a model.
            generation.language = generation.task = None
        self._timestamp_begin = int(generation.no_timestamps_token_id) + 1
        self._no_speech = int(generation.no_timestamps_token_id) - 1
        self._eos = int(loaded.model.config.eos_token_id)
        self._start = int(loaded.model.config.decoder_start_token_id)
        self._languages: dict[str, int] = {
            token.strip("<|>"): number
            for token, number in (getattr(generation, "lang_to_id", None) or {}).items()
        }
        self._aligner = _Aligner(loaded.model)
        self._stopped = threading.Event()

    @classmethod
    def load(cls, model: str, manager: GPUManager) -> WhisperEngine:
        """Loads `model` (hub name, folder or `demo`). Raises ModelUnavailable."""
        return cls(load_whisper(model, manager), model, manager)

    def knows_language(self, code: str) -> bool:
        return code in self._languages if self._multilingual else code == "en"

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        del self._whisper, self._aligner
        self._manager.cleanup()

    @torch.inference_mode()
    def hear(self, windows: Sequence[Window]) -> Heard:
        mel = self._mel([window.audio for window in windows])
        encoder = self._whisper.get_encoder()
        states = encoder(mel.to(self._manager.dtype)).last_hidden_state
        first = torch.full((len(windows), 1), self._start, device=states.device)
        logits = self._whisper(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            decoder_input_ids=first,
            use_cache=False,
        ).logits[:, -1].float()  # fmt: skip
        no_speech = logits.softmax(-1)[:, self._no_speech].tolist()
        languages: list[dict[str, float]] = [{} for _ in windows]
        if self._multilingual:
            codes = list(self._languages)
            among = logits[:, [self._languages[code] for code in codes]].log_softmax(-1)
            languages = [dict(zip(codes, row, strict=True)) for row in among.tolist()]
        return Heard(tuple(windows), tuple(languages), tuple(no_speech), states)

    @torch.inference_mode()
    def decode(
        self, heard: Heard, languages: Sequence[str], how: Decoding = GREEDY
    ) -> list[Decoded]:
        prompts, rows = self._generate(heard.states, languages, how)
        began = time.perf_counter()
        edges, logprobs = self._aligner(
            heard.states, prompts, rows, [window.duration_s for window in heard.windows], self._eos
        )
        self.align_s += time.perf_counter() - began
        return [
            self._read(window, tokens, edge, logprob, language, no_speech)
            for window, tokens, edge, logprob, language, no_speech in zip(
                heard.windows, rows, edges, logprobs, languages, heard.no_speech, strict=True
            )
        ]

    def _generate(
        self, states: torch.Tensor, languages: Sequence[str], how: Decoding
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Decoding: (prompt tokens, generated tokens without the end), a row a window."""
        options: dict[str, Any] = {}
        if how.temperature > 0:
            options = {"do_sample": True, "temperature": how.temperature, "top_k": 0}
        elif how.beams > 1:
            options = {"num_beams": how.beams}
        prompts = [[self._start] for _ in languages]
        if self._multilingual:
            options |= {"language": list(languages), "task": "transcribe"}
            task = int(self._config.task_to_id["transcribe"])
            prompts = [[self._start, self._languages[code], task] for code in languages]
        room = int(self._whisper.config.max_target_positions) - len(prompts[0])
        # Where it is drawn it is seeded: the same window gives the same text every time.
        with _seeded(states.device) if how.temperature > 0 else nullcontext():
            output = self._whisper.generate(
                encoder_outputs=BaseModelOutput(last_hidden_state=states),
                return_timestamps=True,
                force_unique_generate_call=True,
                max_new_tokens=min(MAX_NEW_TOKENS, room),
                stopping_criteria=[self._asked_to_stop],
                **options,
            )
        rows = []
        for row in output.tolist():
            tokens = row[len(prompts[0]) :] if row[0] == self._start else row
            rows.append(tokens[: tokens.index(self._eos)] if self._eos in tokens else tokens)
        return prompts, rows

    def _asked_to_stop(self, tokens: torch.Tensor, _scores: Any) -> torch.Tensor:
        return torch.full((tokens.shape[0],), self._stopped.is_set(), device=tokens.device)

    def _read(
        self,
        window: Window,
        tokens: list[int],
        edges: Sequence[float],
        logprobs: Sequence[float],
        language: str,
        no_speech: float,
    ) -> Decoded:
        phrases = self._phrases(tokens)
        counts: list[int] = []
        loose: list[Word] = []
        for phrase in phrases:
            found = self._words(window, tokens, phrase, edges, logprobs, language)
            loose.extend(found)
            counts.append(len(found))
        words = draw_in(to_speech(loose, window.speech), window.audio, window.start_s)
        segments: list[Segment] = []
        last_s, place = window.start_s, 0
        for phrase, count in zip(phrases, counts, strict=True):
            own = words[place : place + count]
            place += count
            if not own:
                continue
            told = own[-1].end_s if phrase.end_s is None else window.start_s + phrase.end_s
            last_s = max(last_s, min(told, window.end_s))
            text = self._tokenizer.decode(tokens[phrase.first : phrase.end]).strip()
            segments.append(Segment(own[0].start_s, own[-1].end_s, text, own, language))
        mean = sum(logprobs) / len(logprobs) if len(logprobs) else 0.0
        return Decoded(tuple(segments), language, mean, no_speech, last_s)

    def _phrases(self, tokens: list[int]) -> list[_Phrase]:
        phrases: list[_Phrase] = []
        start_s, first = 0.0, None
        for place, token in enumerate(tokens):
            if token < self._timestamp_begin:
                # Special tokens inside the text (a repeated prompt) are no text.
                if first is None and token < self._eos:
                    first = place
                continue
            time_s = (token - self._timestamp_begin) * FRAME_S
            if first is not None:
                phrases.append(_Phrase(first, place, start_s, time_s))
                first = None
            start_s = time_s
        if first is not None:
            phrases.append(_Phrase(first, len(tokens), start_s, None))
        return phrases

    def _words(
        self,
        window: Window,
        tokens: list[int],
        phrase: _Phrase,
        edges: Sequence[float],
        logprobs: Sequence[float],
        language: str,
    ) -> list[Word]:
        inside = tokens[phrase.first : phrase.end]
        texts, _, places = _combine_tokens_into_words(
            self._tokenizer, inside, LANGUAGES.get(language, "english")
        )
        words: list[Word] = []
        for text, own in zip(texts, places, strict=True):
            if not text.strip():
                continue
            first, end = phrase.first + own[0], phrase.first + own[-1] + 1
            begin_s = window.start_s + float(edges[first])
            end_s = window.start_s + float(edges[end])
            chance = sum(logprobs[first:end]) / (end - first)
            words.append(
                Word(
                    round(min(begin_s, window.end_s), 3),
                    round(min(max(end_s, begin_s + FRAME_S), window.end_s), 3),
                    text.strip(),
                    round(float(torch.tensor(chance).exp()), 4),
                )
            )
        return words


@contextmanager
def _seeded(device: torch.device) -> Iterator[None]:
    """Random numbers that are the same each time; everybody else's go on as they were."""
    devices = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(devices, device_type=device.type):
        torch.manual_seed(0)
        yield


class _Aligner:
    """A second decoder over the same weights that gives up its attention.

    Attention weights need the eager implementation; turning it on in the model itself would
    leave it on for decoding too. The twin shares every tensor with the model, so that it
    costs no memory, and only the alignment heads' weights are kept.
    """

    def __init__(self, model: Any) -> None:
        from transformers.models.whisper.modeling_whisper import WhisperDecoder

        config = copy.deepcopy(model.config)
        config._attn_implementation = "eager"
        with torch.device("meta"):
            self._decoder = WhisperDecoder(config)
        self._decoder.load_state_dict(model.model.decoder.state_dict(), assign=True)
        self._decoder.eval().requires_grad_(False)
        self._project = model.proj_out
        heads = getattr(model.generation_config, "alignment_heads", None) or [
            # openai-whisper's choice for a model that names none.
            [layer, head]
            for layer in range(config.decoder_layers // 2, config.decoder_layers)
            for head in range(config.decoder_attention_heads)
        ]
        self._median = int(getattr(config, "median_filter_width", 7))
        self._kept: list[torch.Tensor] = []
        by_layer: dict[int, list[int]] = {}
        for layer, head in heads:
            by_layer.setdefault(int(layer), []).append(int(head))
        for layer, numbers in by_layer.items():
            self._decoder.layers[layer].encoder_attn.register_forward_hook(self._keep(numbers))

    def _keep(self, heads: list[int]) -> Any:
        def hook(_module: Any, _inputs: Any, output: tuple[torch.Tensor, torch.Tensor]) -> None:
            self._kept.append(output[1][:, heads])

        return hook

    def __call__(
        self,
        states: torch.Tensor,
        prompts: list[list[int]],
        rows: list[list[int]],
        durations_s: Sequence[float],
        eos: int,
    ) -> tuple[list[list[float]], list[list[float]]]:
        """Token edges and log-probabilities.

        For each row: seconds at which each generated token begins and one more for the end
        ([tokens + 1]), and each token's log-probability ([tokens]).
        """
        longest = max(len(p) + len(r) for p, r in zip(prompts, rows, strict=True))
        given = torch.full((len(rows), longest), eos, device=states.device)
        for place, (prompt, row) in enumerate(zip(prompts, rows, strict=True)):
            given[place, : len(prompt) + len(row)] = torch.tensor(prompt + row)
        self._kept.clear()
        hidden = self._decoder(
            input_ids=given, encoder_hidden_states=states, use_cache=False
        ).last_hidden_state
        attention = torch.cat(self._kept, dim=1)  # [batch, heads, tokens, positions]
        self._kept.clear()
        edges: list[list[float]] = [[0.0] for _ in rows]
        logprobs: list[list[float]] = [[] for _ in rows]
        spoken = [place for place, row in enumerate(rows) if row]
        costs = []
        for place in spoken:
            # The query that predicts a token looks at that token's sound.
            first = len(prompts[place]) - 1
            end = first + len(rows[place]) + 1
            frames = min(attention.shape[-1], int(durations_s[place] / FRAME_S) + 1)
            costs.append(-alignment(attention[place, :, first:end], frames, self._median))
            scores = self._project(hidden[place, first : end - 1]).float().log_softmax(-1)
            wanted = torch.tensor(rows[place], device=scores.device)[:, None]
            logprobs[place] = scores.gather(1, wanted)[:, 0].tolist()
        for place, path in zip(spoken, monotonic_paths(costs), strict=True):
            edges[place] = (path * FRAME_S).tolist()
        return edges, logprobs
