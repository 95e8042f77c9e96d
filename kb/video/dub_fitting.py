"""Lines spoken in their time: the sound of a dub, laid out on the clock of its medium.

A line begins with its segment. It may be spoken faster by the engine, then be compressed without a
change of its pitch, then use the pause behind it; what is still too long is cut before the next
line and reported.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from kb.errors import MediaUnavailable
from kb.media import ffmpeg
from kb.media.pcm import Pcm, trimmed
from kb.types.safe_text import shown

RATE_HZ = 24_000
GAP_S = 0.05  # before the next line
ENGINE_FASTEST = 1.25
SLOWEST, FASTEST = 0.85, 1.25  # of the compression
_TOGETHER_S = 0.3  # lines that begin within this time are one line
_SHORTEST_S = 0.15  # of a room for a line
_FADE_S = 0.03
_SAME = 0.01  # a tempo this near to 1 changes nothing
_LEVEL = 10 ** (-18 / 20)  # of a line while it is spoken
_PEAK = 10 ** (-1 / 20)
_LONGEST_S = 600.0  # for ffmpeg to compress one line

Say = Callable[[str, str, float], Pcm]
"""Gets a text, a voice and a speed up to `ENGINE_FASTEST`; returns the sound."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line to be spoken, in seconds."""

    start_s: float
    end_s: float
    text: str
    voice: str


@dataclass(frozen=True, slots=True)
class Fitted:
    """A line as it is spoken.

    `length_s` is what is heard, `natural_s` what it took at the voice's own speed; `speed` is the
    engine's, `tempo` that of the compression; `cut_s` is missing at its end.
    """

    line: Line
    length_s: float
    natural_s: float
    speed: float = 1.0
    tempo: float = 1.0
    cut_s: float = 0.0

    @property
    def end_s(self) -> float:
        return self.line.start_s + self.length_s


def ordered(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Return the lines in order of time; those that begin together are one."""
    found: list[Line] = []
    for line in sorted(lines, key=lambda each: each.start_s):
        if found and line.start_s - found[-1].start_s < _TOGETHER_S:
            last = found[-1]
            found[-1] = replace(
                last, end_s=max(last.end_s, line.end_s), text=f"{last.text} {line.text}"
            )
        else:
            found.append(line)
    return tuple(found)


def lay_out(
    lines: Sequence[Line],
    length_s: float,
    say: Say,
    track: Path,
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[Fitted, ...]:
    """Speak the lines and write them at their times: 24 kHz, 16 bits, one channel, without a head.

    The lines must be `ordered`; `length_s` is that of the medium. Sound is held for one line alone.
    Raises what `say` and `progress` raise, and OSError.
    """
    found: list[Fitted] = []
    with track.open("wb") as target:
        at = 0
        for number, line in enumerate(lines):
            following = lines[number + 1].start_s if number + 1 < len(lines) else None
            room_s = (
                following - GAP_S - line.start_s
                if following is not None
                else max(length_s, line.end_s) - line.start_s
            )
            fitted, samples = fit(line, room_s, say)
            start = round(line.start_s * RATE_HZ)
            for block in _silence(start - at):
                target.write(block)
            target.write(samples.tobytes())
            at = max(at, start) + samples.size
            found.append(fitted)
            progress((number + 1) / len(lines))
        for block in _silence(round(length_s * RATE_HZ) - at):
            target.write(block)
    return tuple(found)


def fit(line: Line, room_s: float, say: Say) -> tuple[Fitted, NDArray[np.int16]]:
    """Return how a line is spoken, and its samples at `RATE_HZ`.

    `room_s`: the time until the next line. Raises as `lay_out` does.
    """
    wanted_s = min(line.end_s - line.start_s, room_s)
    spoken = trimmed(say(line.text, line.voice, 1.0))
    natural_s = spoken.length_s
    if room_s < _SHORTEST_S or not natural_s:
        return Fitted(line, 0.0, natural_s, cut_s=natural_s), np.zeros(0, np.int16)
    speed = tempo = 1.0
    if natural_s > wanted_s:
        speed = min(natural_s / max(wanted_s, _SHORTEST_S), ENGINE_FASTEST)
        spoken = trimmed(say(line.text, line.voice, speed))
        tempo = min(FASTEST, max(SLOWEST, spoken.length_s / max(wanted_s, _SHORTEST_S)))
        if abs(tempo - 1) < _SAME:
            tempo = 1.0
    sound = levelled(resampled(spoken))
    if tempo != 1.0:
        sound = _compressed(sound, tempo)
    most = int(room_s * RATE_HZ)
    cut_s = max(0, sound.size - most) / RATE_HZ
    if cut_s:
        sound = sound[:most].copy()
        fade = min(most, round(_FADE_S * RATE_HZ))
        sound[most - fade :] = (sound[most - fade :] * np.linspace(1, 0, fade)).astype(np.int16)
    return Fitted(line, sound.size / RATE_HZ, natural_s, speed, tempo, cut_s), sound


def levelled(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return speech at the level of a dub."""
    values = samples.astype(np.float32) / 32768
    level = float(np.sqrt(np.mean(values**2))) if values.size else 0.0
    if not level:
        return samples
    gain = min(_LEVEL / level, _PEAK / float(np.abs(values).max()))
    return (values * gain * 32767).astype(np.int16)


def resampled(sound: Pcm) -> NDArray[np.int16]:
    """Return the samples of a sound at `RATE_HZ`."""
    if sound.rate_hz == RATE_HZ:
        return sound.samples
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    frame = av.AudioFrame.from_ndarray(sound.samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = sound.rate_hz
    parts = [*resampler.resample(frame), *resampler.resample(None)]
    found = [np.asarray(part.to_ndarray().reshape(-1), np.int16) for part in parts]
    return np.concatenate(found) if found else np.zeros(0, np.int16)


def _compressed(samples: NDArray[np.int16], tempo: float) -> NDArray[np.int16]:
    """Return speech at another tempo and the same pitch, exact to a sample."""
    sound = ("-f", "s16le", "-ar", str(RATE_HZ), "-ac", "1")
    command = [
        *(ffmpeg.binary(), "-nostdin", "-hide_banner", "-nostats", "-loglevel", "error"),
        *sound, "-i", "pipe:0", "-af", f"rubberband=tempo={tempo:.6f}:formant=preserved",
        *sound, "pipe:1",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, input=samples.tobytes(), capture_output=True, timeout=_LONGEST_S, check=False
        )
        failed, said = bool(done.returncode), done.stderr.decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError) as error:
        failed, said = True, str(error)
    if failed:
        lines = said.strip().splitlines()
        raise MediaUnavailable(
            "dub.tempo",
            "A line cannot be made shorter: {cause}.",
            hint="Take the bundled ffmpeg: pip install --upgrade imageio-ffmpeg, without "
            "IMAGEIO_FFMPEG_EXE.",
            cause=shown(lines[-1] if lines else "ffmpeg says nothing"),
        )
    found = np.frombuffer(done.stdout, np.int16)
    return found[: round(samples.size / tempo)]


def _silence(samples: int) -> Iterator[bytes]:
    block = bytes(2 * RATE_HZ)
    while samples > 0:
        yield block[: 2 * samples]
        samples -= RATE_HZ
