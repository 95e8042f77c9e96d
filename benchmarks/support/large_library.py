"""A generated library with a long queue: talks of a few shuffled words, one word in each alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kb.jobs.queue.item_states import CANCELLED, FAILED
from kb.library.filenames import make_stem
from kb.service import Service
from kb.settings import Settings
from kb.sinks.local.sink import LocalSink
from kb.transcript import render
from kb.transcript.formats import json_document
from kb.transcript.passages import passages
from kb.types import Coverage, MediaItem, MediaRef, Segment, Timing, Transcript, Word

WORDS = [
    "harbour",
    "winter",
    "castle",
    "granite",
    "lantern",
    "river",
    "market",
    "window",
    "engine",
    "orchard",
]


def fill(home: Path, library: int, queue: int) -> None:
    """Add items with words to the folder, the index and the table; then a mostly waiting queue."""
    service = Service(Settings(KB_HOME=str(home), KB_MODEL="demo", KB_SINKS="local"))
    service.library.prepare()
    ready = []
    for number in range(library):
        item = MediaItem(
            f"web:made:{number:06d}", "web", f"https://example.org/{number}", title(number),
            f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}", 600.0, "Harbour talks",
        )  # fmt: skip
        transcript = make_transcript(number)
        # The titles are unique; `Library.stem` would list the folder for every new item.
        stem = make_stem(item, service.library.media_folder)
        service.library.write_text(stem, ".txt", render(transcript, "txt", item=item))
        service.library.write_text(stem, ".transcript.json", render(transcript, "json", item=item))
        document = json_document.to_document(transcript)
        service.library.write_metadata(
            item,
            {
                "media": {"sha256": "", "duration_s": 600.0},
                "transcribed": {
                    "run": 1, "engine": "whisper", "model": "demo", "preset": "optimiert",
                    "language": "en", "words": len(transcript.words),
                    "coverage": document["coverage"], "timing": document["timing"],
                    "at": "2026-11-01T12:00:00Z",
                },
                "state": "done",
            },
            stem=stem,
        )  # fmt: skip
        ready.append((item, passages(transcript, item, path="")))
    LocalSink(service.settings).rebuild(iter(ready))
    service.queue.adopt_folder()
    pattern = MediaItem("web:wait:0", "web", "https://example.org/w", "W", "2026-11-02", 900.0)
    waiting = [
        replace(
            pattern, id=f"web:wait:{number:06d}", title=title(number),
            duration_s=900.0 + 7 * (number % 500),
        )
        for number in range(queue)
    ]  # fmt: skip
    items = service.queue.items
    items.submit(waiting, {}, lambda *_: None)
    for number in range(0, queue, 10):  # one in ten has ended, half of these with an error
        item_id, bad = waiting[number].id, number % 20 == 0
        items.claim(item_id, 1, "made up")
        items.finish(
            item_id, 1, "made up", FAILED if bad else CANCELLED,
            error="The page answers 404." if bad else "",
            hint="Open the link in a browser." if bad else "",
        )  # fmt: skip
    service.close()


def title(number: int) -> str:
    """Return an item's title: one in nine is long, the others are short."""
    words = [WORDS[(number * step + step) % len(WORDS)] for step in (1, 3, 7)]
    name = f"Talk {number}: {words[0]}, {words[1]} and {words[2]}"
    more = ", what nobody expected of it, and a look at the year behind us"
    return name + more if number % 9 == 4 else name


def name_of(number: int) -> str:
    """Return a word that only this item has: its number in letters."""
    return "zu" + "".join("abdefgiklm"[int(digit)] for digit in f"{number:04}")


def make_transcript(number: int) -> Transcript:
    """Return ten minutes of a few shuffled words, and one word that only this item has."""
    words = [
        Word(2.0 * place, 2.0 * place + 0.5, WORDS[(number * 7 + place * place) % len(WORDS)], 0.9)
        for place in range(300)
    ]
    words[150] = replace(words[150], text=name_of(number))
    segments = tuple(
        Segment(part[0].start_s, part[-1].end_s, " ".join(w.text for w in part), tuple(part))
        for part in (words[start : start + 10] for start in range(0, 300, 10))
    )
    return Transcript(
        MediaRef("", "", 600.0), segments, "en", "whisper", "demo", "optimiert",
        Coverage(500.0, 500.0), Timing(total_s=10.0, media_s=600.0),
    )  # fmt: skip
