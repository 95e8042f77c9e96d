"""Documents for people as rows: our Markdown, our web page, Word documents.

A document beside a medium may be anything, such as notes: without times it is no transcript. Its
times are whole seconds, and it has no ends.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from xml.etree import ElementTree

from kb.library.languages import language_code
from kb.transcript.foreign import text_lines
from kb.transcript.foreign.rows import Found, Row
from kb.transcript.foreign.subtitles import seconds
from kb.types import Word

NO_TIMES = "it has no times, so that it may be any other document"
MAX_DOCUMENT_BYTES = 2**27  # of the text of a Word document, unpacked

_TIME = r"(?:\d+:)?\d{1,2}:\d{2}"
_HEADING = re.compile(
    rf"#{{2,3}} (?:\[(?P<link>{_TIME})\]\(.*\)|(?P<start>{_TIME})(?: - (?P<end>{_TIME}))?)\s*$"
)
_MARKDOWN_LANGUAGE = re.compile(r"- Language: (.+)$", re.MULTILINE)
_WORD_LINE = re.compile(
    rf"- (?:\[({_TIME}\.\d{{3}})\]\((?:<[^>]*>|[^()\s]*)\)|({_TIME}\.\d{{3}})) (.+)$"
)
_ADDRESS = re.compile(r"(?<!\\)<(https?://[^\s<>]+)>")
_SPEAKER_OF_LINE = re.compile(r"\*\*((?:\\.|[^*\\])+):\*\*(?:\s+|$)")
_LINK = re.compile(r"(?<!\\)\[((?:\\.|[^\[\]\\])*)\]\(<[^<>]*>\)")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_PART = re.compile(rf"({_TIME})\s+(.*)", re.DOTALL)
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_LANGUAGE = "{http://purl.org/dc/elements/1.1/}language"
_NO_TEXT_STYLES = ("Title", "Heading", "Subtitle", "TOC")
_REMARK_STYLES = ("Quote", "IntenseQuote")  # before the first time
_FACT_STYLE = "NoSpacing"


def markdown_rows(text: str, duration_s: float) -> Found:
    """Return the paragraphs under headings with times; else the lines with times.

    Raises ValueError without any time.
    """
    rows: list[Row] = []
    inside = False
    for number, line in enumerate(text.split("\n"), 1):
        if match := _HEADING.match(line):
            start = seconds(match["link"] or match["start"])
            end = seconds(match["end"]) if match["end"] else None
            rows.append(Row("", start, end, place=f"line {number}"))
            inside = True
        elif line.startswith("#"):
            inside = False
        elif inside and line.strip():
            rows += _continued(rows.pop(), line.strip())
    if not rows:
        lines = [line for line in text.split("\n") if not line.startswith("#")]
        return _timed(_plain("\n".join(lines)), duration_s)
    rows = [_ended(row) for row in rows]
    language = _MARKDOWN_LANGUAGE.search(text.split("\n## ", 1)[0])
    return Found(tuple(rows), language_code(language[1]) if language else "", by_row=True)


def _continued(row: Row, line: str) -> list[Row]:
    """Return the row with one more line: text, or a word of a list of words with times.

    A word before the word before it is that of another voice, and begins a row.
    """
    if not row.text and (named := _SPEAKER_OF_LINE.match(line)):
        row = replace(row, speaker=_plain(named[1]))
        line = line[named.end() :]
        if not line:
            return [row]
    match = _WORD_LINE.match(line)
    plain = _plain(match[3] if match else line)
    if match is None:
        return [replace(row, text=f"{row.text} {plain}".strip())]
    start_s = seconds(match[1] or match[2])
    word = Word(start_s, start_s, plain, 1.0)
    if row.words and start_s < row.words[-1].start_s:
        return [row, replace(row, text=plain, start_s=start_s, words=(word,))]
    return [replace(row, text=f"{row.text} {plain}".strip(), words=(*row.words, word))]


def _ended(row: Row) -> Row:
    """Return the row with words that last until the next one starts."""
    nexts = [word.start_s for word in row.words[1:]] + [row.end_s or 0.0]
    words = tuple(
        replace(word, end_s=max(word.start_s, until_s))
        for word, until_s in zip(row.words, nexts, strict=False)
    )
    start_s = min([row.start_s or 0.0, *(word.start_s for word in words)])
    return replace(row, start_s=start_s, words=words)


def _plain(text: str) -> str:
    """Return Markdown without links and escapes."""
    return _ESCAPED.sub(r"\1", _ADDRESS.sub(r"\1", _LINK.sub(r"\1", text)))


def page_rows(text: str) -> Found:
    """Return the paragraphs of our web page. Raises ValueError for any other page."""
    page = _Page()
    page.feed(text)
    page.close()
    if not page.parts:
        raise ValueError("it is no transcript that KB Ingest wrote")
    rows = tuple(
        Row(
            " ".join("".join(part.words).split()),
            seconds("".join(part.time).strip()),
            place=f"part {number}",
            speaker=" ".join("".join(part.speaker).split()).removesuffix(":") or None,
        )
        for number, part in enumerate(page.parts, 1)
    )
    return Found(rows, language_code(page.language), by_row=True)


@dataclass(slots=True)
class _Part:
    """The texts of an element of the class `part`."""

    time: list[str] = field(default_factory=list)
    speaker: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


class _Page(HTMLParser):
    """Reader of a page: time, speaker and text of each element of the class `part`."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.language = ""
        self.parts: list[_Part] = []
        self._target: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "html":
            self.language = values.get("lang", "")
        if tag == "div" and values.get("class") == "time":
            self.parts.append(_Part())
            self._target = self.parts[-1].time
        elif tag == "p":
            is_text = bool(self.parts) and not self.parts[-1].words
            self._target = self.parts[-1].words if is_text else None
        elif tag == "b" and self._target is not None and values.get("class") == "speaker":
            self._target = self.parts[-1].speaker
        elif tag == "br" and self._target is not None:
            self._target.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "div"):
            self._target = None
        elif tag == "b" and self._target is not None and self._target is self.parts[-1].speaker:
            self._target = self.parts[-1].words

    def handle_data(self, data: str) -> None:
        if self._target is not None:
            self._target.append(data)


def word_rows(data: bytes, duration_s: float) -> Found:
    """Return the paragraphs of a Word document that begin with a time; else its lines with times.

    Raises ValueError for another file, and for a document without times.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            body = _xml(archive, "word/document.xml")
            names = set(archive.namelist())
            core = _xml(archive, "docProps/core.xml") if "docProps/core.xml" in names else None
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError("it is no Word document") from error
    paragraphs = list(_paragraphs(body))
    rows: list[Row] = []
    has_other_text = False
    for number, (style, text, bold) in enumerate(paragraphs, 1):
        is_remark = not rows and style.startswith(_REMARK_STYLES)
        if is_remark or style.startswith(_NO_TEXT_STYLES) or not text.strip():
            continue
        if match := _PART.fullmatch(text.strip()):
            spoken, place = match[2], f"paragraph {number}"
            label = next((each for each in bold if _is_label(each, spoken)), "")
            text = " ".join(spoken.removeprefix(label).split())
            named = label.strip().removesuffix(":") or None
            rows.append(Row(text, seconds(match[1]), place=place, speaker=named))
        elif rows or style != _FACT_STYLE:
            has_other_text = True
    if not rows or has_other_text:
        return _timed("\n".join(text for _, text, _ in paragraphs), duration_s)
    language = "" if core is None else core.findtext(_LANGUAGE, "")
    return Found(tuple(rows), language_code(language or ""), by_row=True)


def _is_label(bold: str, text: str) -> bool:
    """Return True if a paragraph's text begins with this bold part, and it names a speaker."""
    return bool(bold.strip()[:-1]) and bold.rstrip().endswith(":") and text.startswith(bold)


def _timed(text: str, duration_s: float) -> Found:
    found = text_lines.parse(text, duration_s)
    if not found.has_times:
        raise ValueError(NO_TIMES)
    return found


def _xml(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    if archive.getinfo(name).file_size > MAX_DOCUMENT_BYTES:
        raise ValueError(f"it has more than {MAX_DOCUMENT_BYTES // 2**20} MB")
    with archive.open(name) as file:
        data = file.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES or b"<!ENTITY" in data:
        raise ValueError("it is no Word document")
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise ValueError("it is a damaged Word document") from error


def _paragraphs(body: ElementTree.Element) -> Iterator[tuple[str, str, list[str]]]:
    """Yield style and text of each paragraph, and its bold parts."""
    for paragraph in body.iter(f"{_WORD}p"):
        style = paragraph.find(f"{_WORD}pPr/{_WORD}pStyle")
        name = "" if style is None else style.get(f"{_WORD}val", "")
        parts: list[str] = []
        for element in paragraph.iter():
            if element.tag == f"{_WORD}t":
                parts.append(element.text or "")
            elif element.tag in (f"{_WORD}tab", f"{_WORD}br"):
                parts.append(" " if element.tag == f"{_WORD}tab" else "\n")
        bold = [
            "".join(run.itertext())
            for run in paragraph.iter(f"{_WORD}r")
            if run.find(f"{_WORD}rPr/{_WORD}b") is not None
        ]
        yield name, "".join(parts), bold
