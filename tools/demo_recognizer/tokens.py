"""The tokenizer (one byte-level BPE token a word) and what the decoder is asked to write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import AddedToken, pre_tokenizers
from transformers import WhisperTokenizer
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from .windows import Word, segments

FRAME_SECONDS = 0.02  # one encoder frame, and one step of the timestamp tokens
N_TIMESTAMPS = 1501  # 0.00 to 30.00 s
NO_SPAN = -1


@dataclass(frozen=True)
class TokenIds:
    """The layout of the vocabulary. Timestamps fill its end: ``first_timestamp`` + frame."""

    words: tuple[int, ...]
    eot: int
    sot: int
    languages: dict[str, int]
    translate: int
    transcribe: int
    sot_lm: int
    previous: int
    no_speech: int
    no_timestamps: int
    first_timestamp: int

    @property
    def size(self) -> int:
        """The number of tokens."""
        return self.first_timestamp + N_TIMESTAMPS


def build_tokenizer(words: Sequence[str]) -> WhisperTokenizer:
    """A Whisper tokenizer in which every ``" word"`` is one token, by ordinary BPE.

    A word is merged byte by byte from its leading space on, so every prefix is a token too, and
    no other merge can get in the way.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: i for i, symbol in enumerate(alphabet)}
    merges = []
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    for word in words:
        ((symbols, _),) = split.pre_tokenize_str(" " + word)
        for end in range(1, len(symbols)):
            prefix, merged = symbols[:end], symbols[: end + 1]
            if merged not in vocabulary:
                vocabulary[merged] = len(vocabulary)
                merges.append((prefix, symbols[end]))
    specials = ["<|endoftext|>", "<|startoftranscript|>"]
    specials += [f"<|{code}|>" for code in LANGUAGES]
    specials += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>"]
    specials += ["<|nospeech|>", "<|notimestamps|>"]
    for token in specials[:1]:
        vocabulary[token] = len(vocabulary)
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=merges, pad_token="<|endoftext|>")
    tokenizer.add_special_tokens({"additional_special_tokens": specials[1:]})
    stamps = [f"<|{frame * FRAME_SECONDS:.2f}|>" for frame in range(N_TIMESTAMPS)]
    tokenizer.add_tokens([AddedToken(stamp, normalized=False, special=False) for stamp in stamps])
    return tokenizer


def token_ids(tokenizer: WhisperTokenizer, words: Sequence[str]) -> TokenIds:
    """Look the ids up, proving on the way that every word is one token."""
    ids = []
    for word in words:
        (one,) = tokenizer.encode(" " + word, add_special_tokens=False)
        ids.append(one)
    number = tokenizer.convert_tokens_to_ids
    return TokenIds(
        words=tuple(ids),
        eot=number("<|endoftext|>"),
        sot=number("<|startoftranscript|>"),
        languages={code: number(f"<|{code}|>") for code in LANGUAGES},
        translate=number("<|translate|>"),
        transcribe=number("<|transcribe|>"),
        sot_lm=number("<|startoflm|>"),
        previous=number("<|startofprev|>"),
        no_speech=number("<|nospeech|>"),
        no_timestamps=number("<|notimestamps|>"),
        first_timestamp=number("<|0.00|>"),
    )


@dataclass
class Target:
    """One decoder sequence, position by position (input token → token to be predicted).

    ``inputs``, ``labels``: token ids, label −100 where nothing is asked. ``spans``: for each
    position the encoder frames [first, last) where the predicted token is heard, or −1.
    """

    inputs: list[int]
    labels: list[int]
    spans: list[tuple[int, int]]


def make_target(
    words: Sequence[Word], language: str, ids: TokenIds, rng: np.random.Generator
) -> Target:
    """Draw a prompt and write the words after it, as Whisper does.

    15 % bare prompts (engines that take a small vocabulary for English-only use them), 10 %
    without timestamps, 12 % with the other language named (an item may be given one language for
    all its windows). Word times are seconds on the position table.
    """
    bare, plain = rng.random() < 0.15, rng.random() < 0.10
    named = language
    if words and rng.random() < 0.12:
        named = "en" if language == "de" else "de"
    inputs, labels, spans = [ids.sot], [], []

    def say(token: int, span: tuple[int, int], fed: int | None = None, asked: bool = True) -> None:
        """Ask for ``token`` next; feed it, or ``fed`` in its place, as the following input."""
        labels.append(token if asked else -100)
        spans.append(span)
        inputs.append(token if fed is None else fed)

    nowhere = (NO_SPAN, NO_SPAN)
    if not bare:
        first = ids.languages[language] if words else ids.no_speech
        say(first, nowhere, fed=ids.languages[named])
        if rng.random() < 0.95:  # with a detected language some callers name no task
            say(ids.transcribe, nowhere)
    if plain:
        say(ids.no_timestamps, nowhere, asked=False)
    if not words:
        if bare and not plain:
            labels.append(ids.no_speech)
            spans.append(nowhere)
            return Target(inputs, labels, spans)
        if not plain:
            # Not asked, and any first timestamp: silence must be recognized by its sound, not by
            # a 0.00 (else a window with a wrongly placed start would end there, empty).
            fed = ids.first_timestamp + int(rng.integers(0, 51))
            say(ids.first_timestamp, nowhere, fed=fed, asked=False)
    last = 0
    for number, segment in enumerate(segments(tuple(words))):
        first, last = round(segment[0].start / 0.02), round(segment[-1].end / 0.02)
        if not plain:
            # Decoders often forbid a first timestamp above 1 s: be right after a forced or a
            # mistaken one too.
            fed = None
            if number == 0 and rng.random() < 0.35:
                fed = ids.first_timestamp + int(rng.integers(0, 51) * (rng.random() < 0.5))
            say(ids.first_timestamp + first, (first - 2, first + 4), fed=fed)
        for word in segment:
            span = (int(word.start / FRAME_SECONDS), int(np.ceil(word.end / FRAME_SECONDS)))
            token = ids.words[word.index]
            swapped = rng.random() < 0.05  # as after a mistake of its own
            say(token, span, fed=int(rng.choice(ids.words)) if swapped else None)
        if not plain:
            say(ids.first_timestamp + last, (last - 4, last + 2))
    labels.append(ids.eot)
    spans.append((last, last + 12) if words else nowhere)
    return Target(inputs, labels, spans)
