"""Machines on one library: workers, each behind a network and a mount of its own.

A machine has a name, a proxy before the database, and a place where it sees the shared folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from kb.pipeline import stages
from kb.settings import PROJECT_ROOT
from kb.sinks.base import content_sha256
from kb.sinks.local.sink import LocalSink
from kb.transcript.passages import passages
from tests.fakes.database_proxy import DatabaseProxy
from tests.support.each_case import check_each
from tests.support.postgres import new_database
from tests.support.waiting import WAIT_S
from tests.support.workers import ACTIVE_STATES, Lab

# `kb` on a machine whose clock is wrong by the seconds in a file, which may change meanwhile.
WRONG_CLOCK = """
import sys, time
from pathlib import Path
right, file = time.time, Path({file!r})
time.time = lambda: right() + float(file.read_text() or 0)
from kb import cli
cli.main(sys.argv[1:])
"""


class Machines:
    """Workers of one lab by name, each behind a proxy of its own."""

    def __init__(self, lab: Lab, url: str, stack: ExitStack) -> None:
        """`url` is the address of the database, past the proxies."""
        self.lab = lab
        self.url = url
        self.proxies = {
            name: stack.enter_context(DatabaseProxy.before(url)) for name in ("one", "two")
        }

    def start(self, name: str, **settings: str) -> psutil.Process:
        """Start a worker behind its proxy, and wait until it has signed on."""
        return self.lab.start(
            name=name, **{"KB_DATABASE_URL": self.proxies[name].url(self.url), **settings}
        )

    def start_as(
        self, name: str, prefix: tuple[str, ...] = (), program: str = "", **settings: str
    ) -> subprocess.Popen[bytes]:
        """Start a worker through another program or as another user; do not wait for it."""
        command = [sys.executable, *(("-c", program) if program else ("-m", "kb.cli")), "worker"]
        settings = {"KB_DATABASE_URL": self.proxies[name].url(self.url), **settings}
        with self.lab.log_file.open("ab") as log:
            popen = subprocess.Popen(
                [*prefix, *command], env=self.lab.environment(KB_EXECUTOR_ID=name, **settings),
                cwd=PROJECT_ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.lab.track(popen.pid)
        return popen

    def wait_alive(self, *names: str) -> None:
        """Wait until these workers, and no others, are shown as alive."""
        lab = self.lab
        lab.wait(
            lambda: sorted(each.executor_id for each in lab.jobs.workers()) == sorted(names),
            f"{names} alive",
        )

    def wait_paused(self, name: str, *words: str) -> None:
        """Wait until `kb status` shows that this machine takes no items, with these words.

        A pause may end after a moment, and come back: the small file that is tried can be written.
        """

        def shown() -> bool:
            said = self.lab.kb("status").stdout
            wanted = (f"{name} takes no items until", *words)
            return all(each in said for each in wanted)

        self.lab.wait(shown, f"the pause of {name}")

    def log(self) -> str:
        """Return what all workers have written."""
        return self.lab.log_file.read_text(errors="replace")

    def require_complete(self, ids: list[str], timeout_s: float = 2 * WAIT_S) -> None:
        """Wait for the end; each item is done once, without an attempt, and its index is right."""
        lab = self.lab
        lab.wait(
            lambda: all(
                each.state not in (*ACTIVE_STATES, "waiting") for each in lab.states(ids).values()
            ),
            "the end", timeout_s,
        )  # fmt: skip
        done = lab.states(ids)
        assert Counter(each.state for each in done.values()) == {"done": len(ids)}, done
        assert {each.attempts for each in done.values()} == {0}
        kept = lab.passages()
        assert len(kept) == len(set(kept)) >= len(ids)
        index = LocalSink(lab.settings)
        for entry in lab.library.entries():
            transcript = stages.read_transcript(lab.library, entry)
            own = passages(transcript, entry.item, path=entry.medium_place)
            found = index.status(entry.item.id)
            assert found.content_sha256 == content_sha256(own), (
                entry.item.title, found, own, index.passages(entry.item.id),
            )  # fmt: skip


@contextmanager
def machines_of(url: str, folder: Path, **settings: str) -> Iterator[Machines]:
    """Yield machines over a new library in a folder, with short timeouts."""
    values = {"KB_DATABASE_URL": url, "KB_WORKER_TIMEOUT_S": "12", "KB_IN_FLIGHT": "6", **settings}
    with ExitStack() as stack:
        lab = stack.enter_context(Lab(folder, **values))
        yield Machines(lab, url, stack)


def beside_each_other(
    server: str, folder: Path, play: Callable[..., None], cases: Sequence[tuple[Any, ...]]
) -> None:
    """Play cases that wait for most of their time at once, each with a library of its own.

    `play` gets the machines and the values of a case. It runs in a thread, and `Lab.kb` changes
    the environment of the process: without it.
    """

    def one(number: int) -> None:
        with machines_of(new_database(server), folder / f"lab {number}") as machines:
            play(machines, *cases[number])

    with ThreadPoolExecutor(len(cases)) as pool:
        played = [pool.submit(one, number) for number in range(len(cases))]
    check_each(range(len(cases)), lambda number: played[number].result(), lambda n: str(cases[n]))


@contextmanager
def mounted(*what: str, at: Path) -> Iterator[None]:
    """Mount something at a folder for the block; the test is skipped without the right to."""
    if sys.platform != "linux" or os.geteuid():
        pytest.skip("mounts need Linux and root")
    at.mkdir(exist_ok=True)
    if subprocess.run(["mount", *what, str(at)], capture_output=True, check=False).returncode:
        pytest.skip("no right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)
