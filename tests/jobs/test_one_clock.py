"""The database's clock is the one of a library on a server: a machine's own may be wrong.

Here the database's clock differs from that of the process; a file has no clock of its own, so it
stands for a server.
"""

from __future__ import annotations

import time

import pytest

from kb.database import Database
from kb.database.future_times import future_times
from kb.errors import MediaUnavailable
from kb.jobs.queue import failed_items
from kb.jobs.worker import chores, item_attempt
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.item_attempt import ItemAttempt
from kb.jobs.worker.retry_policy import MAX_ATTEMPTS
from kb.library.clock_leaps import FACT
from kb.library.trash import KEEP_S
from kb.sources.looks import Looks
from kb.sources.subscriptions import Subscriptions
from tests.support.items import item
from tests.support.queue_store import ME, Queue

HOUR_S, DAY_S = 3600.0, 86_400.0


@pytest.fixture(params=[-30 * DAY_S, -2 * HOUR_S, 0.0, 2 * HOUR_S, 30 * DAY_S])
def wrong_s(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds by which the machine's clock is ahead of the database's."""
    ahead = float(request.param)
    monkeypatch.setattr(Database, "time", lambda self, connection=None: time.time() - ahead)
    return ahead


def near(moment: float | None, wanted: float) -> bool:
    return moment is not None and abs(moment - wanted) < 60


def test_a_series_of_failures(
    context: WorkerContext, wrong_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_attempt, "installed_version", lambda: "2026.01.01")
    store, media = context.items, item(1)
    store.submit([media], {}, Queue())
    began = store.database.time()
    serial, since = 1, None
    for _ in range(2):
        row = store.claim(media.id, serial, ME)
        assert row is not None
        error = MediaUnavailable("download.failed", "No network.", retryable=True)
        attempt = ItemAttempt(context, media.id, serial)
        attempt._fail(type(row)(**{**_fields(row), "attempts": MAX_ATTEMPTS}), error)
        failed = store.read(media.id)
        assert failed is not None and failed.state == "failed"
        assert near(failed.failing_since, began) and failed.wait_until is not None
        assert since is None or near(failed.failing_since, since)
        assert began < failed.wait_until < began + 2 * DAY_S
        since = failed.failing_since
        assert failed_items.due_ids(store, began + 1, "2026.01.01") == []
        store.retry([media.id], Queue(), states=("failed",), fresh=False)
        serial += 1


def _fields(row: object) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}  # type: ignore[attr-defined]


def test_removed_items_stay_a_week(
    context: WorkerContext, wrong_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    removal, now = context.removal, context.now()
    media = item(1)
    context.items.submit([media], {}, Queue())
    context.items.stop([media.id])
    removed = removal.remove(media.id, title="x")
    assert near(removed.at, now)
    assert near(float(str(removal.trash.marks()[media.id]["at"])), now)
    chores.empty_trash(context)
    assert removal.empty() == [] and [each.id for each in removal.trash.items()] == [media.id]
    assert near(context.library.read_facts()[FACT]["last"], now)
    assert removal.empty(now + KEEP_S + 60) == [media.id]


def test_follows_and_looks(context: WorkerContext, wrong_s: float) -> None:
    follows, now = context.subscriptions, context.now()
    made = follows.follow("@talks")
    assert near(made.created_at, now) and near(made.next_at, now)
    started: list[str] = []
    assert follows.poll(lambda each: started.append(each.key)) == 1
    assert follows.poll(lambda each: started.append(each.key)) == 0
    (after,) = follows.list()
    assert near(after.next_at, now + after.every_s)
    look = context.looks.begin(made.key, ME)
    assert look is not None
    (found,) = Looks(context.items.database).history(made.key)
    assert near(found.started_at, now)
    assert Subscriptions(context.items.database).poll(lambda _: None) == 0
    wrong = {each.table for each in future_times(context.items.database)}
    assert not wrong & {"kb_subscriptions", "kb_looks"}
