"""Words cut into the pieces of a translation model, and joined again.

`tokenizer.json` is read by the package tokenizers. A SentencePiece model (`*.spm`) is read here: it
is a message of protocol buffers with the pieces, their scores and the rules of normalization, of
which the package tokenizers makes the same unigram model.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_SPACE = "\u2581"
_UNIGRAM = 1
_UNKNOWN_PIECE, _CONTROL_PIECE = 2, 3
_LARGEST_BYTES = 64 * 2**20
_SPECIAL = frozenset({"<s>", "</s>", "<pad>", "<unk>"})


class Pieces(ABC):
    """Cuts a text of the source language, and joins pieces of the target language."""

    def cut(self, text: str) -> list[str]:
        """Return the pieces of a text. One that spells a mark of the model has none of it."""
        return [piece for piece in self._cut(text) if piece not in _SPECIAL]

    @abstractmethod
    def _cut(self, text: str) -> list[str]: ...

    def join(self, pieces: Sequence[str]) -> str:
        """Return the text of pieces, without marks of the model."""
        said = (piece for piece in pieces if piece not in _SPECIAL)
        return " ".join("".join(said).replace(_SPACE, " ").split())


def open_pieces(folder: Path) -> Pieces:
    """Return the pieces of a model's folder. Raises OSError and ValueError."""
    if (folder / "source.spm").is_file():
        return _Unigram(folder / "source.spm")
    return _TokenizerFile(folder / "tokenizer.json")


class _TokenizerFile(Pieces):
    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # of its own kind
            raise ValueError(f"{path.name}: {error}") from None

    def _cut(self, text: str) -> list[str]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).tokens)


class _Unigram(Pieces):
    def __init__(self, path: Path) -> None:
        from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

        if path.stat().st_size > _LARGEST_BYTES:
            raise ValueError(f"{path.name} is too large for such a file")
        vocabulary, unknown, kind, rules = read_model(path.read_bytes())
        if kind != _UNIGRAM or not vocabulary:
            raise ValueError(f"{path.name} is no unigram model of SentencePiece")
        tokenizer = Tokenizer(models.Unigram(vocabulary, unknown, False))
        found: list[Any] = [normalizers.Precompiled(rules)] if rules else [normalizers.NFKC()]
        tokenizer.normalizer = normalizers.Sequence(  # type: ignore[assignment]
            [*found, normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
        )
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(  # type: ignore[assignment]
            replacement=_SPACE, prepend_scheme="always", split=False
        )
        self._tokenizer = tokenizer

    def _cut(self, text: str) -> list[str]:
        return list(self._tokenizer.encode(text).tokens)


def read_model(data: bytes) -> tuple[list[tuple[str, float]], int, int, bytes]:
    """Return pieces with scores, the number of the unknown one, the kind, and the rules.

    Raises ValueError for another message.
    """
    vocabulary: list[tuple[str, float]] = []
    unknown, kind, rules = 0, _UNIGRAM, b""
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            piece, score, of_kind = "", 0.0, 1
            for inner, part in _fields(value):
                if inner == 1 and isinstance(part, bytes):
                    piece = part.decode("utf-8")
                elif inner == 2 and isinstance(part, float):
                    score = part
                elif inner == 3 and isinstance(part, int):
                    of_kind = part
            if of_kind == _UNKNOWN_PIECE:
                unknown = len(vocabulary)
            # A mark of the model is never a part of a text.
            vocabulary.append((piece, -1e9 if of_kind == _CONTROL_PIECE else score))
        elif number == 2 and isinstance(value, bytes):
            kind = next((v for n, v in _fields(value) if n == 3 and isinstance(v, int)), kind)
        elif number == 3 and isinstance(value, bytes):
            rules = next((v for n, v in _fields(value) if n == 2 and isinstance(v, bytes)), b"")
    return vocabulary, unknown, kind, rules


def _fields(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Yield number and value of each field of a message of protocol buffers."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            number, at = _varint(data, at)
            yield key >> 3, number
        elif kind == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("a file that is cut off")
            yield key >> 3, data[at : at + size]
            at += size
        elif kind in (1, 5):
            width, form = (8, "<d") if kind == 1 else (4, "<f")
            if at + width > len(data):
                raise ValueError("a file that is cut off")
            yield key >> 3, float(struct.unpack(form, data[at : at + width])[0])
            at += width
        else:
            raise ValueError("no model of SentencePiece")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << shift
        at += 1
        if not data[at - 1] & 0x80:
            return value, at
    raise ValueError("a file that is cut off")
