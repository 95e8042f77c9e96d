"""Compose speech for tests from recorded words, so that every word and its time are known.

The module needs only numpy and soundfile; the recordings are ``tests/data/wordbank.flac``. All
audio is float32, mono, 16 kHz, shape (samples,); times are in seconds. Typical use::

    bank = WordBank.load()
    rng = np.random.default_rng(1)
    talk = compose(bank, "before every | river garden | 2.5 | null eins zwei", rng=rng, noise_db=25)
    write_wav(tmp_path / "talk.wav", talk)
    assert talk.words[0] == ("before", 0.5, ...)

A *plan* is a string of words in which ``|`` (or a new line) is a pause of ordinary length and a
number is a pause of that many seconds; or a list of words, ``"|"`` and floats.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

SAMPLE_RATE = 16_000  # Hz
DATA = Path(__file__).resolve().parents[1] / "data"
PEAK = 0.5  # of composed speech, before noise: −6 dBFS

Plan = str | Sequence["str | float"]
Word = tuple[str, float, float]  # text, first second, last second


@dataclass(frozen=True)
class Composition:
    """Audio with its words and their times.

    ``audio``: float32 (samples,) at 16 kHz; ``words``: (text, start, end) in order;
    ``language``: "en" or "de", the language with more speech (None without speech).
    """

    audio: np.ndarray
    words: list[Word]
    language: str | None

    @property
    def text(self) -> str:
        """Return the words with spaces between them."""
        return " ".join(word for word, _, _ in self.words)

    @property
    def seconds(self) -> float:
        """Return the length of the audio in seconds."""
        return len(self.audio) / SAMPLE_RATE


class WordBank:
    """Recorded words of several voices. A voice speaks one language.

    The name of an English voice has its accent, variant, pitch and speed ("en-us+f1-p50-s170");
    the names of German voices begin with "de". The demo recognizer was trained on the *known*
    voices and not on the others.
    """

    def __init__(self, audio: np.ndarray, entries: Sequence[Mapping]):
        self._clips: dict[tuple[str, str], np.ndarray] = {}
        self._voices: dict[str, tuple[str, bool]] = {}
        for entry in entries:
            clip = audio[entry["start"] : entry["start"] + entry["samples"]]
            self._clips[entry["voice"], entry["word"]] = clip
            self._voices[entry["voice"]] = (entry["language"], entry["set"] == "known")

    @classmethod
    def load(cls, folder: Path = DATA) -> WordBank:
        """Read ``wordbank.flac`` and ``wordbank.json`` from ``folder``."""
        index = json.loads((folder / "wordbank.json").read_text(encoding="utf-8"))
        audio, rate = soundfile.read(folder / "wordbank.flac", dtype="float32")
        if rate != SAMPLE_RATE:
            raise ValueError(f"the word bank is at {rate} Hz, expected {SAMPLE_RATE}")
        return cls(audio, index["words"])

    def voices(self, language: str | None = None, known: bool | None = None) -> list[str]:
        """Return the names of the voices, optionally of one language or of one set."""
        return [
            name
            for name, (spoken, trained) in self._voices.items()
            if language in (None, spoken) and known in (None, trained)
        ]

    def language(self, voice: str) -> str:
        """Return the language of a voice, "en" or "de"."""
        return self._voices[voice][0]

    def words(self, language: str) -> list[str]:
        """Return all recorded words of a language, in the order of the vocabulary."""
        voice = self.voices(language)[0]
        return [word for name, word in self._clips if name == voice]

    def language_of(self, word: str) -> str:
        """Return the language of a word; raise KeyError for a word that was not recorded."""
        for voice, text in self._clips:
            if text == word:
                return self.language(voice)
        raise KeyError(f"{word!r} is not in the word bank")

    def clip(self, word: str, voice: str) -> np.ndarray:
        """Return one recording without silence at its ends, peak at about 0.7."""
        return self._clips[voice, word]


def compose(
    bank: WordBank,
    plan: Plan,
    voice: str | Mapping[str, str] | None = None,
    rng: np.random.Generator | None = None,
    *,
    gap: tuple[float, float] = (0.03, 0.15),
    pause: tuple[float, float] = (0.4, 1.0),
    lead: float = 0.5,
    trail: float = 0.5,
    noise_db: float | None = None,
    noise_kind: str = "pink",
    peak: float = PEAK,
) -> Composition:
    """Return the speech of a plan.

    ``voice``: one voice (words of the other language then use a voice of that language from the
    same set), or a voice per language, or None for the first known voices. ``gap`` and ``pause``:
    limits in seconds of the random silence between words of a phrase and at ``|``. ``lead``,
    ``trail``: seconds before the first and after the last word. ``noise_db``: speech-to-noise
    ratio in dB, None for no noise. ``rng``: without it, the same call returns the same audio.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    chosen = _voices(bank, voice)
    pieces = [np.zeros(round(lead * SAMPLE_RATE), np.float32)]
    at = len(pieces[0])
    words: list[Word] = []
    new_phrase, wait = True, 0.0  # `wait`: silence in s before the next phrase
    for item in _items(plan):
        if item == "|":
            wait, new_phrase = wait + rng.uniform(*pause), True
            continue
        if isinstance(item, float):
            wait, new_phrase = wait + item, True
            continue
        clip = bank.clip(item, chosen[bank.language_of(item)])
        silent = round((wait if new_phrase else rng.uniform(*gap)) * SAMPLE_RATE)
        pieces += [np.zeros(silent, np.float32), clip]
        at += silent
        words.append((item, at / SAMPLE_RATE, (at + len(clip)) / SAMPLE_RATE))
        at += len(clip)
        wait, new_phrase = 0.0, False
    pieces.append(np.zeros(round((wait + trail) * SAMPLE_RATE), np.float32))
    audio = np.concatenate(pieces)
    if words:
        audio *= peak / np.abs(audio).max()
    if noise_db is not None:
        audio = add_noise(audio, noise_db, rng, noise_kind)
    return Composition(audio, words, _main_language(bank, words))


def random_plan(
    bank: WordBank,
    count: int,
    rng: np.random.Generator,
    language: str = "en",
    phrase: tuple[int, int] = (2, 7),
) -> list[str | float]:
    """Return a plan of ``count`` random words in phrases of ``phrase`` words, with pauses between.

    With ``language`` "mixed", each phrase has a random language.
    """
    plan: list[str | float] = []
    spoken = 0
    while spoken < count:
        code = language if language != "mixed" else str(rng.choice(["en", "de"]))
        size = min(int(rng.integers(*phrase, endpoint=True)), count - spoken)
        plan += [str(word) for word in rng.choice(bank.words(code), size)] + ["|"]
        spoken += size
    return plan[:-1]


def continuous_speech(
    bank: WordBank,
    seconds: float,
    rng: np.random.Generator,
    language: str = "en",
    voice: str | Mapping[str, str] | None = None,
    **options,
) -> Composition:
    """Return speech without pauses of at least ``seconds``; ``options`` as for ``compose``."""
    words = [str(w) for w in rng.choice(bank.words(language), int(seconds / 0.25) + 8)]
    options = {"lead": 0.0, "trail": 0.0, "gap": (0.02, 0.12)} | options
    longest = compose(bank, words, voice, rng, **options)
    last = next(
        (i for i, (_, _, end) in enumerate(longest.words) if end >= seconds),
        len(longest.words) - 1,
    )
    stop = round((longest.words[last][2] + options["trail"]) * SAMPLE_RATE)
    return replace(longest, audio=longest.audio[:stop], words=longest.words[: last + 1])


def join(*parts: Composition, pause: float = 1.0) -> Composition:
    """Concatenate compositions with ``pause`` seconds of silence between them."""
    audio: list[np.ndarray] = []
    words: list[Word] = []
    spoken: dict[str, float] = {}
    at = 0
    for number, part in enumerate(parts):
        if number:
            audio.append(silence(pause))
            at += len(audio[-1])
        shift = at / SAMPLE_RATE
        words += [(text, start + shift, end + shift) for text, start, end in part.words]
        if part.language:
            length = sum(end - start for _, start, end in part.words)
            spoken[part.language] = spoken.get(part.language, 0.0) + length
        audio.append(part.audio)
        at += len(part.audio)
    language = max(spoken, key=lambda code: spoken[code]) if spoken else None
    return Composition(np.concatenate(audio), words, language)


def without_speech(audio: np.ndarray) -> Composition:
    """Return a composition of audio without speech (noise, chords, silence), for ``join``."""
    return Composition(audio, [], None)


def silence(seconds: float) -> np.ndarray:
    """Return digital silence."""
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def noise(seconds: float, rng: np.random.Generator, kind: str = "pink") -> np.ndarray:
    """Return steady noise, RMS 0.1 (−20 dBFS); ``kind``: "white", "pink", "brown" or "hum"."""
    count = round(seconds * SAMPLE_RATE)
    if kind == "hum":
        clock = np.arange(count) / SAMPLE_RATE
        out = sum(np.sin(2 * np.pi * 50 * k * clock + rng.uniform(0, 6)) / k for k in range(1, 7))
    else:
        slope = {"white": 0.0, "pink": 0.5, "brown": 1.0}[kind]
        length = _fast_length(count)
        spectrum = np.fft.rfft(np.resize(rng.standard_normal(count), length))
        spectrum *= np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE), 20.0) ** -slope
        out = np.fft.irfft(spectrum, length)[:count]
    return (0.1 * out / np.sqrt(np.mean(out**2))).astype(np.float32)


def _fast_length(count: int) -> int:
    """Return the least length from `count` on whose only prime factors are 2, 3 and 5.

    A Fourier transform of a length with a large prime factor takes up to ten times as long.
    """
    odd = [3**three * 5**five for three in range(14) for five in range(10)]
    return min(part << (-(-count // part) - 1).bit_length() for part in odd)


def chords(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Return music-like sound, RMS 0.1: successive triads of plucked harmonic tones."""
    out = np.zeros(round(seconds * SAMPLE_RATE))
    at = 0
    while at < len(out):
        clock = np.arange(min(int(rng.uniform(0.3, 1.2) * SAMPLE_RATE), len(out) - at))
        clock = clock / SAMPLE_RATE
        root = 110 * 2 ** (rng.integers(0, 25) / 12)
        third = rng.choice([3, 4])
        for pitch in root * 2 ** (np.array([0, third, 7]) / 12):
            for k in range(1, 5):
                tone = np.sin(2 * np.pi * pitch * k * clock + rng.uniform(0, 6)) / k**1.3
                out[at : at + len(clock)] += tone * np.exp(-2 * clock) * np.minimum(1, clock / 0.01)
        at += len(clock)
    return (0.1 * out / np.sqrt(np.mean(out**2))).astype(np.float32)


def add_noise(
    audio: np.ndarray, db: float, rng: np.random.Generator, kind: str = "pink"
) -> np.ndarray:
    """Add noise ``db`` decibels below the speech (the samples that are not silent).

    ``kind`` is as in ``noise``, or "chords". The sum is scaled down if it would clip.
    """
    spoken = audio[np.abs(audio) > 1e-3]
    loudness = np.sqrt(np.mean(spoken**2)) if len(spoken) else 0.1
    length = len(audio) / SAMPLE_RATE
    other = chords(length, rng) if kind == "chords" else noise(length, rng, kind)
    out = audio + other[: len(audio)] * (loudness * 10 ** (-db / 20) / 0.1)
    return (out / max(1.0, np.abs(out).max() / 0.99)).astype(np.float32)


def write_wav(path: Path, sound: Composition | np.ndarray, rate: int = SAMPLE_RATE) -> Path:
    """Write 16-bit PCM to ``path`` (WAV or FLAC by its suffix) and return it.

    ``rate`` only sets the header: the caller must resample the samples to a different rate.
    """
    audio = sound.audio if isinstance(sound, Composition) else sound
    soundfile.write(path, audio, rate, subtype="PCM_16")
    return path


def _items(plan: Plan) -> list[str | float]:
    if not isinstance(plan, str):
        return [item if isinstance(item, str) else float(item) for item in plan]
    parts = plan.replace("\n", " | ").split()
    return [float(part) if part[0].isdigit() else part for part in parts]


def _voices(bank: WordBank, voice: str | Mapping[str, str] | None) -> dict[str, str]:
    chosen = {code: bank.voices(code, known=True)[0] for code in ("en", "de")}
    if isinstance(voice, str):
        known = voice in bank.voices(known=True)
        chosen = {code: bank.voices(code, known=known)[0] for code in ("en", "de")}
        chosen[bank.language(voice)] = voice
    elif voice is not None:
        chosen |= voice
    return chosen


def _main_language(bank: WordBank, words: Sequence[Word]) -> str | None:
    spoken: dict[str, float] = {}
    for text, start, end in words:
        code = bank.language_of(text)
        spoken[code] = spoken.get(code, 0.0) + end - start
    return max(spoken, key=lambda code: spoken[code]) if spoken else None
