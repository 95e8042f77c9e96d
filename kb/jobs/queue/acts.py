"""Acts of a person on items of the queue: cancel, dismiss, try again; one function for each act.

Every face calls these. What is cancelled or dismissed is recorded in the library's files too
(`kb.library.left_out`), so that no look and no new database brings it back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from kb.database import Database, subscriptions
from kb.errors import KBError
from kb.jobs.queue import left_out, outbox_states, step_states, workflow_ids
from kb.jobs.queue.item_states import (
    ACTIVE,
    CANCELLED,
    DISMISSED,
    FAILED,
    PAUSED,
    WAITING,
    ListingJob,
)
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.library_sync import sync_from_library
from kb.jobs.queue.outbox import Outbox
from kb.jobs.queue.outbox_states import DEFERRED
from kb.jobs.queue.steps import StepKey, StepStore
from kb.jobs.queue.workflow_ids import LISTING
from kb.library import Library
from kb.library.left_out import LeftOut, Why
from kb.pipeline import publish_record

if TYPE_CHECKING:
    from kb.jobs.queue.dbos_client import DbosClient


class Acts:
    """The acts of a person on the items of one library. Every method raises LibraryError."""

    _library: Library

    @property
    def items(self) -> ItemStore:
        raise NotImplementedError

    @property
    def database(self) -> Database:
        raise NotImplementedError

    @property
    def outbox(self) -> Outbox:
        raise NotImplementedError

    @property
    def steps(self) -> StepStore:
        raise NotImplementedError

    @property
    def _client(self) -> DbosClient:
        raise NotImplementedError

    def record(self, what: str, ids: Sequence[str] = (), **facts: str) -> None:
        raise NotImplementedError

    def asked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    # Again

    def retry(self, ids: Sequence[str]) -> list[str]:
        """Queue failed, cancelled, dismissed, paused or waiting items again; return their ids.

        Failed or waiting publications and steps of these items are queued too; their items are not
        transcribed again. An item whose transcript is gone or damaged counts as failed. The look
        of a source that is not followed any more stays ended.
        """
        sync_from_library(self.items, self._library, ids)
        ended = self._looks_of_unfollowed(ids)
        queued = [
            item_id
            for item_id, _ in self.items.retry(
                [each for each in ids if each not in ended],
                self._client.ingest,
                (FAILED, CANCELLED, DISMISSED, PAUSED, WAITING),
                ask=self.asked,
            )
        ]
        LeftOut(self._library).unmark(queued)
        others = [*self.retry_publications(ids), *self.retry_steps(ids)]
        again = list(dict.fromkeys([*queued, *(item_id for _, item_id in others)]))
        if again:
            self.record("retry", again)
        return again

    def retry_failed(self) -> list[str]:
        """Queue every failed item and every failed publication again; return their ids.

        Items whose files were deleted by hand are left out: they are queued by their own id.
        """
        sent = [*self.retry_publications(), *self.retry_steps()]
        failed = self.items.ids(FAILED)
        gone = left_out.why_left_out(self.items, self._library, failed)
        wanted = [item_id for item_id in failed if item_id not in gone]
        return list(dict.fromkeys([*self.retry(wanted), *(i for _, i in sent)]))

    def retry_cancelled(self) -> list[str]:
        """Queue every cancelled item and every cancelled publication again; return their ids."""
        sent = self.outbox.retry(self._client.publish, (CANCELLED,))
        sent += self.steps.retry(self._client.step, (step_states.CANCELLED,))
        return list(dict.fromkeys([*self.retry(self.items.ids(CANCELLED)), *(i for _, i in sent)]))

    def active_ids(self) -> list[str]:
        """Return the ids of all items that are queued, running, paused or waiting.

        Finished items are among them while a step of theirs has not ended.
        """
        found = [item_id for state in ACTIVE for item_id in self.items.ids(state)]
        return list(dict.fromkeys([*found, *self.steps.unfinished_ids()]))

    def retry_publications(self, ids: Sequence[str] | None = None) -> list[tuple[str, str]]:
        """Queue publications again; return (knowledge base, item id) of each.

        With ids: failed, waiting and cancelled publications of these items; without ids: all failed
        ones.
        """
        statuses = (FAILED,) if ids is None else (FAILED, CANCELLED, *DEFERRED)
        return self.outbox.retry(self._client.publish, statuses, ids)

    def retry_steps(self, ids: Sequence[str] | None = None) -> list[StepKey]:
        """Queue steps again; return (step, item id) of each.

        With ids: failed, skipped, waiting and cancelled steps of these items; without ids: all
        failed ones.
        """
        some = (
            step_states.FAILED, step_states.SKIPPED, step_states.WAITING, step_states.CANCELLED,
        )  # fmt: skip
        return self.steps.retry(
            self._client.step, (step_states.FAILED,) if ids is None else some, ids
        )

    def request_steps(
        self,
        keys: Sequence[StepKey],
        options: Mapping[str, Any] | None = None,
        *,
        act: str = "enrich",
    ) -> None:
        """Queue steps of items, whatever their state is; `act` is recorded."""
        if keys:
            self.record(act, list(dict.fromkeys(item_id for _, item_id in keys)))
            self.steps.request(keys, self._client.step, options)

    def _looks_of_unfollowed(self, ids: Sequence[str]) -> set[str]:
        looks = {
            row.id: row.job.subscription_key
            for row in self.items.rows([each for each in ids if each.startswith(f"{LISTING}:")])
            if isinstance(row.job, ListingJob) and row.job.subscription_key
        }
        if not looks:
            return set()
        with self.database.begin() as connection:
            followed = set(connection.scalars(sa.select(subscriptions.c.key)))
        return {look for look, key in looks.items() if key not in followed}

    # No longer

    def dismiss(self, ids: Sequence[str]) -> list[str]:
        """Take failed items out of the list of failures; return their ids.

        No look queues them again; `retry`, `restore_dismissed` or a request that names the item
        does.
        """
        dismissed = self.items.end_as(ids, DISMISSED, (FAILED,))
        left_out.record_act(self.items, self._library, Why.DISMISSED, dismissed)
        if dismissed:
            self.record("dismiss", dismissed)
        return dismissed

    def restore_dismissed(self, ids: Sequence[str]) -> list[str]:
        """Show dismissed items as failed again; return their ids."""
        shown = self.items.end_as(ids, FAILED, (DISMISSED,))
        LeftOut(self._library).unmark(shown, (Why.DISMISSED,))
        if shown:
            self.record("undo dismiss", shown)
        return shown

    def cancel_all(self) -> list[str]:
        """Cancel every item that has not ended, looks too; return the ids.

        Items that a look queues meanwhile are cancelled with it.
        """
        done: list[str] = []
        while ids := self.active_ids():
            cancelled = self.cancel(ids)
            if not cancelled:
                break
            done += cancelled
        return list(dict.fromkeys(done))

    def cancel(self, ids: Sequence[str], state: str = CANCELLED) -> list[str]:
        """Cancel items that have not ended; a running item stops within two seconds.

        From then on no document of a cancelled item is uploaded (see `cancel_publications`).
        """
        stopped = self.items.stop(ids, state)
        self._client.cancel([workflow_ids.ingest_id(*key) for key in stopped])
        why = Why.CANCELLED if state == CANCELLED else Why.PAUSED
        left_out.record_act(self.items, self._library, why, [item_id for item_id, _ in stopped])
        # Publications are cancelled after the items: an item that was finished just now then queues
        # no publications any more (`ItemSteps`).
        dropped = self.cancel_publications(ids) if state == CANCELLED else []
        cancelled = self.cancel_steps(ids) if state == CANCELLED else []
        ended = list(
            dict.fromkeys([*(i for i, _ in stopped), *(i for _, i in dropped + cancelled)])
        )
        if ended:
            self.record("cancel" if state == CANCELLED else "pause", ended)
        return ended

    def cancel_steps(
        self, ids: Sequence[str], names: Collection[str] | None = None
    ) -> list[StepKey]:
        """Cancel these items' unfinished steps, or some by name; return (step, item id) of each.

        One that runs stops within two seconds and leaves no result.
        """
        dropped = self.steps.cancel(ids, names)
        self._client.cancel(
            [
                workflow_ids.step_id(row.step, row.item_id, row.serial)
                for row in dropped
                if row.status == step_states.QUEUED
            ]
        )
        return [(row.step, row.item_id) for row in dropped]

    def cancel_publications(self, ids: Sequence[str]) -> list[tuple[str, str]]:
        """Cancel these items' waiting publications; return (knowledge base, item id) of each.

        A document whose upload has started is finished. `retry` or another request sends the others
        later. Publications of held items are not cancelled: they wait for a person.
        """
        dropped = self.outbox.cancel(ids)
        self._client.cancel(
            [
                workflow_ids.publish_id(row.sink, row.item_id, row.serial)
                for row in dropped
                if row.status == outbox_states.QUEUED
            ]
        )
        for row in dropped:
            # A rebuilt database reads the waiting publications from the folder.
            with contextlib.suppress(KBError):
                publish_record.record_cancelled(self._library, row.item_id, row.sink)
        return [(row.sink, row.item_id) for row in dropped]
