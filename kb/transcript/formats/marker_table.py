"""Markers as the table that Adobe Audition imports and exports (CSV with tabs between columns).

Times are in minutes, seconds and thousandths (`decimal`), so that they do not depend on a frame
rate. A chapter is a marker without length.
"""

from __future__ import annotations

from kb.transcript.formats.markers import markers
from kb.types import MediaItem, Transcript
from kb.types.spreadsheet_cells import exact_cell

MIME_TYPE = "text/csv"
SUFFIX = "markers.csv"
GROUP = "cutting"
TIMES_WORDS = False

_COLUMNS = ("Name", "Start", "Duration", "Time Format", "Type", "Description")


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return a header and one row per marker."""
    rows = ["\t".join(_COLUMNS)]
    for marker in markers(transcript, item):
        start_ms, end_ms = round(marker.start_s * 1000), round(marker.end_s * 1000)
        cells = (
            exact_cell(marker.name), _time(start_ms), _time(end_ms - start_ms), "decimal",
            "Cue", "Chapter" if marker.is_chapter else "",
        )  # fmt: skip
        rows.append("\t".join(cells))
    return "".join(f"{row}\n" for row in rows)


def _time(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    hours = f"{seconds // 3600}:" if seconds >= 3600 else ""
    minutes = seconds // 60 % 60
    return f"{hours}{f'{minutes:02d}' if hours else minutes}:{seconds % 60:02d}.{rest:03d}"
