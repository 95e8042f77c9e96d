"""Downloads of a channel of 200 talks through the queue, from a site with faults of every kind.

    python benchmarks/downloads.py [--items 200]

One download in ten fails temporarily (broken connections, 403, 500, half a file), one in twenty
permanently, and half way the site requests a bot check. A real worker processes the channel from
its handle to searchable words. The benchmark then counts lost and doubled items and downloads
that started too early, and checks that recognition continued while downloads were paused.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.support.common import figure
from kb.options import RunOptions
from kb.service import ItemStatus
from tests.fakes.media import ScriptStep
from tests.support.channel import Site
from tests.support.workers import Lab, write_talks

SECONDS, WORDS = 2, 4  # of a talk
PAUSE_S = 0.2
COOLDOWN_S = 20.0
WINDOW_S = 10.0
DEADLINE_S = 1800.0  # far more than the run needs on an idle machine
PASSING: list[list[ScriptStep]] = [
    ["drop", "ok"],
    [500, "ok"],
    ["truncate", "ok"],
    [403, "ok"],
    [403, 403, "ok"],  # fails in the downloader, and the queue retries it
]
BOT: ScriptStep = (403, "Sign in to confirm you're not a bot")


@dataclass
class Observations:
    """Observations of the queue while the worker was running."""

    started_at: float = field(default_factory=time.monotonic)
    paused_s: float = 0.0
    pause_reasons: set[str] = field(default_factory=set)
    done_at_pause: int | None = None
    done_at_end: int = 0
    states: dict[str, ItemStatus] = field(default_factory=dict)


def prepare(site: Site, count: int) -> list[str]:
    """Set the faults of the site; return the ids of the talks."""
    ids = [site.channel.video_id(number) for number in range(count)]
    for number, video_id in enumerate(ids):
        if number % 10 == 3:
            site.media.script[video_id] = list(PASSING[number // 10 % len(PASSING)])
        if number % 20 == 7:
            site.media.pages[video_id] = [(403, "Private video")]
    site.media.pages[ids[count // 2]] = [BOT, "ok"]
    return ids


def run(lab: Lab, folder: Path, count: int) -> Observations:
    """Queue the channel, and observe the queue until no item is queued, running or waiting."""
    observations = Observations()
    lab.service.ingest.run(["@talks"], RunOptions())
    lab.start()
    last = time.monotonic()
    while time.monotonic() - observations.started_at < DEADLINE_S:
        time.sleep(0.2)
        now = time.monotonic()
        counts = lab.jobs.counts()
        lanes = [lane for lane in lab.jobs.lanes() if lane.name == "download"]
        if lanes:
            if observations.done_at_pause is None:
                observations.done_at_pause = counts["done"]
                # These files need no download, so recognition can continue during the pause.
                lab.ingest(write_talks(folder / "own", 3))
            observations.paused_s += now - last
            observations.done_at_end = counts["done"]
            observations.pause_reasons.update(
                lane.reason for lane in lanes if lane.until > time.time()
            )
        last = now
        if not sum(counts[state] for state in ("queued", "running", "waiting")):
            break
    observations.states = lab.states()
    return observations


def peak_rate(times: list[float]) -> float:
    """Return the highest rate of starts in any window of `WINDOW_S`, in starts per second.

    The limiter may start one download at each edge of a window.
    """
    most = max(sum(first <= at < first + WINDOW_S for at in times) for first in times)
    return (most - 1) / WINDOW_S


def report(lab: Lab, site: Site, ids: list[str], observations: Observations) -> bool:
    """Print the figures; return True if every target is met."""
    count = len(ids)
    private = {f"youtube:{video_id}" for number, video_id in enumerate(ids) if number % 20 == 7}
    talks = {i: s for i, s in observations.states.items() if i.startswith("youtube:")}
    failed = {i for i, s in talks.items() if s.state == "failed"}
    with_reason = sum("Private video" in talks[i].error for i in failed & private)
    done = {i for i, s in talks.items() if s.state == "done"}
    wholes = Counter(
        request.id
        for request in site.media.requests_of("media")
        if request.status < 300 and request.start + request.sent == len(site.bodies[request.id])
    )
    passages = lab.passages()
    starts = [request.at for request in site.media.requests_of("watch")]
    early = sum(
        at - observations.started_at < number * PAUSE_S - 0.01 for number, at in enumerate(starts)
    )
    recognized = observations.done_at_end - (observations.done_at_pause or 0)
    elapsed_s = time.monotonic() - observations.started_at
    met = [
        figure("downloads.items", count, "items"),
        figure("downloads.done", len(done), "items", at_least=count - len(private)),
        figure("downloads.failed_with_reason", with_reason, "items", at_least=len(private)),
        figure("downloads.failed_otherwise", len(failed - private), "items", at_most=0),
        figure("downloads.lost", count - len(talks), "items", at_most=0),
        figure("downloads.unfinished", len(talks) - len(done | failed), "items", at_most=0),
        figure(
            "downloads.fetched_twice", sum(n > 1 for n in wholes.values()), "items", at_most=0
        ),
        figure("downloads.doubled_passages", len(passages) - len(set(passages)), "passages",
               at_most=0),
        figure("downloads.leftovers", len(lab.leftovers()), "files", at_most=0),
        figure("downloads.paused", observations.paused_s, "s", at_least=COOLDOWN_S / 2),
        figure("downloads.pause_told", int(any("bot" in r for r in observations.pause_reasons)),
               "reasons", at_least=1),
        figure("downloads.recognized_during_pause", recognized, "items", at_least=1),
        figure("downloads.begun_before_their_turn", early, "downloads", at_most=0),
        # On a busy machine, the delay between a turn and its request varies; allow 10 % more.
        figure("downloads.peak_rate", peak_rate(starts), "per s", at_most=1.1 / PAUSE_S),
        figure("downloads.begun", len(starts), "downloads"),
        figure("downloads.seconds", elapsed_s, "s"),
    ]  # fmt: skip
    return all(met)


def main() -> int:
    """Run the benchmark; return 0 if every target is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--items", type=int, default=200)
    count = parser.parse_args().items
    with tempfile.TemporaryDirectory(prefix="kb-downloads-") as name:
        folder = Path(name)
        site = Site(folder, count, seconds=SECONDS, words=WORDS, spare=0)
        settings = {
            "KB_WORKERS": "4",
            "KB_DOWNLOAD_PAUSE_S": str(PAUSE_S),
            "KB_DOWNLOAD_PAUSE_MAX_S": str(PAUSE_S),
            "KB_DOWNLOAD_COOLDOWN_S": str(COOLDOWN_S),
        }
        with site, site.lab(folder / "lab", **settings) as lab:
            ids = prepare(site, count)
            observations = run(lab, folder, count)
            well = report(lab, site, ids, observations)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
