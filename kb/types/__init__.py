"""Values that cross package borders: frozen dataclasses, units in their names."""

from __future__ import annotations

from kb.types.media import CaptionFile, Chapter, LocalMedia, MediaItem, MediaRef
from kb.types.passages import DocumentFacts, Hit, Passage, Published
from kb.types.quality import Coverage, MinuteAgreement, Reading, Sign, WindowLedger, Witness
from kb.types.transcript import Revision, TextChange, Timing, Transcript
from kb.types.words import Segment, SpeechSpan, Timestamps, Word

__all__ = [
    "CaptionFile",
    "Chapter",
    "Coverage",
    "DocumentFacts",
    "Hit",
    "LocalMedia",
    "MediaItem",
    "MediaRef",
    "MinuteAgreement",
    "Passage",
    "Published",
    "Reading",
    "Revision",
    "Segment",
    "Sign",
    "SpeechSpan",
    "TextChange",
    "Timestamps",
    "Timing",
    "Transcript",
    "WindowLedger",
    "Witness",
    "Word",
]
