"""A channel on loopback whose talks have speech, and a library that lists it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from tests.fakes.media import FakeMedia
from tests.fakes.youtube import Channel, FakeYouTube
from tests.support.compose import SAMPLE_RATE, WordBank, compose, random_plan, write_wav
from tests.support.workers import Lab

CHANNEL = "UC" + "x" * 22
# Composed at run time, so that no file holds anything that looks like a key.
KEYS = ["AI" + "za" + "Sy" + letter * 33 for letter in "pqr"]


class Site:
    """A channel of `count` talks of `seconds` each, and `spare` talks that can be added later.

    `quota` has the units a day of each key. Without `spoken` there are no media.
    """

    def __init__(
        self,
        folder: Path,
        count: int = 3,
        *,
        seconds: int = 6,
        words: int = 8,
        spare: int = 1,
        quota: Sequence[int] = (10_000, 10_000),
        spoken: bool = True,
    ) -> None:
        self.channel = Channel(CHANNEL, "@talks", count, duration=f"PT{seconds}S")
        self.words: dict[str, list[str]] = {}
        self.bodies: dict[str, bytes] = {}
        if spoken:
            bank = WordBank.load()
            for number in range(-spare, count):
                self._speak(bank, folder, number, seconds, words)
        self.keys = KEYS[: len(quota)]
        self.api = FakeYouTube([self.channel], dict(zip(self.keys, quota, strict=True)))
        self.media = FakeMedia(b"", bodies=self.bodies, content_type="audio/wav")

    def _speak(self, bank: WordBank, folder: Path, number: int, seconds: int, words: int) -> None:
        rng = np.random.default_rng(number + 10)
        composition = compose(
            bank, random_plan(bank, words, rng), voice=bank.voices("en")[0], rng=rng
        )
        audio = np.zeros(seconds * SAMPLE_RATE, np.float32)  # the duration that the API returns
        audio[: min(composition.audio.size, audio.size)] = composition.audio[: audio.size]
        path = write_wav(folder / f"{number}.wav", audio)
        video_id = self.channel.video_id(number)
        self.bodies[video_id] = path.read_bytes()
        self.words[video_id] = [word for word, _, end in composition.words if end < seconds]
        path.unlink()

    def __enter__(self) -> Site:
        self.api.__enter__()
        self.media.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.media.__exit__(kind, error, trace)
        self.api.__exit__(kind, error, trace)

    def lab(self, folder: Path, **settings: str) -> Lab:
        """Return a library whose settings replace YouTube by this channel."""
        values = {
            "YT_API_ENDPOINT": self.api.url,
            "YT_WATCH_URL": self.media.watch_url,
            "YT_API_KEYS": ",".join(self.keys),
            "YT_API_KEYS_FILE": str(folder / "none.txt"),
            "KB_DOWNLOAD_PAUSE_S": "0",
            "KB_DOWNLOAD_PAUSE_MAX_S": "0",
        }
        return Lab(folder, **{**values, **settings})

    def id_of(self, number: int) -> str:
        """Return the item id of a talk."""
        return f"youtube:{self.channel.video_id(number)}"


def expire_waits(lab: Lab) -> None:
    """Set the wait times of all keys, lanes and items to the present."""
    now = time.time()
    with sqlite3.connect(lab.home / "kb.sqlite", timeout=60) as database:
        database.execute("UPDATE kb_api_keys SET until = ? WHERE until > ?", (now, now))
        database.execute("UPDATE kb_lanes SET paused_until = ? WHERE paused_until > ?", (now, now))
        database.execute("UPDATE kb_lanes SET next_at = ? WHERE next_at > ?", (now, now))
        database.execute(
            "UPDATE kb_items SET wait_until = ? WHERE state = 'waiting' AND wait_until > ?",
            (now, now),
        )
    database.close()
