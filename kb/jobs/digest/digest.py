"""The facts of a digest: what was new, what failed and when it is tried again, growth and room."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from kb.database import Database
from kb.jobs.clock_check import clock_problem
from kb.jobs.digest.activity import activity
from kb.jobs.queue import reasons
from kb.jobs.queue.follow_conditions import numbers_of
from kb.jobs.queue.follow_states import FollowState, by_condition, follow_states
from kb.jobs.queue.item_states import HELD
from kb.jobs.queue.known_numbers import CLOSED
from kb.library import Library
from kb.sources.subscriptions import Subscriptions

NEW_SHOWN = 200

Digest = dict[str, Any]
"""The document of a digest, as the webhook gets it: JSON values, times in epoch seconds."""


def compose(
    database: Database, library: Library, begin: float, end: float, *, now: float | None = None
) -> Digest:
    """Return the digest of the time between `begin` and `end`; `now` is the present time.

    Times are in epoch seconds; without `now`, the end is now. Raises LibraryError.
    """
    now = end if now is None else now
    followed = Subscriptions(database, library).list()
    states = by_condition(follow_states(database, library, followed))
    found = activity(database, library, begin, end, now=now)
    clock = clock_problem(database, now)
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
        "held_count": sum(each.state == HELD for each in (*found.new, *found.renewed)),
        "renewed": [
            {"id": each.id, "title": each.title, "channel": each.channel, "state": each.state}
            for each in found.renewed[:NEW_SHOWN]
        ],
        "renewed_count": len(found.renewed),
        "undated_items": found.undated_items,
        "clock": clock.record() if clock is not None else None,
        "not_done": [asdict(each) for each in reasons.item_reasons(database, None)],
        "follows": {
            "count": len(states),
            "conditions": numbers_of(each.condition for each in states),
            "unwell": [_unwell(each) for each in states if each.rank < 3],
            "closed": [
                {"reference": each.subscription.reference, "id": entry.id, "title": entry.title}
                for each in states
                for entry in each.entries.get(CLOSED, ())
            ],
        },
        "looks": found.looks_dict(),
        **found.room_dict(),
        "made_at": now,
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
