"""Reads Whisper's tokens as text and groups them into words, with an own table of the tokens.

The rules are openai-whisper's (`tokenizer.py`, `split_to_word_tokens`; `timing.py`,
`merge_punctuations`) in the form of transformers (`_combine_tokens_into_words`), and a test
compares the results. transformers decodes token by token with its whole tokenizer and lists all
special tokens at each call, 10 ms a window; here a token is a few bytes from a table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

_NO_SPACES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})  # languages written without spaces
_UNREADABLE = "\ufffd"  # stands for bytes that are no UTF-8
_BEFORE = "\"'“¡¿([{-"  # punctuation that belongs to the word after it
_AFTER = "\"'.。,，!！?？:：”)]}、"  # punctuation that belongs to the word before it
_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_TIMESTAMP = re.compile(r"<\|\d+\.\d+\|>")


@dataclass(slots=True)
class TokenGroup:
    """The text of tokens that follow each other: `first` to `end` are their places."""

    text: str
    first: int
    end: int


class TokenText:
    """The texts of one tokenizer's tokens. Safe from several threads."""

    def __init__(self, tokenizer: Any) -> None:
        """Read the bytes of every token from a byte-level tokenizer of transformers."""
        backend = tokenizer.backend_tokenizer
        most = max(backend.get_vocab(with_added_tokens=True).values(), default=-1)
        names = map(backend.id_to_token, range(most + 1))
        self._pieces = [_piece(name) if name is not None else b"" for name in names]
        self._eos = int(tokenizer.eos_token_id)

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, without those that spell a timestamp."""
        return _TIMESTAMP.sub("", _decoded(b"".join(map(self._bytes, tokens))))

    def pieces(self, tokens: Sequence[int]) -> tuple[bytes, ...]:
        """Return the bytes of each token, which may be a part of a character."""
        return tuple(map(self._bytes, tokens))

    def words(self, tokens: Sequence[int], language: str) -> list[TokenGroup]:
        """Return the words of tokens in a language (its code), with the space before them.

        Words begin at spaces and at punctuation, in a language without spaces at each character.
        """
        groups = self._characters(tokens)
        if language not in _NO_SPACES:
            groups = self._spaced(tokens, groups)
        return _with_punctuation(groups)

    def _bytes(self, token: int) -> bytes:
        return self._pieces[token] if token < len(self._pieces) else b""

    def _characters(self, tokens: Sequence[int]) -> list[TokenGroup]:
        """Return the smallest groups of tokens whose bytes are whole characters.

        Bytes that are no UTF-8 end a group where the whole text has the same sign in their place.
        """
        pieces = [self._bytes(token) for token in tokens]
        whole = _decoded(b"".join(pieces))
        groups: list[TokenGroup] = []
        first = offset = 0
        pending = b""
        for place, piece in enumerate(pieces):
            pending += piece
            text = _decoded(pending)
            unreadable_at = text.find(_UNREADABLE)
            if unreadable_at >= 0:
                at = offset + unreadable_at
                if at < len(whole) and whole[at] != _UNREADABLE:
                    continue
            groups.append(TokenGroup(text, first, place + 1))
            first, pending = place + 1, b""
            offset += len(text)
        return groups

    def _spaced(self, tokens: Sequence[int], groups: list[TokenGroup]) -> list[TokenGroup]:
        """Return groups joined to words, which begin at a space, punctuation or a special token."""
        words: list[TokenGroup] = []
        for group in groups:
            if (
                not words
                or tokens[group.first] >= self._eos
                or group.text.startswith(" ")
                or group.text.strip() in _PUNCTUATION
            ):
                words.append(group)
            else:
                words[-1].text += group.text
                words[-1].end = group.end
        return words


def _with_punctuation(words: list[TokenGroup]) -> list[TokenGroup]:
    """Return words with the punctuation beside them; some groups are changed in place."""
    joined: list[TokenGroup] = []  # the last word first
    for word in reversed(words):
        if joined and word.text.startswith(" ") and word.text.strip() in _BEFORE:
            joined[-1] = TokenGroup(word.text + joined[-1].text, word.first, joined[-1].end)
        else:
            joined.append(word)
    found: list[TokenGroup] = []
    for word in reversed(joined):
        if found and not found[-1].text.endswith(" ") and word.text in _AFTER:
            found[-1].text += word.text
            found[-1].end = word.end
        else:
            found.append(word)
    return [word for word in found if word.text]


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _piece(name: str) -> bytes:
    """Return the bytes of a token by its name in the vocabulary.

    A character stands for a byte; a name with any other character stands for itself.
    """
    table = _byte_of_character()
    try:
        return bytes(table[character] for character in name)
    except KeyError:
        return name.encode("utf-8", "replace")


@cache
def _byte_of_character() -> dict[str, int]:
    """Return the bytes by the characters that stand for them in byte-level vocabularies.

    Printable bytes of Latin-1 stand for themselves, the others for characters from U+0100 on, in
    their order (GPT-2's `bytes_to_unicode`).
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    table = {chr(byte): byte for byte in printable}
    others = (byte for byte in range(256) if byte not in printable)
    table.update({chr(0x100 + place): byte for place, byte in enumerate(others)})
    return table
