"""Log-mel windows on disk: what the encoder sees, together with the words to be learnt."""

from __future__ import annotations

import functools
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from transformers import WhisperFeatureExtractor

from .speech import Recordings
from .windows import N_SAMPLES, TEMPO, TRAINING_REPEATS, Composer, Window

N_FFT, HOP, N_MELS = 400, 160, 80
N_FRAMES = N_SAMPLES // HOP  # 3,000 log-mel frames of 10 ms
MAX_WORDS = 150  # a 30-s window of the fastest voice saying the shortest digits stays below


@functools.cache
def _filters() -> torch.Tensor:
    return torch.from_numpy(WhisperFeatureExtractor(feature_size=N_MELS).mel_filters).float()


def log_mel(audio: np.ndarray) -> torch.Tensor:
    """Whisper's log-mel of ``audio`` (samples,), padded with zeros to 30 s: (80, 3000)."""
    padded = torch.zeros(N_SAMPLES)
    padded[: len(audio)] = torch.from_numpy(audio)
    spectrum = torch.stft(padded, N_FFT, HOP, window=torch.hann_window(N_FFT), return_complex=True)
    mel = _filters().T @ (spectrum[:, :-1].abs() ** 2)
    log = mel.clamp(min=1e-10).log10()
    return (log.clamp(min=log.max() - 8.0) + 4.0) / 4.0


def word_table(window: Window) -> np.ndarray:
    """The words as float32 (MAX_WORDS, 3): index, start, end in seconds; unused rows are −1."""
    table = np.full((MAX_WORDS, 3), -1, np.float32)
    for row, word in enumerate(window.words):
        table[row] = word.index, word.start, word.end
    return table


def _make(job: tuple) -> int:
    folder, name, ffmpeg, begin, end, known, tempo, seed = job
    torch.set_num_threads(1)
    recordings = Recordings(Path(folder))
    speakers = np.flatnonzero(recordings.known == known)
    composer = Composer(recordings, speakers, ffmpeg, tempo, TRAINING_REPEATS)
    mels = np.load(Path(folder) / f"{name}_mels.npy", mmap_mode="r+")
    tables = np.load(Path(folder) / f"{name}_words.npy", mmap_mode="r+")
    languages = np.load(Path(folder) / f"{name}_languages.npy", mmap_mode="r+")
    for i in range(begin, end):
        window = composer.draw(np.random.default_rng((seed, i, int(known))))
        mels[i] = log_mel(window.audio).numpy()
        tables[i] = word_table(window)
        languages[i] = window.language == "de"
    return end - begin


def make_windows(
    folder: Path,
    name: str,
    count: int,
    known: bool,
    ffmpeg: str | None = None,
    tempo: tuple[float, float] = TEMPO,
    seed: int = 7,
    workers: int | None = None,
) -> None:
    """Compose windows and write their mels (count, 80, 3000) as fp16 with words and languages."""
    shapes = {"mels": ((count, N_MELS, N_FRAMES), np.float16)}
    shapes["words"] = ((count, MAX_WORDS, 3), np.float32)
    shapes["languages"] = ((count,), np.int8)
    for part, (shape, dtype) in shapes.items():
        np.lib.format.open_memmap(folder / f"{name}_{part}.npy", "w+", dtype, shape).flush()
    step = 50
    jobs = [
        (str(folder), name, ffmpeg, i, min(i + step, count), known, tempo, seed)
        for i in range(0, count, step)
    ]
    with ProcessPoolExecutor(workers) as pool:
        for done in pool.map(_make, jobs):
            del done
