"""Converts Whisper's tokens into words with times, for all engines of the family."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kb.asr.audio.word_edges import snap_to_sound, snap_to_speech
from kb.asr.engines.base import DecodingResult
from kb.asr.engines.whisper.alignment import FRAME_S
from kb.asr.engines.whisper.token_text import TokenText
from kb.asr.windows.windowing import Window
from kb.types import Segment, SegmentDecoding, Word


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """The decoded tokens of one window.

    `token_ids`: text and timestamp tokens, without prompt and end; `edges`: start of each token,
    in seconds from the window's start, and the end of the last; `logprobs`: log-probability of
    each token.
    """

    token_ids: Sequence[int]
    edges: Sequence[float]
    logprobs: Sequence[float]


@dataclass(frozen=True, slots=True)
class _Phrase:
    """Text tokens between two timestamp tokens; `first` and `end` are indices of tokens."""

    first: int
    end: int
    start_s: float
    end_s: float | None


@dataclass(frozen=True, slots=True)
class UnreadTokens:
    """The decoded tokens of a window, of which `read` makes words."""

    aligner: WordAligner
    window: Window
    tokens: TokenizedText
    language: str
    no_speech: float
    temperature: float = 0.0

    def read(self) -> DecodingResult:
        return self.aligner.align(
            self.window, self.tokens, self.language, self.no_speech, self.temperature
        )

    def packed(self) -> tuple[PackedTokens, WordAligner]:
        packed = PackedTokens(self.tokens, self.language, self.no_speech, self.temperature)
        return packed, self.aligner


@dataclass(frozen=True, slots=True)
class PackedTokens:
    """The decoded tokens of a window for another process."""

    tokens: TokenizedText
    language: str
    no_speech: float
    temperature: float

    def unpacked(self, window: Window, converter: WordAligner) -> UnreadTokens:
        return UnreadTokens(
            converter, window, self.tokens, self.language, self.no_speech, self.temperature
        )


class WordAligner:
    """A converter of tokens to words, with the tokenizer of their model."""

    def __init__(self, tokenizer: Any, *, eos: int, timestamp_begin: int) -> None:
        self._text = TokenText(tokenizer)
        self._eos = eos
        self._timestamp_begin = timestamp_begin

    def align(
        self,
        window: Window,
        tokens: TokenizedText,
        language: str,
        no_speech: float,
        temperature: float = 0.0,
    ) -> DecodingResult:
        """Return the window's result: segments with their words, in the times of the window."""
        phrases = self.phrases(tokens.token_ids)
        counts: list[int] = []
        loose: list[Word] = []
        for phrase in phrases:
            found = self._words(window, tokens, phrase, language)
            loose.extend(found)
            counts.append(len(found))
        words = snap_to_sound(snap_to_speech(loose, window.speech), window.audio, window.start_s)
        segments: list[Segment] = []
        last_s, place = window.start_s, 0
        for phrase, count in zip(phrases, counts, strict=True):
            own = words[place : place + count]
            place += count
            if not own:
                continue
            segment_end_s = own[-1].end_s if phrase.end_s is None else window.start_s + phrase.end_s
            last_s = max(last_s, min(segment_end_s, window.end_s))
            inside = tokens.token_ids[phrase.first : phrase.end]
            numbers = tuple(int(token) for token in inside)
            decoding = SegmentDecoding(
                window.start_s,
                numbers,
                temperature,
                no_speech,
                self._text.pieces(inside),
                tuple(map(float, tokens.logprobs[phrase.first : phrase.end])),
            )
            text = self._text.text(inside).strip()
            segments.append(
                Segment(own[0].start_s, own[-1].end_s, text, own, language, decoding=decoding)
            )
        logprobs = tokens.logprobs
        mean = sum(logprobs) / len(logprobs) if len(logprobs) else 0.0
        return DecodingResult(tuple(segments), language, mean, no_speech, last_s)

    def phrases(self, tokens: Sequence[int]) -> list[_Phrase]:
        """Return the phrases between the timestamps."""
        phrases: list[_Phrase] = []
        start_s, first = 0.0, None
        for place, token in enumerate(tokens):
            if token < self._timestamp_begin:
                # Special tokens inside the text (a repeated prompt) are not text.
                if first is None and token < self._eos:
                    first = place
                continue
            time_s = (token - self._timestamp_begin) * FRAME_S
            if first is not None:
                phrases.append(_Phrase(first, place, start_s, time_s))
                first = None
            start_s = time_s
        if first is not None:
            phrases.append(_Phrase(first, len(tokens), start_s, None))
        return phrases

    def _words(
        self, window: Window, tokens: TokenizedText, phrase: _Phrase, language: str
    ) -> list[Word]:
        inside = list(tokens.token_ids[phrase.first : phrase.end])
        words: list[Word] = []
        for group in self._text.words(inside, language):
            if not group.text.strip():
                continue
            first, end = phrase.first + group.first, phrase.first + group.end
            begin_s = window.start_s + float(tokens.edges[first])
            end_s = window.start_s + float(tokens.edges[end])
            chance = math.exp(sum(tokens.logprobs[first:end]) / (end - first))
            words.append(
                Word(
                    round(min(begin_s, window.end_s), 3),
                    round(min(max(end_s, begin_s + FRAME_S), window.end_s), 3),
                    group.text.strip(),
                    round(min(chance, 1.0), 4),
                )
            )
        return words
