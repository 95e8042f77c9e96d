"""What the project holds, told apart: our documents by item, and everybody else's."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kb.settings import Settings
from kb.sinks.odin.client import DELETING, FAILED, SYNCED, OdinClient, RemoteDocument
from kb.sinks.odin.documents import OWN_KEYS, PRODUCER, Document, is_name_of
from kb.sinks.odin.publish_state import Record
from kb.types import Published

# A name ends with the item's short id; a shorter one than YouTube's may end another id too.
SHORTEST_TELLING_ID = 11

OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Inventory:
    """One listing of the project, asked for at `taken_at` (epoch seconds).

    `items` holds our documents by item id; `nameless` those without our metadata, which are
    colleagues' own, or ours where the service lost what was told about them. Those on their
    way out are only named, in `leaving`.
    """

    taken_at: float
    items: Mapping[str, tuple[RemoteDocument, ...]] = field(default_factory=dict)
    nameless: tuple[RemoteDocument, ...] = ()
    leaving: frozenset[str] = frozenset()

    def of_item(self, item_id: str, names: Iterable[str] = ()) -> dict[str, RemoteDocument]:
        """The item's documents by name; `names` are those that were sent for it once."""
        found = {document.name: document for document in self.items.get(item_id, ())}
        known = frozenset(names)
        short = item_id.rsplit(":", 1)[-1]
        telling = len(short) >= SHORTEST_TELLING_ID
        for document in self.nameless:
            if document.name in known or (telling and is_name_of(document.name, short)):
                found[document.name] = document
        return found

    def by_item(self, records: Mapping[str, Record]) -> dict[str, dict[str, RemoteDocument]]:
        """All our documents by item id; `OTHERS` holds what is not ours."""
        sender = {name: record.item_id for record in records.values() for name in record.names}
        found: dict[str, dict[str, RemoteDocument]] = defaultdict(dict)
        for item_id, documents in self.items.items():
            for document in documents:
                found[item_id][document.name] = document
        for document in self.nameless:
            found[sender.get(document.name, OTHERS)][document.name] = document
        return dict(found)


class View:
    """The project's listing, read again as seldom as is safe, shared by a process's threads."""

    REUSE_S = 300.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: Inventory | None = None

    def look(self, client: OdinClient, after: float | None = None) -> Inventory:
        """A listing asked for after the time `after` (default: now), in epoch seconds.

        One that is a few minutes old is never used.
        """
        now = time.time()
        oldest = now if after is None else max(after, now - self.REUSE_S)
        with self._lock:
            # Threads that waited here for one listing to end share the next.
            if self._last is None or not oldest < self._last.taken_at <= time.time():
                taken_at = time.time()
                self._last = _sorted(client.documents().values(), taken_at)
            return self._last


_views: dict[tuple[str, str, str], View] = {}
_views_lock = threading.Lock()


def view_of(settings: Settings) -> View:
    """The view that all sinks of one library and project in this process share."""
    key = (settings.odin_base_url, settings.odin_project_id, str(settings.home))
    with _views_lock:
        return _views.setdefault(key, View())


def match(held: Mapping[str, RemoteDocument], wanted: Document) -> RemoteDocument | None:
    """The remote document that is this one: by name, else by what is told about it."""
    if wanted.name in held:
        return held[wanted.name]
    for document in held.values():
        about = document.metadata
        if about.get("content_sha256") == wanted.metadata["content_sha256"] and str(
            about.get("part")
        ) == str(wanted.metadata["part"]):
            return document
    return None


def own_metadata(held: Iterable[RemoteDocument]) -> dict[str, str]:
    """The analyst's own fields, as an earlier upload told them."""
    for document in held:
        own = {key: value for key, value in document.metadata.items() if key not in OWN_KEYS}
        if own:
            return {key: str(value) for key, value in own.items()}
    return {}


def summary(
    sink: str, item_id: str, held: Sequence[RemoteDocument], record: Record | None
) -> Published:
    """What is held of an item: the version that is whole, else the one that was sent last."""
    versions: dict[str, list[RemoteDocument]] = defaultdict(list)
    for document in held:
        sha256 = str(document.metadata.get("content_sha256") or "")
        if not sha256 and record is not None and record.content_sha256[:8] in document.name:
            sha256 = record.content_sha256
        versions[sha256].append(document)
    if not versions:
        return Published(sink, item_id, "", "missing")
    wanted = record.content_sha256 if record else ""
    ranked = sorted(
        versions.items(),
        key=lambda version: (_state(version[1]) != SYNCED, version[0] != wanted, version[0]),
    )
    sha256, documents = ranked[0]
    return Published(sink, min(document.name for document in documents), sha256, _state(documents))


def _state(documents: Sequence[RemoteDocument]) -> str:
    if any(document.status in FAILED for document in documents):
        return "failed"
    parts = max((_whole(document.metadata.get("parts")) for document in documents), default=1)
    ready = all(document.status == SYNCED for document in documents)
    return SYNCED if ready and len(documents) >= parts else "syncing"


def _whole(value: object) -> int:
    return int(value) if isinstance(value, (int, str)) and str(value).isdecimal() else 1


def _sorted(documents: Iterable[RemoteDocument], taken_at: float) -> Inventory:
    items: dict[str, list[RemoteDocument]] = defaultdict(list)
    nameless, leaving = [], []
    for document in documents:
        item_id = document.metadata.get("id")
        if document.status == DELETING:
            leaving.append(document.name)
        elif isinstance(item_id, str) and document.metadata.get("producer") == PRODUCER:
            items[item_id].append(document)
        else:
            nameless.append(document)
    return Inventory(
        taken_at,
        {item_id: tuple(found) for item_id, found in items.items()},
        tuple(nameless),
        frozenset(leaving),
    )
