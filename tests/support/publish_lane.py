"""A library with transcripts, and a worker that publishes to a fake ODIN."""

from __future__ import annotations

from typing import Any

from kb.cli.output.items import status_document
from kb.pipeline import stages
from kb.settings import Settings
from kb.types import Coverage, MediaItem, MediaRef, Segment, Timing, Transcript, Word
from tests.fakes.odin import FakeOdin
from tests.support.workers import Lab


def environment(odin: FakeOdin, **more: Any) -> dict[str, str]:
    """Return the settings of the fake service as environment variables."""
    known = Settings.model_fields
    given = odin.settings(**more).items()
    return {str(known[n].alias) if n in known else n: str(v) for n, v in given}


def add_items(lab: Lab, count: int, covered: float = 1.0) -> list[str]:
    """Add transcribed items to the library; return their ids."""
    made = []
    for number in range(count):
        item = MediaItem(
            f"youtube:talk{number:07d}",
            "youtube",
            "",
            f"Talk {number}",
            f"2026-01-{number + 1:02d}",
        )
        words = tuple(Word(n * 1.0, n + 0.8, f"word{number}", 0.9) for n in range(20))
        stages.write(
            lab.library, item,
            Transcript(
                MediaRef("talk.m4a", "00" * 32, 20.0),
                (Segment(0.0, 20.0, " ".join(word.text for word in words), words),),
                "en", "whisper", "demo", "optimiert", Coverage(20.0, 20.0 * covered),
                Timing(media_s=20.0),
            ),
            0.9,
        )  # fmt: skip
        made.append(item.id)
    lab.jobs.adopt_folder()
    return made


def at_odin(lab: Lab, item_id: str) -> dict[str, Any]:
    """Return the state of an item at ODIN, as `kb status` prints it."""
    found: dict[str, Any] = status_document(lab.service.items.status(item_id))["publish"]
    return dict(found.get("odin", {}))
