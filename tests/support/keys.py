"""Keys that look like real ones, and a clock that tests set."""

from __future__ import annotations

from datetime import UTC, datetime

NOON = datetime(2026, 11, 20, 20, tzinfo=UTC).timestamp()  # noon in Los Angeles


def fake_key(letter: str) -> str:
    # Composed at run time, so that no file holds anything that looks like a key.
    return "AI" + "za" + "Sy" + letter * 33


class Clock:
    def __init__(self, now: float = NOON) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
