"""Synchronization of the project with the library: a plan of the differences, and its steps."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Literal

from kb.errors import Cancelled, CredentialsRefused, KBError
from kb.sinks.odin import publish_state
from kb.sinks.odin.answers import RemoteDocument
from kb.sinks.odin.client import FAILED, SYNCED
from kb.sinks.odin.documents import DocumentSet
from kb.sinks.odin.inventory import FOREIGN, find_match, own_metadata
from kb.sinks.odin.sink import OdinSink
from kb.types import DocumentFacts, MediaItem, Passage

Kind = Literal["missing", "changed", "duplicated", "failed", "waiting", "remote_only"]
KINDS: tuple[Kind, ...] = (
    *("missing", "changed", "duplicated", "failed", "waiting", "remote_only"),
)


MOST_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class SyncItem:
    """One item of the library, ready to be sent."""

    item: MediaItem
    passages: Sequence[Passage]
    facts: DocumentFacts | None = None


LoadItem = Callable[[str], SyncItem | None]


@dataclass(frozen=True, slots=True)
class Step:
    """One difference: applying it sends `documents`, `words` and `credits`.

    `names` are the affected documents of the project, `detail` is a note for the reader.
    """

    kind: Kind
    item_id: str
    title: str
    documents: int = 0
    words: int = 0
    credits: float = 0.0
    names: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """All differences, and the numbers of items in sync and of foreign documents."""

    steps: tuple[Step, ...]
    in_sync: int = 0
    foreign: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of steps by kind, zero included."""
        found = Counter(step.kind for step in self.steps)
        return {kind: found[kind] for kind in KINDS}

    @property
    def documents(self) -> int:
        return sum(step.documents for step in self.steps)

    @property
    def words(self) -> int:
        return sum(step.words for step in self.steps)

    @property
    def credits(self) -> float:
        """The estimated credits for all documents that would be sent."""
        return sum(step.credits for step in self.steps)

    def selected_steps(self, *, prune: bool = False) -> tuple[Step, ...]:
        """Return the steps to apply; those for remote-only documents only if `prune`."""
        return tuple(step for step in self.steps if prune or step.kind != "remote_only")


@dataclass(slots=True)
class SyncResult:
    """The result of a run: item ids, and the error of each failed item."""

    done: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    failed: dict[str, KBError] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True if every document is indexed."""
        return not self.waiting and not self.failed


# Called at the end of an item with its id, `done`, `waiting`, `failed` or `deleted`, and its error.
OnItemDone = Callable[[str, str, KBError | None], None]
# Called after each item with its id, `done`, `waiting` or `failed`, the number of ended items, and
# the number of all items.
OnProgress = Callable[[str, str, int, int], None]


def make_plan(
    sink: OdinSink,
    sources: Iterable[SyncItem],
    known: Collection[str] = (),
    extra_metadata: Mapping[str, str] | None = None,
) -> SyncPlan:
    """Compare the library's items with the project's documents; change nothing.

    `known` are ids that the library has but does not send (held for review, not transcribed):
    their documents in the project are not remote-only. Documents of other producers are
    counted and never changed.
    """
    states = sink.publish_states.all()
    inventory = sink.inventory()
    found = inventory.by_item(states)
    foreign = found.pop(FOREIGN, {})
    steps: list[Step] = []
    in_step = 0
    for source in sources:
        item_id = source.item.id
        state = states.get(item_id)
        # Documents are also found by name: the service may have lost the metadata, and this
        # library the stored state.
        remote_documents = {
            **inventory.of_item(item_id, state.names if state else ()),
            **found.pop(item_id, {}),
        }
        for name in remote_documents:
            foreign.pop(name, None)
        extra = extra_metadata
        if extra is None:
            extra = state.extra if state else own_metadata(remote_documents.values())
        document_set = sink.documents(source.item, source.passages, source.facts, extra)
        step = _compare(sink, source, document_set, remote_documents)
        if step is None and (state is None or state.status != SYNCED):
            # The project is complete and only our stored state is old; an update costs nothing.
            step = Step("waiting", item_id, source.item.title, detail="there, not yet noted")
        if step is None:
            in_step += 1
        else:
            steps.append(step)
    listed = frozenset(known)
    for item_id, remote_documents in sorted(found.items()):
        if item_id not in listed:
            title = next(
                (str(d.metadata.get("title") or "") for d in remote_documents.values()), ""
            )
            names = tuple(sorted(remote_documents))
            steps.append(Step("remote_only", item_id, title, names=names))
    steps.sort(key=lambda step: KINDS.index(step.kind))
    return SyncPlan(tuple(steps), in_step, len(foreign))


def apply_plan(
    sink: OdinSink,
    plan: SyncPlan,
    load: LoadItem,
    *,
    prune: bool = False,
    extra_metadata: Mapping[str, str] | None = None,
    progress: OnProgress | None = None,
    on_item_done: OnItemDone | None = None,
) -> SyncResult:
    """Apply the steps of a plan; after a crash the next plan has the remaining steps.

    Raises CredentialsRefused and Cancelled at once; every other error fails its item alone.
    """
    steps = plan.selected_steps(prune=prune)
    to_publish = [step.item_id for step in steps if step.kind != "remote_only"]
    result = publish_many(
        sink,
        to_publish,
        load,
        extra_metadata=extra_metadata,
        verify_after=sink.publish_states.now(),
        progress=progress,
        on_item_done=on_item_done,
    )
    to_delete = [step.item_id for step in steps if step.kind == "remote_only"]
    for number, item_id in enumerate(to_delete, start=1):
        try:
            sink.delete(item_id)
            state = "done"
            result.done.append(item_id)
        except (CredentialsRefused, Cancelled):
            raise
        except KBError as error:
            state = "failed"
            result.failed[item_id] = error
        if on_item_done:
            on_item_done(
                item_id, "deleted" if state == "done" else state, result.failed.get(item_id)
            )
        if progress:
            progress(item_id, state, len(to_publish) + number, len(steps))
    return result


def publish_many(
    sink: OdinSink,
    item_ids: Sequence[str],
    load: LoadItem,
    *,
    extra_metadata: Mapping[str, str] | None = None,
    verify_after: float | None = None,
    progress: OnProgress | None = None,
    on_item_done: OnItemDone | None = None,
) -> SyncResult:
    """Publish many items: all are sent first, then their indexing is awaited together.

    `load` is called for each item before it is sent and returns it, or None if it was removed,
    which skips it. The time limit for indexing is that of the settings and starts again whenever
    a document becomes ready. `on_item_done` is called at the end of each item, from several
    threads at once.
    Raises CredentialsRefused and Cancelled at once; every other error fails its item alone.
    """
    result = SyncResult()
    lock = threading.Lock()

    def finish(item_id: str, state: str, error: KBError | None = None) -> None:
        if on_item_done:
            on_item_done(item_id, state, error)
        with lock:
            if error is not None:
                result.failed[item_id] = error
            else:
                result.done.append(item_id)
            number = len(result.failed) + len(result.done)
            if progress:
                progress(item_id, state, number, len(item_ids))

    def publish_one(item_id: str) -> str | None:
        """Publish an item; return its id when its indexing must be awaited."""
        try:
            source = load(item_id)
            if source is None:
                finish(item_id, "done")
                return None
            published = sink.publish(
                source.item,
                source.passages,
                source.facts,
                extra_metadata,
                wait_s=0.0,
                verify_after=verify_after,
            )
        except (CredentialsRefused, Cancelled):
            raise
        except KBError as error:
            finish(item_id, "failed", error)
            return None
        if published.status == SYNCED:
            finish(item_id, "done")
            return None
        return item_id

    workers = sink.settings.odin_concurrency
    pending = list(_in_threads(sink, publish_one, item_ids, workers))
    settings = sink.settings
    give_up_at = time.monotonic() + settings.odin_poll_wait_s
    poll_s = settings.odin_poll_s
    rounds: Counter[str] = Counter()
    is_late = False
    while pending and not is_late:
        # One look comes after the time limit, too: the machine may have slept meanwhile.
        is_late = time.monotonic() >= give_up_at
        sink.client.stop.wait(poll_s)
        # An item whose documents disappear each time is not sent again after `MOST_ROUNDS`; it
        # stays in `waiting`.
        ready = [name for name in _ready(sink, pending) if rounds[name] < MOST_ROUNDS]
        rounds.update(ready)
        if not ready and not sink.client.stop.is_set():
            poll_s = min(poll_s * 1.5, settings.odin_poll_s * 6)
            continue
        poll_s = settings.odin_poll_s
        give_up_at, is_late = time.monotonic() + settings.odin_poll_wait_s, False
        still_pending = set(_in_threads(sink, publish_one, ready, workers))
        pending = [
            item_id for item_id in pending if item_id in still_pending or item_id not in ready
        ]
    result.waiting = pending
    for item_id in pending:
        if on_item_done:
            on_item_done(item_id, "waiting", None)
        if progress:
            progress(item_id, "waiting", len(result.failed) + len(result.done), len(item_ids))
    return result


def _in_threads(
    sink: OdinSink,
    action: Callable[[str], str | None],
    item_ids: Iterable[str],
    workers: int,
) -> Iterator[str]:
    """Yield the results of the action other than None; its first error ends all threads."""
    with ThreadPoolExecutor(workers, thread_name_prefix="odin") as pool:
        # Only a few items are submitted at a time: waiting loaded items would fill the memory.
        remaining = iter(item_ids)
        running: set[Future[str | None]] = set()
        try:
            while True:
                for item_id in remaining:
                    running.add(pool.submit(action, item_id))
                    if len(running) >= 2 * workers:
                        break
                if not running:
                    return
                ready, running = wait(running, return_when=FIRST_COMPLETED)
                for future in ready:
                    if (found := future.result()) is not None:
                        yield found
        except BaseException:
            # `stop` ends the other threads at their next wait, also after an interrupt by the user.
            stopped = sink.stop.is_set()
            sink.stop.set()
            for future in running:
                future.cancel()
            wait(running)
            if not stopped:
                sink.stop.clear()
            raise


def _ready(sink: OdinSink, pending: Collection[str]) -> list[str]:
    """Return the items whose last version is indexed or failed, according to one listing."""
    states = sink.publish_states.all()
    found = sink.inventory().by_item(states)
    ready = []
    for item_id in pending:
        state, remote_documents = states.get(item_id), found.get(item_id, {})
        if state is None or state.status != publish_state.SYNCING:
            ready.append(item_id)
            continue
        current = [d for name, d in remote_documents.items() if state.content_sha256[:8] in name]
        if not current or all(d.status == SYNCED or d.status in FAILED for d in current):
            ready.append(item_id)
    return ready


def _compare(
    sink: OdinSink,
    source: SyncItem,
    document_set: DocumentSet,
    remote_documents: Mapping[str, RemoteDocument],
) -> Step | None:
    """Return the difference between the item and its remote documents, None if in sync."""
    existing = {
        document.name: find_match(remote_documents, document) for document in document_set.documents
    }
    absent = [name for name, document in existing.items() if document is None]
    bad = [name for name, document in existing.items() if document and document.status in FAILED]
    matched = {document.name for document in existing.values() if document}
    spare = sorted(remote_documents.keys() - matched)

    def step(kind: Kind, send: Collection[str], names: Iterable[str], detail: str) -> Step:
        words = sum(document.words for document in document_set.documents if document.name in send)
        cost = words / 10_000 * sink.settings.odin_credits_per_10k_words
        return Step(
            kind,
            document_set.item_id,
            source.item.title,
            len(send),
            words,
            cost,
            tuple(names),
            detail,
        )

    if bad:
        return step("failed", [*bad, *absent], bad, f"{len(bad)} could not be indexed")
    if absent and len(absent) == len(document_set.documents) and remote_documents:
        old_failed = all(document.status in FAILED for document in remote_documents.values())
        return step("failed" if old_failed else "changed", absent, spare, "an older version")
    if absent:
        return step("missing", absent, (), f"{len(absent)} of {len(document_set.documents)} parts")
    if spare:
        return step("duplicated", (), spare, f"{len(spare)} more than needed")
    if any(document and document.status != SYNCED for document in existing.values()):
        return step("waiting", (), matched, "being indexed")
    return None
