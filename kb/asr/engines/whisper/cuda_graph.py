"""A decoding step recorded once as a CUDA graph and replayed.

A step of a small decoder is about a hundred kernels of a few microseconds each; their launch one
by one from Python takes longer than their run. A graph needs the same memory and the same shapes
every time: the caches are allocated once, at full length, and a batch's cross-attention is copied
into them. `benchmarks/gpu.py` measures whether this is faster. Without CUDA the same step runs
unrecorded, which the tests use.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from kb.asr.engines.whisper.decoder import Caches, Decoder


class GraphStep:
    """A recorded step of up to `rows` windows; unused rows keep the data of earlier batches."""

    def __init__(
        self,
        decoder: Decoder,
        rows: int,
        longest: int,
        on_allocated: Callable[[int], None] | None = None,
    ) -> None:
        """`longest`: most steps of a window, with the prompt's.

        `on_allocated` is called with the bytes of the caches once they are allocated.
        """
        self._on_allocated = on_allocated
        self._decoder = decoder
        self._rows = rows
        self._longest = longest
        self._used = 0
        self._static: Caches | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._tokens = self._at = self._logits = self._weights = torch.empty(0)

    def bind(self, caches: Caches) -> GraphStep | None:
        """Bind a batch; return None for a batch that is too large, or too small for a gain."""
        if not self._rows // 2 < caches.rows <= self._rows:
            return None
        if self._static is None:
            self._make(caches)
        static = self._static
        assert static is not None
        self._used = caches.rows
        for kept, fresh in zip(static.cross_attention, caches.cross_attention, strict=True):
            kept[:, : self._used] = fresh
        for kept, fresh in zip(static.self_attention, caches.self_attention, strict=True):
            steps = min(kept.shape[3], fresh.shape[3])
            kept[:, : self._used, :, :steps] = fresh[:, :, :, :steps]
        return self

    def __call__(self, tokens: torch.Tensor, at: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Run `Decoder.step` on the batch that was bound last."""
        self._tokens[: self._used] = tokens
        self._at.fill_(at)
        if self._graph is not None:
            self._graph.replay()
        else:
            self._run()
        # Copies, because the next step writes into the same memory.
        return self._logits[: self._used].clone(), self._weights[: self._used].clone()

    def _run(self) -> None:
        assert self._static is not None
        self._logits, self._weights = self._decoder.step(self._tokens, self._at, self._static)

    def _make(self, like: Caches) -> None:
        def new_cache(cache: torch.Tensor, steps: int) -> torch.Tensor:
            shape = list(cache.shape)
            shape[1], shape[3] = self._rows, steps
            return cache.new_zeros(shape)

        self._static = Caches(
            [new_cache(cache, self._longest) for cache in like.self_attention],
            [new_cache(cache, cache.shape[3]) for cache in like.cross_attention],
        )
        if self._on_allocated:
            self._on_allocated(
                sum(
                    cache.nbytes
                    for cache in (*self._static.self_attention, *self._static.cross_attention)
                )
            )
        device = like.self_attention[0].device
        self._tokens = torch.zeros(self._rows, dtype=torch.long, device=device)
        self._at = torch.zeros(1, dtype=torch.long, device=device)
        if device.type != "cuda":
            return
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # warm-up: libraries allocate before the recording
            for _ in range(2):
                self._run()
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._run()
