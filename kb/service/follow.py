"""Foreground wait for queued items; a worker is kept alive during the wait."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kb.jobs.queue.client import JobQueue, LaneState
from kb.jobs.queue.item_states import ENDED
from kb.jobs.queue.step_states import STEP_IN_PROGRESS, WAITING, is_product
from kb.options import RunOptions
from kb.service.items import Items, status_of
from kb.service.results import ItemListener, ItemStatus
from kb.service.worker_supervisor import WorkerSupervisor
from kb.service.workers import Workers

StepListener = Callable[[Mapping[str, int]], None]
"""Called with the number of items of each step that is waited for."""

LaneListener = Callable[[LaneState], None]
"""Called with a lane whose pause keeps work that is waited for."""

SHORT_WAIT_S = 60.0  # the first retry of a transient error; longer waits are only listed


class LaneWatch:
    """The paused lanes that a wait has met; `tell` gets each reason once."""

    def __init__(self, queue: JobQueue, tell: LaneListener) -> None:
        self._queue = queue
        self._tell = tell
        self._reported: set[tuple[str, str]] = set()

    def look(self) -> None:
        """Report what is paused now and was not reported before. Raises LibraryError."""
        for lane in self._queue.lanes():
            # The sentence of one reason may have figures that change, such as free space.
            reason = str((lane.problem or {}).get("code", "")) or lane.reason
            if (lane.name, reason) not in self._reported:
                self._reported.add((lane.name, reason))
                self._tell(lane)


@dataclass
class Follow:
    """The foreground wait for items of one library."""

    queue: JobQueue
    items: Items
    workers: Workers

    def run(
        self,
        ids: Sequence[str],
        listener: ItemListener | None = None,
        every_s: float = 0.5,
        options: RunOptions | None = None,
        on_look: Callable[[], None] = lambda: None,
        on_steps: StepListener = lambda _: None,
        on_pause: LaneListener = lambda _: None,
    ) -> list[ItemStatus]:
        """Wait until none of the items is queued or running; return the status of each.

        The steps that follow their words are waited for too.

        A worker is started if none is alive. `listener` is called with every change, `on_look` at
        every look, `on_steps` as in `wait_for_steps`, `on_pause` once for each reason that pauses
        a lane. Raises LibraryError when no worker stays alive.
        """
        last: dict[str, ItemStatus] = {}
        pending = list(ids)
        supervisor, lanes = WorkerSupervisor(), LaneWatch(self.queue, on_pause)
        while pending:
            for row in self.queue.rows(pending):
                status = status_of(row)
                if listener and last.get(row.id) != status:
                    listener(status)
                last[row.id] = status
            on_look()
            pending = [i for i in pending if i in last and last[i].state not in ENDED]
            now = self.queue.database.time()
            if not any(_is_worth_waiting(last[item_id], now) for item_id in pending):
                break
            lanes.look()
            supervisor.ensure_running(self, options)
            time.sleep(every_s)
        self.wait_for_steps(ids, supervisor, every_s, options, on_look, on_steps, lanes=lanes)
        return self.items.with_publications([last[item_id] for item_id in ids if item_id in last])

    def wait_for_steps(
        self,
        ids: Sequence[str],
        supervisor: WorkerSupervisor | None = None,
        every_s: float = 0.5,
        options: RunOptions | None = None,
        on_look: Callable[[], None] = lambda: None,
        on_steps: StepListener = lambda _: None,
        on_pause: LaneListener = lambda _: None,
        lanes: LaneWatch | None = None,
    ) -> None:
        """Wait until no step of these items is queued or running, or waits for a short time.

        `on_steps` is called with the number of items of each step that is waited for, once and
        whenever a number changes, `on_pause` once for each reason that pauses a lane (`lanes` has
        those that were met before). A worker is started if none is alive. Raises LibraryError
        when no worker stays alive.
        """
        supervisor = supervisor or WorkerSupervisor()
        lanes = lanes or LaneWatch(self.queue, on_pause)
        said: Mapping[str, int] = {}
        while counts := self._steps_under_way(ids):
            if counts != said:
                on_steps(counts)
                said = counts
            on_look()
            lanes.look()
            supervisor.ensure_running(self, options)
            time.sleep(every_s)

    def _steps_under_way(self, ids: Sequence[str]) -> Mapping[str, int]:
        """Return the number of items of each step that is to end soon; empty if there is none."""
        soon = time.time() + SHORT_WAIT_S
        return Counter(
            row.step
            for rows in self.queue.steps.for_items(ids).values()
            for row in rows
            if not is_product(row.step)
            and (
                row.status in STEP_IN_PROGRESS
                or (row.status == WAITING and (row.due_at or 0.0) < soon)
            )
        )


def _is_worth_waiting(status: ItemStatus, now: float) -> bool:
    """Return whether an item may end soon; False if it waits for a quota or a premiere."""
    if status.state == "waiting":
        return (status.wait_until or 0.0) - now < SHORT_WAIT_S
    return status.state in ("queued", "running")
