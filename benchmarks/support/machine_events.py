"""Faults of machines that share one library: workers, each behind its own network and mount.

A machine is a worker with a name, a proxy before the database and a link to the shared folder.
Not played: a clock that moves and a disk that fills need another kernel; a folder that is read-only
is played only where this account is bound by permissions.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from kb.errors import KBError
from kb.pipeline import stages
from kb.sinks.base import content_sha256
from kb.sinks.local.sink import LocalSink
from kb.transcript.passages import passages
from tests.fakes.database_proxy import DatabaseProxy
from tests.support.workers import Lab

PAUSE_S = (0.5, 4.0)  # between two events
LENGTH_S = (2.0, 12.0)  # of a fault; the workers' timeout lies within
DEADLINE_S = 1800.0  # for the last item, after the last event


@dataclass
class Machine:
    """One worker with its network and its mount of the share."""

    name: str
    lab: Lab
    proxy: DatabaseProxy
    mount: Path
    url: str
    process: psutil.Process | None = None

    def start(self) -> None:
        self.process = self.lab.start(
            name=self.name, KB_DATABASE_URL=self.proxy.url(self.url), KB_HOME=str(self.mount)
        )

    def is_running(self) -> bool:
        return (
            self.process is not None
            and self.process.is_running()
            and (self.process.status() != psutil.STATUS_ZOMBIE)
        )


@dataclass(frozen=True, slots=True)
class MachinesResult:
    """The counts after the events; all but the first four should be zero."""

    items: int
    events: dict[str, int]
    edits: int
    seconds: float
    lost: int
    doubled: int
    overwritten: int
    false_states: int
    differ_from_index: int

    @property
    def clean(self) -> bool:
        """Return True if nothing was lost, doubled, overwritten or false."""
        wrong = (self.lost, self.doubled, self.overwritten, self.false_states)
        return not any((*wrong, self.differ_from_index))


@dataclass
class MachinesTorture:
    """Random faults of several machines while a library is worked on."""

    lab: Lab
    machines: Sequence[Machine]
    rng: np.random.Generator
    restart_server: Callable[[], None]
    edited: dict[str, str] = field(default_factory=dict)  # the last text of each edited item

    def run(self, ids: Sequence[str], events: int) -> tuple[dict[str, int], float]:
        """Play the events, then wait for the last item; return their numbers and the seconds."""
        began = time.monotonic()
        names = [
            "kill", "stop", "cut", "swallow", "share_away", "server_killed", "edit", "edit",
            *(["read_only"] if os.geteuid() else []),
        ]  # fmt: skip
        played: Counter[str] = Counter()
        for machine in self.machines:
            machine.start()
        for _ in range(events):
            time.sleep(self.rng.uniform(*PAUSE_S))
            name = names[int(self.rng.integers(len(names)))]
            machine = self.machines[int(self.rng.integers(len(self.machines)))]
            getattr(self, f"_{name}")(machine, self.rng.uniform(*LENGTH_S))
            played[name] += 1
            for each in self.machines:
                if not each.is_running():
                    each.start()
        self.lab.jobs.resume()
        self.lab.wait_finished(ids, DEADLINE_S)
        return dict(played), time.monotonic() - began

    def _kill(self, machine: Machine, _length_s: float) -> None:
        assert machine.process is not None
        self.lab.kill(machine.process)

    def _stop(self, machine: Machine, length_s: float) -> None:
        assert machine.process is not None
        machine.process.send_signal(signal.SIGSTOP)
        self._during(length_s)
        with suppress(psutil.NoSuchProcess):
            machine.process.send_signal(signal.SIGCONT)

    def _cut(self, machine: Machine, length_s: float) -> None:
        machine.proxy.cut()
        self._during(length_s)
        machine.proxy.heal()

    def _swallow(self, machine: Machine, length_s: float) -> None:
        machine.proxy.swallow()
        self._during(length_s)
        machine.proxy.heal()

    def _share_away(self, machine: Machine, length_s: float) -> None:
        away = machine.mount.with_name(f"{machine.mount.name}-away")
        machine.mount.rename(away)
        self._during(length_s)
        if machine.mount.exists():  # a folder that a worker made under the mount point
            machine.mount.rename(machine.mount.with_name(f"{machine.mount.name}-made"))
        away.rename(machine.mount)

    def _read_only(self, machine: Machine, length_s: float) -> None:
        folder = self.lab.library.media_folder
        folder.chmod(0o555)
        self._during(length_s)
        folder.chmod(0o755)

    def _server_killed(self, _machine: Machine, _length_s: float) -> None:
        self.restart_server()

    def _edit(self, _machine: Machine, _length_s: float) -> None:
        """Edit a finished item by hand."""
        with suppress(KBError):
            done = [i for i, state in self.lab.states().items() if state.state == "done"]
            if done:
                item_id = done[int(self.rng.integers(len(done)))]
                text = f"edited by hand {len(self.edited)} {self.rng.integers(10**9)}"
                if self.lab.service.revisions.edit(item_id, 0, text) is not None:
                    self.edited[item_id] = text

    def _during(self, length_s: float) -> None:
        """Wait for a fault to last, and edit an item meanwhile: others may have finished it."""
        time.sleep(length_s / 2)
        self._edit(self.machines[0], 0.0)
        time.sleep(length_s / 2)

    def result(
        self, calm: Lab, ids: Sequence[str], events: dict[str, int], seconds: float
    ) -> MachinesResult:
        """Compare the library with an undisturbed one, and the index with the files."""
        lab, index = self.lab, LocalSink(self.lab.settings)
        states, found, expected = lab.states(ids), lab.words(), calm.words()
        overwritten = differ = 0
        for entry in lab.library.entries():
            transcript = stages.read_transcript(lab.library, entry)
            own = passages(transcript, entry.item, path=entry.medium_place)
            differ += index.status(entry.item.id).content_sha256 != content_sha256(own)
            text = self.edited.get(entry.item.id)
            if text is not None:
                overwritten += transcript.segments[0].text.strip() != text
            else:
                overwritten += found.get(entry.item.id) != expected.get(entry.item.id)
        kept = Counter(lab.passages())
        return MachinesResult(
            items=len(ids),
            events=events,
            edits=len(self.edited),
            seconds=seconds,
            lost=len(set(ids) - found.keys()),
            doubled=sum(count - 1 for count in kept.values()),
            overwritten=overwritten,
            false_states=sum(each.state != "done" for each in states.values()),
            differ_from_index=differ,
        )
