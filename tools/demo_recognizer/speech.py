"""Word recordings: espeak-ng says every word of the vocabulary once per speaker."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from .words import Speaker, language_of

SAMPLE_RATE = 16_000  # Hz, what Whisper hears
ESPEAK_RATE = 22_050  # Hz, what espeak-ng writes
TRIM_HOP = 80  # samples (5 ms): the step at which silence is trimmed
TRIM_DB = -42.0  # quieter than this, against the word's loudest 5 ms, is not part of the word


def trim(audio: np.ndarray) -> np.ndarray:
    """Cut the silence off both ends of ``audio`` (samples,), to within 5 ms."""
    blocks = len(audio) // TRIM_HOP
    power = (audio[: blocks * TRIM_HOP].reshape(blocks, TRIM_HOP) ** 2).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (TRIM_DB / 10))
    return audio[loud[0] * TRIM_HOP : (loud[-1] + 1) * TRIM_HOP]


def say(word: str, speaker: Speaker) -> np.ndarray:
    """Synthesise one word: float32 (samples,) at 16 kHz, trimmed, peak at 1."""
    voice = "de" if language_of(word) == "de" else speaker.accent
    how = ["-v", f"{voice}+{speaker.variant}", "-p", str(speaker.pitch), "-s", str(speaker.speed)]
    command = ["espeak-ng", *how, "--stdout", word]
    done = subprocess.run(command, capture_output=True, check=True)
    audio, rate = soundfile.read(io.BytesIO(done.stdout), dtype="float32")
    if rate != ESPEAK_RATE:
        raise ValueError(f"espeak-ng wrote {rate} Hz, expected {ESPEAK_RATE}")
    audio = trim(resample_poly(audio, 320, 441).astype(np.float32))  # 22,050 * 320 / 441 = 16,000
    return audio / np.abs(audio).max()


def _say_all(job: tuple[Speaker, Sequence[str]]) -> list[np.ndarray]:
    speaker, words = job
    return [(say(word, speaker) * 32767).astype(np.int16) for word in words]


def synthesise(speakers: Sequence[Speaker], words: Sequence[str], folder: Path) -> None:
    """Write ``words.npy`` (all samples, int16) and ``words.json`` (who says what, where)."""
    with ProcessPoolExecutor() as pool:
        said = list(pool.map(_say_all, [(s, words) for s in speakers], chunksize=2))
    recordings = [audio for per_speaker in said for audio in per_speaker]
    lengths = np.array([len(audio) for audio in recordings]).reshape(len(speakers), len(words))
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).reshape(lengths.shape)
    np.save(folder / "words.npy", np.concatenate(recordings))
    index = {
        "words": list(words),
        "speakers": [{"name": s.name, "known": s.known} for s in speakers],
        "starts": starts.tolist(),
        "lengths": lengths.tolist(),
    }
    (folder / "words.json").write_text(json.dumps(index), encoding="utf-8")


class Recordings:
    """The synthesised words of all speakers, memory-mapped."""

    def __init__(self, folder: Path):
        index = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        self.words: list[str] = index["words"]
        self.names: list[str] = [s["name"] for s in index["speakers"]]
        self.known = np.array([s["known"] for s in index["speakers"]])
        self._starts, self._lengths = index["starts"], index["lengths"]
        self._samples = np.load(folder / "words.npy", mmap_mode="r")
        languages = np.array([language_of(word) for word in self.words])
        self.by_language = {code: np.flatnonzero(languages == code) for code in ("en", "de")}

    def get(self, speaker: int, word: int) -> np.ndarray:
        """The recording of word number ``word``: float32 (samples,) at 16 kHz, peak at 1."""
        start, length = self._starts[speaker][word], self._lengths[speaker][word]
        return self._samples[start : start + length].astype(np.float32) / 32767
