"""The identity of a transcript's words and times, by which results of them are known as current."""

from __future__ import annotations

import hashlib

from kb.types import Transcript


def text_digest(transcript: Transcript) -> str:
    """Return the identity of a transcript's words and times."""
    digest = hashlib.sha256()
    for segment in transcript.segments:
        digest.update(f"{segment.start_s:.3f} {segment.text}\n".encode("utf-8", "replace"))
    return digest.hexdigest()[:32]
