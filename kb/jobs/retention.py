"""Retention: the media of a followed source are deleted by its terms, never what was made of them.

Transcript, captions, index and metadata stay; the metadata record the deletion. Only media of items
that are done go, of those with doubtful places (grade B or C) after a person accepted them, and
only while the exact transcript is whole.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kb.errors import KBError
from kb.jobs.queue.item_queries import ItemQueries
from kb.jobs.queue.item_states import DONE
from kb.jobs.queue.order import SOURCE
from kb.library import Library, LibraryEntry
from kb.library.audit import AuditLog
from kb.library.clock_leaps import ClockLeaps
from kb.library.metadata import RETENTION, STORED, TRANSCRIPT_SUFFIX
from kb.library.versions import Versions
from kb.options import SourceOptions
from kb.pipeline.hold import waits_for_review
from kb.pipeline.stored_media import StoredMedia
from kb.pipeline.transcript_files import damage
from kb.sources.subscriptions import Subscription
from kb.storage import held, library_error, remove_file

log = logging.getLogger(__name__)

DAY_S = 86_400.0
GB = 1e9


@dataclass(frozen=True, slots=True)
class Deletion:
    """A medium that was deleted, the rule that asked for it, and its size in bytes."""

    item_id: str
    rule: str
    size: int


def record_source(library: Library, entry_id: str, source: object) -> None:
    """Record in an item's metadata which followed source it came from. Raises LibraryError."""
    if not isinstance(source, str) or not source:
        return
    entry = library.find(entry_id)
    if entry is not None and entry.record.get(SOURCE) != source:
        library.amend(entry_id, {SOURCE: source})


def apply(
    library: Library,
    items: ItemQueries,
    followed: Sequence[Subscription],
    now: float | None = None,
    leaps: ClockLeaps | None = None,
    stored: StoredMedia | None = None,
) -> list[Deletion]:
    """Delete the media that are due by the terms of their sources; return them.

    `leaps` are those of the database's clock: nothing becomes old by them. `stored` deletes the
    media in object storage, too; without it those items are left.

    An item that cannot be read or deleted is logged and left. Raises LibraryError when the folder
    or the database cannot be read.
    """
    # An item may have the key of a subscription that was merged with another one.
    owners = {key: each for each in followed for key in each.keys}
    owners |= {each.key: each for each in followed}
    terms = {each.key: SourceOptions.from_dict(each.options) for each in followed}
    terms = {key: each for key, each in terms.items() if each.has_retention}
    if not terms:
        return []
    now = items.database.time() if now is None else now
    states = items.states()
    by_source: dict[str, list[LibraryEntry]] = {}
    for entry in library.entries():
        key = entry.record.get(SOURCE)
        source = owners[key].key if isinstance(key, str) and key in owners else ""
        if source in terms and _size_of(entry) is not None:
            by_source.setdefault(source, []).append(entry)
    deleted: list[Deletion] = []
    for source, entries in by_source.items():
        for entry, rule in due(entries, terms[source], now, leaps):
            try:
                if found := _delete(library, items, entry, rule, states, stored):
                    deleted.append(found)
            except (KBError, OSError) as error:  # one item must not keep the others
                log.warning("%s: its medium stays: %s", entry.item.id, error)
    if deleted:
        log.info("media deleted by retention: %s", [each.item_id for each in deleted])
        AuditLog(library.home, "retention").record(
            "delete media", [each.item_id for each in deleted]
        )
    return deleted


def due(
    entries: Sequence[LibraryEntry],
    terms: SourceOptions,
    now: float,
    leaps: ClockLeaps | None = None,
) -> Iterator[tuple[LibraryEntry, str]]:
    """Yield the items whose medium is over the limits of their source, with the limit's name.

    `entries` are its items that have a medium; `now` is in epoch seconds.
    """
    newest = sorted(entries, key=lambda each: (each.item.published, each.stem), reverse=True)
    total = 0
    for number, entry in enumerate(newest):
        total += _size_of(entry) or 0
        age_s = _age_s(entry, now, leaps or ClockLeaps())
        if terms.keep_days is not None and age_s is not None and age_s > terms.keep_days * DAY_S:
            yield entry, "keep_days"
        elif terms.keep_newest is not None and number >= terms.keep_newest:
            yield entry, "keep_newest"
        elif terms.keep_gb is not None and total > terms.keep_gb * GB:
            yield entry, "keep_gb"


def is_safe(entry: LibraryEntry, state: str | None) -> bool:
    """Return True if nothing but the medium is lost with the medium of an item.

    `state` is that of its row. Its exact transcript must be there, readable, and the one that was
    written last: changes by hand are in it.
    """
    if state != DONE or entry.state != DONE:
        return False
    if waits_for_review(entry) and entry.grade != "A":  # a person may want to listen to it
        return False
    if entry.transcript_path is None or damage(entry) is not None:
        return False
    hashes = entry.transcribed.get("sha256")
    recorded = hashes.get(TRANSCRIPT_SUFFIX) if isinstance(hashes, Mapping) else None
    if recorded is None:
        return "revised" not in entry.transcribed
    return bool(recorded == hashlib.sha256(entry.transcript_path.read_bytes()).hexdigest())


def _delete(
    library: Library,
    items: ItemQueries,
    entry: LibraryEntry,
    rule: str,
    states: Mapping[str, str],
    stored: StoredMedia | None,
) -> Deletion | None:
    item_id = entry.item.id
    if entry.stored and stored is None:
        return None
    if not is_safe(entry, states.get(item_id)):
        return None
    with library.metadata_lock(item_id):
        fresh, row = library.find(item_id), items.read(item_id)
        # It was queued again, corrected or fetched again meanwhile: the next run looks once more.
        if fresh is None or row is None or row.state != DONE or fresh.record != entry.record:
            return None
        path, size = fresh.media_path, _size_of(fresh)
        if size is None:
            return None
        if stored is not None and fresh.stored:
            stored.forget(fresh.stored)  # a crash from here on is mended by the next run
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        deleted = {"at": at, "rule": rule, "medium": fresh.medium_name, "bytes": size}
        # Recorded first: a medium that is missing without a record is a fault.
        if path is None:
            library.amend(item_id, {RETENTION: deleted, STORED: None})
        else:
            with held(path) as real:
                library.amend(item_id, {RETENTION: deleted, STORED: None})
                try:
                    real.unlink()
                except OSError as error:
                    library.amend(item_id, {RETENTION: None})
                    raise library_error(error, path, "remove") from error
        for version in Versions(library).of(item_id):  # the media of its earlier versions too
            if version.media_path is not None and version.transcript_path is not None:
                size += _size(version.media_path) or 0
                remove_file(version.media_path)
    return Deletion(item_id, rule, size)


def _age_s(entry: LibraryEntry, now: float, leaps: ClockLeaps) -> float | None:
    """Return the seconds since the transcript was made; None if its time is unknown."""
    at = entry.transcribed.get("at")
    try:
        made = datetime.fromisoformat(at).timestamp() if isinstance(at, str) else None
    except ValueError:
        return None
    return None if made is None else leaps.age_s(made, now)


def _size_of(entry: LibraryEntry) -> int | None:
    """Return the bytes of an item's medium, here or in object storage; None without one."""
    size = _size(entry.media_path)
    return int(entry.stored["bytes"]) if size is None and entry.stored else size


def _size(path: Path | None) -> int | None:
    try:
        return None if path is None else path.stat().st_size
    except OSError:
        return None
