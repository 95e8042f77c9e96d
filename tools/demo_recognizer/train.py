"""The training loop, its stages and its checkpoints.

Stages, each of which may be stopped and taken up again:

``frames``   the encoder alone, on short crops, by linear readings of its frames;
``crops``    encoder and decoder together on crops laid anywhere on the position table, where a
             step costs a third of what the same sound costs in whole windows;
``windows``  everything together on whole 30-s windows, which is what the recognizer will meet.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import WhisperForConditionalGeneration

from .batches import TABLE, Batch, Batches, Windows
from .losses import frame_loss, guidance_loss, token_loss
from .network import FrameHeads, decode, encode
from .tokens import TokenIds


@dataclass(frozen=True)
class Stage:
    """The settings of one training stage."""

    name: str
    steps: int
    batch: int
    frames: int  # encoder frames (20 ms) of a crop; 1,500 is the whole window
    peak_rate: float
    last_rate: float  # the learning rate falls to this along a cosine
    warmup: int
    with_decoder: bool
    guidance: float = 0.5
    frame_weight: float = 0.3


STAGES = (
    Stage("frames", 1800, 32, 250, 2e-3, 1.2e-3, 200, False),
    Stage("more frames", 1000, 16, 250, 1.2e-3, 1e-3, 50, False),
    Stage("crops", 2200, 12, 400, 1.2e-3, 8e-4, 150, True, 0.5, 0.7),
    Stage("windows", 3700, 6, TABLE, 8e-4, 2e-5, 100, True, 0.3, 0.3),  # more still helps
)
AVERAGE_DECAY = 0.995  # of the running mean of the weights, which is what gets exported


class Trainer:
    """A model, its training-only frame heads, its optimiser and the running mean of its weights."""

    def __init__(self, model: WhisperForConditionalGeneration, ids: TokenIds, folder: Path):
        self.model, self.ids, self.folder = model, ids, folder
        self.heads = FrameHeads(len(ids.words))
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.average = [p.detach().clone() for p in self.parameters]
        self.optimiser = self._optimiser()
        self.done: dict[str, int] = {}

    def _optimiser(self) -> torch.optim.Optimizer:
        both = self.parameters + list(self.heads.parameters())
        return torch.optim.AdamW(both, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01, fused=True)

    def save(self) -> None:
        """Write the checkpoint (first beside its place, so that no half file is left)."""
        state = {
            "model": self.model.state_dict(),
            "heads": self.heads.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "done": self.done,
        }
        torch.save(state, self.folder / "checkpoint.new")
        (self.folder / "checkpoint.new").replace(self.folder / "checkpoint.pt")

    def load(self) -> bool:
        """Take up the checkpoint, if there is one."""
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return False
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average, self.done = state["average"], state["done"]
        return True

    @torch.no_grad()
    def use_average(self) -> None:
        """Put the running mean into the model (for export: training goes on from a checkpoint)."""
        for parameter, mean in zip(self.parameters, self.average, strict=True):
            parameter.copy_(mean)

    def losses(self, stage: Stage, batch: Batch, encoder) -> tuple[torch.Tensor, dict[str, float]]:
        """The weighted loss of a batch and its parts."""
        with torch.autocast("cpu", torch.bfloat16):
            states = encoder(self.model, batch.mels, batch.positions)
            frames, frame_right = frame_loss(self.heads, states, batch)
            parts = {"frames": frames.item(), "frame_right": frame_right.item()}
            if not stage.with_decoder:
                return frames, parts
            logits, looks = decode(self.model, batch.inputs, states)
        tokens, token_right = token_loss(logits, batch, self.ids)
        guidance = guidance_loss(looks, batch)
        parts |= {"tokens": tokens.item(), "token_right": token_right.item()}
        parts["guidance"] = guidance.item()
        return tokens + stage.guidance * guidance + stage.frame_weight * frames, parts

    def run(self, stage: Stage, train: Windows, test: Windows, log) -> None:
        """Train ``stage`` from where it was left to its end."""
        begin = self.done.get(stage.name, 0)
        sinusoids = self.model.model.encoder.embed_positions.weight.detach()
        draw = Batches(train, self.ids, sinusoids, seed=1000 * len(stage.name) + begin)
        encoder = torch.compile(encode, dynamic=False)
        if begin == 0:
            self.optimiser = self._optimiser()
        seen: dict[str, list[float]] = {}
        clock = time.monotonic()
        batches = _prefetch(lambda: draw.draw(stage.batch, stage.frames), stage.steps - begin)
        for step, batch in enumerate(batches, begin):
            for group in self.optimiser.param_groups:
                group["lr"] = rate(stage, step)
            loss, parts = self.losses(stage, batch, encoder)
            self.optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimiser.step()
            decay = min(AVERAGE_DECAY, (1 + step) / (10 + step)) if step or begin else 0.0
            torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - decay)
            for key, value in parts.items():
                seen.setdefault(key, []).append(value)
            if (step + 1) % 50 == 0:
                means = " ".join(f"{key} {np.mean(values):.3f}" for key, values in seen.items())
                pace = (time.monotonic() - clock) / 50
                log(f"{stage.name} {step + 1}/{stage.steps} {means} ({pace:.2f} s a step)")
                seen, clock = {}, time.monotonic()
            if (step + 1) % 200 == 0 or step + 1 == stage.steps:
                self.done[stage.name] = step + 1
                self.save()
                log(f"{stage.name} {step + 1} unheard voices: {self.test(stage, test)}")
                clock = time.monotonic()

    @torch.no_grad()
    def test(self, stage: Stage, windows: Windows, count: int = 48) -> str:
        """Frame and token accuracy on held-out voices, whole windows or crops as trained."""
        sinusoids = self.model.model.encoder.embed_positions.weight
        draw = Batches(windows, self.ids, sinusoids, seed=5)
        rows = [
            self.losses(stage, draw.draw(8, stage.frames, augment=False), encode)[1]
            for _ in range(count // 8)
        ]
        return " ".join(f"{key} {np.mean([row[key] for row in rows]):.3f}" for key in rows[0])


def rate(stage: Stage, step: int) -> float:
    """The learning rate: linear warm-up, then a cosine down to ``last_rate``."""
    if step < stage.warmup:
        return stage.peak_rate * (step + 1) / stage.warmup
    share = (step - stage.warmup) / max(1, stage.steps - stage.warmup)
    return stage.last_rate + (stage.peak_rate - stage.last_rate) * (
        0.5 + 0.5 * math.cos(math.pi * share)
    )


def _prefetch(draw: Callable[[], Batch], count: int) -> Iterator[Batch]:
    """Draw each batch in a thread while the one before it is being learnt."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(draw)
        for number in range(count):
            batch = coming.result()
            if number + 1 < count:
                coming = pool.submit(draw)
            yield batch
