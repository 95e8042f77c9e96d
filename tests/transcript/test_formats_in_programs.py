"""Documents in programs that people use: LibreOffice Writer and mpv, where they are installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from kb.transcript import file_content, format_named, render_document
from kb.types import Segment, Transcript
from tests.support.random_transcripts import (
    ITEM,
    letters,
    make_transcript,
    random_transcript,
    spoken,
)

pytestmark = [pytest.mark.slow, pytest.mark.long]

WRITER, MPV = shutil.which("soffice") or "", shutil.which("mpv") or ""
TIMEOUT_S = 120


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
