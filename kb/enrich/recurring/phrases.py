"""Sequences of words that an item shares with other ones, also where a word differs.

Each run of four words is hashed, as in A. Z. Broder, "On the resemblance and containment of
documents" (1997). Hashes that two texts share are seeds on a diagonal (place in one text minus
place in the other), and seeds near each other on about the same diagonal are joined, as in
D. J. Lipman and W. R. Pearson, "Rapid and sensitive protein similarity searches" (1985): a word
that was misheard, added or left out does not end a sequence.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

SHINGLE = 4  # words that one hash is made of
LEAST_WORDS = 12  # of a sequence: shorter ones are figures of speech
COPY_SHARE = 0.6  # of the shorter text: a copy of the whole
_LEAST_SHARE = 0.5  # of the hashes of a sequence that are in the other text too
_LONGEST_GAP = 8  # words between two seeds
_MOST_SHIFT = 3  # words that one text has more than the other, between two seeds
_MOST_PLACES = 4  # of a hash in one text: what is said again and again is no evidence
_WORD = re.compile(r"\w+")

Hashes = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word without case and punctuation, and its time in seconds."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Shared:
    """Words `first`..`last` (excluded) that text number `text` has too."""

    first: int
    last: int
    text: int


def plain(text: str) -> str:
    """Return a word without case and punctuation; empty if nothing is left."""
    return "".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def hashes_of(words: Sequence[str]) -> Hashes:
    """Return the hash of each run of `SHINGLE` words; number n begins with word n."""
    known = {word: _number(word) for word in set(words)}
    numbers = np.array([known[word] for word in words], np.uint64)
    count = max(0, len(words) - SHINGLE + 1)
    mixed = np.zeros(count, np.uint64)
    for at in range(SHINGLE):
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + numbers[at : at + count]
        mixed ^= mixed >> np.uint64(29)
    return (mixed >> np.uint64(32)).astype(np.uint32)


def _number(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(errors="replace"), digest_size=8).digest(), "little")


def shared(own: Hashes, others: Sequence[Hashes]) -> tuple[list[Shared], frozenset[int]]:
    """Return the sequences that other texts have too, and the numbers of those that are copies.

    A copy has at least `COPY_SHARE` of the shorter text, and gives no sequences.
    """
    found: list[Shared] = []
    copies: set[int] = set()
    order = np.argsort(own, kind="stable")
    ranked = own[order]
    for number, other in enumerate(others):
        if not own.size or not other.size:
            continue
        low = np.searchsorted(ranked, other, "left")
        high = np.searchsorted(ranked, other, "right")
        if np.count_nonzero(high > low) < (LEAST_WORDS - SHINGLE + 1) * _LEAST_SHARE:
            continue
        smaller = np.isin(own, other) if own.size <= other.size else high > low
        if np.count_nonzero(smaller) >= COPY_SHARE * min(own.size, other.size):
            copies.add(number)
            continue
        for first, last in _sequences(_seeds(order, low, high, other)):
            found.append(Shared(first, last, number))
    return found, frozenset(copies)


def _seeds(
    order: npt.NDArray[np.int64],
    low: npt.NDArray[np.int64],
    high: npt.NDArray[np.int64],
    other: Hashes,
) -> list[tuple[int, int]]:
    """Return the places of shared hashes in the own and in the other text, in order."""
    counts = high - low
    places = np.flatnonzero((counts > 0) & (counts <= _MOST_PLACES))
    _, kinds, often = np.unique(other[places], return_inverse=True, return_counts=True)
    places = places[often[kinds] <= _MOST_PLACES]
    return sorted(
        (int(order[rank]), int(place))
        for place in places
        for rank in range(int(low[place]), int(high[place]))
    )


def _sequences(seeds: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield first and last word (excluded) of the runs of seeds that are long and dense enough."""
    open_runs: list[list[int]] = []  # first own place, last own place, last other place, number
    ended: list[list[int]] = []
    for own, other in seeds:
        still = [run for run in open_runs if own - run[1] <= _LONGEST_GAP + SHINGLE]
        ended += [run for run in open_runs if own - run[1] > _LONGEST_GAP + SHINGLE]
        open_runs = still
        fitting = [
            run
            for run in open_runs
            if own > run[1]
            and 0 < other - run[2] <= _LONGEST_GAP + SHINGLE + _MOST_SHIFT
            and abs((own - run[1]) - (other - run[2])) <= _MOST_SHIFT
        ]
        if fitting:
            run = min(fitting, key=lambda one: abs((own - one[1]) - (other - one[2])))
            run[1], run[2], run[3] = own, other, run[3] + 1
        else:
            open_runs.append([own, own, other, 1])
    for first, last, _, count in (*ended, *open_runs):
        length = last + SHINGLE - first
        if length >= LEAST_WORDS and count >= _LEAST_SHARE * (last - first + 1):
            yield first, last + SHINGLE


def to_text(hashes: Hashes) -> str:
    """Return hashes as text of a JSON document."""
    return base64.b64encode(hashes.astype("<u4").tobytes()).decode()


def from_text(text: str) -> Hashes:
    """Return the hashes of a text. Raises ValueError for a damaged one."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    return np.frombuffer(data, "<u4").astype(np.uint32)


def groups(copies: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return one name for all ids that are copies of each other; `copies` are those of each id."""
    above: dict[str, str] = {}

    def top(one: str) -> str:
        while above.get(one, one) != one:
            one = above[one]
        return one

    for one, others in copies.items():
        for other in others:
            first, second = sorted((top(one), top(other)))
            above[second] = first
    return {one: top(one) for one in {*copies, *above}}
