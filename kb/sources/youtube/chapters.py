"""Parser of the chapters in a video's description."""

from __future__ import annotations

import re

from kb.types import Chapter

_STAMP = r"\(?\[?(?:(\d{1,2}):)?(\d{1,3}):(\d{2})\]?\)?"
_FIRST = re.compile(rf"^\W{{0,4}}{_STAMP}(?!\S*\d:)[\s\-–—:|.)]*(\S.*)$")
_LAST = re.compile(rf"^\s*(\S.*?)[\s\-–—:|(]+{_STAMP}\s*$")
LEAST = 3


def parse_chapters(description: str, duration_s: float | None = None) -> tuple[Chapter, ...]:
    """Return the chapters in a description, by the site's own rule.

    Each chapter is a line with a time (`M:SS` or `H:MM:SS`) before or after the title. There are
    at least three, the first at 0:00, with increasing times. Other text with times gives none.
    """
    found: list[Chapter] = []
    for line in description.splitlines():
        if match := _FIRST.match(line):
            hours, minutes, seconds, title = match.groups()
        elif match := _LAST.match(line):
            title, hours, minutes, seconds = match.groups()
        else:
            continue
        start_s = int(hours or 0) * 3600.0 + int(minutes) * 60.0 + int(seconds)
        if not found and start_s > 0:
            continue
        if found and start_s <= found[-1].start_s:
            break
        if duration_s and start_s >= duration_s:
            break
        found.append(Chapter(start_s, title.strip()))
    return tuple(found) if len(found) >= LEAST else ()
