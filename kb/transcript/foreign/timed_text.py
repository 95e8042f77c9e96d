"""TTML (also DFXP) as rows, with the times of its spans as words; and LRC, with times inside lines.

TTML: W3C Timed Text Markup Language 2, time expressions of section 12.3. LRC: the form of lyrics,
`[mm:ss.xx]text`, and its enhanced form with `<mm:ss.xx>` before each word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from kb.library.languages import language_code
from kb.transcript.foreign.rows import Found, Row, grouped, unjoined
from kb.transcript.foreign.subtitles import joined_lines
from kb.types import Word

_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
_ID = "{http://www.w3.org/XML/1998/namespace}id"
_AGENT = "{http://www.w3.org/ns/ttml#metadata}agent"
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_CLOCK = re.compile(r"(-?)(\d+):(\d\d):(\d\d)(?:\.(\d+)|:(\d+))?")
_OFFSET = re.compile(r"(-?\d+(?:\.\d+)?)(h|m|s|ms|f|t)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}

_STAMP = r"(\d{1,3}):(\d{2})(?:[.:](\d{1,3}))?"
_LINE_STAMP = re.compile(rf"\[{_STAMP}\]")
_WORD_STAMP = re.compile(rf"<{_STAMP}>")
_TAG = re.compile(r"\[([a-zA-Z#]+):(.*)\]\s*$")


@dataclass(frozen=True, slots=True)
class _Reading:
    """Frames and ticks per second; `kept`: the white space of the text has a meaning.

    `agents` has the names of speakers by their ids.
    """

    frames: float
    ticks: float
    kept: bool = False
    agents: Mapping[str, str] = field(default_factory=dict)

    def inside(self, element: Element) -> _Reading:
        """Return the same for the content of an element."""
        space = element.get(_SPACE)
        return self if space is None else replace(self, kept=space == "preserve")


def ttml_rows(text: str) -> Found:
    """Return the paragraphs of a TTML document. Raises ValueError for a damaged one."""
    if "<!ENTITY" in text:
        raise ValueError("it defines entities, which no subtitles need")
    try:
        # The text is decoded already, whatever its declaration says.
        root = ElementTree.fromstring(_DECLARATION.sub("", text, count=1).encode())
    except ElementTree.ParseError as error:
        raise ValueError(f"it is no XML: {error}") from error
    if _name(root) != "tt":
        raise ValueError("it is XML of an unknown form")
    kept = root.get(_SPACE) == "preserve"
    reading = _Reading(*_rates(root), kept, _agents(root))
    rows = [
        replace(row, place=f"paragraph {number}")
        for number, row in enumerate(_paragraphs(root, 0.0, reading), 1)
    ]
    return grouped(Found(tuple(rows), language_code(root.get(_LANGUAGE, ""))))


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _agents(root: Element) -> dict[str, str]:
    """Return the names of speakers by the ids of their agents."""
    return {
        element.get(_ID, ""): name
        for element in root.iter()
        if _name(element) == "agent"
        if (name := " ".join(" ".join(element.itertext()).split()))
    }


def _rates(root: Element) -> tuple[float, float]:
    values = {str(name).rpartition("}")[2]: value for name, value in root.attrib.items()}
    try:
        up, _, down = values.get("frameRateMultiplier", "1 1").partition(" ")
        frames = float(values.get("frameRate", 30)) * float(up) / float(down or 1)
        return frames, float(values.get("tickRate", frames))
    except (ValueError, ZeroDivisionError):
        raise ValueError("its frame rate is no number") from None


def _paragraphs(element: Element, begin_s: float, reading: _Reading) -> Iterator[Row]:
    """Yield the paragraphs below an element; their times count from its begin."""
    reading = reading.inside(element)
    for child in element:
        if _name(child) == "p":
            yield _paragraph(child, begin_s, reading)
        elif _name(child) in ("body", "div"):
            yield from _paragraphs(
                child, begin_s + (_time(child, "begin", reading) or 0.0), reading
            )


def _paragraph(element: Element, begin_s: float, reading: _Reading) -> Row:
    start_s, end_s = _span(element, begin_s, reading)
    words: list[Word] = []
    parts = list(_texts(element, start_s, end_s, reading))
    for text, from_s, until_s in parts:
        if from_s is not None:
            end = from_s if until_s is None else until_s
            words += [Word(from_s, end, word, 1.0) for word in text.split()]
    text = joined_lines("".join(part[0] for part in parts).split("\n"))
    timed = [part for part in parts if part[1] is not None]
    if start_s is None and timed:
        start_s, end_s = timed[0][1], timed[-1][2]
    whole = len(words) == sum(len(part[0].split()) for part in parts)
    speaker = reading.agents.get(element.get(_AGENT, ""))
    return Row(text, start_s, end_s, tuple(words) if whole else (), speaker=speaker)


def _texts(
    element: Element, start_s: float | None, end_s: float | None, reading: _Reading
) -> Iterator[tuple[str, float | None, float | None]]:
    """Yield the texts of a paragraph, each with the times of its own span if it has any."""
    reading = reading.inside(element)

    def shown(text: str | None) -> str:
        return (text or "") if reading.kept else re.sub(r"\s+", " ", text or "")

    yield shown(element.text), None, None
    for child in element:
        if _name(child) == "br":
            yield "\n", None, None
        elif _name(child) == "span":
            if child.get("begin") is not None:
                from_s, until_s = _span(child, start_s or 0.0, reading)
                text = "".join(part[0] for part in _texts(child, None, None, reading))
                yield text, from_s, end_s if until_s is None else until_s
            else:
                yield from _texts(child, start_s, end_s, reading)
        yield shown(child.tail), None, None


def _span(element: Element, begin_s: float, reading: _Reading) -> tuple[float | None, float | None]:
    start, end = _time(element, "begin", reading), _time(element, "end", reading)
    length = _time(element, "dur", reading)
    start_s = None if start is None else begin_s + start
    if end is not None:
        return start_s, begin_s + end
    return start_s, None if length is None or start_s is None else start_s + length


def _time(element: Element, name: str, reading: _Reading) -> float | None:
    value = element.get(name, "").strip()
    if not value:
        return None
    if match := _CLOCK.fullmatch(value):
        whole = int(match[2]) * 3600 + int(match[3]) * 60 + int(match[4])
        part = float(f"0.{match[5]}") if match[5] else int(match[6] or 0) / reading.frames
        return -(whole + part) if match[1] else whole + part
    if match := _OFFSET.fullmatch(value):
        unit = match[2]
        scale = _UNITS.get(unit) or 1 / (reading.frames if unit == "f" else reading.ticks)
        return float(match[1]) * scale
    raise ValueError(f"{value[:40]!r} is no time")


def lrc_rows(text: str) -> Found:
    """Return the lines of an LRC file; those of a file without times have none.

    A time without text is the end of the line before.
    """
    tags: dict[str, str] = {}
    rows: list[Row] = []
    untimed: list[Row] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        stamps, rest = [], line
        while match := _LINE_STAMP.match(rest):
            stamps.append(_seconds(match))
            rest = rest[match.end() :].lstrip()
        if not stamps:
            if tag := _TAG.match(line):
                tags[tag[1].lower()] = tag[2].strip()
            elif line:
                untimed.append(Row(unjoined(line), place=f"line {number}"))
            continue
        for start_s in stamps:
            plain, words = _words(rest, start_s)
            rows.append(Row(plain, start_s, None, words, place=f"line {number}"))
    if not rows:
        return Found(tuple(untimed), language_code(tags.get("la", "")))
    shift_s = _offset(tags.get("offset", ""))
    rows = [_closed(row, following) for row, following in _followed(rows)]
    rows = [_moved(row, shift_s) for row in rows if row.text]
    return grouped(Found(tuple(rows), language_code(tags.get("la", ""))))


def _words(text: str, start_s: float) -> tuple[str, tuple[Word, ...]]:
    """Return a line without the times inside it, and its words if it has such times."""
    parts = _WORD_STAMP.split(text)
    plain = unjoined(" ".join("".join(parts[::4]).split()))
    if len(parts) == 1:
        return plain, ()
    times = [start_s, *(_seconds(match) for match in _WORD_STAMP.finditer(text))]
    spoken = list(zip(times, parts[::4], strict=True))
    return plain, tuple(
        Word(at_s, spoken[n + 1][0] if n + 1 < len(spoken) else at_s, word, 1.0)
        for n, (at_s, part) in enumerate(spoken)
        for word in unjoined(part).split()
    )


def _followed(rows: list[Row]) -> Iterator[tuple[Row, Row | None]]:
    ordered = sorted(rows, key=lambda row: row.start_s or 0.0)
    yield from zip(ordered, [*ordered[1:], None], strict=True)


def _closed(row: Row, following: Row | None) -> Row:
    """Return a row that ends at the next time, as players show it; its last word ends with it."""
    end_s = following.start_s if following is not None else None
    words = row.words
    if words and end_s is not None:
        words = (*words[:-1], replace(words[-1], end_s=max(words[-1].start_s, end_s)))
    return replace(row, end_s=end_s, words=words)


def _moved(row: Row, shift_s: float) -> Row:
    """Return a row that is shown earlier by the file's offset."""
    if not shift_s:
        return row
    words = tuple(
        replace(word, start_s=word.start_s - shift_s, end_s=word.end_s - shift_s)
        for word in row.words
    )
    end_s = None if row.end_s is None else row.end_s - shift_s
    return replace(row, start_s=(row.start_s or 0.0) - shift_s, end_s=end_s, words=words)


def _offset(value: str) -> float:
    try:
        return int(value) / 1000
    except ValueError:
        return 0.0


def _seconds(match: re.Match[str]) -> float:
    return int(match[1]) * 60 + int(match[2]) + float(f"0.{match[3] or 0}")
