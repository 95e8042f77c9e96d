"""Filters over a whole medium (even loudness, less noise), and the level of quiet recordings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from kb.media import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]

# loudnorm is not used: in one pass it works at 192 kHz and is six times slower. A window of eleven
# frames of half a second adapts to a change of speaker; with the filter's default of 31 a loud
# speaker makes the others too quiet.
_FILTER = ("dynaudnorm", "framelen=500:gausssize=11")

# Speech has little below 80 Hz; 12 dB less noise is ffmpeg's own default.
CLEANING = {"highpass": "f=80", "afftdn": "nr=12:nt=w:tn=1"}
_LATE = SAMPLE_RATE_HZ // 40  # samples by which afftdn is late

_HOP = SAMPLE_RATE_HZ // 50
_FLOOR_DB = -120


def even_out(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """Yield the same sound with even loudness (dynamic, one pass), in arrays of other lengths."""
    return through_filters(blocks, [_FILTER])


def clean(blocks: Iterable[Samples], names: Sequence[str]) -> Iterator[Samples]:
    """Yield the sound without rumble (`highpass`) or steady noise (`afftdn`), or both.

    Arrays have other lengths; no sample is moved.
    """
    late = _LATE if "afftdn" in names else 0
    padded = chain(blocks, [np.zeros(late, np.float32)] if late else [])
    for piece in through_filters(padded, [(name, CLEANING[name]) for name in names]):
        kept = piece[late:]
        late = max(0, late - piece.size)
        if kept.size:
            yield kept


def through_filters(
    blocks: Iterable[Samples], filters: Sequence[tuple[str, str]]
) -> Iterator[Samples]:
    """Yield the sound after filters of ffmpeg, each a name with its options.

    One filter serves the whole medium: it may look a few seconds ahead, so a filter inside ffmpeg
    would lose them wherever ffmpeg makes a new filter graph.
    """
    graph = Graph()
    source = graph.add_abuffer(
        format="flt", sample_rate=SAMPLE_RATE_HZ, layout="mono", time_base=None
    )
    last = source
    for each in (*filters, ("abuffersink", "")):
        added = graph.add(*filter(None, each))
        last.link_to(added)
        last = added
    graph.configure()
    at = 0
    for block in blocks:
        frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, at
        at += len(block)
        graph.push(frame)
        yield from _pulled(graph)
    graph.push(None)
    yield from _pulled(graph)


def _pulled(graph: Graph) -> Iterator[Samples]:
    while True:
        try:
            frame = graph.pull()
        except (BlockingIOError, EOFError):
            return
        yield np.array(frame.to_ndarray().reshape(-1), np.float32)


def in_blocks(pieces: Iterable[Samples], samples: int) -> Iterator[Samples]:
    """Yield the same sound in blocks of `samples`, the last one shorter."""
    kept: list[Samples] = []
    held = 0
    for piece in pieces:
        kept.append(piece)
        held += len(piece)
        while held >= samples:
            joined = np.concatenate(kept)
            yield joined[:samples]
            kept, held = [joined[samples:]], held - samples
    if held:
        yield np.concatenate(kept)


class LevelMeter:
    """The peak of a medium, without its loudest 0.2 s: a knock is no speech."""

    def __init__(self) -> None:
        self._counts = np.zeros(-_FLOOR_DB + 1, np.int64)  # hops of 20 ms by their peak in -dBFS

    def add(self, samples: Samples) -> None:
        """Measure the next samples."""
        rows = np.pad(samples, (0, -len(samples) % _HOP)).reshape(-1, _HOP)
        peaks = np.maximum(np.abs(rows).max(axis=1), 10 ** (_FLOOR_DB / 20))
        levels = np.clip(np.round(-20 * np.log10(peaks)), 0, -_FLOOR_DB).astype(int)
        self._counts += np.bincount(levels, minlength=len(self._counts))

    @property
    def peak_db(self) -> int | None:
        """The peak in dBFS; None for digital silence."""
        ignored = min(10, int(self._counts.sum()) // 10)
        level = int(np.searchsorted(np.cumsum(self._counts), ignored, side="right"))
        return None if level >= -_FLOOR_DB else -level
