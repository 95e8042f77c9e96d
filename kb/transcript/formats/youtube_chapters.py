"""Chapters for the description of a video on YouTube: one line with time and title each.

YouTube makes chapters of a list that begins at 0:00, has at least three times in order, and leaves
at least 10 seconds to each ("Video chapters" of its help). It refuses a description with `<` or
`>`. The list here has all chapters of the item, begins at 0:00 and has neither of these characters.
"""

from __future__ import annotations

from kb.errors import UsageError
from kb.transcript.chunks import HOUR_S, collapse_whitespace, format_timestamp
from kb.types import MediaItem, Transcript
from kb.types.notes import NotedChapter

SUFFIX = "chapters.txt"
GROUP = "cutting"
TIMES_WORDS = False

_BRACKETS = str.maketrans("<>", "‹›")


def unavailable(transcript: Transcript, item: MediaItem | None) -> UsageError | None:
    """Return the error for an item without chapters, of its own or of a language model."""
    if (item is not None and item.chapters) or _noted(transcript, item):
        return None
    return UsageError(
        "format.no_chapters",
        "There are no chapters to write as {format!r}.",
        hint="Chapters come from the medium's page or its tags, or from a language model: "
        "kb enrich ID --steps chapters",
        format="chapters",
    )


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return the chapters in order of time; the first one begins at 0:00.

    Those of a language model, where the item has none, have a last line that says so.
    """
    noted = _noted(transcript, item)
    found = noted or (item.chapters if item else ())
    rows = sorted((int(max(0.0, chapter.start_s)), chapter.title) for chapter in found)
    if rows and rows[0][0] > 0:
        rows.insert(0, (0, item.title if item else ""))
    hours = bool(rows) and rows[-1][0] >= HOUR_S
    lines = [f"{_time(second, hours=hours)} {_title(title)}\n" for second, title in rows]
    if noted and transcript.notes is not None:
        lines.append(f"\nChapters by a language model ({_title(transcript.notes.model)})\n")
    return "".join(lines)


def _noted(transcript: Transcript, item: MediaItem | None) -> tuple[NotedChapter, ...]:
    """Return the chapters of a language model, none where the item has its own."""
    if transcript.notes is None or (item is not None and item.chapters):
        return ()
    return transcript.notes.chapters


def _time(second: int, *, hours: bool) -> str:
    """Return `0:00` or `0:00:00`, the same form for all lines."""
    time = format_timestamp(second, hours=hours)
    return time if hours or second >= 600 else time.removeprefix("0")


def _title(title: str) -> str:
    return collapse_whitespace(title).translate(_BRACKETS) or "–"
