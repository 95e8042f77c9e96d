"""Nothing is deleted because a clock is wrong: what counts of a leap is at most one day."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kb.jobs import retention
from kb.jobs.removal import Removal
from kb.jobs.worker import chores
from kb.library.clock_leaps import FACT, ClockLeaps, record_time
from kb.library.library import Library
from kb.library.trash import REMOVED, RemovedItem, Trash
from kb.service import Service, uploads
from kb.settings import Settings
from tests.jobs.test_retention import NOW as RETENTION_NOW
from tests.jobs.test_retention import Kept, kept  # noqa: F401

HOUR, DAY, YEAR = 3600.0, 86_400.0, 365 * 86_400.0
NOW = 1_790_000_000.0


@pytest.fixture
def library(tmp_path: Path) -> Library:
    made = Library(tmp_path / "home")
    made.prepare()
    return made


def look_on(library: Library, *moments: float) -> ClockLeaps:
    """Let a worker look at a clock that shows these times; return its leaps at the end."""
    leaps = ClockLeaps()
    for moment in moments:
        leaps = record_time(library, moment)
    return leaps


@pytest.mark.parametrize(
    ("moments", "made", "expected"),
    [
        ([0, DAY, 2 * DAY, 3 * DAY], 0, 3 * DAY),
        ([0, 400 * DAY], 0, DAY),  # the clock is ahead
        ([0, 400 * DAY], 400 * DAY, 0),
        ([0, 400 * DAY, 401 * DAY, 402 * DAY], 0, 3 * DAY),  # the machine was off for a year
        ([0, 400 * DAY, HOUR], 0, HOUR),  # right again
        ([0, 400 * DAY, HOUR, 401 * DAY, 2 * HOUR, 402 * DAY, 3 * HOUR], 0, 3 * HOUR),
        ([0, 3 * DAY, 6 * DAY, 9 * DAY], 0, 3 * DAY),  # on for an hour every third day
        ([0, DAY + 1], 0, DAY),
        ([0, -NOW, HOUR], -NOW, DAY),  # 1970 at the start, then right
        ([0, -NOW, HOUR], 0, HOUR),
        ([0, -60 * DAY, HOUR], -60 * DAY + 5, DAY),
        ([0, HOUR, HOUR - 60], 0, HOUR - 60),  # set by a minute
        ([0, 8 * HOUR, 16 * HOUR, 24 * HOUR], 0, DAY),
        ([0, 400 * DAY, HOUR, DAY, 2 * DAY], 400 * DAY, None),  # written while it was wrong
        ([0, 10 * YEAR, 9 * YEAR], 0, DAY),  # set back in part
    ],
)
def test_age(library: Library, moments: list[float], made: float, expected: float | None) -> None:
    leaps = look_on(library, *(NOW + each for each in moments))
    found = leaps.age_s(NOW + made, NOW + moments[-1])
    assert found == expected if expected is None else found == pytest.approx(expected, abs=HOUR)


def test_the_record_outlives_restarts_and_is_written_seldom(library: Library) -> None:
    look_on(library, NOW, NOW + 400 * DAY)
    changed = library.facts_path.stat().st_mtime_ns
    leaps = look_on(library, *(NOW + 400 * DAY + 60 * n for n in range(50)))
    assert library.facts_path.stat().st_mtime_ns == changed
    assert leaps.leaps == [(NOW, NOW + 400 * DAY)]
    look_on(library, NOW + 400 * DAY + 2 * HOUR)
    assert library.read_facts()[FACT]["last"] == NOW + 400 * DAY + 2 * HOUR


@pytest.mark.parametrize("stored", [None, 7, [], {"last": "x", "leaps": []}, {"leaps": [[1]]}])
def test_a_record_that_cannot_be_read_begins_again(library: Library, stored: object) -> None:
    library.write_facts({FACT: stored})
    assert look_on(library, NOW).leaps == []
    assert library.read_facts()[FACT] == {"last": NOW, "leaps": []}


@pytest.mark.parametrize("ahead", [31 * DAY, 400 * DAY, 10 * YEAR])
def test_no_medium_goes_by_retention(kept: Kept, ahead: float) -> None:  # noqa: F811
    then = RETENTION_NOW
    key = kept.follow("@talks", keep_days=30)
    kept.add(1, key, days=10)
    leaps = look_on(kept.library, then, then + ahead)
    followed = kept.subscriptions.list()
    assert not retention.apply(kept.library, kept.store, followed, then + ahead, leaps)
    # Thirty days that a worker saw are thirty days.
    days = [then + ahead + day * DAY for day in range(22)]
    leaps = look_on(kept.library, *days)
    (gone,) = retention.apply(kept.library, kept.store, followed, days[-1], leaps)
    assert gone.rule == "keep_days"


@pytest.mark.parametrize("ahead", [9 * DAY, 400 * DAY, 10 * YEAR])
def test_no_upload_and_nothing_in_the_trash_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    service = Service(Settings(KB_HOME=tmp_path / "home"))
    service.library.prepare()
    trash = Trash(service.library)
    removal = Removal(service.settings, service.library, service.queue.database, service.queue.send)
    context: Any = SimpleNamespace(
        library=service.library, removal=removal, now=service.queue.database.time
    )
    folder = trash.new_folder("file:1", NOW)
    trash.write(RemovedItem("file:1", "One", NOW, REMOVED, "", {}, (), (), folder))
    upload = service.settings.home / uploads.FOLDER / ("a" * 32)
    upload.mkdir(parents=True)
    os.utime(upload, (NOW, NOW))

    def work_at(moment: float) -> tuple[bool, bool]:
        with monkeypatch.context() as patched:
            patched.setattr(time, "time", lambda: moment)
            chores.watch_clock(context)
            chores.empty_trash(context)
            uploads.sweep(service)
        return trash.find("file:1") is not None, upload.exists()

    assert work_at(NOW) == (True, True)
    assert work_at(NOW + ahead) == (True, True)
    assert work_at(NOW + HOUR) == (True, True)  # the clock is right again
    seen = [work_at(NOW + ahead + day * DAY) for day in range(8)]
    assert seen[0][0] and seen[5][0] and seen[-1] == (False, False)
    service.close()


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ([NOW, NOW + 20 * DAY], True),  # a holiday: an hour for the network's time
        ([NOW, NOW + 20 * DAY, NOW + 20 * DAY + HOUR], False),
        ([NOW, NOW + 2 * DAY], True),
        ([NOW, NOW + 2 * DAY, NOW + 2 * DAY + 0.9 * HOUR], True),
        ([NOW, NOW + 2 * DAY, NOW + 2 * DAY + HOUR], False),
        ([NOW, NOW + 0.9 * DAY], False),  # a night
        ([NOW, NOW + 31 * DAY], True),
        ([NOW, NOW + 400 * DAY, NOW + 400 * DAY + 20 * HOUR], True),
        ([NOW, NOW + 400 * DAY, NOW + 400 * DAY + 23 * HOUR, NOW + 401.9 * DAY], False),
        ([NOW, NOW + 400 * DAY, NOW + HOUR], False),  # right again
        ([NOW, NOW - 400 * DAY], False),
    ],
)
def test_a_digest_waits_while_the_clock_is_doubtful(
    library: Library, moments: list[float], expected: bool
) -> None:
    assert look_on(library, *moments).is_doubtful(moments[-1]) == expected
