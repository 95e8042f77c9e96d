"""The wanted videos of a look, also of one that broke off."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kb.errors import Cancelled
from kb.types import MediaItem


def found_items(
    look: Iterator[MediaItem], wanted: Callable[[bool], Iterator[MediaItem]]
) -> Iterator[MediaItem]:
    """Yield the videos of a look as it reads them, then all others that are `wanted`.

    `wanted` is called with True after the end of the look, and with False where it broke off,
    before its error is raised. A cancelled look yields nothing more.
    """
    try:
        yield from look
    except Cancelled:
        raise
    except Exception:
        yield from wanted(False)
        raise
    yield from wanted(True)
