"""The order of the queue: three levels, and within each the origins (channels) in turn.

The queue runs small numbers first. The items of one origin get consecutive numbers, and the first
of them the number that is due now, so that sixty items of one channel and five of another
alternate. This is start-time fair queueing (Goyal, Vin and Cheng, 1996) with items of one length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from kb.database import items
from kb.jobs.queue.item_states import ACTIVE, NORMAL, QUEUED, Job, ListingJob
from kb.options import BACKLOG, FOLLOWED, URGENT

ORIGIN = "origin"  # key of a row's options: the channel or folder that shares its turn
SOURCE = "followed"  # key of a row's options: the subscription that asked for the item
SINCE = "followed_since"  # key of a row's options: the day from which on its items are new
# The first number of each level; rows of the version before have 1000.
LEVELS = {URGENT: 100, FOLLOWED: NORMAL, BACKLOG: 1_000_000}
_END = 2_000_000_000
_ENDS = dict(zip(LEVELS, [*list(LEVELS.values())[1:], _END], strict=True))


def origin_of(job: Job, options: Mapping[str, Any]) -> str:
    """Return the origin whose items take turns with those of the others."""
    if isinstance(job, ListingJob):
        return ""
    followed = options.get(SOURCE)
    if isinstance(followed, str) and followed:
        return followed
    channel = job.extra.get("channel_id") or job.channel
    if channel:
        return str(channel)
    return job.url.rpartition("/")[0] if job.source == "file" else job.source


class Places:
    """The places of jobs that are queued in one transaction.

    `options` are those of their rows. A `priority` is the place of all of them.
    """

    def __init__(
        self, connection: sa.Connection, options: Mapping[str, Any], priority: int | None = None
    ) -> None:
        self._connection = connection
        self._options = options
        self._priority = priority
        self._now: dict[str, int] = {}
        self._last: dict[tuple[str, str], int] = {}

    def next(
        self, job: Job, options: Mapping[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Return the place of the next job, and the options of its row; `options` are its own."""
        own = self._options if options is None else options
        if self._priority is not None:
            return self._priority, dict(own)
        origin = origin_of(job, own)
        return self._turn(level_of(job, own), origin), {**own, ORIGIN: origin}

    def _turn(self, level: str, origin: str) -> int:
        c, low, end = items.c, LEVELS[level], _ENDS[level]
        in_level = sa.and_(c.priority >= low, c.priority < end)
        if level not in self._now:
            due = sa.select(sa.func.min(c.priority)).where(c.state == QUEUED, in_level)
            self._now[level] = self._connection.scalar(due) or low
        key = level, origin
        if key not in self._last:
            last = sa.select(sa.func.max(c.priority)).where(
                c.state.in_(ACTIVE), in_level, c.options[ORIGIN].as_string() == origin
            )
            self._last[key] = self._connection.scalar(last) or low - 1
        number = min(max(self._now[level], self._last[key] + 1), end - 1)
        self._last[key] = number
        return number


def level_of(job: Job, options: Mapping[str, Any]) -> str:
    """Return the level of a job: the chosen one, or backlog for what its source had before."""
    chosen = options.get("priority")
    if chosen in LEVELS:
        return str(chosen)
    since = options.get(SINCE)
    if isinstance(job, ListingJob) or not job.published or not isinstance(since, str):
        return FOLLOWED
    return BACKLOG if job.published[:10] < since else FOLLOWED
