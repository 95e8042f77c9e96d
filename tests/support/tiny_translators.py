"""Tiny translation models with random weights, in CTranslate2's format, made by its converter.

They translate into nothing that means anything: lengths, order and languages can be seen, quality
cannot.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, ClassVar

_TEXT = "the ferry leaves at noon harbour of today price welcome to talk yes"
_WORDS = _TEXT.split()
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,?!'"
SPECIAL = ("</s>", "<unk>")
PIECES = ["\u2581", *(f"\u2581{word}" for word in _WORDS), *_LETTERS]


def _message(number: int, kind: int, data: bytes) -> bytes:
    size = b"" if kind == 5 else _varint(len(data)) if kind == 2 else b""
    return _varint(number << 3 | kind) + size + data


def _varint(value: int) -> bytes:
    found = b""
    while True:
        value, low = value >> 7, value & 0x7F
        found += bytes([low | (0x80 if value else 0)])
        if not value:
            return found


def sentence_pieces() -> bytes:
    """Return a unigram model of SentencePiece with these pieces."""
    found = b""
    for number, piece in enumerate((*SPECIAL, *PIECES)):
        kind = {"</s>": 3, "<unk>": 2}.get(piece, 1)
        score = -1.0 - number / 100 if len(piece) > 1 else -20.0
        inner = _message(1, 2, piece.encode()) + _message(2, 5, struct.pack("<f", score))
        found += _message(1, 2, inner + _message(3, 0, _varint(kind)))
    return found + _message(2, 2, _message(3, 0, _varint(1)))


class _Vocabulary:
    """What the converter asks of a tokenizer."""

    eos_token, unk_token, bos_token, pad_token = "</s>", "<unk>", "<s>", "<pad>"
    unk_token_id = 1
    special_tokens_map: ClassVar[dict[str, Any]] = {}

    def __init__(self, words: list[str]) -> None:
        self._words = words

    def get_vocab(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self._words)}

    def convert_ids_to_tokens(self, number: int) -> str:
        return self._words[number]


def _convert(model: Any, words: list[str], folder: Path, work: Path) -> None:
    from ctranslate2.converters import TransformersConverter

    model.save_pretrained(work)

    class Converter(TransformersConverter):  # type: ignore[misc]
        def load_tokenizer(self, *_: Any, **__: Any) -> _Vocabulary:
            return _Vocabulary(words)

    Converter(str(work)).convert(str(folder))


def make_marian(folder: Path, work: Path) -> Path:
    """Make a model of one pair of languages with source.spm and target.spm."""
    import torch
    from transformers import MarianConfig, MarianMTModel

    torch.manual_seed(7)
    words = [*SPECIAL, *PIECES, "<pad>"]
    config = MarianConfig(
        vocab_size=len(words), d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32,
        decoder_ffn_dim=32, max_position_embeddings=512, pad_token_id=len(words) - 1,
        eos_token_id=0, forced_eos_token_id=0, decoder_start_token_id=len(words) - 1,
        bos_token_id=0,
    )  # fmt: skip
    _convert(MarianMTModel(config), words, folder, work)
    for name in ("source.spm", "target.spm"):
        (folder / name).write_bytes(sentence_pieces())
    return folder


def make_nllb(folder: Path, work: Path, languages: tuple[str, ...]) -> Path:
    """Make a model of several languages (NLLB) with tokenizer.json."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import M2M100Config, M2M100ForConditionalGeneration

    torch.manual_seed(7)
    words = ["<s>", "<unk>", "</s>", "<pad>", *PIECES, *languages]
    config = M2M100Config(
        vocab_size=len(words), d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32,
        decoder_ffn_dim=32, max_position_embeddings=512, pad_token_id=3, bos_token_id=0,
        eos_token_id=2, decoder_start_token_id=2,
    )  # fmt: skip
    _convert(M2M100ForConditionalGeneration(config), words, folder, work)
    scores = [(piece, -1.0 if len(piece) > 1 else -20.0) for piece in words]
    tokenizer = Tokenizer(models.Unigram(scores, 1, False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()  # type: ignore[assignment]
    (folder / "tokenizer.json").write_text(
        json.dumps(json.loads(tokenizer.to_str())), encoding="utf-8"
    )
    return folder
