"""Words of a text, sentence by sentence, without links and signs."""

from __future__ import annotations

from collections.abc import Iterable

import regex  # type: ignore[import-untyped]

_LINK = regex.compile(r"https?://\S+|\S+@\S+|#\S+|www\.\S+")
_TOKEN = regex.compile(r"[\p{L}\p{N}][\p{L}\p{N}\p{M}'’\-]*|[.!?:;|\n•()\[\]\"“”„]")


def split_sentences(text: str) -> Iterable[list[str]]:
    """Yield the words of each sentence; a colon, a bracket and a bullet end one too."""
    words: list[str] = []
    for token in _TOKEN.findall(_LINK.sub(" | ", text)):
        if token[0].isalnum():
            words.append(token.strip("'’-"))
        elif words:
            yield words
            words = []
    if words:
        yield words
