"""Programs of others that read our exports back: the texts that each of them finds in a file.

`READERS` has every text and table format; a new format needs a line here, or in `WITHOUT_WORDS`
where it has none of the words.
"""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import docx
import imageio_ffmpeg
import openpyxl
import parselmouth
import pysubs2
import srt
import webvtt
from markdown_it import MarkdownIt

from kb.transcript.formats.csv_table import SEGMENT_COLUMNS, WORD_COLUMNS
from kb.types.spreadsheet_cells import exact_text

Reader = Callable[[bytes], list[str]]

_TIME = re.compile(r"^(?:\d+:)?\d\d:\d\d\.\d{3} ")  # before a word


def lines_of_text(file: bytes) -> list[str]:
    """Return what stands behind the times of plain text."""
    return [line.partition("] ")[2] for line in file.decode().split("\n") if line]


def srt_library(file: bytes) -> list[str]:
    return [cue.content for cue in srt.parse(file.decode())]


def pysubs2_srt(file: bytes) -> list[str]:
    found = pysubs2.SSAFile.from_string(file.decode(), format_="srt")
    return [event.plaintext for event in found]


def webvtt_srt(file: bytes) -> list[str]:
    if not file:
        return []  # it refuses an empty file
    return [caption.raw_text for caption in webvtt.from_buffer(io.StringIO(file.decode()), "srt")]


def webvtt_library(file: bytes) -> list[str]:
    found = webvtt.from_string(file.decode())
    return [unescaped(caption.text) for caption in found]


def unescaped(text: str) -> str:
    """Return the text of a WebVTT cue whose tags are removed."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def csv_library(file: bytes) -> list[str]:
    table = list(csv.reader(io.StringIO(file.decode("utf-8-sig"), newline="")))
    header, *rows = table
    assert tuple(header) in (SEGMENT_COLUMNS, WORD_COLUMNS)
    return [exact_text(row[2]) for row in rows]


def openpyxl_workbook(file: bytes) -> list[str]:
    book = openpyxl.load_workbook(io.BytesIO(file), read_only=True)
    _header, *rows = book.worksheets[0].iter_rows()
    assert not [cell for row in rows for cell in row if cell.data_type in ("f", "e")]
    texts = [str(row[2].value or "") for row in rows]
    # It does not restore this escape of the format in the form of text that it writes itself.
    return [text.replace("_x005F_", "_") for text in texts]


def markdown_it(file: bytes) -> list[str]:
    """Return the paragraphs as they are shown, without headings and times."""
    found: list[str] = []
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(file.decode())
    for place, token in enumerate(tokens):
        if token.type != "inline" or tokens[place - 1].type != "paragraph_open":
            continue
        parts: list[str] = []
        for child in token.children or ():
            assert child.type in ("text", "text_special", "softbreak", "link_open", "link_close")
            parts.append(" " if child.type == "softbreak" else child.content)
        found.append(_TIME.sub("", "".join(parts)) if token.level > 1 else "".join(parts))
    return found


def exact_json(file: bytes) -> list[str]:
    return [segment["text"] for segment in json.loads(file)["segments"]]


def ffmpeg(file: bytes, form: str, program: str) -> list[str]:
    """Return the cues that ffmpeg finds in a file of the form `srt` or `webvtt`."""
    done = subprocess.run(
        [program, "-v", "error", "-f", form, "-i", "-", "-f", "ass", "-"],
        input=file, capture_output=True, check=True,
    )  # fmt: skip
    lines = done.stdout.decode().split("\n")
    cues = [line.rstrip("\r").split(",", 9)[9] for line in lines if line.startswith("Dialogue:")]
    if form == "webvtt":
        # Its reader escapes braces, as `\{{}` or `\{` by its version, and word times are karaoke.
        cues = [re.sub(r"\{\\kf?\d+\}", "", cue).replace("\\{{}", "\\{") for cue in cues]
        cues = [re.sub(r"\\([{}])", r"\1", cue) for cue in cues]
    return [cue.replace("\\N", "\n") for cue in cues]


def paragraphs(file: bytes) -> list[str]:
    return file.decode().split("\n\n")


def python_docx(file: bytes) -> list[str]:
    """Return the paragraphs of a document behind their times."""
    found = docx.Document(io.BytesIO(file)).paragraphs
    return [paragraph.text.partition("  ")[2] for paragraph in found]


class _Paragraphs(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._open = tag == "p"
        self.found += [""] if self._open else []

    def handle_endtag(self, tag: str) -> None:
        self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self.found[-1] += data


def html_parser(file: bytes) -> list[str]:
    parser = _Paragraphs()
    parser.feed(file.decode())
    return parser.found


def pysubs2_ass(file: bytes) -> list[str]:
    found = pysubs2.SSAFile.from_string(file.decode(), format_="ass")
    return [event.plaintext for event in found]


def element_tree(file: bytes) -> list[str]:
    found = ElementTree.fromstring(file.decode().encode()).iter("{http://www.w3.org/ns/ttml}p")
    return ["".join(paragraph.itertext()) for paragraph in found]


def captions_of_youtube(file: bytes) -> list[str]:
    """Return what stands behind each line of two times."""
    times = r"(?:^|\n\n?)\d+:\d\d:\d\d\.\d{3},\d+:\d\d:\d\d\.\d{3}\n"
    return re.split(times, file.decode())


def lines_of_lyrics(file: bytes) -> list[str]:
    """Return the lines without the times of line and words; `[name:…]` are facts of the song."""
    texts = [re.sub(r"^\s*\[\w+:[^\]]*\]", "", line) for line in file.decode().split("\n")]
    return [re.sub(r"<\d+:\d+\.\d+>", "", text) for text in texts]


def whisper_json(file: bytes) -> list[str]:
    document = json.loads(file)
    texts = [segment["text"] for segment in document["segments"]]
    assert "".join(document["text"].split()) == "".join("".join(texts).split())
    return texts


def whisper_tsv(file: bytes) -> list[str]:
    return [exact_text(line.split("\t")[2]) for line in file.decode().splitlines()[1:]]


def praat(file: bytes) -> list[str]:
    """Return the words that Praat finds in a TextGrid."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "talk.TextGrid"
        path.write_bytes(file)
        grid = parselmouth.read(str(path))
    call = parselmouth.praat.call
    count = call(grid, "Get number of intervals", 2)
    return [call(grid, "Get label of interval", 2, number) for number in range(1, count + 1)]


def resolve_markers(file: bytes) -> list[str]:
    return re.findall(r" \|M:([^|\n]*) \|D:", file.decode())


def audition_markers(file: bytes) -> list[str]:
    rows = [line.split("\t") for line in file.decode().splitlines()[1:]]
    assert all(len(row) == 6 for row in rows)
    return [exact_text(row[0]) for row in rows]


def audacity_labels(file: bytes) -> list[str]:
    rows = [line.split("\t") for line in file.decode().splitlines()]
    assert all(len(row) == 3 and float(row[0]) <= float(row[1]) for row in rows)
    return [row[2] for row in rows]


def bundled_ffmpeg() -> str:
    return str(imageio_ffmpeg.get_ffmpeg_exe())


READERS: Mapping[str, Mapping[str, Reader]] = {
    "txt": {"lines": lines_of_text},
    "json": {"json": exact_json},
    "srt": {"srt": srt_library, "pysubs2": pysubs2_srt, "webvtt-py": webvtt_srt},
    "vtt": {"webvtt-py": webvtt_library},
    "csv": {"csv": csv_library},
    "xlsx": {"openpyxl": openpyxl_workbook},
    "md": {"markdown-it-py": markdown_it},
    "plain": {"paragraphs": paragraphs},
    "docx": {"python-docx": python_docx},
    "html": {"html.parser": html_parser},
    "ass": {"pysubs2": pysubs2_ass},
    "ttml": {"ElementTree": element_tree},
    "sbv": {"cues": captions_of_youtube},
    "lrc": {"lines": lines_of_lyrics},
    "verbose_json": {"json": whisper_json},
    "tsv": {"tabs": whisper_tsv},
    "textgrid": {"Praat": praat},
    "edl": {"markers": resolve_markers},
    "markers": {"tabs": audition_markers},
    "audacity": {"tabs": audacity_labels},
}

# Formats that hold none of the words, or words without the rest of the text.
WITHOUT_WORDS = frozenset({"chapters", "rttm", "notes", "notes_json", "screen"})

_UNSEEN = re.compile(r"[\s\u2060\ufeff]+")
_ALIKE = str.maketrans("｛｝¦", "{}|")


def letters(texts: list[str]) -> str:
    """Return the visible characters: cues may part a long word, and word joiners show nothing.

    Byte order marks show nothing either; Praat drops some. Full-width braces count as braces, which
    libass hides, and a broken bar as a bar, which ends a name of an EDL: these formats have no
    escapes.
    """
    return _UNSEEN.sub("", "".join(texts)).translate(_ALIKE)
