"""The values that the stages exchange: frozen, plain, with units in their names.

Every time is in seconds from the start of the medium unless a name states another unit or origin.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from kb.types.media import MediaRef
from kb.types.notes import Notes
from kb.types.quality import (
    CaptionAgreement,
    Coverage,
    ExpectedErrors,
    SoundFacts,
    WindowReport,
    grade_of,
)
from kb.types.screen import ScreenPage
from kb.types.subtitle_layout import STANDARD, SubtitleLayout
from kb.types.table_form import PLAIN_TABLE, TableForm
from kb.types.words import Segment, SpeechSpan, Timestamps, Word

IMPORTED = "imported"
"""The `engine` of a transcript that another program wrote; its `model` is the file's ending."""
CAPTIONS = "captions"
"""The `engine` of a transcript made from captions; its `model` tells who wrote them."""
_SUBTITLES = frozenset({"srt", "vtt", "ass", "ssa", "ttml", "dfxp", "sbv", "lrc"})


@dataclass(frozen=True, slots=True)
class Timing:
    """The wall time of one item by stage, in seconds.

    `asr_s` is the item's share of the model's busy time (windows decoded together share it by
    number); `align_s` is the time of word alignment; `repair_s` is the part of both that was used
    by decodings after the first one.
    """

    load_s: float = 0.0
    decode_s: float = 0.0
    vad_s: float = 0.0
    asr_s: float = 0.0
    align_s: float = 0.0
    repair_s: float = 0.0
    total_s: float = 0.0
    media_s: float = 0.0

    @property
    def rtfx(self) -> float:
        """Real-time factor: seconds of medium per second of wall time (0 if unknown)."""
        return self.media_s / self.total_s if self.total_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class TextChange:
    """A manual change: the segment before and after it.

    `segment` is its index among the segments at that time. Without `before` it was inserted,
    without `after` deleted.
    """

    segment: int
    before: Segment | None
    after: Segment | None


@dataclass(frozen=True, slots=True)
class Revision:
    """A manual revision of a transcript's text: time (ISO 8601, UTC), author, changes.

    `kind`: `edit` for one place, `correct` for a correction across a channel; `run` is the number
    of the transcription that was changed (a later one starts without changes).
    """

    at: str
    by: str
    kind: str
    changes: tuple[TextChange, ...]
    note: str = ""
    run: int = 1


@dataclass(frozen=True, slots=True)
class Serving:
    """Facts for the caller of a transcription, which are not stored.

    `device`: address of the device, such as cuda:0; `queue_s`: wait for the model;
    `language_probability`: of the detected language, 0..1, None where it was not detected.
    """

    device: str = ""
    queue_s: float = 0.0
    language_probability: float | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """The words of one medium with everything needed to check or repeat them.

    `chunk_s` and `timestamps` define how text exports are divided (see `kb.transcript`); `windows`
    are the reports on the windows (empty for transcripts from other programs); `witness` is the
    comparison with captions made by people; `revisions` are manual changes in order, including
    those of earlier transcripts of the medium; `warnings` are sentences for the reader (a truncated
    medium, no speech, ...); `truncated`: the medium ends before its declared end, and the first
    warning gives the time; `cpu_reason`: why the CPU instead of a requested GPU. `layout` (of
    subtitles), `times_each_word` (text for people gives the time of each word), `frame_rate` (of an
    EDL, per second) and `table_form` (that of CSV) are chosen for one export and not stored.
    `notes` of a language model and the pages `on_screen` are put in by readers, and stored apart.
    `expected_errors` is None if it was not measured for the engine, `sound` if the sound was not
    measured. `serving` is not stored.
    """

    media: MediaRef
    segments: tuple[Segment, ...]
    language: str
    engine: str
    model: str
    preset: str
    coverage: Coverage
    timing: Timing
    chunk_s: float = 30.0
    timestamps: Timestamps = "segment"
    warnings: tuple[str, ...] = ()
    truncated: bool = False
    windows: tuple[WindowReport, ...] = ()
    witness: CaptionAgreement | None = None
    revisions: tuple[Revision, ...] = ()
    cpu_reason: str = ""
    layout: SubtitleLayout = STANDARD
    times_each_word: bool = False
    frame_rate: float = 25.0
    table_form: TableForm = PLAIN_TABLE
    expected_errors: ExpectedErrors | None = None
    sound: SoundFacts | None = None
    notes: Notes | None = field(default=None, compare=False, repr=False)
    on_screen: tuple[ScreenPage, ...] = field(default=(), compare=False, repr=False)
    serving: Serving = field(default=Serving(), compare=False, repr=False)

    @property
    def doubtful_spans(self) -> tuple[SpeechSpan, ...]:
        """Return the spans that a person should check: gaps and flagged spans.

        They are in order of time; adjacent spans are joined.
        """
        spans = [(gap.start_s, gap.end_s) for gap in self.coverage.gaps]
        spans += [(s.start_s, s.end_s) for window in self.windows for s in window.flags]
        joined: list[SpeechSpan] = []
        for start_s, end_s in sorted(spans):
            if joined and start_s <= joined[-1].end_s:
                joined[-1] = SpeechSpan(joined[-1].start_s, max(joined[-1].end_s, end_s))
            else:
                joined.append(SpeechSpan(start_s, end_s))
        return tuple(joined)

    @property
    def words_from(self) -> tuple[str, ...]:
        """The ids of the items whose words were taken over for the same sound, in order of time."""
        return tuple(dict.fromkeys(s.taken_from for s in self.segments if s.taken_from is not None))

    def without_sources(self) -> Transcript:
        """Return the transcript without the ids of these items, for readers."""
        if not self.words_from:
            return self
        segments = tuple(replace(segment, taken_from=None) for segment in self.segments)
        return replace(self, segments=segments)

    @property
    def has_own_cues(self) -> bool:
        """True if the segments are the cues of subtitles that were taken in."""
        return self.engine == IMPORTED and self.model in _SUBTITLES

    @property
    def coverage_known(self) -> bool:
        """False for a text that was not compared with the sound: of other programs, or captions."""
        found = self.coverage
        return bool(found.speech_s > 0 or found.suspect_s > 0 or not self.segments)

    @property
    def grade(self) -> str:
        """The grade of coverage and words; empty if the coverage is not known."""
        return grade_of(self.coverage, self.expected_errors) if self.coverage_known else ""

    @property
    def words(self) -> tuple[Word, ...]:
        """All words in order of time."""
        return tuple(word for segment in self.segments for word in segment.words)

    @property
    def word_count(self) -> int:
        """The number of words, also of lines whose words have no times."""
        return sum(segment.word_count for segment in self.segments)

    @property
    def text(self) -> str:
        """The plain text, segments joined by one space."""
        return " ".join(segment.text for segment in self.segments)
