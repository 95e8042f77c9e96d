"""New versions of items: their source has replaced the medium by a shorter or longer one.

A look notices the other length. The item is fetched and transcribed once more, and its earlier
transcript is kept as a version (`kb.library.versions`). An item that a person has corrected, or
that a remote knowledge base has, is held with a question instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any

import sqlalchemy as sa

from kb.database import items as table
from kb.database.repeating import repeated
from kb.errors import KBError, stored_problem
from kb.jobs.queue.item_states import ACTIVE, CANCELLED, DONE, FAILED, HELD, ItemRow
from kb.jobs.queue.items import Enqueue, ItemStore
from kb.jobs.queue.request_settings import Ask, completed
from kb.library import Library, LibraryEntry
from kb.library.metadata import RENEWAL
from kb.pipeline.hold import is_asked
from kb.sinks import is_local_sink
from kb.sources.base import LISTED_S
from kb.types import MediaItem

QUESTION = "question"  # key of an item's record: the open question about a new version
# Two listings of one length differ by its rounding to seconds.
SAME_WITHIN_S = 2.0


class Verdict(Enum):
    """The consequence of another length at the source for an item."""

    SAME = auto()  # no other medium
    LATER = auto()  # nothing now: it is being worked on, or the question is open
    FETCH = auto()  # the medium is fetched again when the item is processed
    RENEW = auto()  # the item becomes a new version by itself
    ASK = auto()  # a person decides


def judge(entry: LibraryEntry | None, row: ItemRow, found: MediaItem) -> Verdict:
    """Return what the length that a source gives now means for a known item."""
    known_s = entry.item.duration_s if entry is not None else None
    if entry is None or not known_s or not found.duration_s:
        return Verdict.SAME
    # A listing may give another length than the medium's page, again and again.
    listed_s = entry.item.extra.get(LISTED_S)
    for length_s in (known_s, listed_s):
        if isinstance(length_s, int | float) and _is_same(found.duration_s, length_s):
            return Verdict.SAME
    if entry.transcript_path is None:
        waiting = row.state in (*ACTIVE, FAILED, CANCELLED)
        return Verdict.FETCH if waiting and entry.media_path is not None else Verdict.SAME
    if row.state not in (DONE, HELD):
        return Verdict.LATER
    if is_asked(entry):
        same = _question(entry).get("duration_s") == found.duration_s
        return Verdict.LATER if same else Verdict.ASK
    return Verdict.ASK if is_corrected(entry) or is_published(entry) else Verdict.RENEW


def _is_same(one_s: float, other_s: float) -> bool:
    return abs(one_s - other_s) <= SAME_WITHIN_S


def is_corrected(entry: LibraryEntry) -> bool:
    """Return True if a person has changed words of the present transcript."""
    revised = entry.transcribed.get("revised")
    return isinstance(revised, Mapping) and bool(revised.get("times"))


def is_published(entry: LibraryEntry) -> bool:
    """Return True if a knowledge base other than the local index has the item."""
    return any(
        not is_local_sink(name) and isinstance(record, Mapping) and record.get("content_sha256")
        for name, record in entry.published.items()
    )


def fetch_again(library: Library, row: ItemRow, found: MediaItem) -> None:
    """Let the medium of an item be fetched once more at its next attempt."""
    library.amend(row.id, {RENEWAL: _renewal(row.run, found)})


def renew(
    items: ItemStore,
    library: Library,
    row: ItemRow,
    found: MediaItem,
    enqueue: Enqueue,
    ask: Ask = dict,
) -> None:
    """Queue an item whose source has another medium; its transcript stays until the new one is.

    `ask` gives an item without settings of a request those of this one.
    """
    options = {**completed(row.options, ask), "again": False}
    library.amend(row.id, {RENEWAL: _renewal(row.run + 1, found), QUESTION: None})
    item = replace(row.item, duration_s=found.duration_s)
    items.submit([item], options, enqueue, again=True)


def ask(items: ItemStore, library: Library, entry: LibraryEntry, found: MediaItem) -> None:
    """Hold an item with the question whether the new version is wanted."""
    item_id = entry.item.id
    error = KBError(
        "version.asked",
        "Its source has another medium now, {now_s:.0f} s long instead of {before_s:.0f} s. The "
        "item was corrected by hand or published, so that it is not replaced by itself.",
        hint="Take the new version: kb review {item_id} --renew; keep this one: kb review "
        "{item_id} --accept",
        now_s=found.duration_s or 0.0,
        before_s=entry.item.duration_s or 0.0,
        item_id=item_id,
    )
    earlier = _question(entry).get("was") if is_asked(entry) else None
    was = earlier or {
        "state": entry.state, "error": entry.error, "hint": entry.hint, "problem": entry.problem,
    }  # fmt: skip
    question = {"duration_s": found.duration_s, "at": _now(), "was": was}
    library.amend(item_id, {QUESTION: question, "state": HELD, **error.record()})
    _set_state(items, item_id, HELD, error.record())


def keep(items: ItemStore, library: Library, entry: LibraryEntry) -> LibraryEntry:
    """Answer the question: the present version stays. Return the item in its earlier state.

    The same length at the source is not asked about again.
    """
    length_s = wanted_length_s(entry)
    item = entry.item if length_s is None else replace(entry.item, duration_s=length_s)
    return _withdraw(items, library, entry, item)


def take(
    items: ItemStore,
    library: Library,
    entry: LibraryEntry,
    enqueue: Enqueue,
    ask: Ask = dict,
) -> None:
    """Answer the question: the item becomes the new version; `ask` as for `renew`."""
    length_s = wanted_length_s(entry)
    entry = _withdraw(items, library, entry, entry.item)
    row = items.read(entry.item.id)
    if row is not None:
        renew(items, library, row, replace(entry.item, duration_s=length_s), enqueue, ask)


def _withdraw(
    items: ItemStore, library: Library, entry: LibraryEntry, item: MediaItem
) -> LibraryEntry:
    """Give an item the state that it had before the question."""
    was = _question(entry).get("was")
    was = was if isinstance(was, Mapping) else {}
    state = HELD if was.get("state") == HELD else DONE
    shown = {
        "error": str(was.get("error") or ""), "hint": str(was.get("hint") or ""),
        "problem": stored_problem(was.get("problem")),
    }  # fmt: skip
    changes: dict[str, Any] = {key: value or None for key, value in shown.items()}
    entry = library.write_metadata(item, {**changes, "state": state, QUESTION: None})
    _set_state(items, item.id, state, shown)
    return entry


def wanted_length_s(entry: LibraryEntry) -> float | None:
    """Return the length of the new medium that an item is asked about, None without a question."""
    found = _question(entry).get("duration_s")
    return float(found) if isinstance(found, int | float) and is_asked(entry) else None


def _question(entry: LibraryEntry) -> Mapping[str, Any]:
    found = entry.record.get(QUESTION)
    return found if isinstance(found, dict) else {}


def _renewal(run: int, found: MediaItem) -> dict[str, Any]:
    return {"run": run, "duration_s": found.duration_s, "at": _now()}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@repeated
def _set_state(items: ItemStore, item_id: str, state: str, shown: Mapping[str, Any]) -> None:
    change = sa.update(table).where(table.c.id == item_id, table.c.state.in_((DONE, HELD)))
    with items.database.begin() as connection:
        now = items.database.time(connection)
        connection.execute(change.values(state=state, updated_at=now, **shown))
