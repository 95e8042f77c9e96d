"""Text on the screen as it is stored, and as passages that a search returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kb.library import deep_link
from kb.storage import Fields
from kb.types import MediaItem, Passage
from kb.types.passages import ON_SCREEN
from kb.types.screen import ScreenLine, ScreenPage, ScreenText

FILE = "screen.json"
_HINT = "Make it again: kb enrich ID --steps screen --again"


def read_screen_text(document: Mapping[str, Any]) -> ScreenText:
    """Return the text of a stored result. Raises LibraryError for a damaged one."""
    fields = Fields(document, FILE, hint=_HINT)
    pages = []
    for page in fields.objects("pages", required=True):
        lines = tuple(
            ScreenLine(line.text("text"), line.number("start"), *_height(line))
            for line in page.objects("lines", required=True)
        )
        showings = tuple(
            (each.number("start"), each.number("end"))
            for each in page.objects("showings", required=True)
        )
        if lines and showings:
            pages.append(ScreenPage(lines, showings, page.text("thumbnail", "")))
    return ScreenText(
        bool(document.get("picture", True)),
        tuple(pages),
        int(fields.number("lines_unread", 0)),
        int(fields.number("changes_left_out", 0)),
        fields.number("moving_seconds", 0.0),
    )


def _height(line: Fields) -> tuple[float, float]:
    """Return where a line begins and ends, from the top; 0 and 0 if it is not known."""
    top, height = line.number("top", 0.0), line.number("height", 0.0)
    return top, top + height


def screen_passages(found: ScreenText, item: MediaItem, *, path: str) -> tuple[Passage, ...]:
    """Return a passage for each page, at its first showing; each word has the second of its line.

    Ids count from `#s0000`, apart from those of the words.
    """
    return tuple(
        Passage(
            id=f"{item.id}#s{number:04d}",
            item_id=item.id,
            start_s=page.showings[0][0],
            end_s=page.showings[0][1],
            text=" ".join(" ".join(line.text.split()) for line in page.lines),
            deep_link=deep_link(item, page.showings[0][0]),
            title=item.title,
            channel=item.channel,
            published=item.published,
            path=path,
            word_starts_s=tuple(line.start_s for line in page.lines for _ in line.text.split()),
            origin=ON_SCREEN,
        )
        for number, page in enumerate(found.pages)
    )
