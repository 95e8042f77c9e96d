"""Windows: contiguous slices of the sound, cut at pauses, short enough for the recognizer.

A window is one slice of the sound, so that a time inside it plus its start is a time of the
sound. If speech continues without a pause for longer than a window, the cut is at the quietest
frame, the next window begins `overlap_s` earlier, and the two texts are merged (see
`kb.asr.stitching`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from kb.asr import SAMPLE_RATE
from kb.asr.audio.silero import FRAME
from kb.asr.audio.time_map import TimestampMap
from kb.asr.audio.vad import FRAME_S, Audio, SpeechRule, spans
from kb.types import SpeechSpan

PAD_S = 0.3  # kept on each side of detected speech, for soft beginnings and endings
PAUSE_WORTH = 3.0  # value of 1 s of pause at the cut, in seconds of window length
LONGEST_PAUSE_S = 1.5  # a longer pause is not better for a cut
SEARCH_FROM = 0.6  # a cut inside speech is in the last 40 % of the window
SHORTEST_PAUSE_S = 0.25  # a shorter pause may be the closure of a p or t inside a word


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A slice of the sound that is decoded as a whole.

    `audio`: float32, shape [samples] at 16 kHz; `speech`: detected spans inside; `overlap_s`:
    length of the beginning that the previous window contains as well; `shared_s`: length of the end
    that the next window may contain as well (if no pause allowed a cut); `hotwords`: names for the
    prompt, the most important first, and `prompt_tokens` their tokens, at most. All times are those
    of the trimmed sound; `time_map` maps them to the times of the medium, from which long pauses
    were removed (see `kb.asr.audio.pause_trimmer`).
    """

    index: int
    start_s: float
    audio: Audio
    speech: tuple[SpeechSpan, ...] = ()
    overlap_s: float = 0.0
    shared_s: float = 0.0
    hotwords: tuple[str, ...] = ()
    prompt_tokens: int = 100
    time_map: TimestampMap = field(default_factory=TimestampMap)

    @property
    def duration_s(self) -> float:
        return self.audio.size / SAMPLE_RATE

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s

    @property
    def medium_s(self) -> float:
        """The length in seconds of the medium, trimmed pauses included."""
        return self.time_map.end(self.end_s) - self.time_map.start(self.start_s)

    def part(self, start_s: float, end_s: float) -> Window:
        """Return the sound between two times as a window."""
        first = max(0, round((start_s - self.start_s) * SAMPLE_RATE))
        last = min(self.audio.size, round((end_s - self.start_s) * SAMPLE_RATE))
        begin, end = self.start_s + first / SAMPLE_RATE, self.start_s + last / SAMPLE_RATE
        inside = tuple(
            SpeechSpan(max(span.start_s, begin), min(span.end_s, end))
            for span in self.speech
            if span.end_s > begin and span.start_s < end
        )
        shared_s = self.shared_s if last == self.audio.size else 0.0
        audio = self.audio[first:last]
        return replace(
            self, start_s=begin, audio=audio, speech=inside, overlap_s=0.0, shared_s=shared_s
        )


class WindowCutter:
    """A cutter of a stream of sound, with its speech probabilities, into windows.

    `limit_s` is the longest window: the preset's chunk, at most the model's receptive field;
    `lead_s` is what it has before its speech, at most.
    The cutter holds in memory the sound that is not yet cut, about one window and one block.
    """

    def __init__(
        self,
        limit_s: float,
        *,
        overlap_s: float,
        detect: bool = True,
        rule: SpeechRule | None = None,
        lead_s: float = PAD_S,
    ) -> None:
        if not 0 <= overlap_s < limit_s / 2:
            raise ValueError(f"overlap of {overlap_s} s does not fit windows of {limit_s} s")
        self._limit = int(limit_s * SAMPLE_RATE) // FRAME  # the following counts are in frames
        self._overlap = round(overlap_s / FRAME_S)
        # One second more than the window: the pause after its last word must be known.
        self._horizon = self._limit + round(1.0 / FRAME_S)
        self._pad = round(PAD_S / FRAME_S)
        self._lead = round(lead_s / FRAME_S)
        self._pause = round(SHORTEST_PAUSE_S / FRAME_S)
        self._detect = detect
        self._rule = rule or SpeechRule()
        self._audio = np.zeros(0, np.float32)
        self._probabilities = np.zeros(0, np.float32)
        self._base = 0  # frame number of the buffer's first frame
        self._from = 0  # frame number from which speech is not in a window yet
        self._seen_until = 0  # end frame of the last window
        self._index = 0

    @property
    def decided_s(self) -> float:
        """The time before which no more windows begin."""
        return self._from * FRAME_S

    def push(self, audio: Audio, probabilities: Audio, *, final: bool = False) -> Iterator[Window]:
        """Add sound and the probabilities known by now; yield finished windows.

        `final`: there is no more sound; the rest is yielded as well.
        """
        self._audio = np.concatenate([self._audio, audio])
        self._probabilities = np.concatenate([self._probabilities, probabilities])
        yield from self._cut(final=final)

    # The methods below count in frames of 32 ms.

    def _cut(self, *, final: bool) -> Iterator[Window]:
        while True:
            known = self._base + self._probabilities.size
            regions = self._regions(known)
            if not regions:
                # A span may begin in the very last frames: keep the padding before it.
                self._forget(known if final else max(self._from, known - self._lead))
                return
            start = max(self._from, regions[0][0] - self._lead)
            self._forget(start)
            if not final and known < start + self._horizon:
                return
            yield self._window(start, regions, known)
            if final and self._from >= known:
                return

    def _regions(self, known: int) -> list[tuple[int, int]]:
        """Return detected spans from `_from` on, as (first frame, end frame)."""
        if self._from >= known:
            return []
        if not self._detect:
            return [(self._from, known)]
        # Start at the buffer's beginning: a span's start depends on the frames before it.
        found = spans(self._probabilities, self._rule)
        regions = [
            (self._base + round(s.start_s / FRAME_S), self._base + round(s.end_s / FRAME_S))
            for s in found
        ]
        return [(max(first, self._from), end) for first, end in regions if end > self._from]

    def _window(self, start: int, regions: list[tuple[int, int]], known: int) -> Window:
        limit = start + self._limit
        best: tuple[float, int] | None = None
        for place, (_, end) in enumerate(regions):
            following = regions[place + 1][0] if place + 1 < len(regions) else None
            pause = following - end if following is not None else self._limit
            if pause < self._pause:
                continue
            stop = end + min(self._pad, pause // 2)
            if stop > limit:
                # The padding may be dropped if only it does not fit.
                stop = limit if end <= limit else stop
            if stop > limit:
                break
            worth = stop - start + PAUSE_WORTH * min(pause, round(LONGEST_PAUSE_S / FRAME_S))
            if best is None or worth >= best[0]:
                best = (worth, stop)
        if best is not None:
            stop = min(best[1], known)
            return self._emit(start, stop, stop, regions)
        stop = self._split(start, limit)
        return self._emit(start, stop, stop - self._overlap, regions)

    def _split(self, start: int, limit: int) -> int:
        """Return the best frame for a cut without a pause: least like speech, then quietest."""
        first = start + round(self._limit * SEARCH_FROM)
        loudness = np.array([self._loudness(frame) for frame in range(first, limit)])
        loudness /= loudness.max(initial=1e-9)
        chances = self._probabilities[first - self._base : limit - self._base]
        # Averaged over three frames, 0.1 s, so that a very short silence is not taken for a gap.
        badness = np.pad(loudness + chances, 1, mode="edge")
        return first + int(np.argmin(np.convolve(badness, np.ones(3) / 3, mode="valid")))

    def _loudness(self, frame: int) -> float:
        begin = (frame - self._base) * FRAME
        piece = self._audio[begin : begin + FRAME]
        return float(np.sqrt(np.mean(np.square(piece)))) if piece.size else 0.0

    def _emit(self, start: int, stop: int, resume: int, regions: list[tuple[int, int]]) -> Window:
        inside = tuple(
            SpeechSpan(max(first, start) * FRAME_S, min(end, stop) * FRAME_S)
            for first, end in regions
            if first < stop and end > start
        )
        audio = self._audio[(start - self._base) * FRAME : (stop - self._base) * FRAME].copy()
        overlap_s = max(0, self._seen_until - start) * FRAME_S
        shared_s = (stop - resume) * FRAME_S
        window = Window(self._index, start * FRAME_S, audio, inside, overlap_s, shared_s)
        self._index += 1
        self._from = resume
        self._seen_until = stop
        self._forget(resume)
        return window

    def _forget(self, frame: int) -> None:
        """Drop the sound and probabilities before `frame`."""
        drop = frame - self._base
        if drop > 0:
            self._audio = self._audio[drop * FRAME :].copy()
            self._probabilities = self._probabilities[drop:].copy()
            self._base = frame
        self._from = max(self._from, frame)
