"""Listings and downloads of a whole channel through the queue, with real workers."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from kb.jobs.queue.listing_jobs import subscription_listing
from kb.service import ItemStatus
from kb.sources.keys.key_ring import next_reset
from kb.sources.rate_limit.download_lane import DownloadRateLimiter
from tests.fakes.youtube import Refusal
from tests.support.channel import Site, expire_waits
from tests.support.raising import check
from tests.support.waiting import WAIT_S
from tests.support.workers import Lab, write_talks

pytestmark = pytest.mark.slow

COOLDOWN_S, WORKERS = 3600, 3
NO_DOWNLOADS = {"KB_DOWNLOAD_PAUSE_S": "3600", "KB_DOWNLOAD_COOLDOWN_S": str(COOLDOWN_S)}


def follow(lab: Lab) -> str:
    """Follow the channel, with downloads paused; return the id of the listing."""
    DownloadRateLimiter(lab.jobs.database, lab.settings).report_throttled(
        "this test is about the listing"
    )
    lab.kb("follow", "@talks")
    (subscription,) = lab.service.subscriptions.list()
    return subscription_listing(subscription).id


def listed(lab: Lab) -> set[str]:
    """Return the ids of the talks that are in the queue."""
    return {item_id for item_id in lab.states() if item_id.startswith("youtube:")}


@pytest.mark.long
def test_a_listing_killed_half_way_goes_on_and_three_keys_see_it_through(tmp_path: Path) -> None:
    count, stop_at = 500, "CAUQ300"
    reached, go_on = threading.Event(), threading.Event()

    def hold(path: str, query: dict[str, str], _key: str) -> Refusal | None:
        if path == "playlistItems" and query.get("pageToken") == stop_at and not go_on.is_set():
            reached.set()
            go_on.wait(WAIT_S)
        return None

    # The listing costs 21 units: one key runs out before the kill, one after it.
    site = Site(tmp_path, count, quota=(6, 9, 10_000), spoken=False)
    site.api.refuse = hold
    with site, site.lab(tmp_path / "lab", **NO_DOWNLOADS) as lab:
        listing = follow(lab)
        worker = lab.start()
        assert reached.wait(WAIT_S)
        lab.kill(worker)
        go_on.set()
        before = listed(lab)
        assert 0 < len(before) < count  # the first talks are queued before the last are listed
        lab.start()
        lab.wait(lambda: lab.states([listing])[listing].state == "done", "the whole listing")
        assert listed(lab) == {site.id_of(number) for number in range(count)}
        pages = Counter(site.api.requested_pages(site.channel.uploads))
        assert len(pages) == count // 50
        # The first page is read again for new media; the answer to the page at which the worker
        # was killed was lost.
        assert {token for token, times in pages.items() if times > 1} <= {"", stop_at}
        assert [site.api.spent[key] for key in site.keys[:2]] == [6, 9]
        # One more unit for the command, one for the second check of the channel, two for its
        # first page and one for the lost page.
        assert site.api.units() <= 21 + 5
        assert lab.jobs.rows([listing])[0].run == 1
        (subscription,) = lab.service.subscriptions.list()
        assert subscription.error == ""


def test_with_all_keys_out_a_look_waits_says_so_and_completes_after_the_reset(
    tmp_path: Path,
) -> None:
    count = 250
    # The listing costs 11 units: all keys run out half way.
    site = Site(tmp_path, count, quota=(2, 2, 2), spoken=False)
    with site, site.lab(tmp_path / "lab", **NO_DOWNLOADS) as lab:
        listing = follow(lab)
        lab.start()
        lab.wait(lambda: lab.states([listing]), "the look")
        lab.wait(lambda: lab.states([listing])[listing].state == "waiting", "the end of the keys")
        assert site.api.units() == 6
        waits = lab.states([listing])[listing]
        assert waits.wait_until == pytest.approx(next_reset(time.time()), abs=1.0)
        check(waits.problem, "youtube.quota_exhausted", spent=3, count=3)
        assert 0 < len(listed(lab)) < count
        (shown_state,) = json.loads(lab.kb("follow", "--list", "--json").stdout)
        assert shown_state["error"] == f"{waits.error} {waits.hint}"
        assert waits.error in lab.kb("follow", "--list").stdout

        lab.wait_finished()  # all listed items wait for their downloads

        site.api.renew()
        for key in site.keys:
            site.api.quota[key] = 10_000
        expire_waits(lab)  # the worker continues without a command
        lab.wait(lambda: lab.states([listing])[listing].state == "done", "the whole listing")
        assert listed(lab) == {site.id_of(number) for number in range(count)}
        pages = Counter(site.api.requested_pages(site.channel.uploads))
        assert len(pages) == count // 50
        # The first page is read again, and so is the page whose details the quota did not cover.
        assert len([token for token, times in pages.items() if times > 1]) <= 2
        (shown_state,) = json.loads(lab.kb("follow", "--list", "--json").stdout)
        assert shown_state["error"] == ""


@pytest.mark.long
@pytest.mark.timeout(600)
def test_downloads_that_fail_and_a_bot_check_through_the_queue(tmp_path: Path) -> None:
    """A small version of `benchmarks/downloads.py`."""
    count, pause_s = 20, 0.2
    site = Site(tmp_path, count, seconds=2, words=4)
    ids = [site.channel.video_id(number) for number in range(count)]
    site.media.script[ids[3]] = ["drop", "ok"]
    site.media.script[ids[13]] = [403, 403, "ok"]  # fails once; the queue retries it
    site.media.pages[ids[7]] = [(403, "Private video")]
    site.media.pages[ids[10]] = [(403, "Sign in to confirm you're not a bot"), "ok"]
    settings = {
        "KB_WORKERS": str(WORKERS),
        "KB_DOWNLOAD_PAUSE_S": str(pause_s),
        "KB_DOWNLOAD_COOLDOWN_S": str(COOLDOWN_S),  # `expire_waits` ends the wait
    }
    with site, site.lab(tmp_path / "lab", **settings) as lab:
        began = time.monotonic()
        lab.kb("ingest", "@talks")
        lab.start()
        lab.wait(lambda: lab.jobs.lanes(), "the bot check")
        # Recognition continues with fetched media and with files that need no download.
        mine = lab.ingest(write_talks(tmp_path / "own", 1))
        states: dict[str, ItemStatus] = {}

        def at_rest() -> bool:
            # A talk whose download has failed is tried after some seconds, and meets the pause.
            states.update(lab.wait_finished())
            waits = [each.wait_until or 0.0 for each in states.values() if each.state == "waiting"]
            return min(waits) > time.time() + COOLDOWN_S / 2

        lab.wait(at_rest, "the rest of all downloads")
        assert states[mine[0]].state == "done"
        fetched = len(list(lab.library.entries())) - 1
        counts = Counter(status.state for status in states.values())
        assert counts["done"] == fetched + 1
        assert counts["waiting"] == count - fetched - counts["failed"]
        # The downloads have no fixed order. None gets its turn after the bot check.
        assert states[site.id_of(10)].state == "waiting"
        (lane,) = lab.jobs.lanes()
        assert lane.until is not None
        paused_at = lane.until - COOLDOWN_S - time.time() + time.monotonic()
        started = {asked.id for asked in site.media.requests_of("watch") if asked.at > paused_at}
        assert len(started) <= WORKERS  # each had its turn before the pause
        assert (lane.name, "not a bot" in lane.reason) == ("download", True)
        for status in states.values():
            if status.state == "waiting" and "rest until" in status.error:
                assert status.wait_until == pytest.approx(lane.until)
        shown_state = json.loads(lab.kb("status", "--json").stdout)
        (shown,) = shown_state["lanes"]
        assert shown == {
            "name": "download",
            "until": lane.until,
            "reason": lane.reason,
            "problem": None,
        }
        until = time.strftime("%d %b %Y %H:%M %Z", time.localtime(lane.until))
        assert f"The download lane is paused until {until}" in lab.kb("status").stdout
        asked = len(site.media.requests)

        expire_waits(lab)  # downloads continue without a command
        # A talk whose download has failed waits for its retry.
        lab.wait(
            lambda: all(s.state in ("done", "failed") for s in lab.states().values()),
            "the end",
        )
        assert lab.jobs.lanes() == []
        assert len(site.media.requests) > asked
        states = lab.states()
        private = states.pop(f"youtube:{ids[7]}")
        assert private.state == "failed"
        assert "Private video" in private.error
        assert {status.state for status in states.values()} == {"done"}
        assert set(states) == {*mine, *(f"youtube:{i}" for i in ids if i != ids[7])}  # none lost
        # Each file was sent completely only once, and its words and passages exist only once.
        for video_id in set(ids) - {ids[7]}:
            size = len(site.bodies[video_id])
            wholes = [
                r for r in site.media.requests_of("media", video_id) if r.start + r.sent == size
            ]
            assert len(wholes) == 1, video_id
        assert len(lab.words()) == count
        passages = lab.passages()
        assert len(set(passages)) == len(passages)
        assert lab.leftovers() == []
        # The k-th download cannot have started before its turn.
        for number, request in enumerate(site.media.requests_of("watch")):
            assert request.at - began >= number * pause_s - 0.01
