"""Mean vectors of a model's queries and passages, which are taken off before a comparison.

All vectors of a model such as e5 have a large part in common: cosines of texts that have nothing to
do with each other are 0.7 and more. Without the means they say more (Mu and Viswanath 2018, "All
but the top"). `tools/make_centres.py` makes the file.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("centres.json")

Vector = NDArray[np.float32]

# Least cosines without the means for a passage of few and of many words: in a long one, what is
# asked for is a part. Paraphrases in two languages (`tests/data/meaning.json`): of 25 right
# passages of about 10 words all had 0.21 and more, and where each was one of five sentences 21 had
# more than the limit. For 32 words, names and questions that were nowhere the best passage had
# more than the limit in 7 cases, among short passages and among long ones.
_FEW, _MANY = (15, 0.18), (50, 0.14)  # words, cosine
MOST_BEHIND = 0.2  # below the best passage


def least_cosine(words: int) -> float:
    """Return the cosine from which a passage of so many words answers a query."""
    (few, first), (many, last) = _FEW, _MANY
    return float(np.interp(words, [few, many], [first, last]))


@dataclass(frozen=True, slots=True)
class Centres:
    """The mean vector of queries and that of passages, of shape (dimension,) each."""

    queries: Vector
    passages: Vector

    def cosines(self, query: Vector, passages: Vector) -> Vector:
        """Return the cosine of a query and each row of passages, without the means."""
        rows = passages - self.passages
        own = query - self.queries
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(own)
        return np.asarray(rows @ own / np.maximum(lengths, 1e-9), np.float32)


@cache
def centres_of(model: str) -> Centres | None:
    """Return the centres of a model by its name and version, None if none were made for it."""
    found: dict[str, dict[str, str]] = json.loads(FILE.read_text(encoding="utf-8"))
    if model not in found:
        return None
    own: dict[str, Any] = {
        name: np.frombuffer(base64.b64decode(packed), "<f2").astype(np.float32)
        for name, packed in found[model].items()
    }
    return Centres(own["queries"], own["passages"])
