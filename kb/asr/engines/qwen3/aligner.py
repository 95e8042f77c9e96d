"""Word times from Qwen3's forced aligner."""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from kb.asr.audio.word_edges import snap_to_sound, snap_to_speech
from kb.asr.engines.segmentation import split_into_segments
from kb.asr.windows.windowing import Window
from kb.types import Segment, Word

if TYPE_CHECKING:
    from gpu.manager import GPUManager

BATCH_SIZE = 16  # windows aligned at once: each token of each has 5,000 classes
SHORTEST_S = 0.08  # the aligner's step: a word may begin and end in the same step


@dataclass(frozen=True, slots=True)
class Text:
    """The decoded text of a window.

    `logprobs`: log-probability of each token, and of the end token if it was reached; `ends`: end
    of each token in the text, in bytes.
    """

    text: str = ""
    logprobs: tuple[float, ...] = ()
    ends: tuple[int, ...] = ()

    @classmethod
    def from_tokens(cls, tokenizer: Any, numbers: Sequence[int], logprobs: Sequence[float]) -> Text:
        """Return the text of some tokens, without control tokens."""
        control = set(tokenizer.all_special_ids)
        kept = [number for number in numbers if number not in control]
        text = tokenizer.decode(kept, clean_up_tokenization_spaces=False)
        ends, at = [], 0
        for number in numbers:
            if number not in control:
                # Each character of a token's name represents one byte of the text.
                at += len(tokenizer.convert_ids_to_tokens(number) or "")
            ends.append(at)
        return cls(text, tuple(logprobs), tuple(ends))

    @property
    def mean(self) -> float:
        """Mean log-probability of the tokens."""
        return sum(self.logprobs) / len(self.logprobs) if self.logprobs else 0.0

    def chance(self, first: int, end: int) -> float:
        """Return the probability of a span of characters: the mean of its tokens."""
        from_byte = len(self.text[:first].encode("utf-8", "replace"))
        to_byte = from_byte + len(self.text[first:end].encode("utf-8", "replace"))
        # Where a character is incomplete, the bytes of the text differ from those of the tokens.
        last = bisect_left(self.ends, to_byte)
        own = self.logprobs[bisect_right(self.ends, from_byte) : last + 1] or self.logprobs
        return min(1.0, math.exp(sum(own) / len(own)))


@dataclass(frozen=True, slots=True)
class Piece:
    """A word's span in the text, and its letters and numbers (`spoken`), the aligner's input."""

    first: int
    end: int
    spoken: str


def prepare_inputs(
    processor: Any, prompts: Sequence[str], counts: Sequence[int], device: Any
) -> Any:
    """Return the prompts as tokens on the device, each with `counts` positions for its sound."""
    sound = processor.audio_token
    whole = [p.replace(sound, sound * count) for p, count in zip(prompts, counts, strict=True)]
    inputs = processor.tokenizer(whole, padding=True, padding_side="left", return_tensors="pt").to(
        device
    )
    inputs["position_ids"] = (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    return inputs


class Aligner:
    """The aligner with its processor. Its input is the same log-mel as the recognizer's."""

    def __init__(self, model: Any, processor: Any, manager: GPUManager) -> None:
        self._model = model
        self._processor = processor
        self._manager = manager

    def read(
        self,
        windows: Sequence[Window],
        texts: Sequence[Text],
        languages: Sequence[str],
        features: torch.Tensor,
        mask: torch.Tensor,
        counts: Sequence[int],
    ) -> list[tuple[Segment, ...]]:
        """Return the segments of each window, in the times of the windows.

        `features`: log-mel [windows, mels, frames]; `mask`: which frames are sound; `counts`:
        number of encoder positions of each window.
        """
        pieces = [self.pieces(text.text) for text in texts]
        edges: dict[int, list[tuple[float, float]]] = {}
        rows = [row for row, own in enumerate(pieces) if own]
        for first in range(0, len(rows), BATCH_SIZE):
            some = rows[first : first + BATCH_SIZE]
            spoken = [[piece.spoken for piece in pieces[row]] for row in some]
            found = self._edges(spoken, features[some], mask[some], [counts[row] for row in some])
            edges.update(zip(some, found, strict=True))
        return [
            _segments(window, text, pieces[row], edges.get(row, []), code)
            for row, (window, text, code) in enumerate(zip(windows, texts, languages, strict=True))
        ]

    def pieces(self, text: str) -> list[Piece]:
        """Return the words of a text in order; in a script without spaces, its single characters.

        A character that is neither a letter nor a number belongs to the word before it.
        """
        found: list[Piece] = []
        begin = 0  # start of the characters before the first word
        for match in re.finditer(r"\S+", text):
            units = self._processor.split_words_for_alignment(match.group())
            if not units:
                if found:
                    found[-1] = replace(found[-1], end=match.end())
                continue
            at = match.start()
            places = [begin if not found else at]
            for number, unit in enumerate(units):
                if number:
                    places.append(text.index(unit[0], at))
                for character in unit:
                    at = text.index(character, at) + 1
            ends = [*places[1:], match.end()]
            found += map(Piece, places, ends, units)
        return found

    def _edges(
        self,
        spoken: Sequence[list[str]],
        features: torch.Tensor,
        mask: torch.Tensor,
        counts: Sequence[int],
    ) -> list[list[tuple[float, float]]]:
        """Return start and end of every word of every window, in seconds of the window."""
        conversations = [
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "audio"},
                        *({"type": "text", "text": word} for word in words),
                    ],
                }
            ]
            for words in spoken
        ]
        prompts = self._processor.apply_chat_template(conversations, tokenize=False)
        inputs = prepare_inputs(self._processor, prompts, counts, self._manager.device)
        logits = self._model(
            **inputs, input_features=features, input_features_mask=mask, use_cache=False
        ).logits
        found = self._processor.decode_forced_alignment(
            logits=logits,
            input_ids=inputs["input_ids"],
            word_lists=spoken,
            timestamp_token_id=self._model.config.timestamp_token_id,
        )
        return [[(word["start_time"], word["end_time"]) for word in words] for words in found]


def _segments(
    window: Window,
    text: Text,
    pieces: Sequence[Piece],
    edges: Sequence[tuple[float, float]],
    language: str,
) -> tuple[Segment, ...]:
    if not pieces:
        return ()
    starts_s = [min(begin, window.duration_s) for begin, _ in edges]
    next_starts_s = [*starts_s[1:], window.duration_s]
    loose: list[Word] = []
    for piece, begin_s, (_, end_s), next_s in zip(
        pieces, starts_s, edges, next_starts_s, strict=True
    ):
        stop_s = max(min(end_s, window.duration_s), min(begin_s + SHORTEST_S, next_s), begin_s)
        loose.append(
            Word(
                round(window.start_s + begin_s, 3),
                round(window.start_s + stop_s, 3),
                text.text[piece.first : piece.end].strip(),
                round(text.chance(piece.first, piece.end), 4),
            )
        )
    words = snap_to_sound(snap_to_speech(loose, window.speech), window.audio, window.start_s)
    segments: list[Segment] = []
    place = 0
    for own in split_into_segments(words):
        last = place + len(own) - 1
        # Not the words joined by spaces: some scripts have none.
        segment_text = " ".join(text.text[pieces[place].first : pieces[last].end].split())
        segments.append(Segment(own[0].start_s, own[-1].end_s, segment_text, own, language))
        place = last + 1
    return tuple(segments)
