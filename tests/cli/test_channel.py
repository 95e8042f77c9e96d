"""From a channel's handle to searchable words: the real clients against servers on loopback."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kb.jobs.queue.listing_jobs import subscription_listing
from kb.options import RunOptions
from tests.support.channel import KEYS, Site, expire_waits
from tests.support.workers import Lab

pytestmark = pytest.mark.slow


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path) as made:
        yield made


def run_json(lab: Lab, *arguments: str, check: int = 0) -> Any:
    """Return the JSON output of a command; no key may be in its output."""
    done = lab.kb(*arguments, "--json", check=check)
    for key in KEYS:
        assert key not in done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.long
def test_from_a_handle_to_an_answer(site: Site, tmp_path: Path) -> None:
    with site.lab(tmp_path / "lab") as lab:
        plan = run_json(lab, "scan", "@talks")
        assert (plan["kind"], plan["reported"], plan["listed"]) == ("handle", 3, 3)
        assert (plan["new"], plan["known"], plan["audio_s"]) == (3, 0, 18.0)
        assert 0 < plan["api_units"] <= 4
        report = run_json(lab, "ingest", "@talks", "--wait", "--keep", "audio")
        assert {item["state"] for item in report["items"]} == {"done"}, report
        assert len(report["enqueued"]) == 3
        names = sorted(p.name for p in (lab.home / "media").glob("*.transcript.json"))
        newest = site.channel.video_id(0)
        assert f"2026-11-01_Talk 0 on water_{newest}.transcript.json" in names
        assert not list((lab.home / "downloads").iterdir())
        word = site.words[newest][2]
        hits = run_json(lab, "search", word)["hits"]
        mine = next(hit for hit in hits if hit["item_id"] == f"youtube:{newest}")
        assert mine["deep_link"] == f"https://youtu.be/{newest}?t={int(mine['at'])}"
        asked = len(site.media.requests_of("media"))
        again = run_json(lab, "ingest", "@talks", "--wait")
        assert again["enqueued"] == []
        assert {each["code"] for each in again["skipped"]} == {"done"}
        assert len(site.media.requests_of("media")) == asked
        assert run_json(lab, "scan", "@talks")["known"] == 3
        lab.kill_all()  # its files are read
        for path in lab.home.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert not any(key.encode() in content for key in KEYS), path
        if lab.log_file.exists():
            log = lab.log_file.read_text(encoding="utf-8")
            assert not any(key in log for key in KEYS)


@pytest.mark.long
def test_a_listing_without_quota_waits_with_its_reason(site: Site, tmp_path: Path) -> None:
    for key in site.keys:
        site.api.quota[key] = 0
    with site.lab(tmp_path / "lab") as lab:
        lab.start()
        report = run_json(lab, "ingest", "@talks", "--wait")
        (item,) = report["items"]
        assert (item["state"], item["title"]) == ("waiting", "Listing of @talks")
        assert item["wait_until"] > time.time()
        assert "quota" in item["error"].lower() or "used up" in item["error"].lower()
        # A worker detects the end of the day without a command.
        for key in site.keys:
            site.api.quota[key] = 10_000
        expire_waits(lab)
        lab.wait(lambda: not lab.jobs.listing_counts()["waiting"], "the end of the wait")
        lab.wait(lambda: len(lab.states()) == 3, "the talks")
        lab.wait_finished()
        status = run_json(lab, "status")
        assert status["counts"]["done"] == 3
        assert [(each["title"], each["state"]) for each in status["looks"]] == [
            ("Listing of @talks", "done")
        ]


@pytest.mark.long
def test_a_followed_channel_is_listed_again(site: Site, tmp_path: Path) -> None:
    with site.lab(tmp_path / "lab") as lab:
        terms = ("--every", "2h", "--title", "Talk (0|-1)", "--overlap", "2.5", "--to", "local")
        made = run_json(lab, "follow", "@talks", *terms)
        (followed,) = run_json(lab, "follow", "--list")
        # The list says more: how the channel stands, and its last look.
        assert {name: followed[name] for name in made} == made
        assert (followed["condition"], followed["last_look"]) == ("new", None)
        assert (followed["reference"], followed["every_s"]) == ("@talks", 7200.0)
        (subscription,) = lab.service.subscriptions.list()
        options = RunOptions(overlap_s=2.5, sinks=("local",))
        assert RunOptions.from_dict(subscription.options) == options
        listing = subscription_listing(subscription).id
        lab.start()
        first = f"youtube:{site.channel.video_id(0)}"
        lab.wait(lambda: lab.states().get(first, None) is not None, "the first listing")
        lab.wait_finished([first])
        lab.wait(lambda: lab.states([listing])[listing].state == "done", "its end")
        assert lab.jobs.rows([listing])[0].run == 1
        site.channel.new_uploads = 1
        # Many listings were missed, as on a machine that was off: one listing replaces them all.
        with sqlite3.connect(lab.home / "kb.sqlite", timeout=30) as database:
            database.execute("UPDATE kb_subscriptions SET next_at = 0")
        newest = f"youtube:{site.channel.video_id(-1)}"
        lab.wait(lambda: lab.states().get(newest, None) is not None, "the second listing")
        assert lab.wait_finished([newest])[newest].state == "done"
        lab.wait(lambda: lab.states([listing])[listing].state == "done", "its end")
        assert lab.jobs.rows([listing])[0].run == 2
        assert lab.service.subscriptions.list()[0].next_at > time.time()  # not a missed one
        ids = {item_id for item_id in lab.states() if item_id.startswith("youtube:")}
        assert ids == {first, newest}
        lab.kb("unfollow", "https://www.youtube.com/@talks")
        assert run_json(lab, "follow", "--list") == []
