"""The word bank of the tests: recorded words of a few speakers in one small FLAC file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

from .speech import SAMPLE_RATE, Recordings
from .words import language_of

MAX_BYTES = 2_000_000
BITS = 9  # of 16: the rest is zero, which FLAC stores for nothing (noise 54 dB below the peak)
GUARD = 160  # samples (10 ms) of silence between two recordings
PEAK = 0.7


def choose(recordings: Recordings, known: bool, count: int) -> list[int]:
    """Speakers of different variants and accents, fast ones first: their words need least room."""
    order = sorted(
        np.flatnonzero(recordings.known == known),
        key=lambda i: -int(recordings.names[i].rsplit("-s", 1)[1]),
    )
    chosen: list[int] = []
    accents: list[str] = []
    for number in order:
        accent, rest = recordings.names[number].split("+")
        variant = rest.split("-p")[0]
        taken = [recordings.names[i].split("+")[1].split("-p")[0] for i in chosen]
        unwanted = ("klatt", "grand", "robo", "iven")
        if accent in accents or variant in taken or variant.startswith(unwanted):
            continue
        if chosen and _is_female(variant) == _is_female(taken[-1]):
            continue
        chosen.append(int(number))
        accents.append(accent)
        if len(chosen) == count:
            break
    return chosen


def write_wordbank(recordings: Recordings, folder: Path, voices: int = 2) -> int:
    """Write ``wordbank.flac`` and ``wordbank.json`` with ``voices`` known and as many held-out
    speakers, each of whom says the English words and, as a voice of its own, the German ones.

    Returns the size of both files in bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pieces, entries, at = [], [], 0
    for known in (True, False):
        for speaker in choose(recordings, known, voices):
            accent, rest = recordings.names[speaker].split("+")
            for number, word in enumerate(recordings.words):
                clip = recordings.get(speaker, number) * PEAK
                step = 2.0 ** (1 - BITS)
                clip = np.round(clip / step) * step
                language = language_of(word)
                entries.append(
                    {
                        "word": word,
                        "language": language,
                        "voice": f"{'de' if language == 'de' else accent}+{rest}",
                        "set": "known" if known else "held_out",
                        "start": at,
                        "samples": len(clip),
                    }
                )
                pieces += [clip, np.zeros(GUARD, np.float32)]
                at += len(clip) + GUARD
    audio = np.concatenate(pieces)
    flac, index = folder / "wordbank.flac", folder / "wordbank.json"
    soundfile.write(flac, audio, SAMPLE_RATE, subtype="PCM_16", compression_level=1.0)
    rows = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    head = f'{{"sample_rate": {SAMPLE_RATE},\n"words": [\n'
    index.write_text(f"{head}{rows}\n]}}\n", encoding="utf-8")
    size = flac.stat().st_size + index.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"the word bank takes {size} bytes, more than {MAX_BYTES}")
    return size


def _is_female(variant: str) -> bool:
    female = "f1 f2 f3 f4 f5 Andrea anika aunty belinda grandma linda steph steph2 steph3"
    return variant in [*female.split(), "Annie", "Alicia"]
