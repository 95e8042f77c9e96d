"""Text with times in its lines, in the forms that recognizers and web pages use.

[00:05 - 00:12] text            KB Ingest          0:05 text  |  0:05 ⏎ text     web pages
[00:00.000 --> 00:04.000] text  Whisper            (0:05) Speaker ⏎ text         Otter, Rev
00:00:05,000 --> 00:00:07,000   SubRip, WebVTT     Speaker 1  0:05 ⏎ text        Otter, Rev
0:00:05.000,0:00:07.000         YouTube (SBV)      Speaker (00:05): text         and the like
"""

from __future__ import annotations

import re
from itertools import pairwise

from kb.transcript.foreign.rows import Found, Row, grouped

# Hours are optional; after the seconds there may be parts of a second or the number of a frame.
_CLOCK = r"(?:(?:(\d{1,3}):)?(\d{1,3}):(\d{2})(?:[.,](\d{1,6})|[:;]\d{2}(?!\d))?)"
_TO = r"\s*(?:-{1,3}>|→|–|—|-|,|\bto\b|\bbis\b|\t)\s*"
_RANGE = re.compile(rf"\s*[\[(]?\s*{_CLOCK}{_TO}{_CLOCK}(?![\d:])\s*[\])]?(.*)", re.DOTALL)
# Documents of Microsoft's services leave out zeros: 0:0:5.3 --> 0:0:12.
_SHORT = r"(\d{1,3}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,6}))?"
_SHORT_RANGE = re.compile(rf"\s*{_SHORT}\s*-->\s*{_SHORT}(?![\d:])(.*)", re.DOTALL)
_CUE = re.compile(rf"\s*{_CLOCK}\s*-->")
_BRACKETED = re.compile(rf"\s*[\[(]\s*{_CLOCK}\s*[\])](.*)", re.DOTALL)
_BARE = re.compile(rf"\s*{_CLOCK}(?![\d:])(?:\s*[-–—:|]\s+|\s+|\s*$)(.*)", re.DOTALL)
_AFTER_NAME = re.compile(
    rf"\s*(?P<name>[^\W\d_][^\n:\[(]{{0,60}}?)\s*[:,]?\s*[\[(]?(?<!\d){_CLOCK}[\])]?\s*"
    r"(?P<colon>:)?\s*(?P<rest>.*)"
)
_SPOKEN_CLOCK = re.compile(
    r"\s*(?:\d+ (?:hours?|minutes?|seconds?|Stunden?|Minuten?|Sekunden?)[, ]*)+$"
)
_CUE_SETTINGS = re.compile(r"(?:\s*\b(?:align|position|line|size|vertical|region):\S+)+\s*$")
_TAG = re.compile(
    r"</?(?:[bicuv]|font|ruby|rt|lang|\d\d:\d\d)[^>\n]*>|\{\\[^}\n]*\}", re.IGNORECASE
)
_OWN = re.compile(r"\[(?:\d+:)?\d\d:\d\d(\.\d{3})? - (?:\d+:)?\d\d:\d\d(?:\.\d{3})?\] ")
_SLACK_S = 60.0  # a time later than the medium's end by more than this is no time
_BACKWARDS = 0.05  # share of times that may be earlier than the one before


def parse(text: str, duration_s: float) -> Found:
    """Return the rows of a text; without times it is one row for each paragraph.

    `duration_s` is the medium's length, 0 if unknown. Numbers that only look like times (`10:30
    we met`) are text: times must come in order and end with the medium.
    """
    lines = text.split("\n")
    rows = _timed(lines)
    if not rows:
        return Found(())
    times = [row.start_s for row in rows if row.start_s is not None]
    back = sum(later < earlier for earlier, later in pairwise(times))
    plausible = (
        bool(times)
        and (len(times) > 1 or rows[0].start_s is not None)
        and back <= _BACKWARDS * len(times)
        and (not duration_s or max(times) <= duration_s + _SLACK_S)
    )
    own = [_OWN.match(line) for line in lines if line.strip()]
    if all(own):  # thousandths are those of words
        by_word = any(match[1] for match in own if match)
        return grouped(Found(tuple(rows))) if by_word else Found(tuple(rows), by_row=True)
    if plausible:
        return Found(tuple(rows))
    return paragraphs(text)


def paragraphs(text: str) -> Found:
    """Return one row for each paragraph of a text, or for each line if there is only one."""
    parts = re.split(r"\n\s*\n", text)
    if len(parts) == 1:
        parts = text.split("\n")
    return Found(tuple(Row(part) for part in parts if part.strip()), by_row=True)


def _timed(lines: list[str]) -> list[Row]:
    rows: list[tuple[float | None, float | None, list[str], int]] = []
    arrows = any(_CUE.match(line) for line in lines)  # of subtitles, which may have markup
    for number, line in enumerate(lines):
        if stamp := _stamp(line):
            rows.append((stamp[0], stamp[1], [stamp[2]], number + 1))
            continue
        words = line.strip()
        if not words or (not rows and words == "WEBVTT"):
            continue
        # The number of a SubRip cue stands in a line of its own before the times.
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if arrows and words.isdigit() and "-->" in following:
            continue
        if not rows:
            rows.append((None, None, [], number + 1))
        if not any(rows[-1][2]) and rows[-1][0] is not None and _SPOKEN_CLOCK.match(words):
            continue  # `0:05 ⏎ 5 seconds ⏎ text`, as a page copied for a screen reader
        rows[-1][2].append(words)
    return [
        Row(_TAG.sub("", text).strip() if arrows else text, start_s, end_s, place=f"line {place}")
        for start_s, end_s, parts, place in rows
        if (text := " ".join(part for part in parts if part))
    ]


def _stamp(line: str) -> tuple[float, float | None, str] | None:
    """Return start, end (None if it has none) and the rest of a line that begins with a time."""
    if match := _RANGE.match(line) or _SHORT_RANGE.match(line):
        rest = _CUE_SETTINGS.sub("", match[9]) if "-->" in line else match[9]
        if not line.lstrip().startswith("["):
            rest = rest.lstrip(" :\t")  # `0:05 - 0:12: text`
        return _seconds(match, 1), _seconds(match, 5), rest.strip()
    if match := _BRACKETED.match(line) or _BARE.match(line):
        return _seconds(match, 1), None, match[5].lstrip(" :\t").strip()
    match = _AFTER_NAME.fullmatch(line)
    if match and len(match["name"].split()) <= 5 and (match["colon"] or not match["rest"]):
        return _seconds(match, 2), None, f"{match['name'].strip()}: {match['rest']}".strip()
    return None


def _seconds(match: re.Match[str], group: int) -> float:
    hours, minutes, seconds = (int(match[group + place] or 0) for place in range(3))
    return hours * 3600 + minutes * 60 + seconds + float(f"0.{match[group + 3] or 0}")
