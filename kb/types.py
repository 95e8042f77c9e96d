"""The values that cross borders between stages: frozen, plain, with units in their names.

Every time is in seconds from the start of the medium unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Timestamps = Literal["segment", "word"]
Grade = Literal["A", "B", "C"]

GRADE_A = 0.99  # covered share of the speech, with nothing suspect
GRADE_B = 0.95  # share that is covered and free of doubt


@dataclass(frozen=True, slots=True)
class Chapter:
    """A named stretch of a medium, as its publisher divided it."""

    start_s: float
    title: str


@dataclass(frozen=True, slots=True)
class MediaItem:
    """One medium as its source describes it, before anything is fetched.

    `id` is permanent and unique over all sources: `youtube:<videoId>`,
    `web:<extractor>:<id>` or `file:<first 12 of the SHA-256>`.
    `published` is an ISO date (`YYYY-MM-DD`); `duration_s` is the source's claim, or None.
    """

    id: str
    source: str
    url: str
    title: str
    published: str
    duration_s: float | None = None
    channel: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    language: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def short_id(self) -> str:
        """The part of the id that goes into file names: what follows the last colon."""
        return self.id.rsplit(":", 1)[-1]


@dataclass(frozen=True, slots=True)
class CaptionFile:
    """Captions as their source had them; `automatic`: a machine's, and so no witness.

    `path` ends in `.json3` (YouTube's own), `.vtt` or `.srt`; `language` as the source names it.
    """

    path: Path
    language: str
    automatic: bool


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """A medium that lies on disk, measured by decoding and not by its header."""

    item: MediaItem
    path: Path
    sha256: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class SpeechSpan:
    """A stretch in which speech was detected (or, in a coverage gap, left without a word)."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word; `text` carries no surrounding space, `probability` lies in 0..1."""

    start_s: float
    end_s: float
    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A phrase as the recognizer bounded it, with its words."""

    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...]
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the detected speech carries words, and how much of that can be trusted.

    `gaps` are the stretches of more than 0.8 s of detected speech without a word within
    0.3 s; `covered_s` is `speech_s` less their sum; `repaired` counts windows decoded again;
    `suspect_s` are the seconds, gaps left out, that a sign still speaks against after repair.
    """

    speech_s: float
    covered_s: float
    gaps: tuple[SpeechSpan, ...] = ()
    repaired: int = 0
    suspect_s: float = 0.0

    @property
    def ratio(self) -> float:
        """Covered share of the speech, 0..1; 1.0 where there is no speech."""
        return self.covered_s / self.speech_s if self.speech_s > 0 else 1.0

    @property
    def trusted(self) -> float:
        """Share of the speech that is covered and free of doubt, 0..1.

        Where there is no speech: 1.0 without words, 0.0 with words that nobody said.
        """
        if self.speech_s <= 0:
            return 0.0 if self.suspect_s > 0 else 1.0
        return max(0.0, self.covered_s - self.suspect_s) / self.speech_s

    @property
    def grade(self) -> Grade:
        """A: at least 99 % covered and nothing suspect; B: 95 % can be trusted; C: less."""
        if self.ratio >= GRADE_A and self.suspect_s == 0:
            return "A"
        return "B" if self.trusted >= GRADE_B else "C"


@dataclass(frozen=True, slots=True)
class Sign:
    """Something that speaks against a text: which sign, where, what was measured, its limit.

    The names and what is measured: `kb.asr.quality.signs`.
    """

    name: str
    start_s: float
    end_s: float
    value: float
    limit: float


@dataclass(frozen=True, slots=True)
class Reading:
    """One of several readings of a window.

    `how`: `first`, `shifted`, `temperature T`, `beam N`, `engine NAME`; `signs` speak against
    it; of all readings the one with the highest `score` stands (see `kb.asr.repair`).
    """

    how: str
    segments: tuple[Segment, ...]
    signs: tuple[Sign, ...]
    score: float


@dataclass(frozen=True, slots=True)
class WindowLedger:
    """The ledger of one window, as it stands after repair.

    `speech_s`, `covered_s` and `gaps` as in `Coverage`; `signs` are those left; `readings` are
    all that were made, the first one first, where the window was read again (else empty), and
    `chosen` is the place of the one that stands.
    """

    start_s: float
    end_s: float
    speech_s: float
    covered_s: float
    gaps: tuple[SpeechSpan, ...] = ()
    signs: tuple[Sign, ...] = ()
    readings: tuple[Reading, ...] = ()
    chosen: int = 0


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the wall time of one item went, in seconds.

    `asr_s` is the item's share of the model's own busy time (windows decoded together
    share by number); `align_s` is word alignment's; `repair_s` is the part of both that
    readings after the first took.
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
    """What somebody changed: the segment as it was and as it is.

    `segment` is its place among the segments at that time. Without `before` it was put in,
    without `after` taken out.
    """

    segment: int
    before: Segment | None
    after: Segment | None


@dataclass(frozen=True, slots=True)
class Revision:
    """A change of a transcript's text by hand: when (ISO 8601, UTC), by whom, what.

    `kind`: `edit` for one place, `correct` for a correction across a channel; `run` is the
    asking whose transcript was changed (a later one begins anew).
    """

    at: str
    by: str
    kind: str
    changes: tuple[TextChange, ...]
    note: str = ""
    run: int = 1


@dataclass(frozen=True, slots=True)
class MinuteAgreement:
    """How far transcript and captions say the same in one minute.

    `agreement`: 0..1, None where both have next to no words; `words` are the transcript's.
    """

    start_s: float
    end_s: float
    agreement: float | None
    words: int
    caption_words: int


@dataclass(frozen=True, slots=True)
class Witness:
    """Captions made by people, held against the transcript; `source` is the file's name."""

    source: str
    language: str
    agreement: float
    minutes: tuple[MinuteAgreement, ...]


@dataclass(frozen=True, slots=True)
class MediaRef:
    """Which medium a transcript was made from."""

    path: str
    sha256: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """The words of one medium with everything needed to trust or remake them.

    `chunk_s` and `timestamps` say how text exports are cut (see `kb.transcript`);
    `windows` is the ledger window by window (empty for transcripts of others);
    `witness` compares it with captions made by people; `revisions` are changes by hand, the
    first one first, those of earlier transcripts of the medium included;
    `warnings` are sentences for the reader (a truncated medium, no speech, ...).
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
    windows: tuple[WindowLedger, ...] = ()
    witness: Witness | None = None
    revisions: tuple[Revision, ...] = ()

    @property
    def doubtful(self) -> tuple[SpeechSpan, ...]:
        """The stretches that somebody should listen to: gaps and what signs speak against.

        In order of time, those that touch joined.
        """
        spans = [(gap.start_s, gap.end_s) for gap in self.coverage.gaps]
        spans += [(s.start_s, s.end_s) for window in self.windows for s in window.signs]
        joined: list[SpeechSpan] = []
        for start_s, end_s in sorted(spans):
            if joined and start_s <= joined[-1].end_s:
                joined[-1] = SpeechSpan(joined[-1].start_s, max(joined[-1].end_s, end_s))
            else:
                joined.append(SpeechSpan(start_s, end_s))
        return tuple(joined)

    @property
    def words(self) -> tuple[Word, ...]:
        """All words in order of time."""
        return tuple(word for segment in self.segments for word in segment.words)

    @property
    def text(self) -> str:
        """The plain text, segments joined by one space."""
        return " ".join(segment.text for segment in self.segments)


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of transcript that a search can answer with.

    `word_starts_s` holds the second at which each word of `text` begins, words being what
    stands between spaces; empty where that is not known. `tier` says what stands in for the
    transcript (`automatic captions`); empty for a transcript.

    `id` is `<item_id>#<NNNN>`: stable for the same transcript, so that writing a passage
    twice replaces it.
    """

    id: str
    item_id: str
    start_s: float
    end_s: float
    text: str
    deep_link: str
    title: str = ""
    channel: str = ""
    published: str = ""
    language: str = ""
    path: str = ""
    word_starts_s: tuple[float, ...] = ()
    tier: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer of a search; `snippet` marks the hit words with `**`.

    `start_s`..`end_s` is the passage; `at_s`, to which `deep_link` leads, the second at which
    the first hit word is spoken. `tier` as in `Passage`.
    """

    item_id: str
    title: str
    start_s: float
    end_s: float
    text: str
    snippet: str
    score: float
    deep_link: str
    path: str
    at_s: float = 0.0
    tier: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """What a sink holds of one item; `status` is `synced`, `syncing`, `failed` or `missing`."""

    sink: str
    remote_id: str
    content_sha256: str
    status: str


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """How a transcript came about, for documents that people read apart from the library.

    `coverage` is the covered share of the speech, 0..1, `grade` its mark for readers; None
    and empty values are left out of the document.
    """

    language: str = ""
    model: str = ""
    engine: str = ""
    preset: str = ""
    coverage: float | None = None
    grade: str = ""
    duration_s: float | None = None
