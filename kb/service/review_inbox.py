"""The review inbox: the doubtful passages of all items, one after the other.

A passage is checked when a person has accepted or corrected it. The checked spans are a record in
the item's metadata, valid for the transcript that they were heard in. With its last passage an item
is accepted, unless it is held for another reason than doubtful words.

The order of items comes from the listing; only the item that is shown is read.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kb.asr.coverage import union
from kb.errors import LibraryError, UsageError
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.item_states import ACTIVE, HELD
from kb.library import Library, LibraryEntry
from kb.library.metadata import CHECKED
from kb.pipeline import stages
from kb.pipeline.hold import is_misheard, uncertain_s, waits_for_review
from kb.service.review import Review
from kb.service.review_order import review_order
from kb.service.revisions import LineEdit, Revisions, current_user, now, require_stretch, run_of
from kb.service.uncertain_spans import NO_WORDS
from kb.types import Segment, SpeechSpan, Transcript

log = logging.getLogger(__name__)

LONGEST_S = 30.0  # of a passage; a longer one is heard in parts
_HEARD_SHARE = 0.9  # of a passage that has to be among the checked spans
_KEPT = 8  # transcripts in memory

# Holds that end when all passages have been heard; any other is a question about the medium.
_OF_WORDS = frozenset((
    "hold.missing", "hold.doubtful", "hold.missing_and_doubtful", "hold.wrong_words",
    "hold.most_words",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place of a passage in the inbox: its item, the item's key in the order, its start."""

    item_id: str
    key: tuple[bool, float, str]
    start_s: float


@dataclass(frozen=True, slots=True)
class Line:
    """A segment around a passage; `index` is its number, `inside` whether the passage has it."""

    index: int
    segment: Segment
    inside: bool


@dataclass(frozen=True, slots=True)
class Passage:
    """A span of a transcript to be heard: `reasons` are names of failed checks.

    `share`: of its words that are likely wrong, None if not estimated.
    """

    start_s: float
    end_s: float
    reasons: tuple[str, ...] = ()
    share: float | None = None
    checked: bool = False


@dataclass(frozen=True, slots=True)
class InboxPlace:
    """One step of the review: a passage of an item, or the decision about the item as a whole.

    `passage` is None if all passages are checked, or if there are none: then the item waits for a
    decision alone. `number` counts from 1 among the item's `count` passages, of which `left` are
    not checked.
    """

    entry: LibraryEntry
    transcript: Transcript = field(repr=False)
    passage: Passage | None
    lines: tuple[Line, ...]
    number: int
    count: int
    left: int
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class WaitingItem:
    """An item of the inbox, and its uncertain seconds."""

    entry: LibraryEntry
    seconds: float


@dataclass(frozen=True, slots=True)
class InboxSize:
    """The number of items that wait, and the uncertain seconds of all of them."""

    items: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Decision:
    """The effect of a decision: `accepted` if it was the item's last one and released the item.

    `sinks` are the remote knowledge bases for which the item is queued then.
    """

    accepted: bool = False
    sinks: tuple[str, ...] = ()


@dataclass
class Inbox:
    """The inbox of one library. Methods raise LibraryError for files."""

    library: Library
    queue: JobQueue
    review: Review
    revisions: Revisions

    def size(self) -> InboxSize:
        """Return the size of the inbox, from the listing."""
        entries = self.review.waiting_entries()
        return InboxSize(len(entries), sum(map(uncertain_s, entries)))

    def waiting(self) -> list[WaitingItem]:
        """Return the items of the inbox in the order of their review, from the listing."""
        return [WaitingItem(each, uncertain_s(each)) for each in self.review.waiting_entries()]

    def next(self, after: Cursor | None = None) -> InboxPlace | None:
        """Return the first place behind `after` that is not checked; None if there is none.

        Items in the queue are left out, and those whose transcript is damaged.
        """
        entries = self.review.waiting_entries()
        if after is None:
            return next(filter(None, (self._open(entry) for entry in entries)), None)
        # A correction moves an item in the order: its own passages come first all the same.
        own = next((entry for entry in entries if entry.item.id == after.item_id), None)
        place = self._open(own, after.start_s) if own else None
        later = (
            self._open(entry)
            for entry in entries
            if review_order(entry) >= after.key and entry.item.id != after.item_id
        )
        return place or next(filter(None, later), None)

    def first(self, item_id: str) -> InboxPlace | None:
        """Return the first place of an item that is not checked; None if it does not wait."""
        entry = self.library.find(item_id)
        return None if entry is None or not waits_for_review(entry) else self._open(entry)

    def at(self, item_id: str, start_s: float) -> InboxPlace | None:
        """Return the passage that begins at a second, checked or not; None if it is gone."""
        entry = self.library.find(item_id)
        if entry is None or entry.transcript_path is None:
            return None
        transcript, passages = self._passages(entry)
        for number, each in enumerate(passages):
            if each.start_s <= start_s + 0.001 and start_s < max(each.end_s, each.start_s + 0.001):
                return _place(entry, transcript, passages, number)
        return None

    def accept(self, item_id: str, start_s: float, end_s: float, *, by: str = "") -> Decision:
        """Record that the words of a passage are right; see the module for the item's last one.

        Raises UsageError for an item without a transcript or in the queue.
        """
        entry = self.revisions.entry_of(item_id)
        self.revisions.refuse_active(entry)
        return self._checked(entry, start_s, end_s, by)

    def fix(
        self, item_id: str, start_s: float, end_s: float, edits: Sequence[LineEdit],
        *, inserted: str = "", by: str = "",
    ) -> Decision:  # fmt: skip
        """Correct the lines of a passage, and record that it was heard.

        `inserted` are words for a passage that has none. Raises UsageError as `Revisions.edit`.
        """
        if edits:
            self.revisions.edit_lines(item_id, edits, by=by)
        if inserted.strip():
            self.revisions.edit_span(item_id, start_s, end_s, inserted, by=by)
        return self._checked(self.revisions.entry_of(item_id), start_s, end_s, by)

    def accept_all(self, item_id: str, *, by: str = "") -> Decision:
        """Accept an item with all its passages; see `Review.accept`."""
        return Decision(True, self.review.accept(item_id, by=by))

    def _checked(self, entry: LibraryEntry, start_s: float, end_s: float, by: str) -> Decision:
        require_stretch(start_s, end_s)
        item_id = entry.item.id
        with self.library.metadata_lock(item_id):
            present = self.revisions.entry_of(item_id)
            spans = union([*present.checked_spans, (start_s, end_s)])
            self.library.amend(item_id, {
                CHECKED: {
                    "run": run_of(present), "spans": [list(each) for each in spans],
                    "by": by or current_user(), "at": now(),
                },
            })  # fmt: skip
        self.queue.record("check", [item_id])
        entry = self.revisions.entry_of(item_id)
        _, passages = self._passages(entry)
        if not all(each.checked for each in passages) or _is_other_question(entry):
            return Decision()
        if not passages and entry.state != HELD and not is_misheard(entry):
            return Decision()  # the correction has removed every doubt
        try:
            return self.accept_all(item_id, by=by)
        except UsageError as error:
            if error.code in ("review.nothing_doubtful", "review.accepted"):
                return Decision()
            raise

    def _open(self, entry: LibraryEntry, after_s: float | None = None) -> InboxPlace | None:
        """Return the first place of an item behind a second; None if nothing is left to decide."""
        item_id = entry.item.id
        if self.queue.states_of([item_id]).get(item_id) in ACTIVE:
            return None
        try:
            transcript, passages = self._passages(entry)
        except LibraryError as error:  # a damaged transcript must not hide the others
            log.warning("%s: %s", item_id, error.message)
            return None
        for number, each in enumerate(passages):
            if not each.checked and (after_s is None or each.start_s > after_s + 0.001):
                return _place(entry, transcript, passages, number)
        if after_s is None and all(each.checked for each in passages):
            return _place(entry, transcript, passages, None)
        return None

    def _passages(self, entry: LibraryEntry) -> tuple[Transcript, tuple[Passage, ...]]:
        transcript = _transcripts.read(self.library, entry)
        return transcript, passages(transcript, entry.checked_spans)


def passages(
    transcript: Transcript, checked: Sequence[tuple[float, float]] = ()
) -> tuple[Passage, ...]:
    """Return the passages of a transcript that are to be heard, in order of time.

    They are gaps, spans with failed checks, and spans in which many words are likely wrong, joined
    where they overlap and cut at segments where they are longer than `LONGEST_S`.
    """
    unsure = transcript.expected_errors.passages if transcript.expected_errors else ()
    spans = [(span.start_s, span.end_s) for span in transcript.doubtful_spans]
    spans += [(each.start_s, each.end_s) for each in unsure]
    flags = [flag for window in transcript.windows for flag in window.flags]
    starts = [segment.start_s for segment in transcript.segments]
    found = []
    for start_s, end_s in _cut(union(spans), starts):
        names = {flag.name for flag in flags if flag.start_s < end_s and flag.end_s > start_s}
        if any(_meets(gap, start_s, end_s) for gap in transcript.coverage.gaps):
            names.add(NO_WORDS)
        shares = [u.share for u in unsure if u.start_s < end_s and u.end_s > start_s]
        heard = _heard_s(start_s, end_s, checked) >= _HEARD_SHARE * (end_s - start_s)
        found.append(
            Passage(
                start_s, end_s, tuple(sorted(names)), max(shares, default=None),
                bool(checked) and heard,
            )
        )  # fmt: skip
    return tuple(found)


def _place(
    entry: LibraryEntry,
    transcript: Transcript,
    found: Sequence[Passage],
    number: int | None,
) -> InboxPlace:
    passage = None if number is None else found[number]
    start_s = -1.0 if passage is None else passage.start_s
    cursor = Cursor(entry.item.id, review_order(entry), start_s)
    return InboxPlace(
        entry, transcript, passage,
        () if passage is None else _lines(transcript.segments, passage),
        0 if number is None else number + 1,
        len(found), sum(not each.checked for each in found), cursor,
    )  # fmt: skip


def _lines(segments: Sequence[Segment], passage: Passage) -> tuple[Line, ...]:
    """Return the segments of a passage, with one before and one behind."""
    inside = [
        n
        for n, segment in enumerate(segments)
        if segment.start_s < passage.end_s and segment.end_s > passage.start_s
    ]
    if inside:
        first, last = inside[0], inside[-1]
    else:
        last = sum(segment.start_s < passage.start_s for segment in segments) - 1
        first = last + 1
    own = frozenset(inside)
    shown = range(max(0, first - 1), min(len(segments), last + 2))
    return tuple(Line(n, segments[n], n in own) for n in shown)


def _cut(
    spans: Sequence[tuple[float, float]], starts: Sequence[float]
) -> list[tuple[float, float]]:
    """Cut spans that are too long, at the last start of a segment that is near enough."""
    found = []
    for start_s, end_s in spans:
        while end_s - start_s > LONGEST_S:
            near = [each for each in starts if start_s + 1 <= each <= start_s + LONGEST_S]
            at = near[-1] if near else start_s + LONGEST_S
            found.append((start_s, at))
            start_s = at
        if end_s > start_s:
            found.append((start_s, end_s))
    return found


def _heard_s(start_s: float, end_s: float, checked: Sequence[tuple[float, float]]) -> float:
    return sum(max(0.0, min(end_s, last) - max(start_s, first)) for first, last in checked)


def _meets(span: SpeechSpan, start_s: float, end_s: float) -> bool:
    return span.start_s < end_s and span.end_s > start_s


def _is_other_question(entry: LibraryEntry) -> bool:
    """Return True for an item that is held for a reason that its words do not settle."""
    code = str(entry.problem["code"]) if entry.problem else ""
    return entry.state == HELD and code not in _OF_WORDS


class _Transcripts:
    """The transcripts read last; one is read again when its file has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Path, tuple[int, Transcript]] = {}

    def read(self, library: Library, entry: LibraryEntry) -> Transcript:
        path = entry.transcript_path
        try:
            changed_ns = path.stat().st_mtime_ns if path else 0
        except OSError:  # removed since the listing: reading it says so
            changed_ns = 0
        with self._lock:
            known = self._known.get(path) if path else None
        if known is not None and known[0] == changed_ns:
            return known[1]
        transcript = stages.read_transcript(library, entry)
        with self._lock:
            if path is not None:
                self._known.pop(path, None)
                self._known[path] = (changed_ns, transcript)
                while len(self._known) > _KEPT:
                    self._known.pop(next(iter(self._known)))
        return transcript


_transcripts = _Transcripts()
