"""Networks that swallow for minutes, on one machine and on all: nothing is lost or overwritten."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.machines import Machines, beside_each_other
from tests.support.postgres import server
from tests.support.workers import write_talks

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

__all__ = ["server"]

EDITED = "edited by hand while the first machine was cut off"


def test_a_network_that_swallows(server: str, tmp_path: Path) -> None:
    beside_each_other(server, tmp_path, swallows, [(60, ("one", "two")), (180, ("one",))])


def swallows(machines: Machines, seconds: int, who: tuple[str, ...]) -> None:
    lab = machines.lab
    talks = write_talks(lab.folder / "in", 12, words=40)
    # Both are there before there is work: the start of the second takes longer than all of it.
    one, two = machines.start("one"), machines.start("two")
    ids, held = lab.ingest(talks), list[str]()

    def has_items() -> bool:
        held[:] = [item_id for item_id, _ in lab.jobs.items.running("one")]
        return len(held) > 1 or (bool(held) and not lab.jobs.counts()["queued"])

    lab.wait(has_items, "the first has items")
    before = len(machines.log().splitlines())
    for name in who:
        machines.proxies[name].swallow()
    began = time.monotonic()
    if len(who) == 1:
        # The other takes over what the first had, and is done before the network is back.
        machines.require_complete(ids)
        for item_id in held:
            assert lab.service.revisions.edit(item_id, 0, EDITED) is not None
    time.sleep(max(0.0, began + seconds - time.monotonic()))
    # Lines about the outage: once each minute at most, of each worker, and its end.
    longer_s = time.monotonic() - began - seconds  # a busy machine needs more time
    most = (12 + longer_s / 15) * len(who) + 4
    assert len(machines.log().splitlines()) - before <= most
    for name in who:
        machines.proxies[name].heal()
    machines.require_complete(ids)
    lab.wait(lambda: len(lab.jobs.workers()) == 2, "both are there again")
    if len(who) == 1:
        time.sleep(5)  # the first wakes up with what it had made
        for item_id in held:
            assert lab.service.items.transcript(item_id).segments[0].text.strip() == EDITED
            (hit,) = [hit for hit in lab.service.search.run(EDITED).hits if hit.item_id == item_id]
            assert EDITED in hit.text
        machines.require_complete(ids)
    assert "Traceback" not in machines.log()
    for worker in (one, two):
        lab.stop(worker)
