"""The values that cross borders between stages: frozen, plain, with units in their names.

Every time is in seconds from the start of the medium unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Timestamps = Literal["segment", "word"]


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
    """How much of the detected speech carries words.

    `gaps` are the stretches of more than 0.8 s of detected speech without a word within
    0.3 s; `covered_s` is `speech_s` less their sum; `repaired` counts windows decoded again.
    """

    speech_s: float
    covered_s: float
    gaps: tuple[SpeechSpan, ...] = ()
    repaired: int = 0

    @property
    def ratio(self) -> float:
        """Covered share of the speech, 0..1; 1.0 where there is no speech."""
        return self.covered_s / self.speech_s if self.speech_s > 0 else 1.0


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the wall time of one item went, in seconds.

    `asr_s` is the item's share of the model's own busy time (windows decoded together
    share by number); `align_s` is word alignment's.
    """

    load_s: float = 0.0
    decode_s: float = 0.0
    vad_s: float = 0.0
    asr_s: float = 0.0
    align_s: float = 0.0
    total_s: float = 0.0
    media_s: float = 0.0

    @property
    def rtfx(self) -> float:
        """Real-time factor: seconds of medium per second of wall time (0 if unknown)."""
        return self.media_s / self.total_s if self.total_s > 0 else 0.0


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
    stands between spaces; empty where that is not known.

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


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer of a search; `snippet` marks the hit words with `**`.

    `start_s`..`end_s` is the passage; `at_s`, to which `deep_link` leads, the second at which
    the first hit word is spoken.
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
