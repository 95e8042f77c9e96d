"""The parts of an evidence pack: words of a stretch with their source, as text, clip and frame."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kb import __version__, storage
from kb.errors import UsageError
from kb.library import LibraryEntry, deep_link
from kb.media.clip import cut
from kb.media.probe import probe
from kb.transcript.chunks import format_exact_time
from kb.types import IMPORTED, Transcript
from kb.types.safe_text import clean, web_address
from kb.video.caption_style import PLAIN, load_style
from kb.video.captioned import FilmRequest
from kb.video.frame import write_frame
from kb.video.reel import Placed, Stretch, make_reel, moved

QUOTE, FACTS = "quote.txt", "facts.json"
CLIP, SHOWN, FRAME = "clip", "clip-with-captions.mp4", "frame.png"


@dataclass(frozen=True, slots=True)
class Quoted:
    """The words of a stretch, and what is known about their origin (JSON values)."""

    text: str
    facts: Mapping[str, Any]


def quoted(
    entry: LibraryEntry,
    transcript: Transcript,
    start_s: float,
    end_s: float,
    made_at: str,
    picture: str = "",
) -> Quoted:
    """Return the words between two times. Raises UsageError without any.

    `picture` says where the picture of the medium is from; empty: not known.
    """
    spoken = moved(transcript, Placed(Stretch(start_s, end_s), start_s))
    if not spoken.segments:
        raise UsageError(
            "evidence.no_words",
            "Nothing is said from {start} to {end}.",
            hint="Look at the times: kb show {item_id}",
            start=format_exact_time(start_s),
            end=format_exact_time(end_s),
            item_id=entry.item.id,
        )
    lines = [
        f"[{format_exact_time(segment.start_s)} - {format_exact_time(segment.end_s)}] "
        f"{clean(segment.speaker) + ': ' if segment.speaker else ''}{clean(segment.text)}"
        for segment in spoken.segments
    ]
    revised = any(
        change.after is not None and change.after.start_s < end_s and change.after.end_s > start_s
        for revision in transcript.revisions
        for change in revision.changes
    )
    item, is_taken = entry.item, transcript.engine == IMPORTED
    # The pack is handed on: a path of this machine and a password of an address are left out.
    facts = {
        "item": {
            "id": item.id, "title": item.title, "channel": item.channel,
            "published": item.published, "url": web_address(item.url),
            "link": deep_link(item, start_s),
        },
        "medium": {
            "name": entry.medium_name, "sha256": entry.sha256, "duration_s": entry.duration_s,
            "picture": picture,
        },
        "stretch": {"start_s": start_s, "end_s": end_s},
        "words": [
            {
                "start_s": round(word.start_s, 3), "end_s": round(word.end_s, 3),
                "text": word.text, "speaker": segment.speaker,
            }
            for segment in spoken.segments
            for word in segment.words
        ],
        "lines": [
            {
                "start_s": round(segment.start_s, 3), "end_s": round(segment.end_s, 3),
                "text": segment.text, "speaker": segment.speaker,
                "has_word_times": bool(segment.words),
            }
            for segment in spoken.segments
        ],
        "reading": {
            "is_taken_in": is_taken,
            "file": entry.transcribed.get("imported_from") if is_taken else None,
            "engine": transcript.engine, "model": transcript.model, "preset": transcript.preset,
            "language": transcript.language, "grade": transcript.grade,
            "transcribed_at": entry.transcribed.get("at"),
            "revised_by_hand": revised,
            "warnings": list(transcript.warnings),
        },
        "pack": {"made_at": made_at, "program": f"kb-ingest {__version__}"},
    }  # fmt: skip
    return Quoted("\n".join(lines) + "\n", facts)


def write_parts(
    folder: Path,
    found: Quoted,
    medium: Path,
    transcript: Transcript,
    start_s: float,
    end_s: float,
    *,
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[str, ...]:
    """Write the parts into an empty folder; return their names.

    Raises UsageError for times outside the medium, MediaUnavailable and LibraryError.
    """
    facts = probe(medium)
    clip = f"{CLIP}{'.mp4' if facts.has_video else '.mp3'}"
    names = [QUOTE, FACTS, clip]
    storage.write_text(folder / QUOTE, found.text)
    storage.write_text(folder / FACTS, json.dumps(found.facts, ensure_ascii=False, indent=1) + "\n")
    cut(medium, start_s, end_s, folder / clip, transcript.media.tracks)
    request = FilmRequest("captions", load_style(PLAIN))
    stretch = Stretch(start_s, end_s)
    make_reel(
        medium, transcript, [stretch], request, folder / SHOWN, target=folder / SHOWN,
        progress=progress,
    )  # fmt: skip
    names.append(SHOWN)
    if facts.has_video:
        write_frame(medium, (start_s + end_s) / 2, folder / FRAME)
        names.append(FRAME)
    return tuple(names)
