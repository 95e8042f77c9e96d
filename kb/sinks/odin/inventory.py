"""The documents of a project: ours by item, and those of other producers."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kb.settings import Settings
from kb.sinks.odin.answers import RemoteDocument
from kb.sinks.odin.client import DELETING, FAILED, SYNCED, OdinClient
from kb.sinks.odin.documents import PRODUCER, RESERVED_KEYS, Document, is_name_of
from kb.sinks.odin.publish_state import PublishState
from kb.types import Published

# A document's name ends with the item's short id. An id that is shorter than YouTube's can be the
# end of another id.
MIN_UNIQUE_ID_LENGTH = 11

FOREIGN = "others"


@dataclass(frozen=True, slots=True)
class Inventory:
    """One listing of the project, requested at `taken_at` (monotonic seconds).

    `items` has our documents by item id. `unlabelled` has the documents without our metadata:
    those of colleagues, and ours if the service lost their metadata. `deleting` has the names of
    the documents that are being deleted.
    """

    taken_at: float
    items: Mapping[str, tuple[RemoteDocument, ...]] = field(default_factory=dict)
    unlabelled: tuple[RemoteDocument, ...] = ()
    deleting: frozenset[str] = frozenset()

    def of_item(self, item_id: str, names: Iterable[str] = ()) -> dict[str, RemoteDocument]:
        """Return the item's documents by name; `names` were sent for the item earlier."""
        found = {document.name: document for document in self.items.get(item_id, ())}
        known = frozenset(names)
        short = item_id.rsplit(":", 1)[-1]
        is_unique = len(short) >= MIN_UNIQUE_ID_LENGTH
        for document in self.unlabelled:
            if document.name in known or (is_unique and is_name_of(document.name, short)):
                found[document.name] = document
        return found

    def by_item(self, states: Mapping[str, PublishState]) -> dict[str, dict[str, RemoteDocument]]:
        """Return all documents by item id; the key `FOREIGN` has those of other producers."""
        sender = {name: state.item_id for state in states.values() for name in state.names}
        found: dict[str, dict[str, RemoteDocument]] = defaultdict(dict)
        for item_id, documents in self.items.items():
            for document in documents:
                found[item_id][document.name] = document
        for document in self.unlabelled:
            found[sender.get(document.name, FOREIGN)][document.name] = document
        return dict(found)


class InventoryView:
    """A cache of the project's listing, shared by the threads of a process."""

    REUSE_S = 300.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: Inventory | None = None

    def refresh(
        self,
        client: OdinClient,
        after: float | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> Inventory:
        """Return a listing requested after the time `after` (default: now), in epoch seconds.

        `clock` gives the time in which `after` is. A listing older than `REUSE_S` seconds is never
        used.
        """
        # Ages are by this process's own steady clock, which is never set.
        now = time.monotonic()
        oldest = now if after is None else now - min(clock() - after, self.REUSE_S)
        with self._lock:
            # Threads that waited here for a listing all use the same next one.
            if self._last is None or self._last.taken_at <= oldest:
                taken_at = time.monotonic()
                self._last = _make_inventory(client.documents().values(), taken_at)
            return self._last


_inventory_views: dict[tuple[str, str, str], InventoryView] = {}
_inventory_views_lock = threading.Lock()


def inventory_view_for(settings: Settings) -> InventoryView:
    """Return the view that all sinks of one library and project in this process share."""
    key = (settings.odin_base_url, settings.odin_project_id, str(settings.home))
    with _inventory_views_lock:
        return _inventory_views.setdefault(key, InventoryView())


def find_match(
    remote_documents: Mapping[str, RemoteDocument], local_document: Document
) -> RemoteDocument | None:
    """Return the remote copy of a local document: by name, else by hash and part."""
    if local_document.name in remote_documents:
        return remote_documents[local_document.name]
    for document in remote_documents.values():
        about = document.metadata
        if about.get("content_sha256") == local_document.metadata["content_sha256"] and str(
            about.get("part")
        ) == str(local_document.metadata["part"]):
            return document
    return None


def own_metadata(remote_documents: Iterable[RemoteDocument]) -> dict[str, str]:
    """Return the user's own fields in the metadata of an earlier upload."""
    for document in remote_documents:
        own = {key: value for key, value in document.metadata.items() if key not in RESERVED_KEYS}
        if own:
            return {key: str(value) for key, value in own.items()}
    return {}


def summary(
    sink: str,
    item_id: str,
    remote_documents: Sequence[RemoteDocument],
    publish_state: PublishState | None,
) -> Published:
    """Return the state of an item, from its complete version, else from the last one sent."""
    versions: dict[str, list[RemoteDocument]] = defaultdict(list)
    for document in remote_documents:
        sha256 = str(document.metadata.get("content_sha256") or "")
        if (
            not sha256
            and publish_state is not None
            and publish_state.content_sha256[:8] in document.name
        ):
            sha256 = publish_state.content_sha256
        versions[sha256].append(document)
    if not versions:
        return Published(sink, item_id, "", "missing")
    published_sha256 = publish_state.content_sha256 if publish_state else ""
    ranked = sorted(
        versions.items(),
        key=lambda version: (
            _state(version[1]) != SYNCED,
            version[0] != published_sha256,
            version[0],
        ),
    )
    sha256, documents = ranked[0]
    return Published(sink, min(document.name for document in documents), sha256, _state(documents))


def _state(documents: Sequence[RemoteDocument]) -> str:
    if any(document.status in FAILED for document in documents):
        return "failed"
    parts = max((_as_int(document.metadata.get("parts")) for document in documents), default=1)
    ready = all(document.status == SYNCED for document in documents)
    return SYNCED if ready and len(documents) >= parts else "syncing"


def _as_int(value: object) -> int:
    return int(value) if isinstance(value, (int, str)) and str(value).isdecimal() else 1


def _make_inventory(documents: Iterable[RemoteDocument], taken_at: float) -> Inventory:
    items: dict[str, list[RemoteDocument]] = defaultdict(list)
    unlabelled, deleting = [], []
    for document in documents:
        item_id = document.metadata.get("id")
        if document.status == DELETING:
            deleting.append(document.name)
        elif isinstance(item_id, str) and document.metadata.get("producer") == PRODUCER:
            items[item_id].append(document)
        else:
            unlabelled.append(document)
    return Inventory(
        taken_at,
        {item_id: tuple(found) for item_id, found in items.items()},
        tuple(unlabelled),
        frozenset(deleting),
    )
