"""Products of items (films, dubs, evidence packs): ordered, under way, kept."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kb.errors import KBError, StoredProblem, UsageError, restored
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.item_states import DONE, HELD
from kb.jobs.queue.step_states import (
    RUNNING,
    UNFINISHED,
    StepRow,
    is_product,
    product_step,
    shown_step,
)
from kb.library import Library, LibraryEntry
from kb.library.products import Product, Products
from kb.service.follow import SHORT_WAIT_S
from kb.service.items import Items
from kb.service.worker_supervisor import WorkerSupervisor
from kb.service.workers import Workers
from kb.settings import Settings

# Loads the decoders of media, which a page need not wait for.
if TYPE_CHECKING:
    from kb.pipeline.product_order import Order

_LEAST_SHARE, _LEAST_S = 0.02, 2.0  # done, before the time left is measured
_FILE = re.compile(r"[0-9a-f]{64}\.(mp4|mkv|mov|m4a|zip)")
_DIGEST_CHARS = 12


@dataclass(frozen=True, slots=True)
class OrderedProduct:
    """A product that was ordered. `status` is that of a step; `left_s` the measured time left."""

    step: str
    kind: str
    status: str
    share: float
    left_s: float | None
    error: str = ""
    hint: str = ""
    problem: StoredProblem | None = None
    wait_until: float | None = None

    @property
    def is_under_way(self) -> bool:
        """True until it has ended."""
        return self.status in UNFINISHED


@dataclass(frozen=True, slots=True)
class KeptProduct:
    """A product in the library. `picture`: kept, fetched, still or wave; empty where not known.

    `language` is that of a dub; `signed_by` the fingerprint of the key that signed a pack.
    """

    path: Path
    kind: str
    file_name: str  # for a download
    made_at: float | None
    size_bytes: int
    picture: str
    stretches: tuple[tuple[float, float, str], ...]
    notes: tuple[KBError, ...]
    language: str = ""
    signed_by: str = ""


class ItemProducts:
    """The products of one library."""

    def __init__(
        self,
        settings: Settings,
        library: Library,
        queue: JobQueue,
        items: Items,
        workers: Workers,
    ) -> None:
        self.settings = settings
        self.library = library
        self.queue = queue
        self.items = items
        self.workers = workers

    def request(self, item_id: str, order: Order) -> str:
        """Queue a product for a worker; return the name of its row.

        One that is queued or under way already stays as it is. Raises UsageError for an item
        without a finished transcript and for an order that cannot be.
        """
        entry = self.items.entry(item_id)
        order.check()
        item = entry.item.id
        states = self.queue.states_of([item])
        if entry.transcript_path is None or states.get(item, DONE) not in (DONE, HELD):
            raise UsageError(
                "video.no_transcript_yet",
                "{item_id} has no finished transcript.",
                hint="Wait until it is done: kb status",
                item_id=item,
            )
        step = product_step(order.kind, order.digest)
        if not any(row.step == step and row.status in UNFINISHED for row in self._rows(item)):
            self.queue.request_steps([(step, item)], order.as_dict(), act="produce")
        return step

    def cancel(self, item_id: str, step: str) -> bool:
        """Cancel a product that is under way; return False if it has ended."""
        return bool(self.queue.cancel_steps([self.items.entry(item_id).item.id], [step]))

    def ordered(self, item_id: str) -> list[OrderedProduct]:
        """Return the products that were ordered, the latest first. Raises LibraryError."""
        now = self.queue.database.time()
        rows = sorted(self._rows(item_id), key=lambda row: row.since, reverse=True)
        return [_ordered(row, now) for row in rows]

    def under_way(self, most: int) -> list[tuple[str, OrderedProduct]]:
        """Return the id of the item and the state of each product that has not ended.

        The running ones come first. Raises LibraryError.
        """
        now = self.queue.database.time()
        return [
            (row.item_id, _ordered(row, now)) for row in self.queue.steps.products_under_way(most)
        ]

    def kept(self, entry: LibraryEntry) -> list[KeptProduct]:
        """Return the products that are there, the newest first."""
        return [_kept(entry, each) for each in self._products.of_item(entry.stem)]

    def file(self, item_id: str, name: str) -> KeptProduct | None:
        """Return a product by the name of its file; None if there is none."""
        if not _FILE.fullmatch(name):
            return None
        entry = self.library.find(item_id)
        found = [] if entry is None else self.kept(entry)
        return next((each for each in found if each.path.name == name), None)

    def wait(
        self,
        item_id: str,
        step: str,
        progress: Callable[[float], None] = lambda _: None,
        supervisor: WorkerSupervisor | None = None,
        every_s: float = 0.5,
    ) -> None:
        """Wait until a product has ended; a worker is started if none is alive.

        Raises the error of one that failed or waits for long, and UsageError for one that was
        cancelled.
        """
        supervisor = supervisor or WorkerSupervisor()
        while True:
            found = next((o for o in self.ordered(item_id) if o.step == step), None)
            if found is None or not found.is_under_way or _waits_long(found):
                break
            progress(found.share)
            supervisor.ensure_running(self)
            time.sleep(every_s)
        if found is not None and found.error:
            raise restored(found.error, found.hint, found.problem)
        if found is None or found.status != "done":
            raise UsageError(
                "video.cancelled",
                "The product of {item_id} was cancelled.",
                hint="Order it again.",
                item_id=item_id,
            )
        progress(1.0)

    @property
    def _products(self) -> Products:
        return Products(self.library.home, self.settings.products_gb, self.settings.products_days)

    def _rows(self, item_id: str) -> list[StepRow]:
        found = self.queue.steps.for_items([item_id]).get(item_id, ())
        return [row for row in found if is_product(row.step)]


def time_left_s(share: float, elapsed_s: float) -> float | None:
    """Return the time left at the pace until now; None until that can be measured."""
    if share < _LEAST_SHARE or elapsed_s < _LEAST_S:
        return None
    return elapsed_s * (1 - min(1.0, share)) / share


def _waits_long(found: OrderedProduct) -> bool:
    return found.status == "waiting" and (found.wait_until or 0.0) > time.time() + SHORT_WAIT_S


def _ordered(row: StepRow, now: float) -> OrderedProduct:
    # A row is changed when its work begins; records of its progress do not change that time.
    left_s = time_left_s(row.progress, now - row.updated_at) if row.status == RUNNING else None
    return OrderedProduct(
        row.step, shown_step(row.step), row.status, row.progress, left_s, row.error, row.hint,
        row.problem, row.due_at,
    )  # fmt: skip


def _kept(entry: LibraryEntry, product: Product) -> KeptProduct:
    about = product.about
    kind = str(about.get("kind", "")) or ("evidence" if product.path.suffix == ".zip" else "film")
    stretches = tuple(
        (float(each[0]), float(each[1]), str(each[2]))
        for each in _list(about.get("stretches"))
        if isinstance(each, list) and len(each) == 3
    )
    try:
        made_at = datetime.fromisoformat(str(about.get("made_at"))).timestamp()
    except ValueError:
        made_at = None
    try:
        size = product.path.stat().st_size
    except OSError:
        size = 0
    language = str(about.get("language", ""))
    words = " ".join(filter(None, (entry.stem, kind, language, product.path.stem[:_DIGEST_CHARS])))
    name = f"{words}{product.path.suffix}"
    return KeptProduct(
        product.path, kind, name, made_at, size, str(about.get("picture_is", "")), stretches,
        notes_of(product), language, str(about.get("signed_by", "")),
    )  # fmt: skip


def notes_of(product: Product) -> tuple[KBError, ...]:
    """Return the stored remarks about a product."""
    return tuple(
        restored(str(each.get("error", "")), str(each.get("hint", "")), each.get("problem"))
        for each in _list(product.remarks)
        if isinstance(each, dict)
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
