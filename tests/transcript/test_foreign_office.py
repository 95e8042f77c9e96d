"""Word documents and workbooks of other programs as transcripts."""

from __future__ import annotations

from datetime import time, timedelta
from pathlib import Path

import pytest

from tests.support.office_files import word_document, workbook
from tests.transcript.test_foreign_files import check, read


@pytest.mark.parametrize(
    "paragraphs",
    [
        ("0:00  mountain garden harbour", "0:05  river, village island"),
        ("0:0:0.500 --&gt; 0:0:4.0", "mountain garden harbour",
         "0:0:5.0 --&gt; 0:0:8.500", "river, village island"),
        ("[00:00:00] mountain garden harbour", "[00:00:05] river, village island"),
    ],
)  # fmt: skip
def test_word_documents(tmp_path: Path, paragraphs: tuple[str, ...]) -> None:
    check(read(tmp_path, "a.docx", word_document(*paragraphs)), 0.5)


@pytest.mark.parametrize(
    ("styles", "text"),
    [
        ("Title NoSpacing Quote Normal Heading1 Normal", "mountain river" + 6 * " island"),
        ("Title NoSpacing NoSpacing NoSpacing NoSpacing NoSpacing", None),
        ("Title NoSpacing Quote Normal Quote Normal", None),
        ("Title Normal Quote Normal Heading1 Normal", None),
    ],
)
def test_the_head_of_a_word_document_is_no_text(
    tmp_path: Path, styles: str, text: str | None
) -> None:
    """Text between times that is no heading is never left out."""
    texts = ("Talk", "Date: 2024", "A remark", "0:01 mountain", "Rivers", "0:05 river")
    more = tuple(f"0:{n} island" for n in range(10, 16))
    data = word_document(*texts, *more, styles=styles.split())
    found = read(tmp_path, "a.docx", data).text
    assert found == text if text else "mountain" in found and "Rivers" in found


def test_the_language_of_a_word_document(tmp_path: Path) -> None:
    data = word_document("0:00 mountain", "0:05 river", language="de-DE")
    assert read(tmp_path, "a.docx", data).language == "de"


@pytest.mark.parametrize(
    "times",
    [
        tuple(timedelta(seconds=each) for each in (0.5, 4, 5, 8.5)),
        (time(0, 0, 0, 500_000), time(0, 0, 4), time(0, 0, 5), time(0, 0, 8, 500_000)),
        (0.5, 4, 5, 8.5),
        ("0.5", "4,0", "5", "8.5"),
        ("12:00:00.5 AM", "00:04", "12:00:05 am", "00:08.5"),
    ],
)
def test_workbooks(tmp_path: Path, times: tuple[object, ...]) -> None:
    data = workbook(
        ("Start", "End", "Text", "Language"),
        (times[0], times[1], "mountain garden harbour", "en"),
        (times[2], times[3], "river, village island", "en"),
    )
    found = read(tmp_path, "a.xlsx", data)
    check(found)
    assert found.language == "en"
