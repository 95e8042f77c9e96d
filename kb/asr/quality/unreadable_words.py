"""The check for text that no speaker can have said: the marks of a lost or foreign tokenizer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kb.asr.quality.window_context import Thresholds, WindowContext
from kb.types import QualityFlag, Word

LEAST_SHARE = 0.5  # of the words; Ġ and Ċ are letters of Maltese, at the beginning of some words
LONGEST_ROW = {True: 16, False: 8}  # of one letter, of one other sign, in a word that means it
MOST_ALONE = 3  # windows of fewer words than this and nothing but signs: a laugh, a pause

# Special tokens as text: <|6.06|>, <|endoftext|>, <unk>, <0xE2>, [PAD].
_SPECIAL = re.compile(
    r"<\|[^|<>]*\|?>|<(?:unk|pad|s|/s|mask|0x[0-9A-Fa-f]{2})>|\[(?:PAD|UNK|CLS|SEP)\]"
)
# A mark of byte-level BPE (Ġ for a space, Ċ for a line) after a small letter, or alone; a capital
# letter before it makes it one of Maltese, a full stop after it an initial.
_BYTE_MARK_INSIDE = re.compile(r"(?<=[^\W\dA-ZĠĊ])[ĠĊ]|(?<![A-ZĠĊ])[ĠĊ](?![^\W\d_]|\.)")
_SENTENCE_PIECE = "▁"
_REPLACED = "\ufffd"


def unreadable(context: WindowContext, limits: Thresholds) -> list[QualityFlag]:
    """`unreadable`: words of special tokens, of byte marks, or of one sign over and over.

    Value: the number of such words in a row of flagged words; the rule is our own. A tokenizer that
    is incomplete or of another model gives such text with a high confidence.
    """
    words = context.words
    marked = set(_unreadable(words))
    found: list[QualityFlag] = []
    row: list[Word] = []
    for place, word in enumerate((*words, None)):
        if word is not None and place in marked:
            row.append(word)
        elif row:
            start_s, end_s = min(w.start_s for w in row), max(w.end_s for w in row)
            found.append(
                QualityFlag("unreadable", round(start_s, 3), round(end_s, 3), len(row), 0.0)
            )
            row = []
    return found


def is_unreadable(text: str) -> bool:
    """Return True for a text most of whose words are unreadable."""
    words = [Word(0.0, 0.0, part, 1.0) for part in text.split()]
    return bool(words) and len(_unreadable(words)) > LEAST_SHARE * len(words)


def _unreadable(words: Sequence[Word]) -> list[int]:
    """Return the indices of the words that cannot be read aloud."""
    texts = [word.text.strip() for word in words]
    bytewise = [text.startswith(("Ġ", "Ċ")) for text in texts]
    # Every word that follows a space has the mark if the tokenizer does not take it away.
    by_bytes = len(texts) > 1 and sum(bytewise) > LEAST_SHARE * len(texts)
    signs = [bool(text) and not any(char.isalnum() for char in text) for text in texts]
    only_signs = len(texts) >= MOST_ALONE and all(signs)
    return [
        place
        for place, text in enumerate(texts)
        if only_signs
        or (by_bytes and bytewise[place])
        or _SPECIAL.search(text)
        or _BYTE_MARK_INSIDE.search(text)
        or _SENTENCE_PIECE in text
        or _REPLACED in text
        or _is_row(text)
    ]


def _is_row(text: str) -> bool:
    """Return True for one sign many times: `!!!!!!!!`, `aaaaaaaaaaaaaaaaaaaa`."""
    return len(set(text)) == 1 and len(text) >= LONGEST_ROW[text[0].isalpha()]
