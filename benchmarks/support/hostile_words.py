"""Words of damaged media for `hostile.py`: what ffmpeg plays, and what became of every word.

A word is *played* where the sound of a recorded word fits the decoded sound (normalized
cross-correlation, in every track and channel). It is *found* if the transcript has it as often as
it is played, *misread* if the transcript has another word there, *reported* if a gap, a lost
stretch, a truncated end, a suspect window or a track that is named as left out covers it, else
*lost*.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import soundfile

from kb.asr.stitching import normalize_word
from kb.types import Transcript
from tests.support.compose import SAMPLE_RATE, Composition

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
PLAY_S, LONGEST_S = 20.0, 120.0  # time limit, and seconds of sound that are looked at
TRACKS = 6  # tracks of a file that are looked at
SOUNDS_S = 0.3  # a file plays with at least so much sound
FITS = 0.7  # correlation from which a word is played
OVERLAP = 0.3  # share of a word from which another word in its place excludes it
NEAR_S = 0.5  # between a word's place in the sound of ffmpeg and in the transcript

Samples = np.ndarray


@dataclass
class Said:
    """A composition with the sound of its words, for finding them again."""

    composition: Composition

    @property
    def audio(self) -> Samples:
        return self.composition.audio

    @cached_property
    def words(self) -> list[tuple[str, Samples]]:
        """Return each spoken word with its own sound."""
        found = {}
        for word, start_s, end_s in self.composition.words:
            clip = self.audio[int(start_s * SAMPLE_RATE) : int(end_s * SAMPLE_RATE)]
            found.setdefault(normalize_word(word), clip)
        return list(found.items())


def play(path: Path, folder: Path, *, clocked: bool) -> list[Samples]:
    """Return the sound of every channel that ffmpeg decodes, at 16 kHz; empty if it plays none.

    `clocked` fills gaps in the container's clock with silence.
    """
    clock = ":async=1:first_pts=0" if clocked else ""
    found: list[Samples] = []
    for track in range(TRACKS):
        target = folder / f"played-{track}.wav"
        command = [
            FFMPEG, "-nostdin", "-v", "quiet", "-y", "-protocol_whitelist", "file", "-i", str(path),
            "-map", f"0:a:{track}", "-af", f"aresample=16000{clock}",
            "-t", str(LONGEST_S), "-c:a", "pcm_s16le", str(target),
        ]  # fmt: skip
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(command, timeout=PLAY_S, check=False, stdin=subprocess.DEVNULL)
        if not target.exists():
            break
        with suppress(soundfile.LibsndfileError):
            sound, _rate = soundfile.read(target, dtype="float32", always_2d=True)
            if len(sound) >= SOUNDS_S * SAMPLE_RATE:
                found += list(sound.T[:2])
        target.unlink()
    return found


def occurrences(sound: Samples, clip: Samples) -> list[tuple[float, float]]:
    """Return the seconds at which a clip is heard in a sound, each after its correlation."""
    if len(sound) < len(clip) or not np.any(sound):
        return []
    size = 1 << (len(sound) + len(clip)).bit_length()
    product = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(clip, size)), size)
    product = product[: len(sound) - len(clip) + 1]
    energy = np.concatenate([[0.0], np.cumsum(sound.astype(np.float64) ** 2)])
    local = energy[len(clip) :] - energy[: -len(clip)]
    norm = np.sqrt(np.maximum(local, 1e-6) * float(np.sum(clip.astype(np.float64) ** 2)))
    fit = np.abs(product) / np.maximum(norm, 1e-9)
    found = []
    while fit[at := int(fit.argmax())] >= FITS:
        found.append((float(fit[at]), at / SAMPLE_RATE))
        fit[max(0, at - len(clip)) : at + len(clip)] = 0
    return found


def played_words(said: Said, played: Sequence[Samples]) -> dict[str, list[float]]:
    """Return the seconds at which each word is heard; of words in one place the best one counts."""
    lengths = {word: len(clip) / SAMPLE_RATE for word, clip in said.words}
    heard = [
        (fit, at_s, word)
        for word, clip in said.words
        for sound in played
        for fit, at_s in occurrences(sound, clip)
    ]
    taken: list[tuple[float, float]] = []
    found: dict[str, list[float]] = {}
    for _fit, at_s, word in sorted(heard, reverse=True):
        end_s = at_s + lengths[word]
        shared_s = max((min(end_s, b) - max(at_s, a) for a, b in taken), default=0.0)
        if shared_s < OVERLAP * lengths[word]:
            taken.append((at_s, end_s))
            found.setdefault(word, []).append(at_s)
    return found


def account(
    said: Said, played: Sequence[Samples], found: Transcript
) -> tuple[dict[str, int], list[str]]:
    """Return the numbers of words by what became of them, and the lost ones with their seconds."""
    counts = dict.fromkeys(("words", "found", "misread", "reported", "lost"), 0)
    lost: list[str] = []
    written = [word for segment in found.segments for word in segment.words]
    # In joined files, lost sound may have another place on the clock of ffmpeg.
    unplaced_s = found.coverage.lost_s
    lengths = {word: len(clip) / SAMPLE_RATE for word, clip in said.words}
    for word, places in played_words(said, played).items():
        length_s = lengths[word]
        counts["words"] += len(places)
        same = [each for each in written if normalize_word(each.text) == word]
        # In joined files the clocks of ffmpeg and of the transcript may differ: the number counts.
        heard = min(len(places), len(same))
        counts["found"] += heard
        places.sort(key=lambda at_s: min((abs(each.start_s - at_s) for each in same), default=0.0))
        for at_s in places[heard:]:
            if _is_reported(found, at_s, at_s + length_s):
                counts["reported"] += 1
            elif any(
                each.start_s - NEAR_S < at_s + length_s and each.end_s + NEAR_S > at_s
                for each in written
            ):
                counts["misread"] += 1
            elif unplaced_s >= length_s:
                unplaced_s -= length_s
                counts["reported"] += 1
            else:
                counts["lost"] += 1
                lost.append(f"{word} at {at_s:.1f} s")
    return counts, lost


def _is_reported(found: Transcript, start_s: float, end_s: float) -> bool:
    spans = [(gap.start_s, gap.end_s) for gap in found.coverage.gaps]
    spans += [(w.start_s, w.end_s) for w in found.windows if w.flags]
    if any(start < end_s and end > start_s for start, end in spans):
        return True
    if found.truncated and end_s > found.media.duration_s - NEAR_S:
        return True
    return any("left out" in warning for warning in found.warnings)
