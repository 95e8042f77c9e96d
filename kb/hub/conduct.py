"""The deadlines, pauses and patience of a fetch."""

from __future__ import annotations

from dataclasses import dataclass, field

from kb.hub.client import Deadlines

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
ROOM_BYTES = 64 * 2**20  # stays free on the disk


@dataclass(frozen=True, slots=True)
class Conduct:
    """The conduct of a fetch: deadlines, pauses and patience in seconds, bytes to leave free."""

    deadlines: Deadlines = field(default_factory=Deadlines)
    patience_s: float = 600.0
    first_pause_s: float = FIRST_PAUSE_S
    longest_pause_s: float = LONGEST_PAUSE_S
    room_bytes: int = ROOM_BYTES
    # A hub that no connection reaches: a person at a terminal reads so at once.
    unreachable_patience_s: float = 0.0
    # A fetch that a user has paused is not continued.
    respect_pause: bool = False
