"""A database without items is filled from the library's files: the old one may be lost."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from kb.database import Database
from kb.database.future_times import future_times
from kb.errors import KBError
from kb.jobs.queue import left_out
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.library_sync import library_row
from kb.jobs.queue.outbox import Outbox
from kb.jobs.queue.steps import StepStore
from kb.library import Library, LibraryEntry
from kb.library.extras import Extras
from kb.settings import Settings
from kb.sources import saved_looks
from kb.sources.subscriptions import Subscriptions

log = logging.getLogger(__name__)


def fill_from_library(database: Database, settings: Settings, library: Library) -> None:
    """Add the library's items, the items that were left out, the followed sources and their
    looks, and the alerts of saved searches.

    Does nothing for a database that has items. Raises LibraryError; a damaged record of left out
    items or followed sources is logged.
    """
    store = ItemStore(database)
    if store.has_rows():
        return
    from kb.jobs.searches.alerts import restore_alerts  # slow to import, and seldom needed

    entries = library.entries()
    store.adopt([library_row(entry) for entry in entries])
    Outbox(database, settings.odin_project_id).adopt(entries)
    adopt_results(database, library, entries)
    try:
        left_out.restore_rows(store, library)
        Subscriptions(database, library).restore()
        saved_looks.restore(database, library)
        restore_alerts(database, library)
    except KBError as error:
        log.warning("%s %s", error.message, error.hint)


def adopt_results(database: Database, library: Library, entries: Sequence[LibraryEntry]) -> int:
    """Add the results of steps that the table does not contain; return their number.

    Raises LibraryError.
    """
    extras = Extras(library)
    ids = {entry.stem: entry.item.id for entry in entries}
    found = [
        (kind, ids[stem]) for stem in extras.stems() if stem in ids for kind in extras.kinds(stem)
    ]
    return StepStore(database).adopt(found) if found else 0


def follow_acts(database: Database, library: Library) -> None:
    """Bring the acts of the library's files and those of the database together.

    Called when a worker starts and by `kb reindex`: the database may be an older copy, and the
    acts may be those of a version that kept no record. Raises LibraryError.
    """
    from kb.jobs.searches.alerts import restore_alerts

    store = ItemStore(database)
    for each in future_times(database):
        log.warning(
            "%d times in %s.%s lie in the future: a clock was wrong; they are treated as unknown",
            each.count, each.table, each.column,
        )  # fmt: skip
    Subscriptions(database, library).restore()
    saved_looks.restore(database, library)
    restore_alerts(database, library)
    left_out.restore_rows(store, library)
    left_out.record_earlier_acts(store, library)
    left_out.note_gone_files(store, library, library.scan)
