"""Items whose words and turns of speakers are known, in a library without media."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kb.enrich import get_step
from kb.library.extras import VOICES, Extras
from kb.service import Service
from kb.settings import Settings
from kb.transcript import render
from kb.types import MediaItem, MediaRef, Segment, Transcript, Word
from tests.support.kept_transcripts import transcript

SHA = "ab" * 32
ITEM = MediaItem(
    id="youtube:abcdefghijk", source="youtube", title="A panel",
    url="https://www.youtube.com/watch?v=abcdefghijk", published="2026-03-01", channel="Talks",
)  # fmt: skip
TURNS = [
    (0.0, 10.0, "Speaker 1"),
    (10.0, 16.0, "Speaker 2"),
    (16.0, 30.0, "Speaker 1"),
    (30.0, 33.0, "Speaker 3"),
    (33.0, 36.0, "Speaker 2"),
]


def words(start_s: float, end_s: float, text: str = "lantern") -> Segment:
    """Return a segment with a word for each second."""
    spoken = tuple(
        Word(start_s + n, start_s + n + 0.9, f"{text}{n}", 0.9) for n in range(int(end_s - start_s))
    )
    return Segment(start_s, end_s, " ".join(word.text for word in spoken), spoken)


def panel(*segments: Segment) -> Transcript:
    """Return the transcript of a medium of 40 s."""
    made = transcript(*(segments or (words(0, 9), words(9, 20), words(20, 30), words(30, 36))))
    return Transcript(
        MediaRef("media/panel.opus", SHA, 40.0), made.segments, made.language, made.engine,
        made.model, made.preset, made.coverage, made.timing,
    )  # fmt: skip


def numbered(number: int) -> MediaItem:
    """Return one of many items like `ITEM`."""
    return replace(ITEM, id=f"youtube:abcdefgh{number:03d}", title=f"Panel {number}")


def write(service: Service, said: Transcript, item: MediaItem = ITEM) -> None:
    """Write the transcript of an item that is done."""
    entry = service.library.write_transcript(
        item,
        render(said, "txt", item=item),
        render(said, "json", item=item),
        {
            "state": "done",
            "media": {"sha256": SHA},
            "transcribed": {"engine": "whisper", "words": len(said.words)},
        },
    )
    assert entry.transcript_path is not None


def write_turns(
    service: Service, turns: Sequence[tuple[float, float, str]], item: MediaItem = ITEM
) -> None:
    """Write a result of the step `speakers`."""
    rows = [{"start": a, "end": b, "speaker": label} for a, b, label in turns]
    Extras(service.library).write(
        service.items.entry(item.id),
        "speakers",
        {"basis": {"sha256": SHA}, "speakers": [], "turns": rows},
        lambda: service.library.guard(item.id),
    )


def write_voices(
    service: Service, vectors: Mapping[str, Sequence[float]], item: MediaItem = ITEM
) -> Path:
    """Write the voices of an item, each of the turns of `TURNS` with its label."""
    rows = [
        {"spans": [[a, b] for a, b, own in TURNS if own == label], "vector": list(vector)}
        for label, vector in vectors.items()
    ]
    return Extras(service.library).write(
        service.items.entry(item.id),
        VOICES,
        {"basis": {"sha256": SHA}, "model": get_step("speakers").model, "voices": rows},
        lambda: service.library.guard(item.id),
    )


def opened(home: Path, **settings: str) -> Service:
    """Return the service of a library."""
    return Service(Settings.model_validate({"KB_HOME": str(home), "KB_MODEL": "demo", **settings}))
