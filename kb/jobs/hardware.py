"""What a face may ask about machines: what they do, how fast they are, which models there are."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace

from kb.errors import LibraryError
from kb.jobs.client import Jobs
from kb.jobs.machines import read_machines, read_speeds, this_machine
from kb.jobs.presence import executor_id
from kb.machine import Machine, Speed
from kb.settings import Settings


class Hardware:
    """The machines of one library, this one first of all."""

    def __init__(self, settings: Settings, jobs: Jobs) -> None:
        self._settings = settings
        self._jobs = jobs

    def machines(self) -> tuple[Machine, ...]:
        """Every machine with a live worker, and this one where it has none; this one first.

        Where no worker tells of this machine, the asking program looks itself. Never raises:
        without a database there is this machine alone.
        """
        found: list[Machine] = []
        if self._settings.home.is_dir():
            try:
                found = read_machines(self._jobs.catalogue)
            except LibraryError:
                found = []
        here = socket.gethostname()
        own = [machine for machine in found if machine.host == here]
        if not any(machine.live and machine.now for machine in own):
            looked = this_machine(self._settings.device)
            if not own:
                return (looked, *found)
            told = replace(own[0], now=looked.now)
            if not told.device.name:
                told = replace(told, snapshot=replace(told.snapshot, device=looked.device))
            own[0] = told
        own.sort(key=lambda machine: machine.executor_id != executor_id(self._settings))
        return (*own, *(machine for machine in found if machine.host != here))

    def machine(self) -> Machine:
        """This machine: what its worker tells, or what this program sees itself."""
        return self.machines()[0]

    def speeds(self, item_ids: Sequence[str] = (), *, limit: int = 200) -> list[Speed]:
        """How fast items were transcribed, newest first. Raises LibraryError."""
        return read_speeds(self._jobs.catalogue, item_ids=item_ids, limit=limit)
