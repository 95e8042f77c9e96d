"""Plays the story of followed channels, as a program of its own.

    python -m tests.support.followed_months FOLDER --days 30 --scale 0.2 [--kills 50] [--losses 2]

It writes FOLDER/result.json: what is in the library and what was wanted, the costs of the looks and
what the worker did. It is a program because it replaces the clocks before `kb` is imported.
"""

# ruff: noqa: E402
from __future__ import annotations

from tests.support import moved_clock

CLOCK = moved_clock.install()

import argparse
import json
import logging
import mmap
import os
import random
import signal
import struct
import time
import warnings
from collections import Counter
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kb.errors import KBError
from kb.jobs.digest.schedule import FOLDER
from kb.jobs.queue.item_states import ListingJob
from kb.library.versions import Versions
from kb.service import Service
from kb.settings import Settings
from kb.sources.looks import Looks
from tests.fakes.living_channel import LivingMedia, LivingYouTube, World
from tests.support.followed_story import DAY, HOUR, Story, build
from tests.support.inline_worker import InlineWorker, WrittenSteps
from tests.support.keys import fake_key

STEP_S = 4 * HOUR
log = logging.getLogger("months")


class Months:
    """One run of the story over a library in `folder`."""

    def __init__(
        self,
        folder: Path,
        *,
        days: float,
        scale: float,
        every_h: float,
        kills: int,
        losses: int,
        seed: int,
    ) -> None:
        self.folder = folder
        self.world = World(CLOCK.world_time)
        self.story: Story = build(self.world, days, scale=scale, every_h=every_h, seed=seed)
        self.kills, self.losses = kills, losses
        self._random = random.Random(seed)
        self._keys = [fake_key("a"), fake_key("b")]
        self.api = LivingYouTube(self.world, dict.fromkeys(self._keys, 400))
        self.site = LivingMedia(self.world)
        self.killed = 0
        self.errors: Counter[str] = Counter()
        self.worst_queue = 0
        self._looked = mmap.mmap(-1, 8)  # looks that a worker began, counted over its death
        self._records = 0  # looks of lost databases that had not ended

    def settings(self) -> Settings:
        return Settings.model_validate(
            {
                "KB_HOME": str(self.folder / "home"),
                "YT_API_ENDPOINT": self.api.url,
                "YT_FEED_URL": f"{self.api.url}feeds/videos.xml?channel_id={{id}}",
                "YT_WATCH_URL": self.site.watch_url,
                "YT_API_KEYS": ",".join(self._keys),
                "YT_API_KEYS_FILE": str(self.folder / "none.txt"),
                "KB_DOWNLOAD_PAUSE_S": "0",
                "KB_DOWNLOAD_PAUSE_MAX_S": "0",
                "KB_SINKS": "",
                "KB_HOLD_BELOW": "0",
                "KB_MODEL": "demo",
                "KB_EXECUTOR_ID": "one",
            }
        )

    def run(self) -> dict[str, Any]:
        """Play the story to its end; return the result."""
        began = time.perf_counter()
        with self.api, self.site:
            settings = self.settings()
            WrittenSteps.plain_url = f"{self.site.url}/plain"
            self.service = Service(settings)
            self.service.library.prepare()
            worker = self._start(settings)
            story = self.story
            acts = sorted(story.acts, key=lambda act: act[0])
            end = story.day(story.days)
            loss_days = [
                story.day(story.days * (n + 1) / (self.losses + 1) + 0.1)
                for n in range(self.losses)
            ]
            steps_left = max(1, round((end - CLOCK.world_time()) / STEP_S))
            sleeps = [(story.day(begin), length * DAY) for begin, length in story.sleeps]
            while (now := CLOCK.world_time()) < end:
                self._set_clock(now)
                while sleeps and sleeps[0][0] <= now:
                    CLOCK.asleep(sleeps.pop(0)[1])
                self.world.go_on()
                while acts and acts[0][0] <= now:
                    _, name, act = acts.pop(0)
                    self._do(name, act)
                if loss_days and loss_days[0] <= now:
                    loss_days.pop(0)
                    worker.stop()
                    self._lose_database()
                    worker = self._start(settings)
                if self.killed < self.kills and self._random.random() < (
                    1.6 * (self.kills - self.killed) / max(1, steps_left)
                ):
                    self.killed += worker.killed_while_working(self._random.uniform(0.0, 0.12))
                    worker = self._start(settings)
                worker.work()
                steps_left -= 1
                CLOCK.pass_s(STEP_S)
            worker.stop()
            result = self._result()
            result["seconds"] = time.perf_counter() - began
            self.service.close()
        return result

    def _start(self, settings: Settings) -> _Worker:
        return _Forked(settings, self._looked) if self.kills else _Inline(settings, self._looked)

    def _set_clock(self, now: float) -> None:
        for begin, end, seconds in self.story.jumps:
            if self.story.day(begin) <= now < self.story.day(end):
                CLOCK.set_wrong(seconds)
                return
        CLOCK.set_wrong(0.0)

    def _do(self, name: str, act: Any) -> None:
        try:
            act(self.service)
        except KBError as error:
            self.errors[f"{name}: {error.code}"] += 1

    def _lose_database(self) -> None:
        """Lose the database, and rebuild it from the folder as `kb reindex` does."""
        lost = self._last_look()
        self.service.close()
        for path in (self.folder / "home").glob("kb.sqlite*"):
            path.unlink()
        self.service = Service(self.settings())
        self.service.queue.adopt_folder({})
        self.service.subscriptions.restore()
        restored = self._last_look()
        assert restored > 0.9 * lost  # the files have all but those that had not ended
        self._records += lost - restored

    def _last_look(self) -> int:
        looks = Looks(self.service.queue.database).since(0.0)
        return max((look.id for look in looks), default=0)

    def _doubled(self) -> set[str]:
        """Return the ids that more than one item of the media folder has."""
        folder = self.service.library.media_folder
        records = [p for p in folder.glob("*.json") if not p.name.endswith(".transcript.json")]
        assert records
        numbers = Counter(path.stem.rsplit("_", 1)[1] for path in records)
        return {item_id for item_id, number in numbers.items() if number > 1}

    def _result(self) -> dict[str, Any]:
        service, story = self.service, self.story
        rows = service.items.statuses()
        states = {row.id: row.state for row in rows if row.id.startswith("youtube:")}
        wanted, versions = story.wanted(), Versions(service.library)
        done = {item_id for item_id, state in states.items() if state == "done"}
        there = {
            entry.item.id
            for entry in service.library.entries()
            if entry.transcript_path is not None
        }
        names = {
            f"youtube:{each.id}": f"{channel.title} {number} ({each.state})"
            for channel in self.world.channels
            for number, each in enumerate(channel.all)
        }

        def named(ids: set[str]) -> list[str]:
            return sorted(f"{names.get(i, i)}: {states.get(i, 'unknown')}" for i in ids)

        looks = Looks(service.queue.database).since(0.0)
        quick = [look for look in looks if look.kind == "quick" and look.ended_at is not None]
        times = {f"youtube:{i}": number for i, number in self.site.fetched.items()}
        return {
            "wanted": len(wanted),
            "done": len(done),
            "missing": named(wanted - (done & there)),
            "unwanted": named((done | there) - wanted - story.may_stay),
            "turned_away": named(story.refused & (done | there)),
            "fetched_again": sum(
                max(0, number - story.asked_versions.get(i, 1)) for i, number in times.items()
            ),
            "doubled": sorted(self._doubled()),
            "replaced": len(story.replaced),
            "not_renewed": named({i for i in story.replaced if not versions.of(i)}),
            "uploads": sum(len(channel.all) for channel in self.world.channels),
            "states": Counter(states.values()),
            "subscriptions": [
                {"reference": each.reference, "channel": each.channel_id, "error": each.error}
                for each in service.subscriptions.list()
            ],
            "looks_begun": struct.unpack("q", self._looked[:8])[0],
            "looks_recorded": self._records + self._last_look(),
            "looks_open": sum(look.ended_at is None for look in looks),
            "outcomes": Counter(str(look.outcome) for look in looks),
            "quick_units": sum(look.units for look in quick) / max(1, len(quick)),
            "quick_looks": len(quick),
            "whole_looks": sum(look.kind == "whole" for look in looks),
            "units": self.api.all_units,
            "most_units_a_day": max(self.api.units_of_day.values(), default=0),
            "watched": sum(self.site.watched.values()),
            "most_watched": max(self.site.watched.values(), default=0),
            "killed": self.killed,
            "digests": len(list((self.folder / "home" / FOLDER).glob("*.md"))),
            "errors": dict(self.errors),
            "last": [asdict(look) for look in looks[-3:]],
        }


class _Worker:
    """A worker of the library: `work` does what is due."""

    def work(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def killed_while_working(self, after_s: float) -> int:
        """Kill the worker this many seconds after it began to work; return 1 if it was killed."""
        raise NotImplementedError


class _Inline(_Worker):
    def __init__(self, settings: Settings, looked: mmap.mmap) -> None:
        self._worker = _counting(settings, looked)

    def work(self) -> None:
        self._worker.work()

    def stop(self) -> None:
        self._worker.close()


class _Forked(_Worker):
    """A process that works when it is asked; SIGKILL ends it."""

    def __init__(self, settings: Settings, looked: mmap.mmap) -> None:
        (ask, self._ask), (self._answer, answer) = os.pipe(), os.pipe()
        self._pid = os.fork()
        if not self._pid:
            os.close(self._ask)
            os.close(self._answer)
            _serve(settings, looked, ask, answer)
        os.close(ask)
        os.close(answer)
        assert os.read(self._answer, 1) == b"r", "the worker did not start"

    def work(self) -> None:
        os.write(self._ask, b"w")
        assert os.read(self._answer, 1) == b"d", "the worker ended by itself"

    def stop(self) -> None:
        os.write(self._ask, b"s")
        os.read(self._answer, 1)
        self._end()

    def killed_while_working(self, after_s: float) -> int:
        os.write(self._ask, b"w")
        moved_clock.really_sleep(after_s)
        os.kill(self._pid, signal.SIGKILL)
        self._end()
        return 1

    def _end(self) -> None:
        os.waitpid(self._pid, 0)
        os.close(self._ask)
        os.close(self._answer)


def _serve(settings: Settings, looked: mmap.mmap, ask: int, answer: int) -> None:
    code = 1
    try:
        worker = _counting(settings, looked)
        os.write(answer, b"r")
        while (word := os.read(ask, 1)) == b"w":
            worker.work()
            os.write(answer, b"d")
        worker.close()
        code = 0
        if word == b"s":
            os.write(answer, b"s")
    except BaseException:
        log.exception("the worker failed")
    finally:
        os._exit(code)


def _counting(settings: Settings, looked: mmap.mmap) -> InlineWorker:
    worker = InlineWorker(settings)

    def count(job: object) -> None:
        if isinstance(job, ListingJob) and job.subscription_key:
            looked[:8] = struct.pack("q", struct.unpack("q", looked[:8])[0] + 1)

    worker.on_job = count
    return worker


def main() -> None:
    """Play the story and write its result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    for name, kind, value in (
        ("days", float, 30.0), ("scale", float, 0.2), ("every_h", float, 24.0),
        ("kills", int, 0), ("losses", int, 0), ("seed", int, 1),
    ):  # fmt: skip
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=value)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    # A worker is forked while the threads of the services run; it shares none of their locks.
    warnings.filterwarnings("ignore", message=".*fork.*")
    logging.basicConfig(filename=chosen.folder / "worker.log", level=logging.INFO)
    # The machine itself never fails here: the page cache outlives a killed process.
    os.fsync = lambda _file: None  # type: ignore[assignment]
    months = Months(
        chosen.folder, days=chosen.days, scale=chosen.scale, every_h=chosen.every_h,
        kills=chosen.kills, losses=chosen.losses, seed=chosen.seed,
    )  # fmt: skip
    result = months.run()
    with suppress(OSError):
        result["log_lines"] = len((chosen.folder / "worker.log").read_text().splitlines())
    (chosen.folder / "result.json").write_text(json.dumps(result, indent=1, default=str))


if __name__ == "__main__":
    main()
