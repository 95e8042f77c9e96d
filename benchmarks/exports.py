"""Exports: time of each format for 10,000 segments, of the files, and memory of a ZIP.

    python benchmarks/exports.py [--segments 10000] [--items 1000]

The transcript is 14 hours of shuffled words with their times. Each format is written three times,
and the middle time counts; its first use, which imports its libraries, is a figure of its own. The
files of a folder are written by the writer of all exports, which looks for what is in the way and
records what it wrote. A library of 1,000 items of ten minutes is written to a ZIP; its memory is
what the process has more at the end than after the first tenth of the items.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


from benchmarks.support import large_library
from benchmarks.support.common import figure, median, timed_ms
from benchmarks.support.large_library import WORDS
from benchmarks.support.resources import release_memory, reset_peak, resident_mb
from kb.library.user_files import UserFiles
from kb.service import Service
from kb.service.export_request import ExportRequest
from kb.settings import Settings
from kb.storage import Target
from kb.transcript import FORMATS, render, render_document
from kb.types import Chapter, Coverage, MediaItem, MediaRef, Segment, Timing, Transcript, Word
from kb.types.notes import Cited, Notes, QuotedWords
from kb.types.screen import ScreenLine, ScreenPage

TARGET_S = 1.0
MEMORY_TARGET_MB = 10.0
ZIP_FORMATS, ZIP_TARGET_MB, ZIP_TARGET_S = ("srt", "txt", "docx"), 16.0, 0.25
FILES, FILE_TARGET_MS = 200, 50.0
SEGMENT_S, WORDS_A_SEGMENT = 5.0, 12


def main() -> int:
    """Print the figures; return 1 on a missed target."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--segments", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=1_000)
    arguments = parser.parse_args()
    transcript = make_transcript(arguments.segments)
    met = [formats(transcript, arguments.segments)]
    with tempfile.TemporaryDirectory(prefix="kb-exports-") as folder:
        os.environ["XDG_STATE_HOME"] = str(Path(folder) / "state")
        met.append(files(Path(folder)))
        met.append(zip_of_library(Path(folder), arguments.items))
        met.append(library_to_zip(Path(folder) / "home", arguments.items))
    return 0 if all(met) else 1


def make_transcript(segments: int) -> Transcript:
    """Return a transcript of segments of five seconds with twelve words each."""
    step = SEGMENT_S / (WORDS_A_SEGMENT + 1)
    made = []
    for number in range(segments):
        start = number * SEGMENT_S
        words = tuple(
            Word(
                start + step * place,
                start + step * (place + 0.8),
                WORDS[(number * 7 + place * place) % len(WORDS)],
                0.9,
            )
            for place in range(WORDS_A_SEGMENT)
        )
        text = " ".join(word.text for word in words)
        made.append(Segment(words[0].start_s, words[-1].end_s, text, words, speaker="Ann"))
    length_s = segments * SEGMENT_S
    return Transcript(
        MediaRef("media/talk.mp4", "", length_s), tuple(made), "en", "whisper", "demo",
        "optimiert", Coverage(length_s, length_s), Timing(total_s=10.0, media_s=length_s),
    )  # fmt: skip


def formats(transcript: Transcript, segments: int) -> bool:
    """Print the time of each format; return False if one misses the target."""
    item = MediaItem(
        "web:made:1", "web", "https://example.org/1", "A talk", "2026-01-31",
        chapters=(Chapter(0.0, "Start"), Chapter(60.0, "End")),
    )  # fmt: skip
    quote = QuotedWords("words", 0.0, 1.0)
    notes = Notes({}, highlights=(Cited("A statement.", (quote,)),) * 30)
    line = ScreenLine("A heading", 1.0, 0.1, 0.2)
    pages = tuple(ScreenPage((line,) * 10, ((10.0 * n, 10.0 * n + 8),)) for n in range(200))
    small, transcript = (
        replace(each, notes=notes, on_screen=pages) for each in (make_transcript(1), transcript)
    )
    met = []
    for name in FORMATS:
        started = time.process_time()
        render_document(small, name, item=item)
        figure(f"{name}: first use", time.process_time() - started, "s CPU")
        seconds = median(cpu_s(transcript, name, item) for _ in range(3))
        met.append(figure(f"{name}: {segments:,} segments", seconds, "s CPU", at_most=TARGET_S))
    return all(met)


def library_to_zip(home: Path, items: int) -> bool:
    """Print memory and time of a ZIP of a whole library; return False above a target."""
    large_library.fill(home, items, 0)
    service = Service(Settings(KB_HOME=str(home), KB_MODEL="demo", KB_SINKS="local"))
    request = ExportRequest(ZIP_FORMATS)
    memory: list[float] = []
    process = psutil.Process()

    def measure(done: int) -> None:
        if done >= max(1, items // 10):
            memory.append(process.memory_info().rss / 1e6)

    started = time.perf_counter()
    with (home.parent / "all.zip").open("wb") as file:
        problems = service.exports.write_zip(
            file, service.exports.transcribed_ids(), request, measure
        )
    seconds = time.perf_counter() - started
    service.close()
    what = f"{items:,} items to a ZIP ({', '.join(ZIP_FORMATS)})"
    return all(
        (
            figure(f"{what}: documents missing", len(problems), "documents", at_most=0),
            figure(f"{what}: growth", max(memory) - memory[0], "MB", at_most=ZIP_TARGET_MB),
            figure(f"{what}: an item", seconds / items, "s", at_most=ZIP_TARGET_S),
        )
    )


def cpu_s(transcript: Transcript, name: str, item: MediaItem) -> float:
    """Return the CPU seconds of one document; a busy machine does not change them."""
    started = time.process_time()
    render_document(transcript, name, item=item)
    return time.process_time() - started


def files(folder: Path) -> bool:
    """Print the time of one file among many in a folder; return False above the target."""
    writer = UserFiles(folder / "library")
    out = folder / "out"
    met = []
    for what in ("new", "written again"):
        times = timed_ms(
            lambda n: writer.write(Target(out / f"{n}.srt", str(n)), f"{n} {len(met)}".encode()),
            range(FILES),
        )
        met.append(figure(f"a file, {what}", median(times), "ms", at_most=FILE_TARGET_MS))
    return all(met)


def zip_of_library(folder: Path, items: int) -> bool:
    """Print time and memory of a ZIP of the whole library; return False above the target."""
    service = Service(Settings(KB_HOME=str(folder / "full library")))
    for number in range(items):
        write_item(service, number)
    request = ExportRequest(("srt", "txt", "json"))
    ids = service.exports.transcribed_ids()
    peaks = []
    for count in (items // 10, items // 10, items):  # the first one imports the libraries
        release_memory()
        reset_peak()
        started = time.perf_counter()
        path, problems = service.exports.write_zip_file(
            folder / f"{count}.zip", ids[:count], request, overwrite=True
        )
        seconds = time.perf_counter() - started
        peaks.append(resident_mb("VmHWM"))
        with ZipFile(path) as archive:
            found = len(archive.namelist())
    service.close()
    figure(f"ZIP of {items:,} items", seconds, "s")
    whole = figure("ZIP: documents", found, "files", at_least=3 * items) and not problems
    growth = max(0.0, peaks[-1] - peaks[1])
    return whole and figure(
        f"ZIP of {items:,} items: memory beyond that of {items // 10:,}", growth, "MB",
        at_most=MEMORY_TARGET_MB,
    )  # fmt: skip


def write_item(service: Service, number: int) -> None:
    """Write a transcribed item of ten minutes into the library's folder."""
    item = MediaItem(
        f"web:made:{number:06d}", "web", f"https://example.org/{number}", f"Talk {number}",
        f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}", 600.0,
    )  # fmt: skip
    stem, transcript = service.library.stem(item), make_transcript(120)
    service.library.write_text(stem, ".transcript.json", render(transcript, "json", item=item))
    service.library.write_metadata(item, {"transcribed": {"run": 1}, "state": "done"})


if __name__ == "__main__":
    sys.exit(main())
