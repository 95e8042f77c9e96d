"""The step that reads the text on the screen: its pages, each with the times of its showings."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kb.enrich.base import Progress, Step, StepInput, StepPart
from kb.enrich.screen import google_vision, parts
from kb.errors import KBError
from kb.media.probe import probe
from kb.settings import Settings, get_settings
from kb.transcript.screen_text import read_screen_text
from kb.types import Transcript

MOST_THUMBNAILS = 500  # about 8 KB each


class Screen(Step):
    """Text on the screen, read when the picture has changed; `sample_rate` reads every Nth frame.

    A medium without picture gives a result without pages.
    """

    name = "screen"
    is_indexed = True
    needs_picture = True
    options = ("sample_rate",)

    @property
    def model(self) -> str:
        settings = get_settings()
        return google_vision.model(settings) if _is_online(settings) else parts.MODEL

    def missing(self) -> KBError | None:
        settings = get_settings()
        if _is_online(settings):
            return google_vision.missing(settings)
        return None if parts.models() else parts.missing()

    @property
    def may_cost_money(self) -> bool:
        return _is_online(get_settings())

    def part_states(self) -> tuple[StepPart, ...]:
        if _is_online(get_settings()):
            return ()
        found = parts.models()
        return (
            StepPart(
                self.name,
                self.name,
                parts.MODEL,
                parts.DOWNLOAD_BYTES,
                found[0].parent if found else None,
                sum(parts.FILES.values()) if found else 0,
                package=parts.PACKAGE,
            ),
        )

    def add(self, part: str = "") -> str:
        return str(parts.add())

    def run(self, given: StepInput, progress: Progress) -> dict[str, Any]:
        from kb.enrich.screen.reading import read_pages

        assert given.medium is not None
        found = probe(given.medium)
        if not found.has_video:
            return {"picture": False, "pages": []}
        rate = given.options.get("sample_rate")
        settings = get_settings()
        reader = google_vision.GoogleVision(settings) if _is_online(settings) else None
        every = rate if isinstance(rate, int) else None
        read = read_pages(found, every=every, reader=reader, progress=progress)
        return {
            "picture": True,
            "engine": read.engine,
            "frames_sampled": read.account.samples,
            "frames_read": read.frames_read,
            "lines_unread": read.lines_unread,
            "moving_seconds": round(read.account.moving_s, 1),
            "changes_left_out": read.account.left_out,
            "pages": [
                {
                    "showings": [
                        {"start": round(start, 2), "end": round(end, 2)}
                        for start, end in page.showings
                    ],
                    "lines": [
                        {
                            "text": each.line.text,
                            "start": round(each.start_s, 2),
                            "left": each.line.box[0],
                            "top": each.line.box[1],
                            "width": each.line.box[2],
                            "height": each.line.box[3],
                            "score": round(each.line.score, 3),
                        }
                        for each in page.lines
                    ],
                    **(
                        {"thumbnail": base64.b64encode(page.thumbnail).decode()}
                        if number < MOST_THUMBNAILS
                        else {}
                    ),
                }
                for number, page in enumerate(read.pages)
            ],
        }

    def apply(self, document: Mapping[str, Any], transcript: Transcript) -> Transcript:
        """Return the transcript with the pages beside its words."""
        return replace(transcript, on_screen=read_screen_text(document).pages)


def _is_online(settings: Settings) -> bool:
    return settings.screen_reader == "google"
