"""Markers as an edit decision list (EDL), which DaVinci Resolve imports onto a timeline.

The form is that of Resolve's own "Timeline markers to EDL": an event of one frame per marker, and a
line with its colour, name and length in frames. An EDL counts frames. This one has 25 a second, and
its first frame is 01:00:00:00, the usual start of a timeline. Resolve allows one marker a frame, so
that a second one at the same frame is put on the next.
"""

from __future__ import annotations

from kb.transcript.chunks import collapse_whitespace
from kb.transcript.formats.markers import markers
from kb.types import MediaItem, Transcript

GROUP = "cutting"

FRAMES_PER_S = 25
_FIRST_FRAME = 3600 * FRAMES_PER_S
_TITLE_LETTERS = 70  # of CMX 3600
_BAR = str.maketrans("|", "¦")  # a bar ends the name


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return the list; only its head if there are neither chapters nor words."""
    title = collapse_whitespace(item.title)[:_TITLE_LETTERS] if item else ""
    blocks = [f"TITLE: {title or 'Markers'}\nFCM: NON-DROP FRAME\n"]
    latest = -1
    for number, marker in enumerate(markers(transcript, item), 1):
        first = max(round(marker.start_s * FRAMES_PER_S), latest + 1)
        latest = first
        length = max(1, round(marker.end_s * FRAMES_PER_S) - first)
        place = f"{_time(first)} {_time(first + 1)}"
        color = "Green" if marker.is_chapter else "Blue"
        blocks.append(
            f"{number:03d}  001      V     C        {place} {place}  \n"
            f" |C:ResolveColor{color} |M:{marker.name.translate(_BAR)} |D:{length}\n"
        )
    return "\n".join(blocks)


def _time(frame: int) -> str:
    second, rest = divmod(frame + _FIRST_FRAME, FRAMES_PER_S)
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}:{rest:02d}"
