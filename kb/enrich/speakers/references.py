"""Names of speakers by recordings of their voices: the reference that is the most alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kb.asr.audio.vad import SpeechDetector, spans
from kb.enrich.speakers.clustering import Vectors
from kb.enrich.speakers.diarization import RULE, window_starts
from kb.enrich.speakers.encoder import VoiceEncoder
from kb.errors import MediaUnavailable
from kb.media import SAMPLE_RATE_HZ
from kb.media.decode import decode

LEAST_ALIKE = 0.82  # cosine of two voices that are taken for one: equal ones had 0.9, others 0.8


def names_of(
    voices: Vectors, references: Sequence[tuple[str, Path]], weights: Path
) -> dict[int, str]:
    """Return the names of those speakers whose voice is one of the references.

    `voices` are those of `Diarization`. Each reference names one speaker at most, the most alike
    pair first. Raises MediaUnavailable for a reference without speech, and the errors of `decode`
    and `VoiceEncoder`.
    """
    encoder = VoiceEncoder(weights)
    if not len(voices) or not references:
        for _, path in references:
            voice_of(path, encoder)
        return {}
    alike = voices @ np.stack([voice_of(path, encoder) for _, path in references]).T
    found: dict[int, str] = {}
    for _ in range(min(alike.shape)):
        speaker, number = (int(each) for each in np.unravel_index(alike.argmax(), alike.shape))
        if alike[speaker, number] < LEAST_ALIKE:
            break
        found[speaker] = references[number][0]
        alike[speaker, :] = alike[:, number] = -np.inf
    return found


def voice_of(path: Path, encoder: VoiceEncoder) -> Vectors:
    """Return the mean voice of a recording as a unit vector."""
    detector = SpeechDetector().stream()
    with decode(path) as stream:
        blocks = list(stream)
    sound = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    speech = spans(np.concatenate([detector.push(sound), detector.finish()]), RULE)
    if not speech:
        raise MediaUnavailable(
            "speakers.no_voice",
            "{path} has no speech.",
            hint="Give a recording of one person who speaks.",
            path=path,
        )
    starts = window_starts(speech, sound.size / SAMPLE_RATE_HZ)
    vectors = encoder.embed(sound, np.round(starts * SAMPLE_RATE_HZ).astype(np.int64))
    mean = vectors.mean(axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)
