"""Diarization of one medium: the turns of its speakers.

Detected speech is cut into windows of 1.6 s every 0.4 s. Their embeddings are clustered by
voice; then each tenth of a second of speech goes to the speaker whose mean voice is the most
similar to the windows over it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kb.asr.audio.vad import SpeechDetector, SpeechRule, spans
from kb.enrich.speakers.clustering import Vectors, cluster, similarities
from kb.enrich.speakers.encoder import WINDOW_S, VoiceEncoder
from kb.media import SAMPLE_RATE_HZ
from kb.media.decode import decode
from kb.types import SpeechSpan

STEP_S = 0.4  # between two windows
FRAME_S = 0.1
DISTANCE = 0.30  # mean cosine distance of two voices
LEAST_SHARE = 0.02  # of all windows; a smaller cluster is no speaker of its own
PART_S = 60.0  # of sound that is in memory
_ROWS = 8192  # by which the array of vectors grows: 4 MB
RULE = SpeechRule(threshold=0.5, min_silence_s=0.1)

Progress = Callable[[float], None]
"""Called with the finished share, 0..1."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A span of one speaker, numbered from 0 in order of their speaking time."""

    start_s: float
    end_s: float
    speaker: int


@dataclass(frozen=True, slots=True)
class Diarization:
    """The turns in order of time, the number of speakers, and their voices.

    `voices` are unit vectors of `VoiceEncoder`, [speakers, size], by number.
    """

    turns: tuple[Turn, ...]
    speakers: int
    voices: Vectors = field(default_factory=lambda: np.zeros((0, 0), np.float32), compare=False)


def diarize(
    path: Path,
    weights: Path,
    *,
    track: int | None = None,
    speakers: int | None = None,
    progress: Progress = lambda _: None,
) -> Diarization:
    """Return the turns of a medium's speakers; none without speech.

    `speakers` is their number, if it is known. Raises the errors of `decode` and `VoiceEncoder`.
    """
    encoder, detector = VoiceEncoder(weights), SpeechDetector().stream()
    vectors = VectorRows()
    times: list[npt.NDArray[np.float64]] = []
    speech: list[SpeechSpan] = []
    part: list[npt.NDArray[np.float32]] = []
    chances: list[npt.NDArray[np.float32]] = []
    offset_s, held_s = 0.0, 0.0

    def finish_part() -> None:
        nonlocal offset_s, held_s
        sound = np.concatenate(part)
        found = spans(np.concatenate(chances), RULE)
        starts = window_starts(found, sound.size / SAMPLE_RATE_HZ)
        places = np.round(starts * SAMPLE_RATE_HZ).astype(np.int64)
        vectors.add(encoder.embed(sound, places))
        times.append(starts + offset_s)
        speech.extend(SpeechSpan(s.start_s + offset_s, s.end_s + offset_s) for s in found)
        offset_s += held_s
        held_s = 0.0
        part.clear()
        chances.clear()

    with decode(path, track=track) as stream:
        length_s = stream.probe.duration_s or 0.0
        for block in stream:
            part.append(block)
            chances.append(detector.push(block))
            held_s += block.size / SAMPLE_RATE_HZ
            if held_s >= PART_S:
                finish_part()
                progress(min(1.0, offset_s / length_s) if length_s else 0.0)
    chances.append(detector.finish())
    if part:
        finish_part()
    if not times:
        return Diarization((), 0)
    return _turns(vectors.all(), np.concatenate(times), speech, speakers)


class VectorRows:
    """Vectors in half precision, in one array that grows.

    Twelve hours of speech have a hundred thousand windows, 50 MB; parts that are joined at the end
    would be there twice.
    """

    def __init__(self) -> None:
        self._array: npt.NDArray[np.float16] | None = None
        self._count = 0

    def add(self, rows: Vectors) -> None:
        """Append rows."""
        if self._array is None:
            self._array = np.empty((_ROWS, rows.shape[1]), np.float16)
        end = self._count + len(rows)
        if end > len(self._array):
            # In place; what is new is filled with zeros and so in memory: not more than is needed.
            longer = -(-end // _ROWS) * _ROWS
            self._array.resize((longer, rows.shape[1]), refcheck=False)
        self._array[self._count : end] = rows
        self._count = end

    def all(self) -> npt.NDArray[np.float16]:
        """Return all rows; there must have been a call of `add`."""
        assert self._array is not None
        return self._array[: self._count]


def window_starts(speech: list[SpeechSpan], length_s: float) -> npt.NDArray[np.float64]:
    """Return the starts of the windows over spans of speech, in seconds.

    A span shorter than a window has one, around its middle.
    """
    found: list[npt.NDArray[np.float64]] = []
    last = max(0.0, length_s - WINDOW_S)
    for span in speech:
        room = span.duration_s - WINDOW_S
        number = max(1, round(room / STEP_S) + 1)
        middle = (span.start_s + span.end_s - WINDOW_S) / 2
        begin = span.start_s if number > 1 else middle
        step = room / (number - 1) if number > 1 else 0.0
        found.append(np.clip(begin + step * np.arange(number), 0.0, last))
    return np.concatenate(found) if found else np.zeros(0)


def _turns(
    vectors: npt.NDArray[np.float16],
    times: npt.NDArray[np.float64],
    speech: list[SpeechSpan],
    speakers: int | None,
) -> Diarization:
    found = cluster(vectors, DISTANCE, least_share=LEAST_SHARE, count=speakers)
    similar = similarities(vectors, found.means)
    turns: list[Turn] = []
    for span in speech:
        frames = max(1, round(span.duration_s / FRAME_S))
        edges = np.linspace(span.start_s, span.end_s, frames + 1)
        middles = (edges[:-1] + edges[1:]) / 2
        first = int(np.searchsorted(times, span.start_s - WINDOW_S))
        last = int(np.searchsorted(times, span.end_s))
        near = times[first:last]
        over = (near[None, :] <= middles[:, None]) & (middles[:, None] < near[None, :] + WINDOW_S)
        weight = 1.0 - np.abs(middles[:, None] - near[None, :] - WINDOW_S / 2) / WINDOW_S
        scores = (over * weight) @ similar[first:last]
        labels = scores.argmax(axis=1)
        for start_s, end_s, label in zip(edges[:-1], edges[1:], labels.tolist(), strict=True):
            previous = turns[-1] if turns else None
            if previous and previous.speaker == label and start_s - previous.end_s < 1e-6:
                turns[-1] = Turn(previous.start_s, float(end_s), label)
            else:
                turns.append(Turn(float(start_s), float(end_s), label))
    return _numbered(turns, found.means)


def _numbered(turns: list[Turn], means: Vectors) -> Diarization:
    """Number the speakers by their speaking time; those without any are left out."""
    spoken: dict[int, float] = {}
    for turn in turns:
        spoken[turn.speaker] = spoken.get(turn.speaker, 0.0) + turn.end_s - turn.start_s
    order = sorted(spoken, key=lambda label: -spoken[label])
    place = {label: number for number, label in enumerate(order)}
    renamed = tuple(Turn(turn.start_s, turn.end_s, place[turn.speaker]) for turn in turns)
    return Diarization(renamed, len(order), means[order])
