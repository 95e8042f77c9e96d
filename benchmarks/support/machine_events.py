"""Faults of machines that share one library: workers, each behind its own network and mount.

A disk without room and a read-only folder are played where this process may mount file systems.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import psutil

from benchmarks.support.torn_machine import Machine
from kb.errors import KBError
from kb.pipeline import stages
from kb.sinks.base import content_sha256
from kb.sinks.local.sink import LocalSink
from kb.transcript.passages import passages
from tests.support.workers import ACTIVE_STATES, Lab

PAUSE_S = (0.5, 4.0)  # between two events
LENGTH_S = (2.0, 12.0)  # of a fault; the workers' timeout lies within
DEADLINE_S = 1800.0  # for the last item, after the last event
CLOCK_OFF_S = (-7200.0, 7200.0)
HOLDING = ("stop", "cut", "swallow", "share_away", "read_only", "full")  # one machine
EVENTS = (
    "kill", "stop", "cut", "swallow", "share_away", "read_only", "full", "server_killed",
    "clock_moved", "edit",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MachinesResult:
    """The counts after the events; all from `lost` on should be zero.

    `held_s` is the part of `seconds` for which the faults themselves held the machines: the sum of
    their lengths, those of the server once for each machine, divided by the number of machines.
    """

    items: int
    events: dict[str, int]
    edits: int
    seconds: float
    held_s: float
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
    kinds: Sequence[str] = EVENTS
    held_s: float = 0.0  # of all machines together; see `MachinesResult`
    edited: dict[str, str] = field(default_factory=dict)  # the last text of each edited item

    def run(self, ids: Sequence[str], events: int) -> tuple[dict[str, int], float]:
        """Play the events, then wait for the last item.

        Return the numbers of the events, and the seconds until the last item had ended, from the
        time on at which all machines had signed on.
        """
        for machine in self.machines:
            machine.start()
        began = time.monotonic()
        names = [name for name in self.kinds if self._can_play(name)]
        played: Counter[str] = Counter()
        end = _EndOfItems(self.lab, ids)
        for _ in range(events):
            time.sleep(self.rng.uniform(*PAUSE_S))
            name = names[int(self.rng.integers(len(names)))]
            machine = self.machines[int(self.rng.integers(len(self.machines)))]
            at_s = time.monotonic() - began
            getattr(self, f"_{name}")(machine, self.rng.uniform(*LENGTH_S))
            lasted_s = time.monotonic() - began - at_s
            print(f"{at_s:.1f} s: {name} {machine.name}, {lasted_s:.1f} s", file=sys.stderr)
            if not end.has_come:
                held = len(self.machines) if name == "server_killed" else name in HOLDING
                self.held_s += lasted_s * held
            played[name] += 1
            for each in self.machines:
                if not each.is_running():
                    each.start()
        return dict(played), end.wait(DEADLINE_S) - began

    def _can_play(self, name: str) -> bool:
        views = self.machines[0].views
        return name not in ("read_only", "full") or name in views

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
        machine.take_share_away()
        self._during(length_s)
        machine.bring_share_back()

    def _read_only(self, machine: Machine, length_s: float) -> None:
        machine.see("read_only")
        self._during(length_s)
        machine.see()

    def _full(self, machine: Machine, length_s: float) -> None:
        machine.see("full")
        self._during(length_s)
        machine.see()

    def _clock_moved(self, machine: Machine, length_s: float) -> None:
        machine.set_clock(self.rng.uniform(*CLOCK_OFF_S))
        self._during(length_s)
        machine.set_clock(0.0)

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
            held_s=self.held_s / len(self.machines),
            lost=len(set(ids) - found.keys()),
            doubled=sum(count - 1 for count in kept.values()),
            overwritten=overwritten,
            false_states=sum(each.state != "done" for each in states.values()),
            differ_from_index=differ,
        )


class _EndOfItems:
    """A thread that notes the time at which the last of the items had ended."""

    def __init__(self, lab: Lab, ids: Sequence[str]) -> None:
        self._lab, self._ids = lab, ids
        self._ended_at = 0.0
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def has_come(self) -> bool:
        """True if no item is left."""
        return self._ended.is_set()

    def wait(self, timeout_s: float) -> float:
        """Return the monotonic time of the end. Raises AssertionError if it does not come."""
        assert self._ended.wait(timeout_s), f"no end of the items; {self._lab.jobs.counts()}"
        return self._ended_at

    def _watch(self) -> None:
        while not self._ended.is_set():
            time.sleep(0.5)
            with suppress(KBError):  # the server is killed now and then
                states = self._lab.states(self._ids).values()
                if not any(each.state in (*ACTIVE_STATES, "waiting") for each in states):
                    self._ended_at = time.monotonic()
                    self._ended.set()
