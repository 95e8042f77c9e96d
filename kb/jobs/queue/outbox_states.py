"""The states of a publication, and one row of the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kb.errors import StoredProblem

QUEUED, SENDING = "queued", "sending"
MISSING = "missing"  # shown only: sent to another project than that of the settings
WAITING = "waiting"  # until `due_at`; `error` has the reason
SYNCING = "syncing"  # sent; the knowledge base indexes it and is polled at `due_at`
SYNCED, FAILED = "synced", "failed"
HELD = "held"  # to be published, but its item is held for review
CHANGED = "changed"  # shown only: synced once, and the library has another text since
CANCELLED = "cancelled"  # cancelled by a person; sent only after another request
AWAITS_STEPS = "publish.awaits_steps"  # code of an entry that waits for the steps of its item
IN_PROGRESS, DEFERRED = (QUEUED, SENDING), (WAITING, SYNCING)


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One row; times in seconds since the epoch. `extra` None: own metadata is not changed."""

    sink: str
    item_id: str
    status: str
    error: str
    hint: str
    attempts: int
    serial: int
    extra: Mapping[str, str] | None
    due_at: float | None
    since: float
    problem: StoredProblem | None = None
    updated_at: float = 0.0
