"""Library and project brought into step: what differs, then what is to be done about it."""

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
from kb.sinks.odin.client import FAILED, SYNCED, RemoteDocument
from kb.sinks.odin.documents import DocumentSet
from kb.sinks.odin.inventory import OTHERS, match, own_metadata
from kb.sinks.odin.sink import OdinSink
from kb.types import DocumentFacts, MediaItem, Passage

Kind = Literal["missing", "changed", "duplicated", "failed", "waiting", "remote_only"]
KINDS: tuple[Kind, ...] = (
    *("missing", "changed", "duplicated", "failed", "waiting", "remote_only"),
)


MOST_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Source:
    """What the library has of one item, ready to be sent."""

    item: MediaItem
    passages: Sequence[Passage]
    facts: DocumentFacts | None = None


Load = Callable[[str], Source | None]


@dataclass(frozen=True, slots=True)
class Step:
    """One difference: `documents`, `words` and `credits` are what mending it sends.

    `names` are the documents concerned in the project, `detail` says more for people.
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
    """All differences; `in_step` items need nothing, `others` documents are not ours."""

    steps: tuple[Step, ...]
    in_step: int = 0
    others: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Steps by kind, every kind named."""
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
        """The estimate for everything that would be sent."""
        return sum(step.credits for step in self.steps)

    def to_do(self, *, prune: bool = False) -> tuple[Step, ...]:
        """The steps that an apply takes: what is only remote stays unless `prune`."""
        return tuple(step for step in self.steps if prune or step.kind != "remote_only")


@dataclass(slots=True)
class Outcome:
    """What a run came to: item ids, and the error of each that failed."""

    done: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    failed: dict[str, KBError] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every document is indexed."""
        return not self.waiting and not self.failed


# Told when an item's part of a run is over: item id; `done`, `waiting`, `failed` or `deleted`;
# and what went wrong.
Ended = Callable[[str, str, KBError | None], None]
# Told after each change: item id, `done`, `waiting` or `failed`, how many of how many are over.
Progress = Callable[[str, str, int, int], None]


def make_plan(
    sink: OdinSink,
    sources: Iterable[Source],
    known: Collection[str] = (),
    extra_metadata: Mapping[str, str] | None = None,
) -> SyncPlan:
    """Compares the library's items with what the project holds now; changes nothing.

    `known` are ids that the library has but does not send (held for review, not transcribed):
    what the project has of them is not called remote-only. Documents of others are counted
    and otherwise never touched.
    """
    notes = sink.records.all()
    inventory = sink.inventory()
    found = inventory.by_item(notes)
    others = found.pop(OTHERS, {})
    steps: list[Step] = []
    in_step = 0
    for source in sources:
        item_id = source.item.id
        note = notes.get(item_id)
        # Also what the service has lost the metadata of and we the note: by its name.
        held = {**inventory.of_item(item_id, note.names if note else ()), **found.pop(item_id, {})}
        for name in held:
            others.pop(name, None)
        extra = extra_metadata
        if extra is None:
            extra = note.extra if note else own_metadata(held.values())
        made = sink.documents(source.item, source.passages, source.facts, extra)
        step = _compare(sink, source, made, held)
        if step is None and (note is None or note.status != SYNCED):
            # All is there, only our note is behind; taking it up costs nothing.
            step = Step("waiting", item_id, source.item.title, detail="there, not yet noted")
        if step is None:
            in_step += 1
        else:
            steps.append(step)
    listed = frozenset(known)
    for item_id, held in sorted(found.items()):
        if item_id not in listed:
            title = next((str(d.metadata.get("title") or "") for d in held.values()), "")
            names = tuple(sorted(held))
            steps.append(Step("remote_only", item_id, title, names=names))
    steps.sort(key=lambda step: KINDS.index(step.kind))
    return SyncPlan(tuple(steps), in_step, len(others))


def apply_plan(
    sink: OdinSink,
    plan: SyncPlan,
    load: Load,
    *,
    prune: bool = False,
    extra_metadata: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    ended: Ended | None = None,
) -> Outcome:
    """Does what the plan lists; killed anywhere, the next plan holds what is left.

    Raises CredentialsRefused and Cancelled at once; every other error fails its item alone.
    """
    steps = plan.to_do(prune=prune)
    bring = [step.item_id for step in steps if step.kind != "remote_only"]
    outcome = publish_many(
        sink,
        bring,
        load,
        extra_metadata=extra_metadata,
        verify_after=time.time(),
        progress=progress,
        ended=ended,
    )
    gone = [step.item_id for step in steps if step.kind == "remote_only"]
    for number, item_id in enumerate(gone, start=1):
        try:
            sink.delete(item_id)
            state = "done"
            outcome.done.append(item_id)
        except (CredentialsRefused, Cancelled):
            raise
        except KBError as error:
            state = "failed"
            outcome.failed[item_id] = error
        if ended:
            ended(item_id, "deleted" if state == "done" else state, outcome.failed.get(item_id))
        if progress:
            progress(item_id, state, len(bring) + number, len(steps))
    return outcome


def publish_many(
    sink: OdinSink,
    item_ids: Sequence[str],
    load: Load,
    *,
    extra_metadata: Mapping[str, str] | None = None,
    verify_after: float | None = None,
    progress: Progress | None = None,
    ended: Ended | None = None,
) -> Outcome:
    """Publishes many items: all are sent first, then their indexing is awaited together.

    `load` gives an item when its turn comes; None (gone since) passes it over. The wait for
    indexing is bounded by the setting, counted anew whenever a document becomes ready.
    `ended` is called from several threads at once, as soon as it is known of an item.
    Raises CredentialsRefused and Cancelled at once; every other error fails its item alone.
    """
    outcome = Outcome()
    lock = threading.Lock()

    def over(item_id: str, state: str, error: KBError | None = None) -> None:
        if ended:
            ended(item_id, state, error)
        with lock:
            if error is not None:
                outcome.failed[item_id] = error
            else:
                outcome.done.append(item_id)
            number = len(outcome.failed) + len(outcome.done)
            if progress:
                progress(item_id, state, number, len(item_ids))

    def bring(item_id: str) -> str | None:
        """Returns the id when its indexing has to be waited for."""
        try:
            source = load(item_id)
            if source is None:
                over(item_id, "done")
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
            over(item_id, "failed", error)
            return None
        if published.status == SYNCED:
            over(item_id, "done")
            return None
        return item_id

    workers = sink.settings.odin_concurrency
    pending = list(_in_threads(sink, bring, item_ids, workers))
    settings = sink.settings
    give_up_at = time.monotonic() + settings.odin_poll_wait_s
    poll_s = settings.odin_poll_s
    rounds: Counter[str] = Counter()
    while pending and time.monotonic() < give_up_at:
        sink.client.stop.wait(poll_s)
        # What never settles (it vanishes each time) is left waiting rather than sent for ever.
        ready = [name for name in _ready(sink, pending) if rounds[name] < MOST_ROUNDS]
        rounds.update(ready)
        if not ready and not sink.client.stop.is_set():
            poll_s = min(poll_s * 1.5, settings.odin_poll_s * 6)
            continue
        poll_s = settings.odin_poll_s
        give_up_at = time.monotonic() + settings.odin_poll_wait_s
        again = set(_in_threads(sink, bring, ready, workers))
        pending = [item_id for item_id in pending if item_id in again or item_id not in ready]
    outcome.waiting = pending
    for item_id in pending:
        if ended:
            ended(item_id, "waiting", None)
        if progress:
            progress(item_id, "waiting", len(outcome.failed) + len(outcome.done), len(item_ids))
    return outcome


def _in_threads(
    sink: OdinSink,
    action: Callable[[str], str | None],
    item_ids: Iterable[str],
    workers: int,
) -> Iterator[str]:
    """The action's results other than None; the first error that it raises ends all."""
    with ThreadPoolExecutor(workers, thread_name_prefix="odin") as pool:
        # A few at a time: what is loaded and waits would fill the memory.
        left = iter(item_ids)
        running: set[Future[str | None]] = set()
        try:
            while True:
                for item_id in left:
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
            # Also an interrupt of the user's: the others end at their next wait.
            stopped = sink.stop.is_set()
            sink.stop.set()
            for future in running:
                future.cancel()
            wait(running)
            if not stopped:
                sink.stop.clear()
            raise


def _ready(sink: OdinSink, pending: Collection[str]) -> list[str]:
    """Those of the items whose last version is through, well or not, by one listing."""
    notes = sink.records.all()
    found = sink.inventory().by_item(notes)
    ready = []
    for item_id in pending:
        note, held = notes.get(item_id), found.get(item_id, {})
        if note is None or note.status != publish_state.SYNCING:
            ready.append(item_id)
            continue
        current = [d for name, d in held.items() if note.content_sha256[:8] in name]
        if not current or all(d.status == SYNCED or d.status in FAILED for d in current):
            ready.append(item_id)
    return ready


def _compare(
    sink: OdinSink, source: Source, made: DocumentSet, held: Mapping[str, RemoteDocument]
) -> Step | None:
    """The one thing that stands between this item and being in step; None if nothing."""
    there = {document.name: match(held, document) for document in made.documents}
    absent = [name for name, document in there.items() if document is None]
    bad = [name for name, document in there.items() if document and document.status in FAILED]
    kept = {document.name for document in there.values() if document}
    spare = sorted(held.keys() - kept)

    def step(kind: Kind, send: Collection[str], names: Iterable[str], detail: str) -> Step:
        words = sum(document.words for document in made.documents if document.name in send)
        cost = words / 10_000 * sink.settings.odin_credits_per_10k_words
        return Step(
            kind,
            made.item_id,
            source.item.title,
            len(send),
            words,
            cost,
            tuple(names),
            detail,
        )

    if bad:
        return step("failed", [*bad, *absent], bad, f"{len(bad)} could not be indexed")
    if absent and len(absent) == len(made.documents) and held:
        old_failed = all(document.status in FAILED for document in held.values())
        return step("failed" if old_failed else "changed", absent, spare, "an older version")
    if absent:
        return step("missing", absent, (), f"{len(absent)} of {len(made.documents)} parts")
    if spare:
        return step("duplicated", (), spare, f"{len(spare)} more than needed")
    if any(document and document.status != SYNCED for document in there.values()):
        return step("waiting", (), kept, "being indexed")
    return None
