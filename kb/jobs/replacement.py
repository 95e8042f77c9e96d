"""A whole file takes the place of the items that have only its beginning.

They go into the trash when the whole one is done, so that their words can be searched until then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kb.errors import KBError
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.outbox import Outbox
from kb.jobs.queue.outbox_states import DEFERRED, IN_PROGRESS, SENDING, SYNCED, SYNCING
from kb.jobs.removal import Removal
from kb.library.trash import RemovedItem
from kb.sinks import REMOTE

log = logging.getLogger(__name__)


@dataclass
class Replacement:
    """The replacement of partial items in one library.

    `stop` ends the work on items and their publications; `delete_remote` deletes the documents of
    one from the remote knowledge base.
    """

    removal: Removal
    outbox: Outbox
    stop: Callable[[Sequence[str]], object]
    delete_remote: Callable[[str], object]

    def run(self, parts: Sequence[str], whole: str) -> list[RemovedItem]:
        """Move the items `parts` to the trash, in favour of the item `whole`; return them.

        Raises LibraryError.
        """
        return [moved for each in parts if (moved := self._replace(each, whole)) is not None]

    def _replace(self, item_id: str, whole: str) -> RemovedItem | None:
        entry = self.removal.library.find(item_id)
        row = ItemStore(self.removal.database).read(item_id)
        if entry is None and row is None:
            return None  # replaced before
        rows = self.outbox.for_items([item_id]).get(item_id, ())
        waiting = {
            each.sink
            for each in rows
            if each.sink != "local" and each.status in (*IN_PROGRESS, *DEFERRED)
        }
        self.stop([item_id])
        states = {each.status for each in rows if each.sink == REMOTE}
        if states & {SYNCED, SYNCING, SENDING}:
            try:
                self.delete_remote(item_id)
                waiting.add(REMOTE)  # it is sent again if it comes back
            except KBError as error:
                log.warning("%s stays in %s (kb sync --prune): %s", item_id, REMOTE, error.message)
        title = entry.item.title if entry is not None else row.title if row is not None else ""
        moved = self.removal.remove(
            item_id, title=title, to_send=sorted(waiting), replaced_by=whole
        )
        log.info("%s was replaced by %s, which has the whole file", item_id, whole)
        return moved
