"""Markers as an edit decision list (EDL), which DaVinci Resolve imports onto a timeline.

The form is that of Resolve's own "Timeline markers to EDL": an event of one frame per marker, and a
line with its colour, name and length in frames. An EDL counts frames, so that it belongs to the
frame rate of its timeline (`transcript.frame_rate`); rates such as 29.97 are counted as 30
(non-drop). The first frame is 01:00:00:00, the usual start of a timeline. Resolve allows one marker
a frame, so that a second one at the same frame is put on the next.
"""

from __future__ import annotations

from kb.transcript.chunks import collapse_whitespace
from kb.transcript.formats.markers import markers
from kb.types import MediaItem, Transcript

GROUP = "cutting"
TIMES_WORDS = False

_START_S = 3600
_NTSC = 1000 / 1001  # 30 frames "a second" of NTSC are 30,000 in 1,001 seconds
_TITLE_LETTERS = 70  # of CMX 3600
_BAR = str.maketrans("|", "¦")  # a bar ends the name


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return the list; only its head if there are neither chapters nor words."""
    title = collapse_whitespace(item.title)[:_TITLE_LETTERS] if item else ""
    blocks = [f"TITLE: {title or 'Markers'}\nFCM: NON-DROP FRAME\n"]
    rate, count = _rates(transcript.frame_rate)
    latest = -1
    for number, marker in enumerate(markers(transcript, item), 1):
        first = max(round(marker.start_s * rate), latest + 1)
        latest = first
        length = max(1, round(marker.end_s * rate) - first)
        place = f"{_time(first, count)} {_time(first + 1, count)}"
        color = "Green" if marker.is_chapter else "Blue"
        blocks.append(
            f"{number:03d}  001      V     C        {place} {place}  \n"
            f" |C:ResolveColor{color} |M:{marker.name.translate(_BAR)} |D:{length}\n"
        )
    return "\n".join(blocks)


def _rates(frame_rate: float) -> tuple[float, int]:
    """Return the exact frames per second, and the frames that the time code counts as a second."""
    count = max(1, round(frame_rate))
    is_ntsc = abs(count * _NTSC - frame_rate) < abs(count - frame_rate)
    return count * _NTSC if is_ntsc else float(count), count


def _time(frame: int, count: int) -> str:
    second, rest = divmod(frame + _START_S * count, count)
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}:{rest:02d}"
