"""From a channel's handle to searchable words: the real clients against servers on loopback."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes.media import FakeMedia
from fakes.youtube import Channel, FakeYouTube

from tests.compose import WordBank, compose, random_plan, write_wav
from tests.workers import Lab

CHANNEL = "UC" + "x" * 22
KEYS = ["AI" + "za" + "Sy" + letter * 33 for letter in "pq"]

pytestmark = pytest.mark.slow


class Site:
    """A channel of three talks, its media, and a library that looks at them."""

    def __init__(self, folder: Path, quota: int = 10_000) -> None:
        self.channel = Channel(CHANNEL, "@talks", 3, duration="PT6S")
        bank = WordBank.load()
        bodies: dict[str, bytes] = {}
        self.words: dict[str, list[str]] = {}
        for number in range(-1, 3):
            rng = np.random.default_rng(number + 10)
            said = compose(bank, random_plan(bank, 8, rng), voice=bank.voices("en")[0], rng=rng)
            audio = np.zeros(96_000, np.float32)  # 6 s, as the API says
            audio[: min(said.audio.size, 96_000)] = said.audio[:96_000]
            path = write_wav(folder / f"{number}.wav", audio)
            bodies[self.channel.video_id(number)] = path.read_bytes()
            spoken = [word for word, _, end in said.words if end < 6.0]
            self.words[self.channel.video_id(number)] = spoken
        self.api = FakeYouTube([self.channel], quota=dict.fromkeys(KEYS, quota))
        self.media = FakeMedia(b"", bodies=bodies, content_type="audio/wav")

    def lab(self, folder: Path) -> Lab:
        return Lab(
            folder,
            YT_API_ENDPOINT=self.api.url,
            YT_WATCH_URL=self.media.watch_url,
            YT_API_KEYS=",".join(KEYS),
            KB_DOWNLOAD_PAUSE_S="0",
            KB_DOWNLOAD_PAUSE_MAX_S="0",
        )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    with made.api, made.media:
        yield made


def told(lab: Lab, *arguments: str, check: int = 0) -> Any:
    """What a command printed as JSON; no key may be in anything it said."""
    done = lab.kb(*arguments, "--json", check=check)
    for key in KEYS:
        assert key not in done.stdout + done.stderr
    return json.loads(done.stdout)


def test_from_a_handle_to_an_answer(site: Site, tmp_path: Path) -> None:
    with site.lab(tmp_path / "lab") as lab:
        plan = told(lab, "scan", "@talks")
        assert (plan["kind"], plan["reported"], plan["listed"]) == ("handle", 3, 3)
        assert (plan["new"], plan["known"], plan["audio_s"]) == (3, 0, 18.0)
        assert 0 < plan["api_units"] <= 4
        report = told(lab, "ingest", "@talks", "--wait", "--keep", "audio")
        assert {item["state"] for item in report["items"]} == {"done"}, report
        assert len(report["enqueued"]) == 3
        names = sorted(p.name for p in (lab.home / "media").glob("*.transcript.json"))
        newest = site.channel.video_id(0)
        assert f"2026-11-01_Talk 0 on water_{newest}.transcript.json" in names
        assert not list((lab.home / "downloads").iterdir())
        word = site.words[newest][2]
        hits = told(lab, "search", word)["hits"]
        mine = next(hit for hit in hits if hit["item_id"] == f"youtube:{newest}")
        assert mine["deep_link"] == f"https://youtu.be/{newest}?t={int(mine['at'])}"
        asked = len(site.media.of("media"))
        again = told(lab, "ingest", "@talks", "--wait")
        assert again["enqueued"] == []
        assert {each["reason"] for each in again["skipped"]} == {"already in the library"}
        assert len(site.media.of("media")) == asked
        assert told(lab, "scan", "@talks")["known"] == 3
        for path in lab.home.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert not any(key.encode() in content for key in KEYS), path
        if lab.log_file.exists():
            log = lab.log_file.read_text(encoding="utf-8")
            assert not any(key in log for key in KEYS)


def test_a_listing_without_quota_waits_and_says_so(site: Site, tmp_path: Path) -> None:
    for key in KEYS:
        site.api.quota[key] = 0
    with site.lab(tmp_path / "lab") as lab:
        report = told(lab, "ingest", "@talks", "--wait")
        (item,) = report["items"]
        assert (item["state"], item["title"]) == ("waiting", "Listing of @talks")
        assert item["wait_until"] > time.time()
        assert "quota" in item["error"].lower() or "used up" in item["error"].lower()
        # The day is over: keys are good again, and the wait is cut short by hand.
        for key in KEYS:
            site.api.quota[key] = 10_000
        with sqlite3.connect(lab.home / "kb.sqlite") as database:
            database.execute("UPDATE kb_api_keys SET state = 'ready', until = NULL")
        lab.wait(lambda: not lab.jobs.workers(), "the end of the worker that --wait started")
        lab.kb("retry", item["id"])
        lab.start("--exit-when-idle")
        lab.finish()
        assert told(lab, "status")["counts"]["done"] == 4  # three talks and their listing


def test_what_is_followed_is_looked_at_again(site: Site, tmp_path: Path) -> None:
    with site.lab(tmp_path / "lab") as lab:
        lab.kb("follow", "@talks", "--every", "1m", "--title", "Talk (0|-1)")
        (followed,) = told(lab, "follow", "--list")
        assert followed["reference"] == "@talks"
        lab.start()
        first = f"youtube:{site.channel.video_id(0)}"
        lab.wait(lambda: lab.states().get(first, None) is not None, "the first look", 60)
        lab.finish([first])
        site.channel.more = 1
        with sqlite3.connect(lab.home / "kb.sqlite", timeout=30) as database:
            database.execute("UPDATE kb_subscriptions SET next_at = 0")
        newest = f"youtube:{site.channel.video_id(-1)}"
        lab.wait(lambda: lab.states().get(newest, None) is not None, "the second look", 60)
        assert lab.finish([newest])[newest].state == "done"
        ids = {item_id for item_id in lab.states() if item_id.startswith("youtube:")}
        assert ids == {first, newest}
        lab.kb("unfollow", "https://www.youtube.com/@talks")
        assert told(lab, "follow", "--list") == []
