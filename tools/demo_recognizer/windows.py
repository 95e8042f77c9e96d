"""Training windows: up to 30 s of composed speech whose words and times are known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import sounds
from .speech import SAMPLE_RATE, Recordings

WINDOW_SECONDS = 30
N_SAMPLES = WINDOW_SECONDS * SAMPLE_RATE
SEGMENT_PAUSE = 0.25  # s: a longer pause between two words begins a new segment
SEGMENT_WORDS = 7  # a segment holds no more words than this
TEMPO = (0.93, 1.08)  # each speaker's words are played this much faster and higher
WIDE_TEMPO = (0.87, 1.14)  # the same, where more voices are wanted than espeak has
CUT_SHARE = 0.4  # of a word cut by an edge may be heard at most: more, and it might be the word
REPEATS = 0.12  # of phrases are one word said again and again; training meets more of them
TRAINING_REPEATS = 0.2


@dataclass(frozen=True)
class Word:
    """A spoken word: its number in the vocabulary and its first and last second."""

    index: int
    start: float
    end: float


@dataclass(frozen=True)
class Window:
    """``audio``: float32 (samples,) of at most 30 s; its words in order; its main language."""

    audio: np.ndarray
    words: tuple[Word, ...]
    language: str


def segments(words: tuple[Word, ...]) -> list[list[Word]]:
    """Split words into segments: at pauses, and after ``SEGMENT_WORDS`` words."""
    out: list[list[Word]] = []
    for word in words:
        full = not out or len(out[-1]) == SEGMENT_WORDS
        if full or word.start - out[-1][-1].end > SEGMENT_PAUSE:
            out.append([])
        out[-1].append(word)
    return out


class Composer:
    """Draws windows from the recordings of some speakers."""

    def __init__(
        self,
        recordings: Recordings,
        speakers: np.ndarray,
        ffmpeg: str | None = None,
        tempo: tuple[float, float] = TEMPO,
        repeats: float = REPEATS,
    ):
        self.recordings, self.speakers = recordings, speakers
        self.ffmpeg, self.tempo, self.repeats = ffmpeg, tempo, repeats

    def draw(self, rng: np.random.Generator) -> Window:
        """One window of a random kind, in the shares that the training uses."""
        kind = rng.choice(
            ["phrases", "sparse", "unbroken", "short", "single", "no speech"],
            p=[0.36, 0.06, 0.27, 0.16, 0.06, 0.09],
        )
        if kind == "no speech":
            return self.without_speech(rng)
        language = rng.choice(["en", "de", "mixed"], p=[0.50, 0.27, 0.23])
        seconds = float(WINDOW_SECONDS)
        if kind == "short":
            seconds = rng.uniform(1, 8)
        elif kind == "single":
            seconds = rng.uniform(0.9, 3)
        elif kind == "phrases" and rng.random() < 0.3:
            seconds = rng.uniform(8, 30)
        return self.speech(rng, language, kind, seconds)

    def speech(
        self,
        rng: np.random.Generator,
        language: str,
        kind: str,
        seconds: float,
        whole: bool = False,
        plain: bool = False,
    ) -> Window:
        """A window of ``seconds`` with speech in ``language`` ("en", "de" or "mixed").

        A ``whole`` one ends after its last whole word, as an utterance does, and is as much
        shorter. A ``plain`` one has noise and a level, but no room, band or codec.
        """
        dry, words = self._place(rng, language, kind, int(seconds * SAMPLE_RATE))
        if not words:
            return self.without_speech(rng)
        if whole:
            end = int(words[-1].end * SAMPLE_RATE) + 1
            dry[end:] = 0
            dry = dry[: end + int(rng.uniform(0.02, 0.6) * SAMPLE_RATE)]
        audio = self._in_noise(dry, rng) if plain else self._degrade(dry, rng)
        spoken = {"en": 0.0, "de": 0.0}
        for word in words:
            code = "de" if word.index in self.recordings.by_language["de"] else "en"
            spoken[code] += word.end - word.start
        return Window(audio, tuple(words), max(spoken, key=lambda code: spoken[code]))

    def without_speech(self, rng: np.random.Generator) -> Window:
        """Noise, chords, hum, clicks or silence, alone or together."""
        count = int(rng.uniform(1, 30) * SAMPLE_RATE) if rng.random() < 0.4 else N_SAMPLES
        audio = np.zeros(count, np.float32)
        for make in (sounds.noise, sounds.chords, sounds.hum, sounds.clicks):
            if rng.random() < 0.45:
                audio += make(count, rng) * 10 ** (rng.uniform(-25, 0) / 20)
        if rng.random() < 0.2:
            audio = sounds.band_limit(audio, rng.uniform(3000, 7000))
        return Window(_level(audio, rng.uniform(-60, -1)), (), "en")

    def _phrase(self, rng, language: str) -> list[int]:
        """Word numbers of one phrase: 1–7 words, or now and then the same word repeated."""
        pool = self.recordings.by_language[language]
        if rng.random() < self.repeats:
            return [int(rng.choice(pool))] * int(rng.integers(2, 7))
        return [int(i) for i in rng.choice(pool, rng.integers(1, SEGMENT_WORDS, endpoint=True))]

    def _place(self, rng, language: str, kind: str, count: int) -> tuple[np.ndarray, list[Word]]:
        """Lay phrases on ``count`` silent samples; words cut by an edge do not count.

        Nor are they heard, but for a beginning or an end too short to tell the word by.
        """
        dry = np.zeros(count, np.float32)
        words: list[Word] = []
        lead = rng.choice([0.0, rng.uniform(0, 0.4), rng.uniform(0, 3)], p=[0.2, 0.5, 0.3])
        if kind == "single":
            lead = rng.uniform(0, 0.5)
        if kind == "unbroken" and rng.random() < 0.2:
            lead = -rng.uniform(0.1, 0.3)  # the window begins in the middle of a word
        at = int(lead * SAMPLE_RATE)
        tail = rng.uniform(0.0, 0.6) if kind == "short" else 0.0
        many = rng.random() < 0.3
        speaker, tempo = self._speaker(rng)
        while at < count:
            if many and rng.random() < 0.4:
                speaker, tempo = self._speaker(rng)
            code = language if language != "mixed" else str(rng.choice(["en", "de"]))
            phrase = self._phrase(rng, code)
            if kind == "single":
                phrase = phrase[:1]
            gain = 10 ** (rng.uniform(-4, 4) / 20)
            widest = rng.uniform(0.02, 0.2)
            for number in phrase:
                clip = _resample(self.recordings.get(speaker, number), tempo) * gain
                if kind in ("short", "single") and at + len(clip) > count:
                    return dry, words  # short windows end in silence, not within a word
                seen = clip[max(0, -at) : count - at] if at < count else clip[:0]
                if len(seen) < len(clip) and len(seen) > CUT_SHARE * len(clip):
                    seen = seen[:0]
                dry[max(0, at) : max(0, at) + len(seen)] += seen
                if at >= 0 and at + len(clip) <= count:
                    words.append(Word(number, at / SAMPLE_RATE, (at + len(clip)) / SAMPLE_RATE))
                at += len(clip) + int(rng.uniform(0.02, widest) * SAMPLE_RATE)
            if kind == "single" or (kind == "short" and at > (1 - tail) * count):
                break
            at += int(self._pause(rng, kind) * SAMPLE_RATE)
        return dry, words

    def _pause(self, rng, kind: str) -> float:
        if kind == "unbroken":
            return 0.0 if rng.random() < 0.95 else rng.uniform(0.3, 0.6)
        if kind == "sparse" and rng.random() < 0.5:
            return rng.uniform(3, 12)
        return rng.choice([rng.uniform(0.3, 1.0), rng.uniform(0.3, 3.0)])

    def _speaker(self, rng) -> tuple[int, float]:
        return int(rng.choice(self.speakers)), rng.uniform(*self.tempo)

    def _in_noise(self, dry: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Give clean speech noise 8 to 45 dB below it, mostly, and a level."""
        loudness = np.sqrt(np.mean(dry[np.abs(dry) > 1e-3] ** 2) + 1e-12)
        if rng.random() < 0.85:
            dry = dry + sounds.noise(len(dry), rng) * _below(loudness, rng.uniform(8, 45))
        return _level(dry, rng.uniform(-30, -1)).astype(np.float32)

    def _degrade(self, dry: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Give clean speech a room, a microphone, noise, a codec and a level."""
        audio = dry
        if rng.random() < 0.15:
            audio = sounds.reverberate(audio, rng)
        if rng.random() < 0.5:
            audio = sounds.colour(audio, rng)
        loudness = np.sqrt(np.mean(audio[np.abs(audio) > 1e-3] ** 2) + 1e-12)
        if rng.random() < 0.85:
            audio = audio + sounds.noise(len(audio), rng) * _below(loudness, rng.uniform(8, 45))
        if rng.random() < 0.12:
            audio = audio + sounds.chords(len(audio), rng) * _below(loudness, rng.uniform(10, 35))
        if rng.random() < 0.06:
            audio = audio + sounds.hum(len(audio), rng) * _below(loudness, rng.uniform(10, 35))
        if rng.random() < 0.05:
            audio = audio + sounds.clicks(len(audio), rng) * loudness * rng.uniform(0.2, 1.5)
        draw = rng.random()
        if draw < 0.12:
            audio = sounds.band_limit(audio, rng.uniform(3400, 4000))
        elif draw < 0.22:
            audio = sounds.band_limit(audio, rng.uniform(4500, 7500))
        audio = _level(audio, rng.uniform(-30, -1))
        if self.ffmpeg and rng.random() < 0.1:
            audio = sounds.through_aac(audio, self.ffmpeg, int(rng.choice([24, 32, 48, 64])))
        return audio.astype(np.float32)


def _below(loudness: float, decibels: float) -> float:
    return loudness * 10 ** (-decibels / 20)


def _level(audio: np.ndarray, peak_db: float) -> np.ndarray:
    return audio * (10 ** (peak_db / 20) / (np.abs(audio).max() + 1e-9))


def _resample(clip: np.ndarray, tempo: float) -> np.ndarray:
    """Play ``clip`` faster (and higher) by the factor ``tempo``."""
    positions = np.arange(0, len(clip) - 1, tempo)
    return np.interp(positions, np.arange(len(clip)), clip).astype(np.float32)
