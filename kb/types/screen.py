"""Text on the screen of a video."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ScreenLine:
    """A line of a page, and the second from which it is shown.

    `top` and `bottom` are shares of the picture's height.
    """

    text: str
    start_s: float
    top: float = 0.0
    bottom: float = 0.0


@dataclass(frozen=True, slots=True)
class ScreenPage:
    """One text with all its showings, (first second, last second) each.

    `thumbnail` is a small JPEG in base64, empty if none was kept.
    """

    lines: tuple[ScreenLine, ...]
    showings: tuple[tuple[float, float], ...]
    thumbnail: str = ""

    def rows(self) -> list[str]:
        """Return the lines from the top; those beside each other, such as cells, are one row."""
        found: list[list[ScreenLine]] = []
        for line in self.lines:
            row = found[-1] if found else []
            if row and row[0].top < (line.top + line.bottom) / 2 < row[0].bottom:
                row.append(line)
            else:
                found.append([line])
        return ["   ".join(line.text for line in row) for row in found]


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
