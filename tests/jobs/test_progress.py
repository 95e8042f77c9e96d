"""The progress bar of an item: it covers all stages and never decreases."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from kb.jobs.queue.item_states import CANCELLED, DONE, FAILED, HELD, QUEUED, RUNNING
from kb.jobs.queue.progress import STAGES, overall
from kb.service import Service
from kb.settings import get_settings
from tests.support.library_pages import page, rows_of
from tests.support.live_worker import live_worker
from tests.support.page_library import queued
from tests.support.workers import Lab, write_talks

IDS = ("file:1f0c", "youtube:dQw4w9WgXcQ", "web:example-1")


@pytest.mark.parametrize("item_id", IDS)
def test_it_grows_through_all_stages(item_id: str) -> None:
    way = [(stage, step / 10) for stage in STAGES for step in range(11)]
    shares = [overall(item_id, RUNNING, *at) for at in way]
    assert all(earlier <= later for earlier, later in pairwise(shares))
    assert shares[0] == 0.0 and shares[-1] == 1.0
    # Each stage increases it, so that stages without finer progress still show as four steps.
    assert len({overall(item_id, RUNNING, stage, 0.0) for stage in STAGES}) == len(STAGES)
    half = overall(item_id, RUNNING, "transcribe", 0.5)
    assert 0.4 < half < 0.7


def test_a_download_takes_its_share_and_a_copy_hardly_any() -> None:
    copied, loaded = (overall(one, RUNNING, "transcribe", 0.0) for one in IDS[:2])
    assert copied <= 0.1 < loaded


@pytest.mark.parametrize("state", [DONE, HELD])
def test_a_finished_item_is_complete_whatever_its_stage(state: str) -> None:
    assert overall(IDS[0], state, "transcribe", 0.2) == 1.0


def test_an_item_not_started_is_at_zero_and_a_failed_one_keeps_its_progress() -> None:
    assert overall(IDS[0], QUEUED, "", 0.0) == 0.0
    assert overall("listing:x", RUNNING, "list", 1.0) == 0.0
    assert overall(IDS[1], FAILED, "fetch", 0.5) == overall(IDS[1], CANCELLED, "fetch", 0.5) > 0.0


@pytest.fixture
def working(home: Path) -> Iterator[tuple[Service, str, str]]:
    """Yield a service with one queued item, the item's id and the name of a live worker."""
    service = queued(1)
    (row,) = service.queue.page().rows
    with live_worker(get_settings(), service.queue.database) as presence:
        yield service, row.id, presence.executor
    service.close()


@pytest.mark.slow
def test_the_page_and_the_command_line_show_it(working: tuple[Service, str, str]) -> None:
    service, item_id, me = working
    store = service.queue.items
    assert store.claim(item_id, 1, me)
    seen = []
    for stage in STAGES:
        assert store.advance(item_id, 1, me, stage, 0.0)
        (row,) = rows_of(page(tab="Activity"))
        shown = row["shares"]["progress"]
        assert shown == service.items.status(item_id).share
        seen.append(shown)
    assert seen == sorted(set(seen)) and seen[-1] > 0.9


def test_a_retry_does_not_start_at_the_progress_of_the_last_try(
    working: tuple[Service, str, str],
) -> None:
    service, item_id, me = working
    store = service.queue.items
    assert store.claim(item_id, 1, me)
    assert store.advance(item_id, 1, me, "publish", 0.0)
    assert store.finish(item_id, 1, me, FAILED, error="It broke.", attempts=1)
    assert service.items.status(item_id).share > 0.9
    service.queue.retry([item_id])
    assert store.claim(item_id, 2, me)
    assert service.items.status(item_id).share == 0.0


@pytest.mark.slow
def test_a_real_item_s_bar_never_turns_back(lab: Lab) -> None:
    lab.start()
    (item_id,) = lab.ingest(write_talks(lab.folder / "in", 1, words=100))
    seen: list[float] = []

    def ended() -> bool:
        status = lab.states([item_id])[item_id]
        seen.append(status.share)
        return status.state in (DONE, FAILED)

    lab.wait(ended, "the end of the item", every_s=0.02)
    assert lab.states([item_id])[item_id].state == DONE
    assert seen[-1] == 1.0
    assert seen == sorted(seen)
    # The bar must show progress before the end: loading the model alone takes seconds.
    assert any(0.0 < each < 1.0 for each in seen), seen
