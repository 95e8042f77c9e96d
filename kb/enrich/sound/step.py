"""The step that makes the fingerprint of an item's sound, by which it is found again elsewhere.

A worker makes it before the words of a new item; the step brings it to items of an earlier time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kb.enrich.base import Progress, Step, StepInput
from kb.enrich.sound.fingerprint import (
    MODEL,
    fingerprint,
    from_document,
    has_muxer,
    missing,
    to_document,
)
from kb.errors import KBError
from kb.settings import get_settings
from kb.types import Transcript


class Sound(Step):
    """The fingerprint of the sound track that the words are from."""

    name = "sound"

    @property
    def is_default(self) -> bool:  # type: ignore[override]
        return get_settings().same_sound

    @property
    def model(self) -> str:
        return MODEL

    def missing(self) -> KBError | None:
        return None if has_muxer() else missing()

    def run(self, given: StepInput, progress: Progress) -> dict[str, Any]:
        assert given.medium is not None
        return to_document(fingerprint(given.medium, track=given.track))

    def apply(self, document: Mapping[str, Any], transcript: Transcript) -> Transcript:
        """Return the transcript as it is."""
        from_document(document)
        return transcript
