"""The facts of a digest: what was new, what failed and when it is tried again, growth and room."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from typing import Any

from kb.database import Database
from kb.jobs.digest.activity import activity
from kb.jobs.queue import reasons
from kb.jobs.queue.follow_states import FollowState, follow_states
from kb.jobs.queue.item_states import HELD
from kb.library import Library
from kb.sources.subscriptions import Subscriptions

NEW_SHOWN = 200

Digest = dict[str, Any]
"""The document of a digest, as the webhook gets it: JSON values, times in epoch seconds."""


def compose(database: Database, library: Library, begin: float, end: float) -> Digest:
    """Return the digest of the time between `begin` and `end` (epoch seconds).

    Raises LibraryError.
    """
    followed = Subscriptions(database, library).list()
    states = follow_states(database, library, followed)
    found = activity(database, library, begin, end)
    return {
        "from": begin,
        "to": end,
        "new": [
            {"id": each.id, "title": each.title, "channel": each.channel, "state": each.state}
            for each in found.new[:NEW_SHOWN]
        ],
        "new_count": len(found.new),
        "new_s": found.new_s,
        "new_unmeasured": found.unmeasured,
        "held_count": sum(each.state == HELD for each in found.new),
        "not_done": [asdict(each) for each in reasons.item_reasons(database, None)],
        "follows": {
            "count": len(states),
            "conditions": dict(Counter(each.condition for each in states)),
            "unwell": [_unwell(each) for each in states if each.rank < 3],
        },
        "looks": {
            "count": found.looks,
            "failed": found.failed,
            "waiting": found.waiting,
            "interrupted": found.interrupted,
            "running": found.running,
            "units": found.units,
            "queued": found.queued,
        },
        "grown_bytes": found.grown_bytes,
        "library_bytes": found.library_bytes,
        "free_bytes": found.free_bytes,
        "days_left": found.days_left,
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
