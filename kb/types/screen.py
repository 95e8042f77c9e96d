"""Text on the screen of a video."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ScreenLine:
    """A line of a page, and the second from which it is shown."""

    text: str
    start_s: float


@dataclass(frozen=True, slots=True)
class ScreenPage:
    """One text with all its showings, (first second, last second) each.

    `thumbnail` is a small JPEG in base64, empty if none was kept.
    """

    lines: tuple[ScreenLine, ...]
    showings: tuple[tuple[float, float], ...]
    thumbnail: str = ""

    @property
    def text(self) -> str:
        """The lines, one below the other."""
        return "\n".join(line.text for line in self.lines)


@dataclass(frozen=True, slots=True)
class ScreenText:
    """The text read on the screen of one video; without picture there are no pages.

    `lines_unread` could not be read (another script, or no text), `changes_left_out` came faster
    than pictures are read, and for `moving_s` the picture did not rest.
    """

    has_picture: bool
    pages: tuple[ScreenPage, ...] = ()
    lines_unread: int = 0
    changes_left_out: int = 0
    moving_s: float = 0.0
