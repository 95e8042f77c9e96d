"""Word documents and workbooks as other programs write them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from itertools import zip_longest

from openpyxl import Workbook


def word_document(*paragraphs: str, language: str = "", styles: Sequence[str] = ()) -> bytes:
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = "".join(
        f"<w:p><w:pPr><w:pStyle w:val='{style}'/></w:pPr>"
        f"<w:r><w:t xml:space='preserve'>{text}</w:t></w:r></w:p>"
        for text, style in zip_longest(paragraphs, styles, fillvalue="")
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(
            "word/document.xml",
            f"<w:document xmlns:w='{word}'><w:body>{body}</w:body></w:document>",
        )
        archive.writestr(
            "docProps/core.xml",
            "<c xmlns:dc='http://purl.org/dc/elements/1.1/'>"
            f"<dc:language>{language}</dc:language></c>",
        )
    return file.getvalue()


def workbook(*rows: tuple[object, ...]) -> bytes:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()
