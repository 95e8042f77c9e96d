"""The actions on selected items: which fit a state, which are asked about, how each is undone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from kb.service.views import ACTIVE, JobQueue
from kb.ui.i18n import text

Change = Callable[[JobQueue, Sequence[str]], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Act:
    """An action: the states of items that it fits, and the name of the one that undoes it.

    `asks`: a question comes before it is done to several items.
    """

    change: Change
    states: tuple[str, ...]
    undo: Change | None = None
    asks: bool = False


ACTS: dict[str, Act] = {
    "first": Act(lambda jobs, ids: jobs.move_to_front(ids), ("queued", "waiting", "paused")),
    "pause": Act(
        lambda jobs, ids: jobs.pause(ids), ("queued", "waiting", "running"),
        undo=lambda jobs, ids: jobs.resume(ids),
    ),
    "resume": Act(
        lambda jobs, ids: jobs.resume(ids), ("paused",), undo=lambda jobs, ids: jobs.pause(ids)
    ),
    "retry": Act(
        lambda jobs, ids: jobs.retry(ids), ("failed", "cancelled", "waiting", "dismissed")
    ),
    "cancel": Act(
        lambda jobs, ids: jobs.cancel(ids), ACTIVE, undo=lambda jobs, ids: jobs.retry(ids),
        asks=True,
    ),
    "dismiss": Act(
        lambda jobs, ids: jobs.dismiss(ids), ("failed",),
        undo=lambda jobs, ids: jobs.restore_dismissed(ids), asks=True,
    ),
    "undismiss": Act(
        lambda jobs, ids: jobs.restore_dismissed(ids), ("dismissed",),
        undo=lambda jobs, ids: jobs.dismiss(ids),
    ),
}  # fmt: skip


def fitting(states: Collection[str]) -> tuple[str, ...]:
    """Return the names of the actions that change an item in one of these states."""
    return tuple(name for name, act in ACTS.items() if set(act.states) & set(states))


def labels() -> dict[str, str]:
    """Return the labels of all entries of a row's menu, by name."""
    return {
        "open": text("queue_details"),
        "details": text("queue_details"),
        "library": text("queue_open"),
        **{name: text(f"queue_{name}") for name in ACTS},
    }
