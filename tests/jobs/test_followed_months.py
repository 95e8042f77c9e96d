"""Months of followed channels: exactly the right set, once, and a record of every look.

The story is `tests.support.followed_story`; `tests.support.followed_months` plays it in a process
of its own, whose clocks are moved.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kb.settings import PROJECT_ROOT

Result = dict[str, Any]
LONG_S = 2400.0  # minutes on an idle machine

pytestmark = pytest.mark.timeout(LONG_S + 300)


@contextmanager
def playing(folder: Path, *arguments: str) -> Iterator[list[Result]]:
    """Play the story beside the block; the list has the result after it."""
    result: list[Result] = []
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.followed_months", str(folder), *arguments],
        cwd=PROJECT_ROOT,
    )
    try:
        yield result
        assert process.wait(LONG_S) == 0
        result.append(json.loads((folder / "result.json").read_text()))
    finally:
        process.kill()
        process.wait()


def assert_right_set(result: Result) -> None:
    """Check that every wanted video is there once, and none that a person turned away."""
    kinds = ("missing", "unwanted", "turned_away", "doubled", "not_renewed")
    assert {name: result[name] for name in kinds} == {name: [] for name in kinds}
    # Only a medium whose worker was killed before it was in the library is fetched once more.
    assert result["fetched_again"] <= result["killed"]
    assert result["done"] >= result["wanted"] > 0


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("month")
    arguments = ("--days=30", "--scale=0.05", "--every-h=48")
    with playing(folder, *arguments) as results:
        pass
    return results[0]


@pytest.mark.slow
def test_a_month_brings_exactly_the_right_set(month: Result) -> None:
    assert_right_set(month)


@pytest.mark.slow
def test_every_look_of_a_month_has_a_closed_record(month: Result) -> None:
    assert month["looks_recorded"] == month["looks_begun"] > 200
    assert month["looks_open"] == 0
    assert set(month["outcomes"]) <= {"succeeded", "waiting", "failed", "cancelled"}


@pytest.mark.slow
def test_a_quick_look_of_a_month_costs_three_units_at_most(month: Result) -> None:
    assert month["quick_looks"] > 100
    assert month["quick_units"] <= 3.0


@pytest.mark.slow
def test_names_of_one_channel_are_one_subscription(month: Result) -> None:
    channels = [each["channel"] for each in month["subscriptions"]]
    assert len(channels) == len(set(channels))


@pytest.mark.slow
def test_each_week_of_a_month_has_its_digest(month: Result) -> None:
    assert month["digests"] >= 4


@pytest.mark.long
def test_half_a_year_of_thirty_channels_with_killed_workers(tmp_path: Path) -> None:
    """Thirty channels with 4,000 uploads, 50 kills and the database lost twice.

    The figures of the same half year without kills are in docs/followed-channels.md.
    """
    arguments = ("--days=183", "--scale=1", "--every-h=48", "--kills=50", "--losses=2")
    with playing(tmp_path / "killed", *arguments) as results:
        pass
    result = results[0]
    assert_right_set(result)
    # A worker that was killed before its first request has made no look.
    assert 0 <= result["looks_begun"] - result["looks_recorded"] <= result["killed"]
    assert result["looks_open"] == 0
    assert result["quick_units"] <= 3.0
    assert len(result["subscriptions"]) >= 28 and result["wanted"] > 3000
    assert result["uploads"] > 4000 and result["replaced"] >= 3
    assert result["killed"] == 50
