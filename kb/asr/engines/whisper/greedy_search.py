"""Greedy decoding: a batch token by token, with the attention that gives the word times."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch

from kb.asr.engines.whisper.alignment import (
    FRAME_S,
    alignment,
    monotonic_paths,
    padded_alignment,
)
from kb.asr.engines.whisper.batch_shapes import STEP_BLOCK, BatchShapes
from kb.asr.engines.whisper.beam_search import BeamSearchDecoder
from kb.asr.engines.whisper.cuda_graph import GraphStep
from kb.asr.engines.whisper.decoder import Caches, Decoder, columns
from kb.asr.engines.whisper.timestamp_rules import (
    FixedTokens,
    SampledTokens,
    TimestampRules,
    TokenChoice,
)
from kb.asr.engines.whisper.token_words import TokenizedText

LONGEST_PROMPT = 3  # start, language, task; hotwords go before them
MAX_NEW_TOKENS = 224  # half of Whisper's text context, as in openai-whisper
CHECK_EVERY = 8  # steps between checks for finished rows on a GPU: each check waits for it
WORTH_DROPPING = 0.25  # share of finished rows from which the caches are copied without them


@dataclass(slots=True)
class DecoderState:
    """A batch after its first step, over the start token alone."""

    caches: Caches
    logits: torch.Tensor  # [windows, vocabulary]
    weights: torch.Tensor  # attention of the alignment heads, [windows, heads, positions]

    def select(self, rows: Sequence[int]) -> DecoderState:
        """Return the state of these windows only; no copy is made for all of them in order."""
        if list(rows) == list(range(self.caches.rows)):
            return self
        kept = torch.tensor(list(rows), device=self.logits.device)
        caches = Caches(list(self.caches.self_attention), list(self.caches.cross_attention))
        caches.keep(kept)
        return DecoderState(caches, self.logits[kept], self.weights[kept])


@dataclass(frozen=True, slots=True)
class GreedyResult:
    """The decoded batch: tokens of each window, without prompt and end, and their values.

    `logprobs`: log-probability of each token; `prompt_length`: number of tokens of the prompt.
    """

    rows: list[list[int]]
    logprobs: list[list[float]]
    attention: AttentionTrace
    prompt_length: int


@dataclass(slots=True)
class AttentionTrace:
    """Attention of the alignment heads, [windows, steps, heads, positions], grown in blocks."""

    rows: int
    steps: int = 0
    _blocks: list[torch.Tensor] = field(default_factory=list)

    def add(self, rows: torch.Tensor | None, weights: torch.Tensor) -> None:
        """Append one step of the windows `rows` (None: all), `weights` [rows, heads, positions]."""
        place = self.steps % STEP_BLOCK
        if not place:
            self._blocks.append(weights.new_zeros(self.rows, STEP_BLOCK, *weights.shape[1:]))
        if rows is None:
            self._blocks[-1][:, place] = weights
        else:
            self._blocks[-1][rows, place] = weights
        self.steps += 1

    def steps_of(self, row: int, first: int, end: int | None = None) -> torch.Tensor:
        """Return the steps `first` to `end` of one window, [heads, steps, positions].

        Without `end` all that are allocated.
        """
        steps = torch.cat([block[row] for block in self._blocks])[first:end]
        return steps.transpose(0, 1)


class GreedyDecoder:
    """Greedy decoding with one decoder. `stop` ends it from another thread."""

    def __init__(
        self,
        decoder: Decoder,
        rules: TimestampRules,
        *,
        start_token: int,
        median_width: int = 7,
        graph: GraphStep | None = None,
        shapes: BatchShapes | None = None,
    ) -> None:
        self._shapes = shapes or BatchShapes()
        self._decoder = decoder
        self._rules = rules
        self._start = start_token
        self._median = median_width
        self._graph = graph
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def start(self, states: torch.Tensor) -> DecoderState:
        """Return the state after the first step on encoder states [windows, positions, width]."""
        caches = self._decoder.caches(states)
        tokens = torch.full((states.shape[0],), self._start, device=states.device)
        logits, weights = self._decoder.step(tokens, 0, caches)
        return DecoderState(caches, logits, weights)

    def restart(self, state: DecoderState, first: int) -> DecoderState:
        """Return the state after a first step on the same sound with the start token `first`."""
        own = [torch.zeros_like(cache) for cache in state.caches.self_attention]
        caches = Caches(own, list(state.caches.cross_attention))
        tokens = torch.full((caches.rows,), first, device=state.logits.device)
        logits, weights = self._decoder.step(tokens, 0, caches)
        return DecoderState(caches, logits, weights)

    def decode(
        self,
        state: DecoderState,
        prompts: Sequence[Sequence[int]],
        *,
        temperature: float = 0.0,
        fixed: Sequence[Sequence[int]] | None = None,
    ) -> GreedyResult:
        """Decode every window; `prompts` have the same length and begin with the token of `state`.

        Rows of `state` after those of the prompts are padding: they are finished from the start.
        `temperature` above 0 samples, with the same result each time for the same batch. `fixed`:
        given tokens, for which only probabilities and attention are computed. `state` may be
        decoded again with other prompts.
        """
        logits, device = state.logits, state.logits.device
        caches = Caches(list(state.caches.self_attention), list(state.caches.cross_attention))
        windows, rows = len(prompts), caches.rows
        prompts = [*prompts, *[prompts[0]] * (rows - windows)]
        attention = AttentionTrace(rows)
        attention.add(None, state.weights)
        # A step is recorded for the usual length; a prompt with hotwords is longer.
        usual = len(prompts[0]) <= LONGEST_PROMPT
        step = self._graph.bind(caches) if self._graph and usual else None

        def run_step(tokens: torch.Tensor) -> torch.Tensor:
            run = step or partial(self._decoder.step, caches=caches)
            logits, weights = run(tokens, at)
            attention.add(alive, weights)
            return logits

        alive: torch.Tensor | None = None  # indices of the rows that are not finished; None: all
        at = 1
        for tokens in columns(prompts, device):
            logits = run_step(tokens)
            at += 1
        choose = self._token_choice(rows, device, temperature, fixed)
        choose.finish_from(windows)
        chosen: list[tuple[torch.Tensor | None, torch.Tensor, torch.Tensor]] = []
        on_cpu = device.type == "cpu"
        for number in range(self.max_new_tokens(len(prompts[0]))):
            if self._stopped.is_set():
                break
            tokens, logprobs = choose(logits)
            chosen.append((alive, tokens, logprobs))
            if on_cpu or number % CHECK_EVERY == CHECK_EVERY - 1:
                unfinished = int((~choose.finished).sum())
                if not unfinished:
                    break
                kept = self._shapes.rows(unfinished)
                if step is None and kept <= (1 - WORTH_DROPPING) * tokens.shape[0]:
                    # Unfinished rows first, each kind in its order.
                    first = choose.finished.int().argsort(stable=True)[:kept]
                    alive = first if alive is None else alive[first]
                    tokens = tokens[first]
                    caches.keep(first)
                    choose.keep(first)
            logits = run_step(tokens)
            at += 1
        return GreedyResult(*self._gather(chosen, windows, rows), attention, len(prompts[0]))

    def max_new_tokens(self, prompt: int) -> int:
        """Return the most tokens that may follow a prompt of `prompt` tokens."""
        return min(MAX_NEW_TOKENS, self._decoder.longest - prompt)

    def beam_search(
        self, state: DecoderState, prompts: Sequence[Sequence[int]], beams: int
    ) -> list[list[int]]:
        """Return the likeliest texts found with `beams`; `decode` takes them as `fixed`."""
        max_length = self.max_new_tokens(len(prompts[0]))
        search = BeamSearchDecoder(
            self._decoder, self._rules, beams, max_length, self._stopped.is_set
        )
        padded = [*prompts, *[prompts[0]] * (state.caches.rows - len(prompts))]
        return search(state.caches, state.logits, padded, len(prompts))

    def _token_choice(
        self,
        rows: int,
        device: torch.device,
        temperature: float,
        fixed: Sequence[Sequence[int]] | None,
    ) -> TokenChoice:
        if fixed is not None:
            longest = max(map(len, fixed), default=0) + 1
            if self._shapes.fixed:
                longest = self._decoder.longest
            every = [*fixed, *[()] * (rows - len(fixed))]
            padded = [[*row, *[self._rules.eos] * (longest - len(row))] for row in every]
            return FixedTokens(self._rules, torch.tensor(padded, device=device))
        if temperature > 0:
            return SampledTokens(self._rules, rows, temperature)
        return TokenChoice(self._rules, rows)

    def _gather(
        self,
        steps: Sequence[tuple[torch.Tensor | None, torch.Tensor, torch.Tensor]],
        windows: int,
        rows: int,
    ) -> tuple[list[list[int]], list[list[float]]]:
        """Turn tensors per step into lists per window, up to the end token."""
        if not steps:
            return [[] for _ in range(windows)], [[] for _ in range(windows)]
        device = steps[0][1].device
        shape = (rows, self._shapes.steps(len(steps)))
        tokens = torch.full(shape, self._rules.eos, device=device)
        logprobs = torch.zeros(shape, device=device)
        for place, (alive, step_tokens, step_logprobs) in enumerate(steps):
            own = slice(None) if alive is None else alive
            tokens[own, place] = step_tokens
            logprobs[own, place] = step_logprobs
        found: list[list[int]] = [row[: len(steps)] for row in tokens.tolist()[:windows]]
        ends = [
            row.index(self._rules.eos) if self._rules.eos in row else len(steps) for row in found
        ]
        return (
            [row[:end] for row, end in zip(found, ends, strict=True)],
            [row[:end] for row, end in zip(logprobs.tolist()[:windows], ends, strict=True)],
        )

    def align(self, result: GreedyResult, durations_s: Sequence[float]) -> list[TokenizedText]:
        """Return the rows with the time of each token, from the recorded attention.

        `durations_s`: seconds of sound, without padding, of each window.
        """
        rows = result.rows
        # The step that reads the prompt's last token predicts the first token; its attention is on
        # the sound of that token.
        first = result.prompt_length - 1
        fixed = self._shapes.fixed
        places = range(result.attention.rows) if fixed else [n for n, row in enumerate(rows) if row]
        costs, sizes = [], []
        for place in places:
            end = first + 1 + (len(rows[place]) if place < len(rows) else 0)
            weights = result.attention.steps_of(place, first, None if fixed else end)
            frames = int(weights.shape[-1])
            if place < len(durations_s):
                frames = min(frames, int(durations_s[place] / FRAME_S) + 1)
            # A decode that was stopped lacks the step that gives the last word's end.
            steps = min(end, result.attention.steps) - first
            sizes.append((steps, max(frames, 1)))
            if fixed:
                costs.append(-padded_alignment(weights, steps, frames, self._median))
            else:
                costs.append(-alignment(weights, frames, self._median))
        paths = dict(zip(places, monotonic_paths(costs, sizes), strict=True))
        edges: list[list[float]] = [[0.0] for _ in rows]
        for place, row in enumerate(rows):
            if row:
                edges[place] = [column * FRAME_S for column in paths[place]]
                edges[place] += edges[place][-1:] * (len(row) + 1 - len(edges[place]))
        return [
            TokenizedText(row, edge, chances)
            for row, edge, chances in zip(rows, edges, result.logprobs, strict=True)
        ]
