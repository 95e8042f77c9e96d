"""The remark at the head of documents for reading: what is missing, in doubt, or likely wrong."""

from __future__ import annotations

import pytest

from kb.transcript.formats import markdown
from kb.transcript.formats.facts import MOST_PLACES, quality_remark
from kb.types import (
    Coverage,
    MediaItem,
    MediaRef,
    QualityFlag,
    Segment,
    SpeechSpan,
    Timing,
    Transcript,
    WindowReport,
    Word,
)
from kb.types.quality import ExpectedErrors

WORD = Word(0.0, 1.0, "harbour", 0.9)


def transcript(
    coverage: Coverage,
    flags: tuple[QualityFlag, ...] = (),
    errors: ExpectedErrors | None = None,
) -> Transcript:
    return Transcript(
        media=MediaRef("talk.wav", "", 100.0),
        segments=(Segment(0.0, 1.0, "harbour", (WORD,), "en"),),
        language="en",
        engine="whisper",
        model="demo",
        preset="optimiert",
        coverage=coverage,
        timing=Timing(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        windows=(WindowReport(0.0, 100.0, 90.0, 90.0, (), flags),) if flags else (),
        expected_errors=errors,
    )


WHOLE = Coverage(90.0, 90.0)
GAP = Coverage(90.0, 89.6, (SpeechSpan(12.3, 12.7),))
STRETCHED = QualityFlag("stretched", 63.0, 63.9, 0.4, 0.3)


@pytest.mark.parametrize(
    ("found", "remark"),
    [
        (transcript(WHOLE), ""),
        (
            transcript(GAP),
            "Words were found for 99.6 % of the detected speech. "
            "To be checked by ear: 00:12 (0.4 s).",
        ),
        (transcript(WHOLE, (STRETCHED,)), "To be checked by ear: 01:03 (0.9 s)."),
        (
            transcript(GAP, (STRETCHED,)),
            "Words were found for 99.6 % of the detected speech. "
            "To be checked by ear: 00:12 (0.4 s), 01:03 (0.9 s).",
        ),
        (
            transcript(WHOLE, (STRETCHED,), ExpectedErrors(0.25)),
            "To be checked by ear: 01:03 (0.9 s). "
            "About 1 word in 4 may be wrong (25 % are expected).",
        ),
        (transcript(Coverage(0.0, 0.0)), ""),  # of another program: not compared with the sound
    ],
)
def test_what_is_missing_or_in_doubt_is_named(found: Transcript, remark: str) -> None:
    assert quality_remark(found) == remark
    item = MediaItem("a", "file", "talk.wav", "Talk", "2026-01-05")
    assert remark in markdown.render(found, item=item)


def test_many_places_are_counted() -> None:
    gaps = tuple(SpeechSpan(10.0 * n, 10.0 * n + 0.4) for n in range(MOST_PLACES + 7))
    remark = quality_remark(transcript(Coverage(900.0, 890.0, gaps)))
    assert remark.count("(0.4 s)") == MOST_PLACES
    assert remark.endswith("and 7 more.")
