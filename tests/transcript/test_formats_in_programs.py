"""Documents in programs that people use: LibreOffice and mpv, where they are installed."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from PIL import Image

from kb.transcript import file_content, format_named, render_document
from kb.types import CsvForm, Segment, Transcript, table_form
from kb.types.spreadsheet_cells import exact_text
from tests.support.random_transcripts import (
    ITEM,
    letters,
    make_transcript,
    random_transcript,
    spoken,
)

pytestmark = [pytest.mark.slow, pytest.mark.long]

CALC = shutil.which("soffice") or ""
WRITER, MPV = shutil.which("soffice") or "", shutil.which("mpv") or ""
TIMEOUT_S = 240


def write(transcript: Transcript, format: str, folder: Path) -> Path:
    path = folder / f"talk.{format_named(format).suffix}"
    document = render_document(transcript, format, item=ITEM)
    path.write_bytes(file_content(document, path.name))
    return path


@pytest.mark.skipif(not WRITER, reason="LibreOffice Writer is not installed (libreoffice-writer)")
@pytest.mark.parametrize("format", ["docx", "html"])
def test_writer_opens_it_with_all_words(format: str, tmp_path: Path) -> None:
    transcript = random_transcript(7)
    path = write(transcript, format, tmp_path)
    subprocess.run(
        [WRITER, f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}", "--headless",
         "--convert-to", "txt:Text (encoded):UTF8", "--outdir", str(tmp_path / "out"), str(path)],
        check=True, capture_output=True, timeout=TIMEOUT_S,
    )  # fmt: skip
    text = (tmp_path / "out" / "talk.txt").read_text(encoding="utf-8-sig")
    assert ITEM.title in text and ITEM.channel in text
    shown = letters(text)
    for segment in transcript.segments:
        for word in segment.text.split():
            assert letters(word) in shown
    assert len(shown) >= len(letters("".join(spoken(transcript))))


SEPARATORS = "44/59/9"  # comma, semicolon and tab, as the dialog of LibreOffice proposes
LOCALE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Setup/L10N"><prop oor:name="ooSetupSystemLocale" oor:op="fuse">
<value>{locale}</value></prop></item></oor:items>
"""


def opened_in_calc(path: Path, locale: str, folder: Path) -> list[tuple[Any, ...]]:
    """Return the cells of the first sheet as LibreOffice Calc, set to a language, reads them."""
    profile = folder / "profile" / "user"
    profile.mkdir(parents=True)
    (profile / "registrymodifications.xcu").write_text(LOCALE.format(locale=locale), "utf-8")
    form = ["--infilter=Text - txt - csv (StarCalc):" + SEPARATORS + ",34,76,1,,0,false,true"]
    subprocess.run(
        [CALC, f"-env:UserInstallation={profile.parent.as_uri()}", "--headless",
         *(form if path.suffix == ".csv" else []),
         "--convert-to", "xlsx", "--outdir", str(folder / "out"), str(path)],
        check=True, capture_output=True, timeout=TIMEOUT_S,
    )  # fmt: skip
    sheet = openpyxl.load_workbook(folder / "out" / f"{path.stem}.xlsx").worksheets[0]
    rows = list(sheet.iter_rows())
    assert not [cell for row in rows for cell in row if cell.data_type in ("f", "e")]
    return [tuple(cell.value for cell in row) for row in rows]


SAID = (
    "Größe: 3,5",
    "=1+1",
    "-5 degrees",
    "a;=1;b",
    "a\t=1",
    "1.044",
    "00:05",
    "'tis",
    "two\nlines",
)


@pytest.mark.skipif(not CALC, reason="LibreOffice Calc is not installed (libreoffice-calc)")
@pytest.mark.parametrize(
    ("form", "locale"), [("excel-de", "de-DE"), ("excel-en", "en-US"), ("plain", "en-US")]
)
def test_calc_reads_csv_of_its_language(form: CsvForm, locale: str, tmp_path: Path) -> None:
    segments = tuple(Segment(400 * n + 1.044, 400 * n + 3.5, t, ()) for n, t in enumerate(SAID))
    transcript = replace(make_transcript(segments), table_form=table_form(form))
    rows = opened_in_calc(write(transcript, "csv", tmp_path), locale, tmp_path)
    assert rows[0] == ("start_s", "end_s", "text", "language")
    assert [row[0] for row in rows[1:]] == pytest.approx([400 * n + 1.044 for n in range(9)])
    found = [exact_text(row[2]) for row in rows[1:] if isinstance(row[2], str)]
    # Text that looks like a number or a time is one for a spreadsheet: xlsx keeps it.
    assert found == [text for text in SAID if not text[0].isdigit()]


@pytest.mark.skipif(not CALC, reason="LibreOffice Calc is not installed (libreoffice-calc)")
@pytest.mark.parametrize("locale", ["de-DE", "en-US"])
def test_calc_opens_a_workbook_with_times_and_texts(locale: str, tmp_path: Path) -> None:
    segments = tuple(Segment(400 * n + 1.044, 400 * n + 3.5, t, ()) for n, t in enumerate(SAID))
    rows = opened_in_calc(write(make_transcript(segments), "xlsx", tmp_path), locale, tmp_path)
    assert rows[0] == ("Start", "End", "Text", "Language")
    assert [row[2] for row in rows[1:]] == list(SAID)
    spans = [row[0] for row in rows[1:]]
    assert [span.total_seconds() for span in spans] == pytest.approx(
        [segment.start_s for segment in segments], abs=0.001
    )


@pytest.mark.skipif(not MPV, reason="mpv is not installed (mpv)")
@pytest.mark.parametrize("format", ["srt", "vtt", "ass", "lrc"])
def test_mpv_shows_it_at_its_time(format: str, tmp_path: Path) -> None:
    segments = (Segment(2.0, 4.0, "Here are the words.", ()),)
    path = write(make_transcript(segments), format, tmp_path)
    lit = [brightest(path, at_s, tmp_path / f"at-{at_s}") for at_s in (1.0, 3.0, 7.0)]
    assert lit[0] < 40 and lit[1] > 200 and lit[2] < 40


def brightest(subtitles: Path, at_s: float, folder: Path) -> int:
    """Return the brightest value, of 255, of a frame of a black film with these subtitles."""
    folder.mkdir()
    subprocess.run(
        [MPV, "--no-config", "--ao=null", "--vo=image", f"--vo-image-outdir={folder}",
         "--vo-image-format=png", f"--start={at_s}", "--frames=1", f"--sub-file={subtitles}",
         "--sub-auto=no", "av://lavfi:color=black:s=640x360:r=25:d=10"],
        check=True, capture_output=True, timeout=TIMEOUT_S,
    )  # fmt: skip
    (frame,) = folder.glob("*.png")
    with Image.open(frame) as picture:
        return int(picture.convert("L").getextrema()[1])
