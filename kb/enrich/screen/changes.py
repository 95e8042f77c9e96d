"""Detection of changes of the picture, from one small grey picture a second.

A picture is divided into 16x9 tiles. A tile has changed if enough of its pixels have. One corner
on the right may move without a change being counted, because a camera picture of the speaker often
lies there, and text seldom begins there. A camera elsewhere makes a picture that never rests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 160, 90  # pixels of a grey picture
COLUMNS, ROWS = 16, 9  # tiles
_PIXEL = 24  # levels of grey that a changed pixel differs by; noise of compression stays below
_OF_TILE = 0.04  # share of the pixels of a changed tile
_OUTSIDE, _IN_ALL = 4, 18  # changed tiles of a changed picture, outside the corner and in all
_CORNER = (3, 4)  # rows and columns of a corner that may move

REST_S = 1.5  # a picture that stood alone for this long was at rest
MOVING_S = 20.0  # a picture that never rests is read at this interval
KNOWN = 64  # pictures that are recognized when they come back
# Reading a picture takes about a third of a second: at most 300 in the first hour, 240 in others.
BURST, REFILL_S = 60.0, 15.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture of the video; `frame` is its decoded frame."""

    at_s: float
    grey: Grey
    frame: Any


@dataclass(slots=True)
class Still:
    """A picture to be read. The one before it was shown until `before_end_s`.

    `known` is the still that this one repeats, None for a new picture.
    """

    number: int
    start_s: float
    before_end_s: float
    sample: Sample
    known: int | None = None


@dataclass(slots=True)
class Account:
    """Numbers about a video: what was sampled, and what was not read because of the limits."""

    samples: int = 0
    end_s: float = 0.0
    moving_s: float = 0.0
    left_out: int = 0


@dataclass(slots=True)
class _Pending:
    left_s: float  # when the picture before it was left
    start_s: float
    last: Sample
    rested: bool = False


def changed_tiles(one: Grey, other: Grey) -> npt.NDArray[np.bool_]:
    """Return the tiles that differ, as an array [rows, columns]."""
    differs = np.abs(one.astype(np.int16) - other.astype(np.int16)) > _PIXEL
    tiles = differs.reshape(ROWS, HEIGHT // ROWS, COLUMNS, WIDTH // COLUMNS)
    shares = tiles.mean(axis=(1, 3))
    return np.asarray(shares > _OF_TILE)


def is_changed(one: Grey, other: Grey) -> bool:
    """Return True if the pictures differ by more than a moving corner."""
    tiles = changed_tiles(one, other)
    return outside_corner(tiles) >= _OUTSIDE or int(tiles.sum()) >= _IN_ALL


def outside_corner(tiles: npt.NDArray[np.bool_]) -> int:
    """Return the number of changed tiles, without those of the corner in which most have."""
    rows, columns = _CORNER
    corners = (tiles[:rows, -columns:], tiles[-rows:, -columns:])
    return int(tiles.sum()) - max(int(corner.sum()) for corner in corners)


def is_same(one: Grey, other: Grey) -> bool:
    """Return True if no more than one tile differs, as when a slide comes back."""
    return int(changed_tiles(one, other).sum()) <= 1


@dataclass
class ChangeDetector:
    """Finds the pictures to be read; `account` is filled while it runs."""

    account: Account = field(default_factory=Account)

    def stills(self, samples: Iterable[Sample]) -> Iterator[Still]:
        """Yield each picture once it has come to rest, the first and the last one included.

        A picture that never rests is yielded now and then. Between two yields a sample's frame is
        dropped, so that one frame is in memory.
        """
        account = self.account
        shown: Grey | None = None
        known: list[tuple[int, Grey]] = []
        pending: _Pending | None = None
        number, tokens, last_s, read_s = 0, BURST, 0.0, 0.0

        def still(place: _Pending) -> Still:
            nonlocal number, shown, tokens, read_s
            grey = place.last.grey
            repeated = next((n for n, old in reversed(known) if is_same(old, grey)), None)
            found = Still(number, place.start_s, place.left_s, place.last, repeated)
            if repeated is None:
                known.append((number, grey))
                del known[:-KNOWN]
                tokens -= 1
            number += 1
            shown, read_s = grey, place.last.at_s
            return found

        for sample in samples:
            account.samples += 1
            account.end_s = max(account.end_s, sample.at_s)
            tokens = min(BURST, tokens + max(0.0, sample.at_s - last_s) / REFILL_S)
            if pending is None:
                if shown is None or is_changed(shown, sample.grey):
                    pending = _Pending(sample.at_s, sample.at_s, sample)
                last_s = sample.at_s
                continue
            stood = sample.at_s - pending.last.at_s >= REST_S
            moved = is_changed(pending.last.grey, sample.grey)
            pending.rested |= stood or not moved
            if moved:
                account.moving_s += 0.0 if stood else sample.at_s - last_s
                if pending.rested:
                    if tokens >= 1:
                        yield still(pending)
                    else:
                        account.left_out += 1
                    changes = shown is None or is_changed(shown, sample.grey)
                    pending = _Pending(sample.at_s, sample.at_s, sample) if changes else None
                else:
                    pending.start_s, pending.last = sample.at_s, sample
                    if sample.at_s - max(read_s, pending.left_s) >= MOVING_S and tokens >= 1:
                        yield still(pending)
                        pending = None
            else:
                pending.last = sample
                if shown is not None and not is_changed(shown, sample.grey):
                    pending = None  # something passed through the picture
                elif tokens >= 1:
                    yield still(pending)
                    pending = None
            last_s = sample.at_s
        if pending is not None and tokens >= 1:
            yield still(pending)
        elif pending is not None:
            account.left_out += 1
