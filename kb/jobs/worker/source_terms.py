"""The terms of a followed source for fetching its media: hours of the day, downloads an hour.

Each fetch asks here first: of a medium, and of captions alone. An item whose turn has not come
waits in the table and uses no slot of the worker.
"""

from __future__ import annotations

import sqlalchemy as sa

from kb.database import Database, lanes
from kb.errors import RetryLater
from kb.jobs.queue.item_states import ItemRow
from kb.jobs.queue.order import SOURCE
from kb.options import SourceOptions
from kb.sources.subscriptions import Subscription, Subscriptions
from kb.types.clock import is_future
from kb.types.hours import Hours

HOUR_S = 3600.0


def require_turn(database: Database, subscriptions: Subscriptions, row: ItemRow) -> None:
    """Raise RetryLater if the source of an item may not be asked for its medium or captions now.

    The terms are those that the subscription has now. An item that is not of a followed source has
    none. The start of the fetch is counted. Times are by the database's clock; the hours of the day
    are in their zone, and in this machine's where they name none.
    """
    key = row.options.get(SOURCE)
    followed = subscriptions.find_of_item(key) if isinstance(key, str) and key else None
    if followed is None:
        return
    terms, now = SourceOptions.from_dict(followed.options), database.time()
    if terms.window is not None:
        hours = Hours.parse(terms.window)
        opens = hours.next_open(now)
        if opens > now:
            raise RetryLater(
                "source.outside_hours",
                "{source} is fetched between {window} only.",
                hint="It goes on by itself at {time}. Other hours: kb follow {source} --window …",
                until=opens,
                source=followed.reference,
                window=terms.window,
                time=hours.clock(opens),
            )
    if terms.per_hour is not None:
        _count_start(database, followed, terms.per_hour, now)


def _count_start(database: Database, followed: Subscription, per_hour: int, now: float) -> None:
    """Record the start of a download, or raise RetryLater with the time of the next free one.

    The waiting items get times one after the other, so that they do not all try at once.
    """
    interval_s = HOUR_S / per_hour
    start, wake = f"source:{followed.key}", f"source:{followed.key}:wake"
    with database.begin() as connection:
        for name in (start, wake):
            database.insert_if_missing(connection, lanes, name=name)
        query = sa.select(lanes.c.name, lanes.c.next_at, lanes.c.updated_at)
        rows = connection.execute(
            query.where(lanes.c.name.in_([start, wake])).order_by(lanes.c.name).with_for_update()
        ).all()
        # A time that was written in the future is unknown: the clock was set back since.
        found = {row.name: 0.0 if is_future(row.updated_at, now) else row.next_at for row in rows}
        left_s = found[start] - now
        # A time further away than one interval: the clock was set back, or the pace was changed.
        free = not 0 < left_s <= interval_s
        woken = found[wake] if not free and found[wake] > now else now + max(0.0, left_s)
        changes = (start, now + interval_s) if free else (wake, woken + interval_s)
        connection.execute(
            sa.update(lanes)
            .where(lanes.c.name == changes[0])
            .values(next_at=changes[1], updated_at=now)
        )
    if not free:
        raise RetryLater(
            "source.pace",
            "{source} is asked for {per_hour} media an hour, at most.",
            hint="It goes on by itself. Another pace: kb follow {source} --per-hour …",
            until=woken,
            source=followed.reference,
            per_hour=per_hour,
        )
