"""The schedule of failed items: causes that can pass, growing intervals, updates of yt-dlp."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from kb.database import Database, items
from kb.errors import KBError, MediaUnavailable, RetryLater
from kb.jobs.queue import failed_items
from kb.jobs.queue.item_states import FAILED, QUEUED, WAITING
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.retry_schedule import DAY_S, HOUR_S, can_pass, is_recorded, next_attempt
from kb.jobs.worker import retry_policy
from kb.settings import Settings
from kb.sources.rate_limit.download_lane import DownloadRateLimiter
from kb.sources.ytdlp.errors import classify, failure_error
from kb.sources.ytdlp.version import comparable
from tests.support.items import item
from tests.support.queue_store import Queue

OLD, NEW = comparable("2026.9.30"), comparable("2026.10.2")
NOW = 1_800_000_000.0


def error_of(reason: str, tmp_path: Path) -> KBError:
    """Return the error that an item gets for a message of yt-dlp."""
    settings = Settings(KB_HOME=tmp_path / "home")
    database = Database.open(settings)
    limiter = DownloadRateLimiter(database, settings)
    found = classify(Exception(f"ERROR: [youtube] abc: {reason}"), clock=time.time)
    failure = failure_error(found, limiter, "it")
    database.close()
    return failure


@pytest.mark.parametrize(
    ("reason", "passes"),
    [
        ("Join this channel to get access to members-only content", True),
        ("This video requires payment to watch", True),
        ("Sign in to confirm your age. This video may be inappropriate for some users.", True),
        ("The uploader has not made this video available in your country", True),
        ("Private video. Sign in if you've been granted access to this video", True),
        ("Video unavailable", True),
        ("This video is unavailable", True),
        ("Unable to extract player response", True),
        ("No video formats found!", True),
        ("Requested format is not available", True),
        ("HTTP Error 500: Internal Server Error", True),
        ("Connection reset by peer", True),
        ("This video has been removed by the uploader", False),
        ("The YouTube account associated with this video has been terminated", False),
        ("This video is no longer available due to a copyright claim by X", False),
        ("This video is DRM protected", False),
        ("Unsupported URL: https://example.org", False),
    ],
)
def test_the_causes_that_can_pass(tmp_path: Path, reason: str, passes: bool) -> None:
    error = error_of(reason, tmp_path)
    assert can_pass(error.problem) is passes
    decision = retry_policy.decide(
        error, retry_policy.MAX_ATTEMPTS, systemic=False, now=time.time(), retry_days=90
    )
    assert decision.state == FAILED
    assert (decision.until is not None) is passes
    # Only an update of the extractor can mend an address that it does not know.
    assert is_recorded(error.problem) is (passes or reason.startswith("Unsupported"))


@pytest.mark.parametrize(
    ("code", "passes"),
    [
        ("file.not_there", True),
        ("file.unreadable", True),
        ("media.missing", True),
        ("media.ffmpeg_silent", True),  # a share that does not answer
        ("media.no_sound", False),
        ("media.not_decodable", False),
        ("item.transcript_gone", False),
        ("model.not_on_hub", False),
        ("", False),
    ],
)
def test_causes_that_are_not_of_a_download(code: str, passes: bool) -> None:
    assert can_pass({"code": code, "values": {}} if code else None) is passes


def test_the_intervals_grow_from_hours_to_a_week_and_end() -> None:
    now, times = NOW, []
    while (following := next_attempt(NOW, now, 90)) is not None:
        times.append((following - now) / HOUR_S)
        now = following
    assert times[:3] == [2, 2, 2]
    assert all(b >= a for a, b in pairwise(times[:-1]))
    assert max(times) == 7 * 24
    assert now - NOW == pytest.approx(90 * DAY_S, abs=2 * HOUR_S)
    assert len(times) < 30
    # A video that opens within a month is tried within half of its age after that.
    for opens in (1, 3, 7, 14, 30):
        tried = [t for t in _moments(90) if t >= opens * DAY_S]
        assert tried[0] - opens * DAY_S <= max(opens * DAY_S / 2, 7 * DAY_S)


def _moments(days: float) -> list[float]:
    now, found = 0.0, []
    while (following := next_attempt(0.0, now, days)) is not None:
        found.append(following)
        now = following
    return found


@pytest.mark.parametrize("since", [None, NOW + 400 * DAY_S, NOW])
def test_an_unknown_or_future_beginning_counts_as_now(since: float | None) -> None:
    assert next_attempt(since, NOW, 90) == NOW + 2 * HOUR_S
    assert next_attempt(since, NOW, 0) is None


def test_a_premiere_without_a_day_is_asked_for_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = NOW
    monkeypatch.setattr("time.time", lambda: now)
    since: float | None = None
    waits = []
    while True:
        error = RetryLater("download.still_live", "Still live.", until=now + 600)
        decision = retry_policy.decide(
            error, 0, systemic=False, now=time.time(), failing_since=since, retry_days=90
        )
        if decision.state == FAILED:
            break
        assert decision.until is not None
        waits.append(decision.until - now)
        now, since = decision.until, decision.failing_since
    assert waits[0] == 900 and max(waits) == DAY_S
    assert len(waits) < 150 and now - NOW >= 90 * DAY_S
    # With a known day it is asked for then, and often from then on.
    known = RetryLater("download.not_out_yet", "In 9 days.", until=now + 9 * DAY_S)
    decision = retry_policy.decide(
        known, 0, systemic=False, now=time.time(), failing_since=None, retry_days=90
    )
    assert (decision.state, decision.until) == (WAITING, now + 9 * DAY_S)
    now += 9 * DAY_S
    late = RetryLater("download.not_out_yet", "Processing.", until=now + 600)
    decision = retry_policy.decide(
        late,
        0,
        systemic=False,
        now=time.time(),
        failing_since=decision.failing_since,
        retry_days=90,
    )
    assert decision.until == now + 900


def fail(store: ItemStore, number: int, error: KBError, version: str = OLD) -> str:
    """Let an item fail as a worker does; return its id."""
    media = item(number)
    store.submit([media], {}, Queue())
    row = store.claim(media.id, _serial(store, media.id), "worker")
    assert row is not None
    decision = retry_policy.decide(
        error,
        row.attempts,
        systemic=False,
        now=time.time(),
        failing_since=row.failing_since,
        retry_days=90,
    )
    store.finish(
        media.id, row.serial, "worker", decision.state, **error.record(),
        wait_until=decision.until, attempts=decision.attempts,
        failing_since=decision.failing_since, failed_with=version,
    )  # fmt: skip
    return media.id


def _serial(store: ItemStore, item_id: str) -> int:
    row = store.read(item_id)
    assert row is not None
    return row.serial


def members_only() -> KBError:
    return MediaUnavailable("download.members_only", "{what}: members only.", what="it")


def fail_again(store: ItemStore, item_id: str, version: str = OLD) -> None:
    row = store.claim(item_id, _serial(store, item_id), "worker")
    assert row is not None
    error = members_only()
    decision = retry_policy.decide(
        error,
        row.attempts,
        systemic=False,
        now=time.time(),
        failing_since=row.failing_since,
        retry_days=90,
    )
    assert decision.state == FAILED
    store.finish(
        item_id, row.serial, "worker", FAILED, **error.record(), wait_until=decision.until,
        attempts=decision.attempts, failing_since=decision.failing_since, failed_with=version,
    )  # fmt: skip


def test_a_failed_item_is_tried_by_the_schedule_and_keeps_its_first_failure(
    store: ItemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = NOW
    monkeypatch.setattr("time.time", lambda: now)
    item_id = fail(store, 1, members_only())
    (shown,) = store.summaries()
    assert (shown.state, shown.wait_until) == (FAILED, NOW + 2 * HOUR_S)
    assert failed_items.retry_due(store, now + HOUR_S, OLD, Queue()) == []
    tries = 0
    while shown.wait_until is not None:
        now = shown.wait_until
        queue = Queue()
        assert failed_items.retry_due(store, now, OLD, queue) == [item_id]
        assert [put[0] for put in queue.put] == [item_id]
        row = store.read(item_id)
        assert row is not None and (row.state, row.failing_since) == (QUEUED, NOW)
        fail_again(store, item_id)
        (shown,) = store.summaries()
        tries += 1
    assert 20 < tries < 30
    assert failed_items.due_ids(store, now + 999 * DAY_S, OLD) == []
    # By hand it begins from the start.
    store.retry([item_id], Queue())
    fail_again(store, item_id)
    assert store.summaries()[0].wait_until == now + 2 * HOUR_S


def test_an_update_of_ytdlp_makes_an_attempt_due_once(
    store: ItemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)
    ids = [
        fail(store, 1, members_only()),
        fail(store, 2, MediaUnavailable("download.address_unsupported", "No.")),
    ]
    lost = fail(store, 3, MediaUnavailable("media.no_sound", "Silent."))
    assert failed_items.due_ids(store, NOW, OLD) == []
    assert sorted(failed_items.retry_due(store, NOW, NEW, Queue())) == sorted(ids)
    # A machine with the older version fails it again: no circle between the two.
    fail_again(store, ids[0], OLD)
    assert failed_items.due_ids(store, NOW, NEW) == []
    assert failed_items.due_ids(store, NOW, OLD) == []
    assert store.ids(FAILED) == sorted([ids[0], lost])


@pytest.mark.parametrize(
    ("values", "due"),
    [
        ({"problem": members_only().problem}, True),
        ({"problem": {"code": "media.no_sound", "values": {}}}, False),
        ({"problem": None}, False),
        (
            {
                "problem": {
                    "code": "download.private_or_removed",
                    "values": {"reason": "has been removed by the uploader"},
                }
            },
            False,
        ),
        ({"problem": members_only().problem, "state": "cancelled"}, False),
        ({"problem": members_only().problem, "source": "listing"}, False),
        # The clock was 400 days ahead at the failure.
        ({"failing_since": NOW + 400 * DAY_S, "wait_until": NOW + 400 * DAY_S}, True),
        ({"failing_since": NOW, "wait_until": NOW + 7 * DAY_S}, False),
        ({"failing_since": NOW - 90 * DAY_S, "wait_until": None}, False),
    ],
)
def test_rows_of_the_version_before_and_of_a_wrong_clock(
    store: ItemStore, values: dict[str, Any], due: bool
) -> None:
    media = item(1)
    store.submit([media], {}, Queue())
    with store.database.begin() as connection:
        connection.execute(sa.update(items).values(**{"state": FAILED, **values}))
    assert (failed_items.due_ids(store, NOW, NEW) == [media.id]) is due
