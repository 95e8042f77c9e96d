"""Facts that a recording states about itself."""

from __future__ import annotations

from dataclasses import dataclass

from kb.types.media import Chapter


@dataclass(frozen=True, slots=True)
class RecordingFacts:
    """Title, artist, day, chapters and language in the tags of a file; empty where it has none.

    `recorded` is an ISO date on the local calendar; `language` is the tag of the sound track.
    """

    title: str = ""
    artist: str = ""
    recorded: str = ""
    chapters: tuple[Chapter, ...] = ()
    language: str | None = None
