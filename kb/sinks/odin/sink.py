"""The sink for a project of ODIN: idempotent, and safe to kill at every point.

A publish goes: note what is to be sent → upload the parts that are not there → wait until all
are indexed → remove older versions → note that it is done. Whoever finds a note that is not
done looks at the project first, so that nothing is sent twice; the old version goes only once
the new one can be found, so that at no moment there is none.
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
from kb.sinks.odin.client import DELETING, FAILED, MISSING, SYNCED, OdinClient, RemoteDocument
from kb.sinks.odin.documents import Document, DocumentSet, make_documents
from kb.sinks.odin.inventory import (
    FOREIGN,
    Inventory,
    find_match,
    inventory_view_for,
    own_metadata,
    summary,
)
from kb.sinks.odin.publish_state import PublishState, PublishStateStore
from kb.sinks.odin.transport import OdinRefused, OutcomeUnknown, pause
from kb.types import DocumentFacts, MediaItem, Passage, Published

LONGEST_POLL = 6  # times the first pause between two looks at the same document
CONFLICT = 409


class OdinSink:
    """Documents in one project of ODIN. Safe to use from threads and processes at once.

    Every method raises CredentialsRefused when key, secret or project are not accepted, and
    KnowledgeBaseError otherwise, with ODIN's own words. `stop.set()` from another thread ends
    every wait with Cancelled; what was begun is taken up by the next publish.
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
        """Our notes of what was sent, in the library's database."""
        with self._opening:
            if self._publish_states is None:
                if self._database is None:
                    self._database = Database.open(self.settings)
                self._publish_states = PublishStateStore(
                    self._database, self.name, self.settings.odin_project_id
                )
            return self._publish_states

    def close(self) -> None:
        """Let go of the database; the sink opens it again when it is used again."""
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
        """Make the project hold exactly these passages of the item.

        What is noted as done is not even asked for, unless `verify_after` demands that the
        project's list, as it was after that time (epoch seconds), says so too.
        `extra_metadata` None keeps the own fields of the last time. Waits `wait_s` seconds
        (default: the setting) for indexing; what is not ready then answers `syncing`: publish
        it again later. Raises KnowledgeBaseError when ODIN cannot index a document, in its
        own words, and UsageError for own fields with names of ours.
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
            # A failure of what this run has just sent is told; an older one is mended.
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
        """The documents that a publish of this would send."""
        return make_documents(
            item, passages, facts, extra_metadata, limit=self.settings.odin_document_bytes
        )

    def inventory(self, *, reuse: bool = False) -> Inventory:
        """What the project holds now, or a few minutes ago if `reuse`."""
        return self._inventory_view.refresh(self.client, 0.0 if reuse else None)

    def status(self, item_id: str) -> Published:
        """What the project holds of the item, by its own listing."""
        publish_state = self.publish_states.find(item_id)
        remote_documents = self._remote_documents(item_id, publish_state)
        return summary(self.name, item_id, list(remote_documents.values()), publish_state)

    def list(self) -> Iterator[Published]:
        """Every item of ours that the project holds, in order of the first document's name."""
        known = self.publish_states.all()
        found = self.inventory().by_item(known)
        found.pop(FOREIGN, None)
        published = [
            summary(self.name, item_id, list(held.values()), known.get(item_id))
            for item_id, held in found.items()
        ]
        yield from sorted(published, key=lambda held: held.remote_id)

    def delete(self, item_id: str) -> None:
        """Remove all documents of the item from the project, and our note of them."""
        with self._claim(item_id):
            state = self.publish_states.find(item_id)
            names = set(self._remote_documents(item_id, state))
            if state is not None and names:
                # Killed from here on, the note must not claim that it is there.
                self.publish_states.record_status(item_id, publish_state.SENDING)
            self.remove(names)
            self.publish_states.delete(item_id)

    def remove(self, names: Collection[str]) -> None:
        """Remove documents by name and see that they are gone (or on their way)."""
        if not names:
            return
        self.client.delete(names)
        self._wait_removed(names, (MISSING, DELETING))

    # One item on its way

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
        # The old names stay noted: a service that loses our metadata tells them by nothing else.
        old = previous.names if previous else ()
        self.publish_states.record_documents(
            item_id, document_set.sha256, (*document_set.names, *old), extra
        )
        remote: dict[str, str] = {}
        sent = uncertain = False
        for document in document_set.documents:
            existing = find_match(remote_documents, document)
            if existing is not None and (just_sent or existing.status not in FAILED):
                remote[existing.name] = existing.status
                continue
            if existing is not None:
                self.client.delete([existing.name])
                self._wait_removed([existing.name], (MISSING,))
            name, status, doubtful = self._send(item_id, document)
            remote[name] = status
            sent, uncertain = True, uncertain or doubtful
        # The service may have given other names than we asked for.
        self.publish_states.record_documents(
            item_id, document_set.sha256, (*remote, *old), extra, publish_state.SYNCING
        )
        if not self._wait_indexed(item_id, remote, wait_s):
            return self._result(document_set, publish_state.SYNCING, remote)
        if previous or remote_documents or uncertain:
            # What was listed before something was sent cannot tell what came of it.
            found = (
                self._remote_documents(item_id, self.publish_states.find(item_id))
                if sent
                else remote_documents
            )
            ready = {name for name, document in found.items() if document.status == SYNCED}
            if sent and not remote.keys() <= ready:
                # Its status says that it is indexed and its list does not (yet): the old
                # version stays until both agree.
                return self._result(document_set, publish_state.SYNCING, remote)
            self.remove(found.keys() - remote.keys())
        self.publish_states.record_documents(
            item_id, document_set.sha256, tuple(remote), extra, publish_state.SYNCED
        )
        return self._result(document_set, publish_state.SYNCED, remote)

    def _send(self, item_id: str, document: Document) -> tuple[str, str, bool]:
        """Uploads a document; its remote name and status, and whether an answer was lost.

        If one was, there may be a second copy.
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
        """Whether all are indexed within the time; raises what ODIN says of a failed one."""
        give_up_at = time.monotonic() + wait_s
        poll_s = self.settings.odin_poll_s
        message = ""
        while True:
            for name, status in remote.items():
                if status in FAILED:
                    message = message or self.client.status(name).message
                    words = f": {message}" if message else ""
                    problem = f"ODIN could not index {name} ({status}){words}"
                    self.publish_states.record_status(item_id, publish_state.FAILED, problem)
                    raise KnowledgeBaseError(
                        problem,
                        hint="Run kb publish for it again: the failed copy is replaced.",
                        retryable=True,
                    )
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
                    # A document just taken in may not be found yet: it is waited for.
                    remote[name] = answer.status if answer.status != MISSING else "queued"
                    if answer.status in FAILED:
                        message = answer.message
                        break

    def _wait_removed(self, names: Collection[str], enough: Collection[str]) -> None:
        """Waits until every one of the documents has a status that is `enough`."""
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
                    f"ODIN did not remove {sorted(remaining)[0]} (of {len(remaining)}).",
                    hint="Run it again later; or remove it in ODIN itself.",
                    retryable=True,
                )
            pause(self.settings.odin_poll_s, self.stop)

    def _claim(self, item_id: str) -> AbstractContextManager[None]:
        return self.publish_states.claim(item_id, self.settings.odin_poll_wait_s, self.stop)

    def _required_listing_time(
        self, previous: PublishState | None, verify_after: float | None
    ) -> float:
        """The time after which the project has to be looked at, to rely on what it lists."""
        after = verify_after or 0.0
        if previous is not None:
            after = max(after, previous.updated_at)
            if previous.status == publish_state.SENDING:
                # Whoever sent it was killed; its last upload may still be on its way.
                after = max(after, previous.updated_at + self.settings.odin_settle_s)
        pause(min(after - time.time(), self.settings.odin_settle_s), self.stop)
        return after

    def _remote_documents(
        self, item_id: str, publish_state: PublishState | None, after: float | None = None
    ) -> dict[str, RemoteDocument]:
        now = self._inventory_view.refresh(self.client, after)
        return now.of_item(item_id, publish_state.names if publish_state else ())

    def _result(
        self, document_set: DocumentSet, status: str, remote: Mapping[str, str] | None = None
    ) -> Published:
        names = tuple(remote) if remote else document_set.names
        return Published(self.name, names[0], document_set.sha256, status)
