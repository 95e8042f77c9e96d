"""Pages: the same text on the screen at several times, merged into one.

Two texts are the same page if they are alike without their spaces and have the same digits. A page
that grows line by line is kept as it was last, with the first second of each line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rapidfuzz import fuzz

from kb.enrich.screen.reader import Line

ALIKE = 90.0  # percent
LEAST_CHARACTERS = 3  # letters and digits of a page; fewer are a mark or a mistake
JOIN_S = 1.5  # showings of one page that are this close are one

_SPACE = re.compile(r"\s+")
_NO_DIGIT = re.compile(r"\D+")


@dataclass(frozen=True, slots=True)
class PageLine:
    """A line with the second from which it is shown."""

    line: Line
    start_s: float


@dataclass(slots=True)
class Page:
    """One text with its showings, [first second, last second] each; `thumbnail` is a JPEG."""

    lines: list[PageLine]
    showings: list[list[float]]
    thumbnail: bytes = b""
    key: str = ""
    digits: str = field(default="")

    @property
    def text(self) -> str:
        return "\n".join(each.line.text for each in self.lines)


class Pages:
    """The pages of one video, filled in order of time."""

    def __init__(self) -> None:
        self.pages: list[Page] = []
        self._open: Page | None = None

    def close(self, at_s: float) -> None:
        """End the showing of the page that is on the screen."""
        if self._open is not None:
            self._open.showings[-1][1] = max(self._open.showings[-1][0], at_s)
        self._open = None

    def show(
        self, lines: Sequence[Line], at_s: float, left_s: float, thumbnail: Callable[[], bytes]
    ) -> Page | None:
        """Show a text from a time on; return its page, None for a picture without text.

        The text before it was shown until `left_s`.
        """
        key = _key(lines)
        if sum(character.isalnum() for character in key) < LEAST_CHARACTERS:
            return self.again(None, at_s, left_s)
        digits = _NO_DIGIT.sub("", key)
        for page in reversed(self.pages):
            if page.digits == digits and fuzz.ratio(page.key, key, score_cutoff=ALIKE) >= ALIKE:
                return self.again(page, at_s, left_s)
        before = self._open
        if before is not None and _grows(before, lines) and len(before.showings) == 1:
            before.lines = [PageLine(line, _since(before, line, at_s)) for line in lines]
            before.key, before.digits, before.thumbnail = key, digits, thumbnail()
            return before
        self.close(left_s)
        new = [PageLine(line, at_s) for line in lines]
        page = Page(new, [[at_s, at_s]], thumbnail(), key, digits)
        self.pages.append(page)
        self._open = page
        return page

    def again(self, page: Page | None, at_s: float, left_s: float) -> Page | None:
        """Show a page once more, or a picture without text (None).

        The same page before and after a movement was there meanwhile.
        """
        is_open = page is not None and page is self._open
        self.close(left_s)
        if page is not None:
            if is_open or at_s - page.showings[-1][1] <= JOIN_S:
                page.showings[-1][1] = max(page.showings[-1][1], at_s)
            else:
                page.showings.append([at_s, at_s])
        self._open = page
        return page


def _key(lines: Sequence[Line]) -> str:
    return _SPACE.sub("", "".join(line.text for line in lines))


def _alike(one: str, other: str) -> bool:
    first, second = _SPACE.sub("", one), _SPACE.sub("", other)
    return first == second or fuzz.ratio(first, second, score_cutoff=ALIKE) >= ALIKE


def _grows(page: Page, lines: Sequence[Line]) -> bool:
    """Return True if every line of the page is among these, which are more."""
    return len(lines) > len(page.lines) and all(
        any(_alike(each.line.text, line.text) for line in lines) for each in page.lines
    )


def _since(page: Page, line: Line, at_s: float) -> float:
    found = [each.start_s for each in page.lines if _alike(each.line.text, line.text)]
    return min(found, default=at_s)
