"""One item of the library's list: what its files say, and its states elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kb.jobs.queue.item_states import DONE, QUEUED
from kb.jobs.queue.outbox_states import DEFERRED, FAILED, IN_PROGRESS, SYNCED, SYNCING
from kb.library import LibraryEntry
from kb.pipeline.hold import uncertain_s
from kb.pipeline.list_filter import NOT_SENT, ON_ITS_WAY, SEND_FAILED, SENT, kept_facets
from kb.sinks import REMOTE
from kb.types.safe_text import clean


@dataclass(frozen=True, slots=True)
class ListRow:
    """One item of the list, with the values of its facets."""

    entry: LibraryEntry
    facets: Mapping[str, tuple[str, ...]]
    doubtful_s: float
    words: str = field(repr=False, default="")

    @property
    def id(self) -> str:
        return self.entry.item.id

    @property
    def state(self) -> str:
        return self.facets["state"][0]

    @property
    def sent(self) -> str:
        return self.facets["sent"][0]

    @property
    def coverage(self) -> float | None:
        """The share of the speech that has words, 0..1; None without a transcript."""
        known = self.entry.transcribed.get("coverage")
        ratio = known.get("ratio") if isinstance(known, Mapping) else None
        return float(ratio) if isinstance(ratio, int | float) else None

    def as_dict(self) -> dict[str, Any]:
        """Return the item as programs get it: plain JSON values, times in seconds."""
        item, entry = self.entry.item, self.entry
        return {
            "id": item.id,
            "title": clean(item.title),
            "channel": clean(item.channel),
            "published": item.published,
            "url": item.url,
            "duration_s": entry.duration_s,
            "words": entry.word_count,
            "language": next(iter(self.facets["language"]), ""),
            "grade": entry.grade,
            "coverage": self.coverage,
            "expected_errors": entry.expected_errors,
            "doubtful_s": self.doubtful_s,
            "state": self.state,
            "sent": self.sent,
            "review": next(iter(self.facets["review"]), ""),
            "speakers": [clean(each) for each in self.facets["speaker"]],
            "tags": [clean(each) for each in entry.user_tags],
        }


def with_state(row: ListRow, states: Mapping[str, str], sent: Mapping[str, str]) -> ListRow:
    """Return a row with its states in the queue and the knowledge bases, given by id."""
    entry = row.entry
    state = states.get(entry.item.id) or _state_of_files(entry)
    delivery = _sent(entry, sent.get(entry.item.id))
    if row.state == state and row.sent == delivery:
        return row
    return replace(row, facets={**row.facets, "state": (state,), "sent": (delivery,)})


def row_of(entry: LibraryEntry) -> ListRow:
    """Return the row of an item as its files have it."""
    from kb.sinks.local.tokenizer import tokens

    item, known = entry.item, kept_facets(entry)
    facets = {**known, "state": (_state_of_files(entry),), "sent": (_sent(entry, None),)}
    speakers = known["speaker"]
    text = " ".join((item.title, item.channel, *entry.user_tags, entry.user_note, *speakers))
    words = "".join(f" {word}" for word in tokens(text))
    return ListRow(entry, facets, uncertain_s(entry), words)


def _state_of_files(entry: LibraryEntry) -> str:
    """Return an item's state according to its files."""
    if entry.state != "new":
        return entry.state
    return DONE if entry.transcript_path else QUEUED


def _sent(entry: LibraryEntry, status: str | None) -> str:
    """Return the state of an item in the remote knowledge base, from the queue or its file."""
    if status is None:
        record = entry.published.get(REMOTE)
        status = str(record.get("status", "")) if isinstance(record, Mapping) else ""
    if status in (SYNCED, SYNCING):
        return SENT
    if status in IN_PROGRESS or status in DEFERRED:
        return ON_ITS_WAY
    return SEND_FAILED if status == FAILED else NOT_SENT
