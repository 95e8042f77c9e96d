"""Greedy decoding: a batch token by token, with the attention that gives the word times."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from kb.asr.engines.whisper.alignment import (
    FRAME_S,
    alignment,
    frames_of,
    monotonic_paths,
    timed_paths,
)
from kb.asr.engines.whisper.batch_shapes import STEP_BLOCK, BatchShapes
from kb.asr.engines.whisper.beam_search import BeamSearchDecoder
from kb.asr.engines.whisper.decoder import Caches, Decoder, columns
from kb.asr.engines.whisper.recorded_steps import RecordedAttention, RecordedSteps
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
        caches = self.caches.copy()
        caches.keep(kept)
        return DecoderState(caches, self.logits[kept], self.weights[kept])


@dataclass(frozen=True, slots=True)
class GreedyResult:
    """The decoded batch: tokens of each window, without prompt and end, and their values.

    `logprobs`: log-probability of each token; `prompt_length`: number of tokens of the prompt.
    """

    rows: list[list[int]]
    logprobs: list[list[float]]
    attention: AttentionTrace | RecordedAttention
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

    def block(self, rows: slice, first: int, end: int | None = None) -> torch.Tensor:
        """Return the steps `first` to `end` of some windows, [rows, heads, steps, positions].

        Without `end` all that are allocated.
        """
        steps = torch.cat([block[rows] for block in self._blocks], 1)[:, first:end]
        return steps.transpose(1, 2)


class GreedyDecoder:
    """Greedy decoding with one decoder. `stop` ends it from another thread."""

    def __init__(
        self,
        decoder: Decoder,
        rules: TimestampRules,
        *,
        start_token: int,
        median_width: int = 7,
        recorded: RecordedSteps | None = None,
        shapes: BatchShapes | None = None,
    ) -> None:
        """`recorded`: the steps of whole batches in memory of their own (a GPU with graphs)."""
        self._shapes = shapes or BatchShapes()
        self._decoder = decoder
        self._rules = rules
        self._start = start_token
        self._median = median_width
        self._recorded = recorded
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def record(self, recorded: RecordedSteps | None) -> None:
        """Run the steps of the batches from now on in this memory, or one by one without it."""
        self._recorded = recorded

    def start(self, states: torch.Tensor) -> DecoderState:
        """Return the state after the first step on encoder states [windows, positions, width].

        With recorded steps the state before is given up.
        """
        caches = (self._recorded or self._decoder).caches(states)
        tokens = torch.full((states.shape[0],), self._start, device=states.device)
        logits, weights = self._decoder.step(tokens, 0, caches)
        return DecoderState(caches, logits, weights)

    def restart(self, state: DecoderState, first: int) -> DecoderState:
        """Return the state after a first step on the same sound with the start token `first`."""
        own = [torch.zeros_like(cache) for cache in state.caches.self_attention]
        caches = state.caches.copy()
        caches.self_attention = own
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
        windows, rows = len(prompts), state.caches.rows
        prompts = [*prompts, *[prompts[0]] * (rows - windows)]
        choose = self._token_choice(rows, device, temperature, fixed)
        recorded = self._recorded
        if (
            recorded is not None
            and recorded.holds(state.caches)
            and len(prompts[0]) + self.max_new_tokens(len(prompts[0])) < recorded.steps
        ):
            return self._decode_recorded(recorded, state, prompts, windows, choose)
        caches = state.caches.copy()
        attention = AttentionTrace(rows)
        attention.add(None, state.weights)

        def run_step(tokens: torch.Tensor) -> torch.Tensor:
            logits, weights = self._decoder.step(tokens, at, caches)
            attention.add(alive, weights)
            return logits

        alive: torch.Tensor | None = None  # indices of the rows that are not finished; None: all
        at = 1
        for tokens in columns(prompts, device):
            logits = run_step(tokens)
            at += 1
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
                if _worth_dropping(kept, tokens.shape[0]):
                    first = _unfinished_first(choose.finished, kept)
                    alive = first if alive is None else alive[first]
                    tokens = tokens[first]
                    caches.keep(first)
                    choose.keep(first)
            logits = run_step(tokens)
            at += 1
        return GreedyResult(*self._gather(chosen, windows, rows), attention, len(prompts[0]))

    def _decode_recorded(
        self,
        steps: RecordedSteps,
        state: DecoderState,
        prompts: Sequence[Sequence[int]],
        windows: int,
        choose: TokenChoice,
    ) -> GreedyResult:
        """Decode as `decode` does, with the steps in the fixed memory.

        The rules of greedy decoding are a part of the steps. Other choices are made between them.
        """
        logits, rows, prompt = state.logits, len(prompts), len(prompts[0])
        inside = type(choose) is TokenChoice
        steps.begin(state.weights)
        at = 1
        for tokens in columns(prompts, logits.device):
            steps.put(tokens)
            logits = steps.run(rows, at, 1, choose=False)
            at += 1
        choose.finish_from(windows)
        count, stepped, most = 0, 0, self.max_new_tokens(prompt)
        while stepped < most and not self._stopped.is_set():
            if not (inside and count):
                steps.put(*choose(logits))
                steps.put_states(choose.states)
                count += 1
            if count % CHECK_EVERY == 0:
                unfinished = steps.unfinished(rows)
                if not unfinished:
                    break
                kept = self._shapes.rows(unfinished)
                if _worth_dropping(kept, rows):
                    first = _unfinished_first(steps.finished(rows), kept)
                    steps.keep(first, at)
                    choose.keep(first)
                    rows = kept
            # Up to the next check; the step of the last token only gives the token's end.
            ahead = min(CHECK_EVERY - count % CHECK_EVERY, most - stepped) if inside else 1
            logits = steps.run(rows, at, ahead, choose=inside)
            at += ahead
            stepped += ahead
            if inside:
                count = min(stepped + 1, most)
        part = slice(prompt, prompt + count)
        texts = self._until_end(*steps.texts(), windows, part)
        return GreedyResult(*texts, steps.attention(at), prompt)

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
        return self._until_end(tokens, logprobs, windows, slice(len(steps)))

    def _until_end(
        self, tokens: torch.Tensor, values: torch.Tensor, windows: int, part: slice
    ) -> tuple[list[list[int]], list[list[float]]]:
        """Return a part of the first rows and of their values, each up to its end token."""
        eos = self._rules.eos
        rows = [row[part] for row in tokens.tolist()[:windows]]
        ends = [row.index(eos) if eos in row else len(row) for row in rows]
        return (
            [row[:end] for row, end in zip(rows, ends, strict=True)],
            [row[part][:end] for row, end in zip(values.tolist()[:windows], ends, strict=True)],
        )

    def align(self, result: GreedyResult, durations_s: Sequence[float]) -> list[TokenizedText]:
        """Return the rows with the time of each token, from the recorded attention.

        `durations_s`: seconds of sound, without padding, of each window.
        """
        rows = result.rows
        # The step that reads the prompt's last token predicts the first token; its attention is on
        # the sound of that token.
        first = result.prompt_length - 1
        # A decode that was stopped lacks the step that gives the last word's end.
        steps = [min(len(row) + 1, result.attention.steps - first) for row in rows]
        if self._shapes.fixed:
            paths = self._fixed_paths(result, first, steps, durations_s)
        else:
            paths = self._exact_paths(result, first, steps, durations_s)
        edges: list[list[float]] = [[0.0] for _ in rows]
        for place, row in enumerate(rows):
            if row:
                edges[place] = [column * FRAME_S for column in paths[place]]
                edges[place] += edges[place][-1:] * (len(row) + 1 - len(edges[place]))
        return [
            TokenizedText(row, edge, chances)
            for row, edge, chances in zip(rows, edges, result.logprobs, strict=True)
        ]

    def _exact_paths(
        self, result: GreedyResult, first: int, steps: Sequence[int], durations_s: Sequence[float]
    ) -> dict[int, list[int]]:
        """Return the path of each row that has tokens."""
        places = [place for place, row in enumerate(result.rows) if row]
        costs = []
        for place in places:
            weights = result.attention.block(slice(place, place + 1), first, first + steps[place])
            frames = frames_of(durations_s[place], weights.shape[-1])
            costs.append(-alignment(weights[0], frames, self._median))
        return dict(zip(places, monotonic_paths(costs), strict=True))

    def _fixed_paths(
        self, result: GreedyResult, first: int, steps: Sequence[int], durations_s: Sequence[float]
    ) -> dict[int, list[int]]:
        """Return the paths of all rows, in tensors of few sizes."""
        attention, device = result.attention, self._rules.bias.device
        rows, longest = attention.rows, self._decoder.source_positions
        seconds = [*durations_s, *[0.0] * (rows - len(durations_s))]
        tokens = torch.tensor([*steps, *[1] * (rows - len(steps))], device=device)
        frames = torch.tensor([frames_of(each, longest) for each in seconds], device=device)
        end = self._shapes.steps(attention.steps)
        if isinstance(attention, RecordedAttention) and self._recorded is not None:
            found = self._recorded.timed_paths(first, end, tokens, frames, self._median)
        else:
            weights = attention.block(slice(0, rows), first, end)
            found = timed_paths(weights, tokens, frames, self._median)
        return {
            place: path[:length]
            for place, (path, length) in enumerate(zip(found.T.tolist(), steps, strict=False))
        }


def _worth_dropping(kept: int, rows: int) -> bool:
    """Return True if a batch of `rows` is so much larger than `kept` that a copy pays."""
    return kept <= (1 - WORTH_DROPPING) * rows


def _unfinished_first(finished: torch.Tensor, kept: int) -> torch.Tensor:
    """Return the indices of `kept` rows: those that are not finished, in their order, first."""
    return finished.int().argsort(stable=True)[:kept]
