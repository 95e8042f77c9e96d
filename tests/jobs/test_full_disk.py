"""A real worker on a small disk: it leaves the floor free, and goes on when there is room."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kb.jobs.queue import workflow_ids
from kb.storage.free_space import BELOW_FLOOR, NO_ROOM
from tests.support.channel import Site, expire_waits
from tests.support.small_disk import SmallDisk

FLOOR = 1_000_000_000
COUNT = 6


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_channel_on_a_disk_that_is_full_twice(tmp_path: Path) -> None:
    site = Site(tmp_path, COUNT, seconds=2, words=4)
    largest = max(map(len, site.bodies.values()))
    talks = {site.id_of(number) for number in range(COUNT)}
    terms = {"KB_MIN_FREE_GB": "1", "KB_WORKERS": "3"}
    with site, site.lab(tmp_path / "lab", **terms) as lab:
        lab.kb("ingest", "@talks")
        disk = SmallDisk(tmp_path, lab.home, FLOOR - 1)

        def is_paused() -> bool:
            lanes = [lane for lane in lab.jobs.lanes() if lane.name == workflow_ids.ITEM_LANE]
            return any((lane.problem or {}).get("code") == BELOW_FLOOR for lane in lanes)

        def done() -> list[str]:
            return [i for i, each in lab.states().items() if each.state == "done" and i in talks]

        def codes_of_waiting() -> list[str]:
            waiting = [s for s in lab.states(list(talks)).values() if s.state == "waiting"]
            return [str((each.problem or {}).get("code")) for each in waiting]

        lab.start(**disk.environment)
        lab.wait(is_paused, "the pause of a disk below its floor")
        time.sleep(5)  # the worker looks again more than once
        assert not site.media.requests
        disk.resize(FLOOR + 29 * largest // 10)
        with disk:
            lab.wait(lambda: not is_paused(), "the end of the pause")
            # An attempt that met the full disk keeps its cause until its next attempt.
            lab.wait(
                lambda: codes_of_waiting() == [NO_ROOM] * (COUNT - 2),
                "what does not fit",
            )
            lab.wait(lambda: len(done()) == 2, "two talks")
            assert disk.least_free >= FLOOR
        # Another program fills the disk, and gives the room back later.
        disk.resize(FLOOR - 1)
        expire_waits(lab)
        lab.wait(is_paused, "the second pause")
        disk.resize(2 * FLOOR)
        lab.wait(lambda: not is_paused(), "the second end of the pause")
        # A file that did not fit is tried after some minutes, also one whose attempt ends just now.
        lab.wait(lambda: expire_waits(lab) or len(done()) == COUNT, "all talks", every_s=1.0)
        sent = [r.id for r in site.media.requests_of("media") if r.sent == len(site.bodies[r.id])]
        assert sorted(sent) == sorted(site.channel.video_id(n) for n in range(COUNT))
        log = lab.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        assert sum("are to stay free" in line for line in log) <= 1, log
