"""The sound of any medium as 16 kHz mono float32 blocks, streamed from ffmpeg.

ffmpeg gets the path of the input: it cannot read an MP4 with its index at the end from a pipe.
The output keeps the medium's clock: silence fills the time before sound that begins later than
the picture, and any gap in the sound, so that sample n is always at n / 16000 s in a player.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kb.errors import MediaUnavailable
from kb.media import SAMPLE_RATE_HZ, shown
from kb.media.bounds import check_length
from kb.media.boxes import BOXED, empty_edits
from kb.media.clocked_reader import ClockedReader
from kb.media.damage import Damage, clock, find_damage
from kb.media.losses import Loss, clock_warnings, find_losses, length_warning, loss_warnings
from kb.media.loudness import LevelMeter, clean, even_out, in_blocks
from kb.media.mixdown import Mixdown, cancelled_warnings
from kb.media.probe import MediaProbe, probe
from kb.media.tracks import Track, by_preference

BLOCK_S = 10.0

Samples = NDArray[np.float32]


def decode(
    path: str | Path,
    *,
    normalize: bool = False,
    filters: Sequence[str] = (),
    block_s: float = BLOCK_S,
    track: int | None = None,
    longest_s: float = math.inf,
) -> AudioStream:
    """Open a medium's sound and return a stream, whose iteration yields the samples.

    `normalize` evens out the loudness (dynamic, one pass) without moving a sample; before that,
    `filters` take rumble and noise away (see `kb.media.loudness.clean`). `track` is the number of a
    sound track, from 1. Without it the track is decoded that the container marks as default,
    else the one with the most channels; a commentary or an audio description is the last choice.
    Raises MediaUnavailable naming the file when it is missing, empty, no medium, declares more than
    `longest_s` seconds, or has no sound or no such track, and UsageError without an ffmpeg binary.
    """
    found = probe(path)
    if not found.has_audio:
        raise MediaUnavailable(
            "media.no_sound",
            "{path} is a video without sound: there is nothing to transcribe.",
            hint="Choose a version of the medium that has sound.",
            path=shown(path),
        )
    check_length(found.path, found.duration_s or 0.0, longest_s)
    return AudioStream(
        found, _track(found, track), normalize=normalize, filters=filters, block_s=block_s,
        longest_s=longest_s,
    )  # fmt: skip


def _track(found: MediaProbe, number: int | None) -> Track:
    if number is None:
        return by_preference(found.tracks)[0]
    if not 1 <= number <= len(found.tracks):
        raise MediaUnavailable(
            "media.no_track",
            "{path} has no sound track {track}. It has: {tracks}.",
            hint="Give one of its numbers (--track), or all.",
            path=shown(found.path),
            track=number,
            tracks=", ".join(each.label for each in found.tracks),
        )
    return found.tracks[number - 1]


class AudioStream:
    """The sound of one medium; each iteration decodes it from the start.

    Blocks are one-dimensional float32 arrays of `block_s` seconds (the last one shorter), finite
    and within -1..1; the caller may keep or change them. One block is in memory at a time.
    The iteration raises MediaUnavailable when nothing can be decoded, when more than `longest_s`
    seconds come, or when another process ends ffmpeg. The ffmpeg process ends with the iteration,
    also after an error; `close()` and the end of the stream's `with` block end it too.
    """

    def __init__(
        self,
        found: MediaProbe,
        track: Track,
        *,
        normalize: bool = False,
        filters: Sequence[str] = (),
        block_s: float = BLOCK_S,
        longest_s: float = math.inf,
    ) -> None:
        """Start nothing yet. `track` is one of the tracks of `found`."""
        self.track = track
        self.probe = found.for_track(track)
        self._normalize = normalize
        self._filters = tuple(filters)
        self._longest_s = longest_s
        self._block_samples = max(1, round(block_s * SAMPLE_RATE_HZ))
        self._reset()
        # A weak reference: a reference cycle would keep an abandoned iteration and its process.
        self._running: weakref.ref[Generator[Samples]] | None = None

    def _reset(self) -> None:
        self._samples = 0
        self._finished = False
        self._damage: Damage | None = None
        self._losses: tuple[Loss, ...] = ()
        self._clock_warnings: list[str] = []
        self._mixdown = Mixdown()
        self._level = LevelMeter()

    @property
    def duration_s(self) -> float:
        """Seconds decoded so far; after the iteration, the medium's true length."""
        return self._samples / SAMPLE_RATE_HZ

    @property
    def finished(self) -> bool:
        """True if the last iteration reached the end."""
        return self._finished

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about the file for a reader of the transcript; valid after the iteration.

        A truncated or damaged file is the first.
        """
        if not self._finished:
            return ()
        losses = self._losses
        if self.truncated:  # its sentence speaks of the bytes behind the end
            losses = tuple(loss for loss in losses if loss.cause != "unread")
        return (
            *([self._damage.warning] if self._damage else ()),
            *self._clock_warnings,
            *loss_warnings(losses),
            *cancelled_warnings(self._mixdown),
        )

    @property
    def warning(self) -> str | None:
        """The first of the warnings, or None."""
        return next(iter(self.warnings), None)

    @property
    def truncated(self) -> bool:
        """True if the last iteration reached the end of the file before the declared end."""
        return self._damage is not None and self._damage.truncated

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Sound of the file that is not in the samples, in order; valid after the iteration."""
        return self._losses

    @property
    def peak_db(self) -> int | None:
        """The peak of the sound in dBFS before loudness is evened out; None for silence."""
        return self._level.peak_db

    def __iter__(self) -> Iterator[Samples]:
        self.close()
        self._reset()
        blocks = self._decode_blocks()
        self._running = weakref.ref(blocks)
        return blocks

    def close(self) -> None:
        """End a running iteration and its ffmpeg process, if there is one."""
        blocks = self._running() if self._running else None
        if blocks is not None:
            blocks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _decode_blocks(self) -> Generator[Samples]:
        reader = ClockedReader(self.probe, self.track, self._block_samples)
        try:
            blocks = self._mixed(reader)
            if self._filters:
                blocks = in_blocks(clean(blocks, self._filters), self._block_samples)
            if self._normalize:
                blocks = in_blocks(even_out(blocks), self._block_samples)
            for block in blocks:
                self._samples += block.size
                # A header may declare nothing, and a few bytes may hold hours of silence.
                check_length(self.probe.path, self.duration_s, self._longest_s)
                yield np.clip(block, -1.0, 1.0)
            self._check(reader)
            self._clock_warnings = clock_warnings(reader)
            if (longer := length_warning(self.probe, reader)) is not None:
                self._clock_warnings.append(longer)
            self._losses = tuple(find_losses(self.probe, self.track, reader))
            self._damage = find_damage(self.probe, self.duration_s, reader.exit_code, reader.log)
            self._finished = True
        finally:
            reader.close()

    def _mixed(self, reader: ClockedReader) -> Iterator[Samples]:
        """Yield the mono sound, silent where the medium's edit list asks for a pause."""
        found, boxed = self.probe, self.probe.container in BOXED
        pauses = empty_edits(found.path, self.track.number, found.start_s) if boxed else []
        at = 0
        for channels in reader.blocks():
            for start_s, end_s in pauses:
                # ffmpeg plays other sound there, unless the pause is the first entry of the list.
                first, end = (round(time_s * SAMPLE_RATE_HZ) - at for time_s in (start_s, end_s))
                channels[max(0, first) : max(0, end)] = 0
            at += len(channels)
            block = self._mixdown.mix_channels(channels)
            self._level.add(block)
            yield block

    def _check(self, reader: ClockedReader) -> None:
        """Raise MediaUnavailable if ffmpeg was ended from outside, or gave no sound."""
        path, code, log = shown(self.probe.path), reader.exit_code, reader.log
        # A signal, Windows' code for a crash, or no message means an end from outside: an ffmpeg
        # that fails reports a cause.
        if code < 0 or code > 255 or (code and not log.first_error):
            raise MediaUnavailable(
                "media.ffmpeg_killed",
                "{path}: ffmpeg was ended from outside at {time} (code {code}).",
                hint="Try again; if it stays, look at the machine's memory.",
                retryable=True,
                path=path,
                time=clock(self.duration_s),
                code=code,
            )
        if not reader.duration_s:
            cause = log.first_error or "it gave no samples"
            raise MediaUnavailable(
                "media.not_decodable",
                "The sound of {path} cannot be decoded: {cause}.",
                hint="Check that it plays in a media player; if not, download or copy it again.",
                path=path,
                cause=cause,
            )
