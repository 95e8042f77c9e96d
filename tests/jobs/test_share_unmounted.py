"""A real share that is unmounted in the middle of a write, under two machines.

The worker stops itself (SIGSTOP) where a file is complete under its temporary name, its folder was
compared and the item's row is locked: the next thing it does is the rename. Then its share is
unmounted (`umount --lazy`, as after a cut of the network), and the worker goes on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.machines import Machines, machines_of, mounted
from tests.support.postgres import database_url, server
from tests.support.workers import write_talks

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="mounts"),
]

__all__ = ["database_url", "server"]

# `kb` that stops itself before it moves the first medium's file of this kind into place.
STOPS = """
import os, signal, sys
from pathlib import Path
replace, wanted = Path.replace, Path({file!r})
def stopping(self, target):
    target = Path(target)
    if target.parent.name == 'media' and target.suffix == {kind!r} and wanted.exists():
        wanted.unlink()
        os.kill(os.getpid(), signal.SIGSTOP)
    return replace(self, target)
Path.replace = stopping
from kb import cli
cli.main(sys.argv[1:])
"""


@pytest.fixture
def machines(database_url: str, tmp_path: Path) -> Iterator[Machines]:
    with machines_of(database_url, tmp_path / "lab") as found:
        found.lab.library.prepare()
        yield found


@pytest.mark.parametrize("kind", [".wav", ".json", ".txt"])
def test_a_share_unmounted_between_check_and_rename(machines: Machines, kind: str) -> None:
    lab, share = machines.lab, machines.lab.folder / "share"
    wanted = lab.folder / "stop"
    wanted.touch()
    with mounted("--bind", str(lab.home), at=share):
        program = STOPS.format(file=str(wanted), kind=kind)
        two = machines.start_as("two", program=program, KB_HOME=str(share))
        machines.wait_alive("two")
        ids = lab.ingest(write_talks(lab.folder / "in", 4, words=5))
        lab.wait(
            lambda: psutil.Process(two.pid).status() == psutil.STATUS_STOPPED, "it has stopped"
        )
        assert not wanted.exists()
        subprocess.run(["umount", "--lazy", str(share)], check=True)
        try:
            assert list(share.iterdir()) == []
            os.kill(two.pid, signal.SIGCONT)
            machines.wait_paused("two", str(share))
            assert list(share.iterdir()) == []
            one = machines.start("one")
            machines.require_complete(ids)
            assert two.poll() is None and list(share.iterdir()) == []
            lab.stop(one)
        finally:
            subprocess.run(["mount", "--bind", str(lab.home), str(share)], check=True)
        lab.jobs.resume()
        more = lab.ingest(write_talks(lab.folder / "in", 1, start=9))
        machines.require_complete([*ids, *more])
        assert lab.leftovers() == [] and "Traceback" not in machines.log()
        lab.kill_all()
