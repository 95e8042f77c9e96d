"""Changes at the source of items that are known: title, day, description, chapters, captions.

A look reads the facts of known videos too. `refresh_known` brings them into the queue's table and
into the metadata of the library; the worker then publishes the item again
(`kb.jobs.worker.chores.follow_changes`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from kb.errors import KBError
from kb.jobs.queue import renewals
from kb.jobs.queue.item_facts import describe
from kb.jobs.queue.item_states import RUNNING, ItemRow
from kb.jobs.queue.items import Enqueue, ItemStore
from kb.jobs.queue.renewals import Verdict
from kb.jobs.queue.request_settings import Ask
from kb.library import Library
from kb.types import MediaItem

log = logging.getLogger(__name__)

# The facts that a source may change; a change by hand of one of them in the library is kept.
_FACTS = ("title", "published", "channel", "description", "tags", "chapters", "language")
_APPROXIMATE = "published_approximate"  # key of an item's `extra`: the day is computed from an age
_CAPTIONS = "captions"  # key of an item's `extra`: the source has captions made by people
_NONE = object()
_COMPLETE = "published_at"  # key of an item's `extra`: all facts were read, so an empty one is true


def refresh_known(
    items: ItemStore,
    library: Library,
    found: Sequence[MediaItem],
    enqueue: Enqueue | None = None,
    on_captions: Callable[[ItemRow], None] = lambda _: None,
    ask: Ask = dict,
) -> list[str]:
    """Bring the facts that a listing found into the known items; return the ids that changed.

    Unknown items, unavailable ones and local files are ignored. A running item is left to a later
    look. With `enqueue`, an item whose source has a medium of another length becomes a new version,
    or is held with a question (`kb.jobs.queue.renewals`). `on_captions` is called with each item
    whose source has captions now and had none before. `ask` gives an item without settings of a
    request those of this listing. Raises LibraryError when the database or the library folder
    cannot be used.
    """
    listed = {
        item.id: item
        for item in found
        if item.source != "file"
        and not (item.availability.is_unavailable or item.availability.is_unreadable)
    }
    changed = []
    for row in items.rows(list(listed)):
        if row.state == RUNNING or not isinstance(row.job, MediaItem):
            continue
        fresh = with_facts(row.job, listed[row.id])
        if fresh == row.job:
            continue
        try:
            if _refresh(items, library, row, fresh, enqueue, ask):
                changed.append(row.id)
            before, now = row.job.extra.get(_CAPTIONS), fresh.extra.get(_CAPTIONS)
            if before is False and now is True:
                on_captions(row)
        except KBError as error:  # damaged metadata of one item
            log.warning("%s: its facts are not refreshed: %s", row.id, error.message)
    return changed


def _refresh(
    items: ItemStore,
    library: Library,
    row: ItemRow,
    found: MediaItem,
    enqueue: Enqueue | None,
    ask: Ask,
) -> bool:
    """Bring the facts into one item; return False if nothing was changed."""
    entry = library.find(row.id)
    verdict = renewals.judge(entry, row, found)
    # The length belongs to the medium: it changes with that.
    kept = verdict not in (Verdict.SAME, Verdict.FETCH)
    fresh = replace(found, duration_s=row.item.duration_s) if kept else found
    facts_changed = fresh != row.item
    if facts_changed:
        _bring_in(library, row, fresh)
        describe(items.database, row.id, fresh, serial=row.serial)
    if entry is None or verdict in (Verdict.SAME, Verdict.LATER) or enqueue is None:
        return facts_changed
    if verdict is Verdict.FETCH:
        renewals.fetch_again(library, row, found)
    elif verdict is Verdict.RENEW:
        log.info("%s has another medium at its source: it is fetched again", row.id)
        renewals.renew(items, library, replace(row, job=fresh), found, enqueue, ask)
    else:
        renewals.ask(items, library, entry, found)
    return True


def with_facts(known: MediaItem, found: MediaItem) -> MediaItem:
    """Return a known item with the facts that its source gives now.

    A listing that gives less, such as one without a key, takes nothing away.
    """
    complete = _COMPLETE in found.extra
    approximate = bool(found.extra.get(_APPROXIMATE))
    dated = bool(known.published) and not known.extra.get(_APPROXIMATE)
    takes_day = bool(found.published) and not (approximate and dated)
    described = complete or bool(found.description)
    description = found.description if described else known.description
    # A site divides a video into chapters that its description does not name.
    keeps_chapters = not found.chapters and description == known.description
    extra = {**known.extra, **found.extra}
    if (not takes_day and _APPROXIMATE not in known.extra) or (takes_day and not approximate):
        extra.pop(_APPROXIMATE, None)
    return replace(
        known,
        title=found.title if found.title not in ("", found.short_id) else known.title,
        published=found.published if takes_day else known.published,
        duration_s=found.duration_s or known.duration_s,
        channel=found.channel or known.channel,
        description=description,
        tags=found.tags if complete else found.tags or known.tags,
        chapters=known.chapters if keeps_chapters else found.chapters,
        language=found.language or known.language,
        extra=extra,
        availability=found.availability,
    )


def _bring_in(library: Library, row: ItemRow, fresh: MediaItem) -> None:
    """Write the changed facts into the item's metadata, if the library has the item."""
    with library.metadata_lock(row.id):
        entry = library.find(row.id)
        if entry is None:
            return
        before, here = row.item, entry.item
        changes = {
            name: getattr(fresh, name)
            for name in _FACTS
            if getattr(fresh, name) != getattr(before, name)
            and getattr(here, name) == getattr(before, name)
        }
        extra = {**here.extra, **_changed_extra(before, fresh)}
        if _APPROXIMATE not in fresh.extra:
            extra.pop(_APPROXIMATE, None)
        described = replace(
            here,
            extra=extra,
            duration_s=here.duration_s or fresh.duration_s,
            availability=fresh.availability,
            **changes,
        )
        if described != here:
            library.write_metadata(described)


def _changed_extra(before: MediaItem, fresh: MediaItem) -> dict[str, object]:
    return {
        key: value for key, value in fresh.extra.items() if before.extra.get(key, _NONE) != value
    }
