"""Vectors of an item's texts, as a document in the library's files.

The document is the primary record, so that an index is rebuilt without a model, also on a machine
that has none. A vector belongs to a text, not to a place: a text that was changed has none.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kb.errors import LibraryError
from kb.types import Passage

NO_TEXTS = "-"  # in a head row: an item without passages lacks no vectors
LACKING = " lacking "  # in a head row, between the model and the number of passages without one
_KEY_CHARS = 16


@dataclass(frozen=True, slots=True)
class TextVectors:
    """Vectors of one model by `text_key`, each of shape (dimension,) and of unit length."""

    model: str
    dimension: int
    by_text: Mapping[str, NDArray[np.float32]]

    def lacking(self, texts: Iterable[str]) -> int:
        """Return the number of texts without a vector."""
        return sum(text_key(text) not in self.by_text for text in texts)


def has_meaning(passage: Passage) -> bool:
    """Return True for passages that are compared by meaning: words that are spoken.

    Text on the screen is short, and short texts are near to every query: with 20 slides beside 30
    passages the right one was among the first three for 18 instead of 23 of 25 queries. A
    translation means what the words beside it mean.
    """
    return not passage.origin


def meant_texts(passages: Sequence[Passage]) -> list[str]:
    """Return the texts of the passages that are compared by meaning."""
    return [passage.text for passage in passages if has_meaning(passage)]


def text_key(text: str) -> str:
    """Return the key of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_KEY_CHARS]


def texts_digest(texts: Sequence[str]) -> str:
    """Return a digest of different texts, in any order."""
    return hashlib.sha256("".join(sorted(set(map(text_key, texts)))).encode()).hexdigest()


def vectors_document(found: TextVectors) -> dict[str, Any]:
    """Return vectors as JSON values; half precision changes a cosine by less than 0.001."""
    rows = [found.by_text[key] for key in found.by_text]
    flat = np.concatenate(rows) if rows else np.empty(0, np.float32)
    return {
        "model": found.model,
        "dimension": found.dimension,
        "texts": list(found.by_text),
        "vectors": base64.b64encode(flat.astype("<f2").tobytes()).decode("ascii"),
    }


def read_vectors(document: Mapping[str, Any]) -> TextVectors:
    """Return the vectors of a document. Raises LibraryError for a damaged one."""
    model, dimension = document.get("model"), document.get("dimension")
    keys, packed = document.get("texts"), document.get("vectors")
    try:
        if not isinstance(model, str) or not isinstance(dimension, int) or dimension < 1:
            raise ValueError("model or dimension")
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise ValueError("texts")
        flat = np.frombuffer(base64.b64decode(str(packed), validate=True), "<f2")
        rows = flat.astype(np.float32).reshape(len(keys), dimension)
        if not np.isfinite(rows).all():
            raise ValueError("vectors")
    except ValueError as error:
        raise LibraryError(
            "meaning.damaged",
            "The vectors of {item_id} are damaged ({reason}).",
            hint="Make them again: kb enrich {item_id} --steps meaning --again",
            item_id=document.get("id", ""),
            reason=str(error).splitlines()[0],
        ) from error
    return TextVectors(model, dimension, dict(zip(keys, rows, strict=True)))


def state_of(texts: Sequence[str], found: TextVectors | None) -> str:
    """Return what a head row says of an item's vectors.

    The model; with `lacking N` where N passages have no vector; empty without vectors.
    """
    if not texts:
        return NO_TEXTS
    if found is None:
        return ""
    lacking = found.lacking(texts)
    return f"{found.model}{LACKING}{lacking}" if lacking else found.model


def model_in(state: str | None) -> str:
    """Return the model that a head row names, empty without vectors."""
    return "" if not state or state == NO_TEXTS else state.partition(LACKING)[0]
