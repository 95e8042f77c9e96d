"""Decides whether a transcript is published or held for review."""

from __future__ import annotations

from dataclasses import dataclass

from kb.library import LibraryEntry
from kb.types import Transcript


@dataclass(frozen=True, slots=True)
class HoldDecision:
    """How an item ended: `state` is `done` or `held`; `reason` says why it is held."""

    state: str
    reason: str = ""
    hint: str = ""


def decide(
    transcript: Transcript, hold_below: float, entry: LibraryEntry | None = None
) -> HoldDecision:
    """Whether a transcript may be published, or is held until somebody has listened.

    `entry`: the item in the library, where somebody may have accepted just this transcript.
    """
    if entry is not None and entry.accepted:
        return HoldDecision("done")
    if transcript.truncated:
        return HoldDecision(
            "held",
            next(iter(transcript.warnings), "The file looks truncated."),
            "Bring the whole file and ingest it again; the words that are there are searchable.",
        )
    found = transcript.coverage
    if found.trusted < hold_below:
        missing_s = found.speech_s - found.covered_s
        reasons = []
        if missing_s > 0:
            reasons.append(
                f"{missing_s:.1f} s of detected speech carry no words ({found.ratio:.0%} covered)"
            )
        if found.suspect_s > 0:
            names = sorted({s.name for window in transcript.windows for s in window.flags})
            why = f" ({', '.join(names)})" if names else ""
            reasons.append(f"{found.suspect_s:.1f} s of the text are doubtful{why}")
        return HoldDecision(
            "held",
            f"Grade {found.grade}: {'; '.join(reasons)}.",
            "Listen to the doubtful seconds: kb review ID; or: kb ingest --again --model ...",
        )
    return HoldDecision("done")
