"""Results of the service: plain values for any user interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kb.errors import KBError, StoredProblem
from kb.jobs.queue.item_states import Skipped
from kb.jobs.queue.step_states import is_product, shown_step
from kb.types import Hit, UnknownWord


@dataclass(frozen=True, slots=True)
class Publication:
    """The state of an item in a knowledge base.

    `status`: queued, sending, waiting (`wait_until`, epoch seconds; `error` gives the reason),
    syncing (sent, and not indexed yet), synced, changed (synced, and the library has another text
    since), failed, held or cancelled. `changed`: what the knowledge base has is not the library's
    text, whatever the status.
    """

    sink: str
    status: str
    error: str = ""
    hint: str = ""
    attempts: int = 0
    wait_until: float | None = None
    problem: StoredProblem | None = None
    changed: bool = False


@dataclass(frozen=True, slots=True)
class StepStatus:
    """The state of a step that follows an item's words.

    `status`: queued, running, waiting (`wait_until`, epoch seconds), done, failed, cancelled, or
    skipped (`error` says what is missing, `hint` which command brings it).
    """

    step: str
    status: str
    progress: float = 0.0
    error: str = ""
    hint: str = ""
    wait_until: float | None = None
    problem: StoredProblem | None = None

    @property
    def is_product(self) -> bool:
        """True for a product, such as a film, that is made or was made."""
        return is_product(self.step)

    @property
    def shown(self) -> str:
        """The name for a person: of a product, its kind."""
        return shown_step(self.step)


@dataclass(frozen=True, slots=True)
class ItemStatus:
    """The status of one item; `progress` of its stage, 0..1; `grade` A, B, C or empty.

    `expected_errors`: the estimated share of wrong words, 0..1; None: not measured.
    `publications`: its state in each knowledge base, in order of their names. `share`: its
    progress over all its stages, 0..1. `machine`: the worker that processes it now. `steps`: the
    steps that follow its words.

    Of an item that failed: `failing_since` is the time of the first failure, `wait_until` that of
    the next try, `retried_until` that of the last one (epoch seconds); None where there is none.
    """

    id: str
    title: str
    stage: str
    state: str
    progress: float = 0.0
    error: str = ""
    hint: str = ""
    attempts: int = 0
    wait_until: float | None = None
    grade: str = ""
    publications: tuple[Publication, ...] = ()
    share: float = 0.0
    problem: StoredProblem | None = None
    expected_errors: float | None = None
    machine: str = ""
    failing_since: float | None = None
    retried_until: float | None = None
    steps: tuple[StepStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class IngestReport:
    """The result of an ingest: ids queued, items skipped, their status, references refused.

    `notes` are the sentences of the listings. `rejected` is the number of media that the filters
    left out, as far as these were listed, `has_filters` if there were any, `unavailable` that of
    private and removed ones, `known` that of the media that were left out because they are known
    already. `from_transcripts` are the queued ids that are taken in with a transcript of the user:
    nothing of them is recognized.
    """

    enqueued: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    items: tuple[ItemStatus, ...]
    refused: tuple[KBError, ...] = ()
    notes: tuple[str, ...] = ()
    rejected: int = 0
    unavailable: int = 0
    known: int = 0
    from_transcripts: tuple[str, ...] = ()
    has_filters: bool = False


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The answers to a query; `elapsed_ms` is the search's own wall time.

    Hits with all words come first. `has_more` is True if more passages match than were asked for.
    `unknown` are the words that no passage has. `mode` is the one that was carried out: where a
    search by meaning was asked for and could not be, `words_alone` is the error that says why.
    `without_meaning` is the number of items that were searched by their words alone, `left_out`
    that of passages that would be here if what recurs in a channel was not left out.
    """

    query: str
    mode: str
    elapsed_ms: float
    hits: tuple[Hit, ...]
    has_more: bool = False
    unknown: tuple[UnknownWord, ...] = ()
    words_alone: KBError | None = None
    without_meaning: int = 0
    left_out: int = 0

    def with_hits(self, hits: Sequence[Hit], *, has_more: bool) -> SearchResult:
        """Return the same result with other hits, such as the first ones in another order."""
        return replace(self, hits=tuple(hits), has_more=has_more)

    @property
    def complete(self) -> tuple[Hit, ...]:
        """The hits with all words of the query; all of them in a search by meaning alone."""
        return tuple(hit for hit in self.hits if not _lacks(hit, self.mode))

    @property
    def partial(self) -> tuple[Hit, ...]:
        """The hits that lack a word of the query, those found by their meaning included."""
        return tuple(hit for hit in self.hits if _lacks(hit, self.mode))


def _lacks(hit: Hit, mode: str) -> bool:
    return bool(hit.missing) or (hit.by_meaning and mode == "hybrid")


@dataclass(frozen=True, slots=True)
class ReindexReport:
    """The result of `reindex`: numbers of items, passages and adopted files, and the problems.

    `judged`: number of transcripts that got other expected errors than they had.
    `taken_in`: id and file name of each transcript that was made from another program's file, or
    from the text beside a damaged transcript.
    """

    items: int
    passages: int
    adopted: int
    problems: tuple[str, ...]
    taken_in: tuple[tuple[str, str], ...] = ()
    judged: int = 0


ItemListener = Callable[[ItemStatus], None]
"""Called with the status of an item that has changed."""
