"""A stretch of an item that recurs in its channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RecurringStretch:
    """A stretch that `items` items of a channel have, this one counted: an intro, a sponsor read.

    It was found by its sound, by its words, or by both.
    """

    start_s: float
    end_s: float
    items: int
    by_sound: bool = False
    by_text: bool = False

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    def as_dict(self) -> dict[str, Any]:
        """Return the stretch as JSON values."""
        return {
            "start": round(self.start_s, 2),
            "end": round(self.end_s, 2),
            "items": self.items,
            "by_sound": self.by_sound,
            "by_text": self.by_text,
        }
