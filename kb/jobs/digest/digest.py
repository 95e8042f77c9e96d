"""The facts of a digest: what was new, what failed and when it is tried again, growth and room."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from typing import Any

from kb.database import Database
from kb.jobs.queue import reasons
from kb.jobs.queue.follow_states import FollowState, follow_states
from kb.jobs.queue.item_states import HELD
from kb.library import Library
from kb.sources.looks import LookOutcome, Looks
from kb.sources.subscriptions import Subscriptions
from kb.storage.free_space import free_bytes

NEW_SHOWN = 200
DAY_S = 86_400.0

Digest = dict[str, Any]
"""The document of a digest, as the webhook gets it: JSON values, times in epoch seconds."""


def compose(database: Database, library: Library, begin: float, end: float) -> Digest:
    """Return the digest of the time between `begin` and `end` (epoch seconds).

    Raises LibraryError.
    """
    followed = Subscriptions(database, library).list()
    states = follow_states(database, followed)
    new = [each for each in reasons.ended_between(database, begin, end) if each.title]
    looks = [look for look in Looks(database).since(begin) if look.started_at < end]
    grown = _media_bytes(library, [each.id for each in new])
    free = free_bytes(library.home)
    days = max((end - begin) / DAY_S, 1e-9)
    return {
        "from": begin,
        "to": end,
        "new": [
            {"id": each.id, "title": each.title, "channel": each.channel, "state": each.state}
            for each in new[:NEW_SHOWN]
        ],
        "new_count": len(new),
        "new_s": sum(each.duration_s or 0.0 for each in new),
        "held_count": sum(each.state == HELD for each in new),
        "not_done": [asdict(each) for each in reasons.item_reasons(database, None)],
        "follows": {
            "count": len(states),
            "conditions": dict(Counter(each.condition for each in states)),
            "unwell": [_unwell(each) for each in states if each.rank < 2],
        },
        "looks": {
            "count": len(looks),
            "failed": sum(look.outcome == LookOutcome.FAILED for look in looks),
            "units": sum(look.units for look in looks),
            "queued": sum(look.queued for look in looks),
        },
        "grown_bytes": grown,
        "free_bytes": free,
        "days_left": free / (grown / days) if free is not None and grown else None,
        "made_at": time.time(),
    }


def _unwell(state: FollowState) -> dict[str, Any]:
    return {
        "reference": state.subscription.reference,
        "condition": state.condition,
        "error": state.error,
        "problem": state.problem,
        "missing": len(state.missing),
        "next_at": state.next_at,
    }


def _media_bytes(library: Library, ids: list[str]) -> int:
    """Return the bytes of the media of these items in the library folder."""
    total = 0
    wanted = set(ids)
    for entry in library.entries() if wanted else ():
        if entry.item.id in wanted and entry.media_path is not None:
            try:
                total += entry.media_path.stat().st_size
            except OSError:
                continue
    return total
