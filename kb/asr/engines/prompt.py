"""Hotwords: names given to a recognizer in its prompt, and the check for their echo.

Whisper was trained with the preceding text (`<|startofprev|>` and its tokens) before the text to
decode; names in that place are then spelled the same way (openai-whisper's `initial_prompt`). The
risk is that the model writes the list of names itself when there is little speech.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

MOST_TOKENS = 223  # half of Whisper's text context, minus `<|startofprev|>`
LONGEST_NAME = 80  # characters
_PREVIOUS = "<|startofprev|>"


class Prompter:
    """A maker of prompts with one model's tokenizer. `prefix` caches its results."""

    def __init__(self, tokenizer: Any, *, eos: int) -> None:
        self._tokenizer = tokenizer
        self._eos = eos
        number = tokenizer.convert_tokens_to_ids(_PREVIOUS)
        unknown = number is None or number == getattr(tokenizer, "unk_token_id", None)
        # None for a tokenizer without this token: such a model takes no prompt.
        self._previous = None if unknown else int(number)
        self.prefix = lru_cache(maxsize=64)(self._prefix)

    @property
    def supports_prompt(self) -> bool:
        """True if the model's vocabulary has the token that begins a prompt."""
        return self._previous is not None

    def _prefix(self, hotwords: tuple[str, ...], most: int = MOST_TOKENS) -> tuple[int, ...]:
        """Return the tokens that go before the start token; empty without names.

        At most `most` tokens of text, with whole names only: the first names have priority. The
        prompt holds them in reverse order, because the names nearest to the text have the most
        influence. A first one that is too long for a name and has spaces is a text of a caller: its
        end is kept.
        """
        most = min(most, MOST_TOKENS)
        kept: list[str] = []
        tokens: list[int] = []
        for name in hotwords:
            longer = self._text([*kept, name])
            is_text = not kept and len(name) > LONGEST_NAME and " " in name and most > 0
            if len(longer) <= most or is_text:
                kept.append(name)
                tokens = longer[-most:]
        if not tokens or self._previous is None:
            return ()
        return (self._previous, *tokens)

    def _text(self, hotwords: Sequence[str]) -> list[int]:
        text = f" {', '.join(reversed(hotwords))}."
        found = self._tokenizer.encode(text, add_special_tokens=False)
        # A name may spell a special token: it must be encoded as text or be dropped.
        return [int(number) for number in found if number < self._eos]

    def echoes_prompt(self, hotwords: tuple[str, ...], numbers: Sequence[int]) -> bool:
        """Return whether a text ([tokens]) holds two names in a row, in the prompt's order."""
        text = self._tokenizer.decode([n for n in numbers if n < self._eos])
        return echoes_hotwords(tuple(reversed(hotwords)), text)


def echoes_hotwords(hotwords: Sequence[str], text: str) -> bool:
    """Return whether a text holds two names in a row, in the order of the prompt.

    Speech seldom does; if it does, a second decoding without the prompt does no harm.
    """
    names = [name for name in map(_words, hotwords) if name]
    spoken = f" {' '.join(_words(text))} "
    return any(f" {' '.join([*first, *second])} " in spoken for first, second in pairwise(names))


def _words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c if c.isalnum() else " " for c in folded).split()
