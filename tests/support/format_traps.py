"""Texts that a format takes for something of its own, as transcripts."""

from __future__ import annotations

from dataclasses import replace

from kb.types import Segment, Transcript
from tests.support.random_transcripts import (
    letters,
    make_transcript,
    spoken,
)

SEEDS = range(0, 12, 2)
# Texts that one of the formats takes for something of its own.
TRAPS = (
    "{\\an8}up {b} here", r"a\Nb \h c:\new", "[12:34] he said", "[ar:not an artist] x",
    "<00:10.00> then <i>so</i>", "a | b |C:Red", 'he said "so" and ""', "a\tb  c", "R&D &amp; <b>",
    "=1+1", "0:00 not a chapter", "Ω≈ç 東京 שלום 👩‍🚀", "001  001  V  C",
)  # fmt: skip
TWO = (Segment(0.0, 2.0, "One two.", ()), Segment(2.5, 4.0, "Three.", ()))
TWELVE_HOURS_S = 12 * 3600.0


def trap(text: str, timestamps: str = "segment") -> Transcript:
    return make_transcript((Segment(1.0, 6.0, text, ()),), timestamps=timestamps)


def by_word(transcript: Transcript, timestamps: str) -> Transcript:
    """Return the transcript as of an export that asks for these timestamps."""
    asked = timestamps == "word"
    return replace(transcript, timestamps="word" if asked else "segment", times_each_word=asked)


def words_of(transcript: Transcript) -> str:
    return letters("".join(spoken(transcript)))
