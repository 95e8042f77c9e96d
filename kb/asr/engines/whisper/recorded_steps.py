"""Decoding steps in memory that keeps its place, recorded as CUDA graphs and replayed.

A step of a decoder is over a hundred kernels of a few microseconds each. On an H100 with 56 windows
of large-v3-turbo a step takes 3.5 ms if Python launches them one by one, and 1.4 ms as a graph.
Most of it is the choice of the token too: as a part of the graph, nothing returns to the host.

A graph needs the same memory and the same shapes every time. The memory is allocated for the
largest batch so far; a smaller batch, and a text that is still short, use a part of it. There is
one graph for each number of rows and each block of steps, recorded at its first use. Without CUDA
the same steps run unrecorded in the same memory, which the tests use.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from kb.asr.engines.whisper.alignment import timed_paths
from kb.asr.engines.whisper.batch_shapes import ceil_to_block
from kb.asr.engines.whisper.decoder import Caches, Decoder
from kb.asr.engines.whisper.timestamp_rules import RowStates, TimestampRules, TokenChoice

log = logging.getLogger(__name__)

# Steps in one graph: from one check for finished rows to the next. Each start of a graph waits for
# the interpreter's lock, which other threads hold meanwhile.
TOGETHER = 8

SPARE_BYTES = 256 * 2**20  # stay free beside a recording
_Key = tuple[Any, ...]  # of a graph: its kind, and the values that its work is called with


@dataclass(slots=True)
class _Memory:
    """The tensors of all steps, for `capacity` rows and `steps` positions of the text."""

    caches: Caches
    tokens: torch.Tensor  # the token that enters the next step, [capacity]
    at: torch.Tensor  # its position, [1]
    window: torch.Tensor  # the window that a row decodes, [capacity]
    states: RowStates  # of the timestamp rules, [capacity] each
    logits: torch.Tensor  # [capacity, vocabulary]
    # By window, as finished windows give up their rows:
    written: torch.Tensor  # the token of each position, [capacity, steps]
    logprobs: torch.Tensor  # [capacity, steps]
    attention: torch.Tensor  # of the alignment heads, [capacity, steps, heads, positions]
    # For the times of the words:
    tokens_of: torch.Tensor  # the number of tokens that count, [capacity]
    frames_of: torch.Tensor  # the number of positions that count, [capacity]
    paths: torch.Tensor  # the position at which each token begins, [steps, capacity]


@dataclass(frozen=True, slots=True)
class RecordedAttention:
    """Attention of the alignment heads in the fixed memory, valid until the next batch begins."""

    rows: int
    steps: int
    _all: torch.Tensor

    def block(self, rows: slice, first: int, end: int) -> torch.Tensor:
        """Return [rows, heads, end - first, positions] from step `first` on; a view."""
        return self._all[rows, first:end].transpose(1, 2)


class RecordedSteps:
    """The steps of one batch after the other. One thread owns it."""

    def __init__(self, decoder: Decoder, rules: TimestampRules, steps: int) -> None:
        """`steps`: most positions of a text, with its prompt."""
        self._decoder = decoder
        self._rules = rules
        self._steps = ceil_to_block(steps)
        self._memory: _Memory | None = None
        self._graphs: dict[_Key, torch.cuda.CUDAGraph] = {}
        self._pool: Any = None
        self._refused = False  # the driver could not record a step
        self._spent = False  # the rows were reordered: the batch can be decoded no more
        self._rows = 0

    @property
    def steps(self) -> int:
        """The most positions of a text, with its prompt."""
        return self._steps

    def caches(self, states: torch.Tensor) -> Caches:
        """Return the caches of a batch of encoder states, valid until the next call.

        Raises the device's own error if its memory is full.
        """
        rows = states.shape[0]
        if self._memory is None or rows > self._memory.tokens.shape[0]:
            self.release()
            self._memory = self._allocate(rows)
        self._rows, self._spent = rows, False
        caches = self._part(rows, self._steps)
        self._decoder.fill(caches, states)
        return caches

    def holds(self, caches: Caches) -> bool:
        """Return True for the caches of the present batch in the fixed memory.

        Raises RuntimeError if that batch was decoded and cannot be decoded again.
        """
        if self._memory is None or caches.rows != self._rows:
            return False
        for mine, given in (
            (self._memory.caches.self_attention, caches.self_attention),
            (self._memory.caches.cross_attention, caches.cross_attention),
        ):
            if mine[0].data_ptr() != given[0].data_ptr():
                return False
        if self._spent:
            raise RuntimeError("The caches of this batch were given up row by row: encode it again")
        return True

    def release(self) -> None:
        """Free the memory and the graphs; the next batch makes them again."""
        self._memory, self._pool = None, None
        self._graphs.clear()

    def _has_room(self, key: _Key) -> bool:
        """Return True if what a graph keeps for its work fits into the device's memory.

        A recording that runs out of memory leaves torch's allocator in a state that is not usable,
        so none begins that might.
        """
        memory = self._needed()
        kind, rows, *more = key
        needed: int = SPARE_BYTES
        if kind == "steps":  # logits as numbers of 4 bytes, some times
            needed += 32 * rows * memory.logits.shape[1]
        else:  # costs, running sums and path costs of 8 bytes
            needed += 40 * rows * (more[1] - more[0]) * memory.attention.shape[-1]
        if _room() < needed:
            torch.cuda.empty_cache()
        return _room() >= needed

    # One batch: `begin`, then `put` and `run` for each step

    def begin(self, weights: torch.Tensor) -> None:
        """Begin with the attention [rows, heads, positions] of the first step, at position 0."""
        memory = self._needed()
        torch.arange(memory.window.shape[0], out=memory.window)
        memory.attention[: self._rows, 0] = weights
        memory.at.fill_(1)

    def put(self, tokens: torch.Tensor, logprobs: torch.Tensor | None = None) -> None:
        """Let `tokens` [rows] enter the next step; chosen ones are noted with their values."""
        memory = self._needed()
        rows = tokens.shape[0]
        memory.tokens[:rows] = tokens
        if logprobs is not None:
            place = (memory.window[:rows], memory.at.expand(rows))
            memory.written.index_put_(place, tokens)
            memory.logprobs.index_put_(place, logprobs)

    def put_states(self, states: RowStates) -> None:
        """Take over the states of the rules after the first choice."""
        for mine, given in zip(self._needed().states, states, strict=True):
            mine[: given.shape[0]] = given

    def run(self, rows: int, at: int, count: int, *, choose: bool) -> torch.Tensor:
        """Run `count` steps from position `at` on, which is the one after the last.

        With `choose` the likeliest token that the rules allow enters the next step and is noted;
        without it the caller puts one, and `count` is 1. Returns the logits [rows, vocabulary], of
        no meaning with `choose`, and only until the next step.
        """
        memory, end = self._needed(), at + count
        while at < end:
            block = ceil_to_block(at + 1)
            together = min(end, block) - at
            if together < TOGETHER:
                together = 1
            self._replay(("steps", rows, block, choose, together), self._several)
            at += together
        return memory.logits[:rows]

    def timed_paths(
        self, first: int, end: int, tokens: torch.Tensor, frames: torch.Tensor, median: int
    ) -> torch.Tensor:
        """Return what `alignment.timed_paths` does, for positions `first` to `end` of the text."""
        memory, rows = self._needed(), self._rows
        memory.tokens_of[:rows], memory.frames_of[:rows] = tokens, frames
        self._replay(("paths", rows, first, end, median), self._paths)
        return memory.paths[: end - first, :rows]

    def _replay(self, key: _Key, work: Callable[..., None]) -> None:
        """Do `work` with the values of the key, recorded where there is a card for it."""
        device = self._needed().tokens.device
        if device.type == "cuda" and not self._refused:
            if key not in self._graphs:
                with torch.cuda.device(device):
                    if self._has_room(key):
                        self._record(key, work)
            graph = self._graphs.get(key)
            if graph is not None:
                graph.replay()
                return
        work(*key[1:])

    def unfinished(self, rows: int) -> int:
        """Return how many rows have no end token yet; waits for the device."""
        return rows - int(self._needed().states.finished[:rows].sum())

    def finished(self, rows: int) -> torch.Tensor:
        """Return which rows are finished, [rows]."""
        return self._needed().states.finished[:rows]

    def keep(self, first: torch.Tensor, at: int) -> None:
        """Give the first rows to the rows with the indices `first` [kept], before position `at`.

        The batch cannot be decoded a second time afterwards.
        """
        memory, kept = self._needed(), first.shape[0]
        self._spent = True
        used = ceil_to_block(at)
        for cache in memory.caches.cross_attention:
            cache[:, :kept] = cache.index_select(1, first)
        for cache in memory.caches.self_attention:
            cache[:, :kept, :, :used] = cache[:, :, :, :used].index_select(1, first)
        for keys in memory.caches.timing_keys:
            if keys is not None:
                keys[:, :kept] = keys.index_select(1, first)
        for tensor in (memory.tokens, memory.window, *memory.states):
            tensor[:kept] = tensor.index_select(0, first)

    def texts(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the noted tokens and their values by window and position, [windows, steps] each.

        They have no meaning in the prompt and after an end token.
        """
        memory = self._needed()
        return memory.written[: self._rows], memory.logprobs[: self._rows]

    def attention(self, steps: int) -> RecordedAttention:
        """Return the attention of the first `steps` positions."""
        return RecordedAttention(self._rows, steps, self._needed().attention)

    def _needed(self) -> _Memory:
        if self._memory is None:
            raise RuntimeError("There is no batch: call `caches` first")
        return self._memory

    def _allocate(self, rows: int) -> _Memory:
        decoder, rules, steps = self._decoder, self._rules, self._steps
        device = rules.bias.device
        caches = decoder.empty_caches(rows, steps)
        number = caches.self_attention[0].dtype
        heads, positions = decoder.alignment_head_count, caches.cross_attention[0].shape[3]

        def new(*shape: int, dtype: torch.dtype = torch.long) -> torch.Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        return _Memory(
            caches,
            new(rows),
            new(1),
            new(rows),
            RowStates.of(rules, rows),
            new(rows, rules.bias.shape[0], dtype=number),
            new(rows, steps),
            new(rows, steps, dtype=torch.float32),
            new(rows, steps, heads, positions, dtype=number),
            new(rows),
            new(rows),
            new(steps, rows, dtype=torch.int16),
        )

    def _part(self, rows: int, steps: int) -> Caches:
        caches = self._needed().caches
        return Caches(
            [cache[:, :rows, :, :steps] for cache in caches.self_attention],
            [cache[:, :rows] for cache in caches.cross_attention],
            [None if keys is None else keys[:, :rows] for keys in caches.timing_keys],
        )

    def _several(self, rows: int, steps: int, choose: bool, count: int) -> None:
        for _ in range(count):
            self._step(rows, steps, choose)

    def _paths(self, rows: int, first: int, end: int, median: int) -> None:
        memory = self._needed()
        memory.paths[: end - first, :rows] = timed_paths(
            memory.attention[:rows, first:end].transpose(1, 2),
            memory.tokens_of[:rows],
            memory.frames_of[:rows],
            median,
        )

    def _step(self, rows: int, steps: int, choose: bool) -> None:
        memory = self._needed()
        logits, weights = self._decoder.step(
            memory.tokens[:rows], memory.at, self._part(rows, steps)
        )
        window = memory.window[:rows]
        memory.attention.index_put_((window, memory.at.expand(rows)), weights)
        memory.at.add_(1)
        if not choose:
            memory.logits[:rows] = logits
            return
        # Copies, because the states after the choice hold some of those before it.
        states = RowStates(*(tensor[:rows].clone() for tensor in memory.states))
        choice = TokenChoice(self._rules, rows, states)
        self.put(*choice(logits))
        self.put_states(choice.states)

    def _record(self, key: _Key, work: Callable[..., None]) -> None:
        """Record work as a graph; where the driver cannot, it runs unrecorded from now on."""
        memory = self._needed()
        changed = [memory.tokens, memory.at, *memory.states]
        before = [tensor.clone() for tensor in changed]
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # warm-up: libraries allocate before the recording
            work(*key[1:])
            for tensor, value in zip(changed, before, strict=True):
                tensor.copy_(value)
        torch.cuda.current_stream().wait_stream(stream)
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads may use the device meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                work(*key[1:])
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            log.warning("Decoding steps are not recorded: %s", str(error).partition("\n")[0])
            self._refused = True
            self._graphs.clear()
            return
        self._graphs[key] = graph


def _room() -> int:
    """Return the bytes that torch may still take from the driver."""
    free, total = torch.cuda.mem_get_info()
    share = getattr(torch.cuda, "get_per_process_memory_fraction", lambda: 1.0)()  # torch 2.8
    # A recording has memory of its own: what torch holds for reuse is of no use to it.
    return int(min(free, share * total - torch.cuda.memory_reserved()))
