"""The sink for a project of ODIN, which is idempotent and safe to kill at every point.

A publish has these steps: store the state "sending" → upload the missing parts → wait until all
are indexed → remove older versions → store the state "synced". A publish that finds a state other
than "synced" checks the project first, so that nothing is sent twice. The old version is removed
only after the new one is indexed, so that one version can always be found.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

from kb.database import Database
from kb.errors import KnowledgeBaseError
from kb.settings import Settings
from kb.sinks.odin import publish_state
from kb.sinks.odin.answers import RemoteDocument
from kb.sinks.odin.client import DELETING, FAILED, MISSING, SYNCED, OdinClient
from kb.sinks.odin.documents import Document, DocumentSet, make_documents
from kb.sinks.odin.errors import OdinRefused, OutcomeUnknown
from kb.sinks.odin.inventory import (
    FOREIGN,
    Inventory,
    find_match,
    inventory_view_for,
    own_metadata,
    summary,
)
from kb.sinks.odin.publish_state import PublishState, PublishStateStore
from kb.sinks.odin.transport import pause
from kb.types import DocumentFacts, MediaItem, Passage, Published

LONGEST_POLL = 6  # the longest pause between two checks of a document, in multiples of the first
CONFLICT = 409


class OdinSink:
    """The documents in one project of ODIN, safe to use from several threads and processes.

    Every method raises CredentialsRefused when key, secret or project are not accepted, and
    KnowledgeBaseError for other failures, with ODIN's own message. `stop.set()` from another
    thread ends every wait with Cancelled; the next publish resumes the work.
    """

    name = "odin"
    is_local = False

    def __init__(self, settings: Settings, *, database: Database | None = None) -> None:
        self.settings = settings
        self.stop = threading.Event()
        self.client = OdinClient(settings, self.stop)
        self._inventory_view = inventory_view_for(settings)
        self._owns_database = database is None
        self._database = database
        self._publish_states: PublishStateStore | None = None
        self._opening = threading.Lock()

    @property
    def publish_states(self) -> PublishStateStore:
        """The stored publish states, in the library's database."""
        with self._opening:
            if self._publish_states is None:
                if self._database is None:
                    self._database = Database.open(self.settings)
                self._publish_states = PublishStateStore(
                    self._database, self.name, self.settings.odin_project_id
                )
            return self._publish_states

    def close(self) -> None:
        """Close the database; the sink opens it again on the next use."""
        with self._opening:
            if self._owns_database and self._database is not None:
                self._database.close()
                self._database = self._publish_states = None

    def publish(
        self,
        item: MediaItem,
        passages: Sequence[Passage],
        facts: DocumentFacts | None = None,
        extra_metadata: Mapping[str, str] | None = None,
        *,
        wait_s: float | None = None,
        verify_after: float | None = None,
    ) -> Published:
        """Replace the item's passages in the project by these.

        An item whose stored state is `synced` needs no request, unless `verify_after` requires
        a listing of the project after that time (epoch seconds). `extra_metadata` None keeps
        the user's own fields of the last publish. Waits `wait_s` seconds (default: the setting)
        for indexing; an item that is not ready then is `syncing` and must be published again.
        Raises KnowledgeBaseError with ODIN's own message when ODIN cannot index a document, and
        UsageError for reserved names among the user's own fields.
        """
        wait_s = self.settings.odin_poll_wait_s if wait_s is None else wait_s
        with self._claim(item.id):
            previous = self.publish_states.find(item.id)
            if previous and previous.status == publish_state.SYNCED and verify_after is None:
                extra = previous.extra if extra_metadata is None else extra_metadata
                document_set = self.documents(item, passages, facts, extra)
                if document_set.sha256 == previous.content_sha256:
                    return self._result(document_set, publish_state.SYNCED)
            remote_documents = self._remote_documents(
                item.id, previous, self._required_listing_time(previous, verify_after)
            )
            if extra_metadata is None:
                extra_metadata = (
                    previous.extra if previous else own_metadata(remote_documents.values())
                )
            document_set = self.documents(item, passages, facts, extra_metadata)
            # A failed document of this run raises an error; an older failed one is replaced.
            just_sent = (
                previous is not None
                and previous.status == publish_state.SYNCING
                and previous.content_sha256 == document_set.sha256
                and previous.updated_at > (verify_after or 0.0)
            )
            return self._publish_documents(
                document_set, extra_metadata, remote_documents, previous, wait_s, just_sent
            )

    def documents(
        self,
        item: MediaItem,
        passages: Sequence[Passage],
        facts: DocumentFacts | None = None,
        extra_metadata: Mapping[str, str] | None = None,
    ) -> DocumentSet:
        """Return the documents that a publish of these passages would send."""
        return make_documents(
            item, passages, facts, extra_metadata, limit=self.settings.odin_document_bytes
        )

    def inventory(self, *, reuse: bool = False) -> Inventory:
        """Return the project's documents now, or those of a few minutes ago if `reuse`."""
        return self._inventory_view.refresh(self.client, 0.0 if reuse else None)

    def status(self, item_id: str) -> Published:
        """Return the state of the item in the project's own listing."""
        publish_state = self.publish_states.find(item_id)
        remote_documents = self._remote_documents(item_id, publish_state)
        return summary(self.name, item_id, list(remote_documents.values()), publish_state)

    def list(self) -> Iterator[Published]:
        """Yield the state of each of our items in the project, by its first document's name."""
        known = self.publish_states.all()
        found = self.inventory().by_item(known)
        found.pop(FOREIGN, None)
        published = [
            summary(self.name, item_id, list(held.values()), known.get(item_id))
            for item_id, held in found.items()
        ]
        yield from sorted(published, key=lambda held: held.remote_id)

    def delete(self, item_id: str) -> None:
        """Remove all documents of the item from the project, and their stored state."""
        with self._claim(item_id):
            state = self.publish_states.find(item_id)
            names = set(self._remote_documents(item_id, state))
            if state is not None and names:
                # If the process dies after this line, the state must not be `synced`.
                self.publish_states.record_status(item_id, publish_state.SENDING)
            self.remove(names)
            self.publish_states.delete(item_id)

    def remove(self, names: Collection[str]) -> None:
        """Remove documents by name and wait until they are gone (or being deleted)."""
        if not names:
            return
        self.client.delete(names)
        self._wait_removed(names, (MISSING, DELETING))

    # The steps of a publish

    def _publish_documents(
        self,
        document_set: DocumentSet,
        extra: Mapping[str, str],
        remote_documents: Mapping[str, RemoteDocument],
        previous: PublishState | None,
        wait_s: float,
        just_sent: bool,
    ) -> Published:
        item_id = document_set.item_id
        # The old names are stored too: if the service loses our metadata, only names identify
        # our documents.
        old = previous.names if previous else ()
        self.publish_states.record_documents(
            item_id, document_set.sha256, (*document_set.names, *old), extra
        )
        remote: dict[str, str] = {}
        sent = uncertain = False
        for document in document_set.documents:
            existing = find_match(remote_documents, document)
            if existing is None and document.name in old:
                existing = self._unlisted(document.name)
            if existing is not None and (just_sent or existing.status not in FAILED):
                remote[existing.name] = existing.status
                continue
            if existing is not None:
                self.client.delete([existing.name])
                self._wait_removed([existing.name], (MISSING,))
            name, status, doubtful = self._send(item_id, document)
            remote[name] = status
            sent, uncertain = True, uncertain or doubtful
        # The service may have given the documents other names than the requested ones.
        self.publish_states.record_documents(
            item_id, document_set.sha256, (*remote, *old), extra, publish_state.SYNCING
        )
        if not self._wait_indexed(item_id, remote, wait_s):
            return self._result(document_set, publish_state.SYNCING, remote)
        if previous or remote_documents or uncertain:
            # A listing requested before the upload does not show the uploaded documents.
            found = (
                self._remote_documents(item_id, self.publish_states.find(item_id))
                if sent
                else remote_documents
            )
            ready = {name for name, document in found.items() if document.status == SYNCED}
            if sent and not remote.keys() <= ready:
                # The documents are indexed by their status, but not yet in the list: the old
                # version stays until both agree.
                return self._result(document_set, publish_state.SYNCING, remote)
            self.remove(found.keys() - remote.keys())
        self.publish_states.record_documents(
            item_id, document_set.sha256, tuple(remote), extra, publish_state.SYNCED
        )
        return self._result(document_set, publish_state.SYNCED, remote)

    def _unlisted(self, name: str) -> RemoteDocument | None:
        """Return a document that is indexed but not listed, None if there is none.

        An incomplete list must not cause a second copy of a document that was sent before.
        """
        status = self.client.status(name).status
        return RemoteDocument(name, status) if status == SYNCED else None

    def _send(self, item_id: str, document: Document) -> tuple[str, str, bool]:
        """Upload a document; return its remote name, its status, and True if an answer was lost.

        After a lost answer there may be a second copy.
        """
        doubtful = False
        for attempt in range(self.settings.odin_retries + 1):
            try:
                accepted = self.client.add_bytes(document.name, document.content, document.metadata)
                return accepted.name, accepted.status, doubtful
            except (OutcomeUnknown, OdinRefused) as error:
                if isinstance(error, OdinRefused) and error.status != CONFLICT:
                    raise
                doubtful = True
                pause(self.settings.odin_settle_s, self.stop)
                found = find_match(self._remote_documents(item_id, None), document)
                if found is not None:
                    return found.name, found.status, doubtful
                if attempt == self.settings.odin_retries:
                    raise
                pause(self.settings.odin_backoff_s * 2 ** min(attempt, 6), self.stop)
        raise AssertionError("the last attempt returns or raises")

    def _wait_indexed(self, item_id: str, remote: dict[str, str], wait_s: float) -> bool:
        """Return True if all documents are indexed within `wait_s` seconds.

        Raises KnowledgeBaseError with ODIN's message for a failed one.
        """
        give_up_at = time.monotonic() + wait_s
        poll_s = self.settings.odin_poll_s
        message = ""
        while True:
            for name, status in remote.items():
                if status in FAILED:
                    message = message or self.client.status(name).message
                    error = _index_error(name, status, message)
                    self.publish_states.record_status(item_id, publish_state.FAILED, error.message)
                    raise error
            if all(status == SYNCED for status in remote.values()):
                return True
            left_s = give_up_at - time.monotonic()
            if left_s <= 0:
                return False
            pause(min(poll_s, left_s), self.stop)
            poll_s = min(poll_s * 1.5, self.settings.odin_poll_s * LONGEST_POLL)
            for name, status in remote.items():
                if status != SYNCED:
                    answer = self.client.status(name)
                    # A document that was just accepted may still be missing: the wait continues.
                    remote[name] = answer.status if answer.status != MISSING else "queued"
                    if answer.status in FAILED:
                        message = answer.message
                        break

    def _wait_removed(self, names: Collection[str], enough: Collection[str]) -> None:
        """Wait until the status of every document is one of `enough`."""
        give_up_at = time.monotonic() + self.settings.odin_poll_wait_s
        remaining = set(names)
        while True:
            remaining = {
                name for name in remaining if self.client.status(name).status not in enough
            }
            if not remaining:
                return
            if time.monotonic() > give_up_at:
                raise KnowledgeBaseError(
                    "odin.not_removed",
                    "ODIN did not remove {name} (of {count}).",
                    hint="Run it again later; or remove it in ODIN itself.",
                    retryable=True,
                    name=min(remaining),
                    count=len(remaining),
                )
            pause(self.settings.odin_poll_s, self.stop)

    def _claim(self, item_id: str) -> AbstractContextManager[None]:
        return self.publish_states.claim(item_id, self.settings.odin_poll_wait_s, self.stop)

    def _required_listing_time(
        self, previous: PublishState | None, verify_after: float | None
    ) -> float:
        """Return the time after which a listing of the project is reliable, in epoch seconds."""
        after = verify_after or 0.0
        if previous is not None:
            after = max(after, previous.updated_at)
            if previous.status == publish_state.SENDING:
                # The process that sent the item died; its last upload may still arrive.
                after = max(after, previous.updated_at + self.settings.odin_settle_s)
        pause(min(after - self.publish_states.now(), self.settings.odin_settle_s), self.stop)
        return after

    def _remote_documents(
        self, item_id: str, publish_state: PublishState | None, after: float | None = None
    ) -> dict[str, RemoteDocument]:
        now = self._inventory_view.refresh(self.client, after, clock=self.publish_states.now)
        return now.of_item(item_id, publish_state.names if publish_state else ())

    def _result(
        self, document_set: DocumentSet, status: str, remote: Mapping[str, str] | None = None
    ) -> Published:
        names = tuple(remote) if remote else document_set.names
        return Published(
            self.name, names[0], document_set.sha256, status, self.settings.odin_project_id
        )


def _index_error(name: str, status: str, message: str) -> KnowledgeBaseError:
    if not message:
        return KnowledgeBaseError(
            "odin.not_indexed",
            "ODIN could not index {name} ({status})",
            hint="Run kb publish for it again: the failed copy is replaced.",
            retryable=True,
            name=name,
            status=status,
        )
    return KnowledgeBaseError(
        "odin.index_error",
        "ODIN could not index {name} ({status}): {reason}",
        hint="Run kb publish for it again: the failed copy is replaced.",
        retryable=True,
        name=name,
        status=status,
        reason=message,
    )
