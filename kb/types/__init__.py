"""Values that several packages use: frozen dataclasses with units in their names."""

from __future__ import annotations

from kb.types.media import (
    Availability,
    AvailabilityState,
    CaptionFile,
    Chapter,
    Keep,
    LocalMedia,
    MediaItem,
    MediaRef,
)
from kb.types.passages import DocumentFacts, Hit, Occurrence, Passage, Published, UnknownWord
from kb.types.quality import (
    CaptionAgreement,
    Coverage,
    DecodingAttempt,
    ExpectedErrors,
    MinuteAgreement,
    QualityFlag,
    SoundFacts,
    UnsurePassage,
    WindowReport,
)
from kb.types.recording import RecordingFacts
from kb.types.subtitle_layout import LAYOUTS, ONE_WORD, STANDARD, LayoutName, SubtitleLayout
from kb.types.table_form import CsvForm, TableForm, table_form
from kb.types.transcript import IMPORTED, Revision, Serving, TextChange, Timing, Transcript
from kb.types.words import (
    LONGEST_MEDIUM_S,
    Segment,
    SegmentDecoding,
    SpeechLimits,
    SpeechSpan,
    Timestamps,
    Word,
)

__all__ = [
    "IMPORTED",
    "LAYOUTS",
    "LONGEST_MEDIUM_S",
    "ONE_WORD",
    "STANDARD",
    "Availability",
    "AvailabilityState",
    "CaptionAgreement",
    "CaptionFile",
    "Chapter",
    "Coverage",
    "CsvForm",
    "DecodingAttempt",
    "DocumentFacts",
    "ExpectedErrors",
    "Hit",
    "Keep",
    "LayoutName",
    "LocalMedia",
    "MediaItem",
    "MediaRef",
    "MinuteAgreement",
    "Occurrence",
    "Passage",
    "Published",
    "QualityFlag",
    "RecordingFacts",
    "Revision",
    "Segment",
    "SegmentDecoding",
    "Serving",
    "SoundFacts",
    "SpeechLimits",
    "SpeechSpan",
    "SubtitleLayout",
    "TableForm",
    "TextChange",
    "Timestamps",
    "Timing",
    "Transcript",
    "UnknownWord",
    "UnsurePassage",
    "WindowReport",
    "Word",
    "table_form",
]
