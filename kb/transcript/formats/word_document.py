"""A document for Word and LibreOffice (docx): title, facts, chapters, text with links to its times.

The document names its language, so that the spelling of the right one is checked, and paragraphs in
scripts from right to left are laid out in that direction.
"""

from __future__ import annotations

import io
import re
import unicodedata
from typing import Any

from kb.library import deep_link
from kb.transcript.chunks import collapse_whitespace, format_timestamp
from kb.transcript.formats.facts import LINK, UNTITLED, facts, quality_remark
from kb.transcript.formats.office_package import without_clock
from kb.transcript.formats.paragraphs import Paragraph, sections
from kb.types import MediaItem, Transcript

MIME_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
GROUP = "reading"
TIMES_WORDS = False

_FROM_RIGHT = ("R", "AL")
_PROPERTY_LETTERS = 255


def render(transcript: Transcript, *, item: MediaItem | None = None) -> bytes:
    """Return the file; without `item` it has no title, facts and links."""
    writer = _Writer()
    writer.set_properties(transcript, item)
    if item is not None:
        writer.add_head(transcript, item)
    for section in sections(transcript, item):
        if section.title:
            writer.add(section.title, "Heading 1")
        for paragraph in section.paragraphs:
            writer.add_part(paragraph, item)
    return writer.file()


class _Writer:
    """A document of python-docx, with what that library cannot write: links and directions."""

    def __init__(self) -> None:
        import docx  # takes a third of a second
        from docx.opc.constants import RELATIONSHIP_TYPE
        from docx.oxml import OxmlElement
        from docx.oxml.ns import qn
        from docx.shared import RGBColor

        self._document = docx.Document()
        self._element, self._tag = OxmlElement, qn
        self._link_type, self._link_color = RELATIONSHIP_TYPE.HYPERLINK, RGBColor(0x05, 0x50, 0xAE)
        self._links = 0

    def file(self) -> bytes:
        file = io.BytesIO()
        self._document.save(file)
        return without_clock(file)

    def set_properties(self, transcript: Transcript, item: MediaItem | None) -> None:
        """Replace what the library's template says: its own author, and US English."""
        properties = self._document.core_properties
        properties.author = collapse_whitespace(item.channel)[:_PROPERTY_LETTERS] if item else ""
        properties.title = collapse_whitespace(item.title)[:_PROPERTY_LETTERS] if item else ""
        properties.comments = ""
        if re.fullmatch(r"[a-z]{2,3}", transcript.language):
            properties.language = transcript.language
            for element in self._document.styles.element.iter(self._tag("w:lang")):
                for name in ("w:val", "w:eastAsia", "w:bidi"):
                    element.set(self._tag(name), transcript.language)

    def add_head(self, transcript: Transcript, item: MediaItem) -> None:
        self.add(item.title.strip() or UNTITLED, "Title")
        for name, value in facts(transcript, item):
            paragraph = self._document.add_paragraph(f"{name}: ", "No Spacing")
            if name == LINK:
                self._add_link(paragraph, value, value)
            else:
                paragraph.add_run(collapse_whitespace(value))
        for remark in (quality_remark(transcript), *transcript.warnings):
            if remark:
                self.add(remark, "Quote")

    def add(self, text: str, style: str) -> None:
        paragraph = self._document.add_paragraph(style=style)
        self._add_text(paragraph, collapse_whitespace(text))

    def add_part(self, part: Paragraph, item: MediaItem | None) -> None:
        """Add a paragraph of the transcript: its time as a link, its speaker, then its text."""
        time = format_timestamp(part.start_s)
        link = deep_link(item, part.start_s) if item else ""
        paragraph = self._document.add_paragraph()
        if link:
            self._add_link(paragraph, link, time)
        else:
            paragraph.add_run(time).bold = True
        paragraph.add_run("  ")
        if part.speaker:
            name = paragraph.add_run(f"{part.speaker}:")
            name.bold = name.font.cs_bold = True  # in complex scripts, too
            name.font.rtl = _is_from_right(part.speaker) or None
            paragraph.add_run(" ")
        self._add_text(paragraph, collapse_whitespace(part.text))

    def _add_text(self, paragraph: Any, text: str) -> None:
        run = paragraph.add_run(text)
        if _is_from_right(text):
            paragraph._p.get_or_add_pPr().append(self._element("w:bidi"))
            run.font.rtl = True

    def _add_link(self, paragraph: Any, address: str, text: str) -> None:
        # `relate_to` looks through all links for each new one; a number of our own needs no look.
        self._links += 1
        number = f"link{self._links}"
        paragraph.part.rels.add_relationship(self._link_type, address, number, is_external=True)
        link = self._element("w:hyperlink")
        link.set(self._tag("r:id"), number)
        run = paragraph.add_run(text)
        run.font.underline = True
        run.font.color.rgb = self._link_color
        link.append(run._r)
        paragraph._p.append(link)


def _is_from_right(text: str) -> bool:
    """Return True if the first letter with a direction belongs to a script from right to left."""
    for letter in text:
        direction = unicodedata.bidirectional(letter)
        if direction == "L":
            return False
        if direction in _FROM_RIGHT:
            return True
    return False
