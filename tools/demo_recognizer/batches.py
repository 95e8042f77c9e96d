"""Training batches: whole windows, or crops of them laid somewhere on the position table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .mels import N_MELS
from .tokens import FRAME_SECONDS, NO_SPAN, Target, TokenIds, make_target
from .windows import SEGMENT_WORDS, Word, segments

TABLE = 1500  # encoder frames in a window, and rows of the position table
IGNORE = -100


@dataclass(frozen=True)
class Batch:
    """B crops of F encoder frames with decoder sequences padded to T positions."""

    mels: Tensor  # (B, 80, 2F) float32
    positions: Tensor  # (B, F, 128): the rows of the position table
    word: Tensor  # (B, F) word number, n_words where there is no speech
    next_word: Tensor  # (B, F) the word after this one or after this pause
    place: Tensor  # (B, F) the word's place in its segment, SEGMENT_WORDS in pauses
    edges: Tensor  # (B, F, 2) float: first two, last two frames of a word
    inputs: Tensor  # (B, T) tokens
    labels: Tensor  # (B, T) tokens to predict, −100 where nothing is asked
    spans: Tensor  # (B, T, 2) frames [first, last) of the predicted token, −1 where none


class Windows:
    """The windows written by ``mels.make_windows`` under one or more names."""

    def __init__(self, folder: Path, *names: str):
        parts = [np.load(folder / f"{name}_mels.npy", mmap_mode="r") for name in names]
        self.mels = [mel for part in parts for mel in part]
        self.tables = np.concatenate([np.load(folder / f"{name}_words.npy") for name in names])
        self.languages = np.concatenate(
            [np.load(folder / f"{name}_languages.npy") for name in names]
        )

    def __len__(self) -> int:
        return len(self.languages)

    def words(self, i: int) -> list[Word]:
        """The words of window ``i``."""
        table = self.tables[i]
        return [Word(int(w), float(s), float(e)) for w, s, e in table[table[:, 0] >= 0]]


class Batches:
    """Draws batches from ``windows``; ``sinusoids`` (1500, 128) is the position table."""

    def __init__(self, windows: Windows, ids: TokenIds, sinusoids: Tensor, seed: int = 0):
        self.windows, self.ids, self.sinusoids = windows, ids, sinusoids
        self.rng = np.random.default_rng(seed)

    def draw(self, size: int, frames: int, augment: bool = True) -> Batch:
        """``size`` random windows, cropped to ``frames`` encoder frames unless that is all."""
        chosen = self.rng.choice(len(self.windows), size, replace=False)
        return self.make(chosen, frames, augment)

    def make(self, chosen: np.ndarray, frames: int, augment: bool) -> Batch:
        """The batch of the windows numbered ``chosen``."""
        size, silent = len(chosen), len(self.ids.words)
        mels = np.empty((size, N_MELS, 2 * frames), np.float32)
        word = np.full((size, frames), silent)
        next_word = np.full((size, frames), silent)
        place = np.full((size, frames), SEGMENT_WORDS)
        edges = np.zeros((size, frames, 2), np.float32)
        offsets = np.zeros(size, int)
        targets: list[Target] = []
        for row, i in enumerate(chosen):
            words = self.windows.words(i)
            begin = self._crop(words, frames)
            mels[row] = self.windows.mels[i][:, 2 * begin : 2 * (begin + frames)]
            offsets[row] = self.rng.integers(0, TABLE - frames, endpoint=True)
            places = {id(w): p for segment in segments(tuple(words)) for p, w in enumerate(segment)}
            previous = begin
            for w in words:
                first = int(np.ceil(w.start / FRAME_SECONDS)) - begin
                last = int(np.ceil(w.end / FRAME_SECONDS)) - begin
                next_word[row, max(0, previous) : max(0, first)] = w.index
                previous = first
                word[row, max(0, first) : max(0, last)] = w.index
                place[row, max(0, first) : max(0, last)] = places[id(w)]
                edges[row, max(0, first) : max(0, first + 2), 0] = 1
                edges[row, max(0, last - 2) : max(0, last), 1] = 1
            shift = (offsets[row] - begin) * FRAME_SECONDS
            low, high = begin * FRAME_SECONDS, (begin + frames) * FRAME_SECONDS
            whole = [w for w in words if w.start >= low and w.end <= high + 1e-6]
            moved = [Word(w.index, w.start + shift, w.end + shift) for w in whole]
            language = "de" if self.windows.languages[i] else "en"
            targets.append(make_target(moved, language, self.ids, self.rng))
        inputs, labels, spans = self._pad(targets, offsets, frames)
        window_frames = torch.from_numpy(mels)
        if augment:
            window_frames = warp(window_frames, self.rng)
        positions = torch.stack([self.sinusoids[o : o + frames] for o in offsets])
        tensors = (torch.from_numpy(a) for a in (word, next_word, place, edges))
        return Batch(window_frames, positions, *tensors, inputs, labels, spans)

    def _crop(self, words: list[Word], frames: int) -> int:
        """Choose a start: mostly in the gap or pause before some word, sometimes anywhere."""
        if frames == TABLE:
            return 0
        latest = TABLE - frames
        if not words:
            return int(self.rng.integers(0, latest, endpoint=True))
        number = int(self.rng.integers(len(words)))
        if self.rng.random() < 0.15:
            begin = words[number].start - self.rng.uniform(0, frames * FRAME_SECONDS)
        else:
            before = words[number - 1].end if number else 0.0
            begin = words[number].start - self.rng.uniform(0, min(words[number].start - before, 1))
        return int(np.clip(np.floor(begin / FRAME_SECONDS), 0, latest))

    def _pad(self, targets: list[Target], offsets: np.ndarray, frames: int):
        longest = max(len(t.inputs) for t in targets)
        length = -(-longest // 16) * 16
        inputs = np.full((len(targets), length), self.ids.eot)
        labels = np.full((len(targets), length), IGNORE)
        spans = np.full((len(targets), length, 2), NO_SPAN)
        for row, target in enumerate(targets):
            count = len(target.inputs)
            inputs[row, :count], labels[row, :count] = target.inputs, target.labels
            span = np.array(target.spans)
            here = span[:, 0] != NO_SPAN
            spans[row, :count][here] = np.clip(span[here] - offsets[row], 0, frames)
        spans[spans[..., 1] <= spans[..., 0]] = NO_SPAN
        return torch.from_numpy(inputs), torch.from_numpy(labels), torch.from_numpy(spans)


def warp(mels: Tensor, rng: np.random.Generator) -> Tensor:
    """Other throats and other microphones, made in the log-mel domain at no cost.

    Half of the rows stay as they are. In the others the frequency axis is stretched by up to 6 %
    (a longer or shorter vocal tract) and a smooth curve of up to ±6 dB is added (0.25 in Whisper's
    units is 10 dB).
    """
    size, bins, _ = mels.shape
    matrices = np.zeros((size, bins, bins), np.float32)
    curves = np.zeros((size, bins, 1), np.float32)
    for row in range(size):
        if rng.random() < 0.5:
            matrices[row] = np.eye(bins)
            continue
        source = np.clip(
            np.arange(bins) * rng.uniform(0.94, 1.06) + rng.uniform(-1, 1), 0, bins - 1
        )
        low = np.minimum(source.astype(int), bins - 2)
        matrices[row, np.arange(bins), low] = 1 - (source - low)
        matrices[row, np.arange(bins), low + 1] = source - low
        knots = rng.uniform(-0.15, 0.15, 5)
        curves[row, :, 0] = np.interp(np.arange(bins), np.linspace(0, bins - 1, 5), knots)
        if rng.random() < 0.15:  # a band that is lost altogether
            at, width = rng.integers(0, bins - 8), rng.integers(2, 9)
            matrices[row, at : at + width] = 0
    return torch.from_numpy(matrices) @ mels + torch.from_numpy(curves)
