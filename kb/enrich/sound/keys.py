"""The numbers under which items of fingerprints are entered in the index and looked for.

A key is an item without the six bits that change most when sound is encoded again (measured with
AAC, Opus and MP3, a high-pass and a tone: 9 to 16 % of them, the others 2 to 9 %). Half of the
keys is entered, chosen by the key itself, so that a query looks for the same ones. A short query
has few items, so it also looks for the keys that differ from its own in one bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kb.enrich.sound.fingerprint import HOP_S, Fingerprint

_CHANGING_BITS = (4, 8, 12, 13, 14, 16)
_KEPT_BITS = tuple(bit for bit in range(32) if bit not in _CHANGING_BITS)
_MASK = np.uint32(sum(1 << bit for bit in _KEPT_BITS))
_SAMPLED = np.uint32(1)  # bits of the mixed key that must be 0: one key in two
_SHORT_ITEMS = round(120.0 / HOP_S)  # a query that is longer has enough equal keys
EXACT, NEAR = 2, 1  # votes of an equal key, and of one that differs in a bit

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Probes:
    """Keys to look for, the place of the item of each, and its votes; `least` votes are a hint."""

    keys: Numbers
    places: Numbers
    votes: int
    least: int


def entered_keys(found: Fingerprint) -> tuple[Numbers, Numbers]:
    """Return key and place of the items that are entered."""
    keys = found.items & _MASK
    places = np.flatnonzero(_is_sampled(keys) & found.heard)
    return keys[places].astype(np.int64), places.astype(np.int64)


def probes(own: Fingerprint) -> list[Probes]:
    """Return the keys that a query looks for, the equal ones first."""
    is_short = own.items.size <= _SHORT_ITEMS
    # Equal keys by chance are rare: a short query follows each, a long one two in a line.
    least = EXACT if is_short else 2 * EXACT
    found = [Probes(*entered_keys(own), EXACT, least)]
    if is_short:
        places = np.flatnonzero(own.heard)
        flips = np.array([1 << bit for bit in _KEPT_BITS], np.uint32)
        near = ((own.items[places] & _MASK)[:, None] ^ flips).ravel()
        chosen = _is_sampled(near)
        at = np.repeat(places, flips.size)[chosen]
        found.append(Probes(near[chosen].astype(np.int64), at.astype(np.int64), NEAR, least))
    return found


def _is_sampled(keys: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    mixed = (keys.astype(np.uint64) * np.uint64(2_654_435_761) >> np.uint64(16)).astype(np.uint32)
    return np.asarray((mixed & _SAMPLED) == 0)
