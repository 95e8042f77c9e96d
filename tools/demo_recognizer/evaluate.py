"""The acceptance figures: word errors, word times, and silence where there is no speech.

Everything runs through transformers' own ``generate``: greedy, with timestamps, the language
detected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from .speech import SAMPLE_RATE, Recordings
from .windows import REPEATS, WINDOW_SECONDS, Composer, Window
from .words import language_of

BATCH = 10
NO_SPEECH, LOG_PROBABILITY = 0.6, -1.0  # Whisper's own thresholds for "no speech"


@dataclass
class Score:
    """Errors and times over a set of utterances."""

    words: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    wrong_language: int = 0
    one_language: int = 0  # utterances in a single language: wrong_language counts among them
    start_errors: list[float] = field(default_factory=list)  # seconds, signed
    end_errors: list[float] = field(default_factory=list)
    worst: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def error_rate(self) -> float:
        """Word error rate, 0 to 1."""
        return (self.substitutions + self.deletions + self.insertions) / max(1, self.words)

    def line(self) -> str:
        """The figures in one line."""
        both = np.abs(self.start_errors + self.end_errors) * 1000
        starts, ends = (np.array(e) * 1000 for e in (self.start_errors, self.end_errors))
        return (
            f"WER {self.error_rate:.2%} ({self.words} words: {self.substitutions} wrong, "
            f"{self.deletions} lost, {self.insertions} added), language wrong "
            f"{self.wrong_language}/{self.one_language}, boundary error median "
            f"{np.median(both):.0f} ms, 95 % {np.quantile(both, 0.95):.0f} ms "
            f"(starts median {np.median(starts):+.0f} ms, 95 % "
            f"{np.quantile(np.abs(starts), 0.95):.0f}; ends median {np.median(ends):+.0f} ms, "
            f"95 % {np.quantile(np.abs(ends), 0.95):.0f})"
        )


def align(said: Sequence[str], recognized: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """Pair the words of two texts with the fewest edits; None stands for a missing partner."""
    cost = np.zeros((len(said) + 1, len(recognized) + 1), int)
    cost[:, 0], cost[0] = np.arange(len(said) + 1), np.arange(len(recognized) + 1)
    for i, a in enumerate(said, 1):
        for j, b in enumerate(recognized, 1):
            cost[i, j] = min(cost[i - 1, j] + 1, cost[i, j - 1] + 1, cost[i - 1, j - 1] + (a != b))
    pairs: list[tuple[int | None, int | None]] = []
    i, j = len(said), len(recognized)
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + (said[i - 1] != recognized[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif i and cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
            pairs.append((i, None))
        else:
            j -= 1
            pairs.append((None, j))
    return pairs[::-1]


class Evaluator:
    """Runs a saved recognizer the way any user of transformers would."""

    def __init__(self, folder: Path):
        self.model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        self.processor = WhisperProcessor.from_pretrained(folder)
        self.model.eval()
        self.first_stamp = self.model.generation_config.no_timestamps_token_id + 1

    def transcribe(self, windows: Sequence[Window]) -> list[tuple[str, list, list[int]]]:
        """Per window: language code, [(word, start, end)], and all tokens."""
        out = []
        tokenizer = self.processor.tokenizer
        for begin in range(0, len(windows), BATCH):
            audio = [w.audio for w in windows[begin : begin + BATCH]]
            frames = self.processor(
                audio, sampling_rate=SAMPLE_RATE, return_tensors="pt", return_attention_mask=True
            )
            languages = self.model.detect_language(frames.input_features)
            done = self.model.generate(
                frames.input_features,
                attention_mask=frames.attention_mask,  # where the sound ends, for the word times
                return_timestamps=True,
                return_token_timestamps=True,
                do_sample=False,
            )
            for tokens, times, language in zip(
                done["sequences"], done["token_timestamps"], languages, strict=True
            ):
                words, before = [], 0.0
                for token, time in zip(tokens.tolist(), times.tolist(), strict=True):
                    if token < self.model.config.eos_token_id:
                        text = tokenizer.decode([token]).strip()
                        words.append((text, before, time))
                    before = time
                code = tokenizer.decode([int(language)]).strip("<|>")
                out.append((code, words, tokens.tolist()))
        return out

    def _features(self, audio: Sequence[np.ndarray]) -> torch.Tensor:
        frames = self.processor(audio, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        return frames.input_features

    def score(self, windows: Sequence[Window], vocabulary: Sequence[str]) -> Score:
        """Compare with what was said."""
        score = Score()
        for window, (code, words, _) in zip(windows, self.transcribe(windows), strict=True):
            said = [vocabulary[w.index] for w in window.words]
            recognized = [text for text, _, _ in words]
            score.words += len(said)
            pure = len({language_of(word) for word in said}) == 1
            score.one_language += pure
            score.wrong_language += pure and code != window.language
            errors = 0
            for i, j in align(said, recognized):
                if i is None:
                    score.insertions += 1
                elif j is None:
                    score.deletions += 1
                elif said[i] != recognized[j]:
                    score.substitutions += 1
                else:
                    score.start_errors.append(words[j][1] - window.words[i].start)
                    score.end_errors.append(words[j][2] - window.words[i].end)
                    continue
                errors += 1
            score.worst.append((errors, " ".join(said), " ".join(recognized)))
        return score

    @torch.no_grad()
    def words_in_noise(self, windows: Sequence[Window]) -> tuple[int, int]:
        """Count windows without speech that give words: greedy alone, and behind Whisper's guard.

        The guard drops a window whose no-speech probability is above 0.6 while the mean
        log-probability of its tokens is below −1.
        """
        plain = guarded = 0
        tokenizer = self.processor.tokenizer
        start = tokenizer.convert_tokens_to_ids("<|startoftranscript|>")
        silent = self.model.generation_config.no_timestamps_token_id - 1
        for window, (_, words, tokens) in zip(windows, self.transcribe(windows), strict=True):
            if not words:
                continue
            plain += 1
            features = self._features([window.audio])
            text = torch.tensor([tokens])
            log_p = self.model(features, decoder_input_ids=text).logits.float().log_softmax(-1)
            first = self.model(features, decoder_input_ids=torch.tensor([[start]])).logits
            no_speech = first[0, 0].float().softmax(-1)[silent].item()
            mean = log_p[0, :-1].gather(1, text[0, 1:, None]).mean().item()
            guarded += not (no_speech > NO_SPEECH and mean < LOG_PROBABILITY)
        return plain, guarded


def draw_utterances(
    recordings: Recordings, known: bool, count: int, seed: int, plain: bool
) -> list[Window]:
    """Utterances of up to 30 s, three in ten of them German.

    The ``plain`` ones are phrases and pauses in one language, with noise and at any level. The
    others have all that training knows of: one in ten is in two languages, one in six unbroken,
    one phrase in eight a word said again and again, with rooms, bands, hum and chords.
    """
    speakers = np.flatnonzero(recordings.known == known)
    composer = Composer(recordings, speakers, repeats=0.0 if plain else REPEATS)
    rng = np.random.default_rng((seed, known))
    languages = [0.7, 0.3, 0.0] if plain else [0.65, 0.25, 0.1]
    kinds = [0.9, 0.1, 0.0] if plain else [0.75, 0.09, 0.16]
    out: list[Window] = []
    while len(out) < count:
        language = str(rng.choice(["en", "de", "mixed"], p=languages))
        kind = str(rng.choice(["phrases", "sparse", "unbroken"], p=kinds))
        seconds = rng.uniform(6, WINDOW_SECONDS)
        window = composer.speech(rng, language, kind, seconds, whole=True, plain=plain)
        if window.words:
            out.append(window)
    return out


def evaluate(folder: Path, recordings: Recordings, count: int = 200, seed: int = 99) -> str:
    """All acceptance figures as lines of text."""
    evaluator = Evaluator(folder)
    lines = []
    for plain in (True, False):
        for known in (True, False):
            windows = draw_utterances(recordings, known, count, seed, plain)
            score = evaluator.score(windows, recordings.words)
            name = f"{'plain' if plain else 'hard'}, {'known' if known else 'held-out'} voices"
            lines.append(f"{name}: {score.line()}")
    rng = np.random.default_rng(seed + 1)
    composer = Composer(recordings, np.flatnonzero(recordings.known))
    silent = [composer.without_speech(rng) for _ in range(50)]
    plain, guarded = evaluator.words_in_noise(silent)
    lines.append(f"without speech: words in {plain} of 50 (greedy), {guarded} (with the guard)")
    return "\n".join(lines)
