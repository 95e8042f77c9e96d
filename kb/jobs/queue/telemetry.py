"""Telemetry of the machines in the database: written by workers, read by user interfaces."""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import sqlalchemy as sa

from gpu.devices import NO_DEVICE, Device, cpu_device
from gpu.monitor import GpuCard, Sample, downsample, poll
from gpu.status import Machine, Snapshot
from gpu.throughput import Calibration, Speed
from kb.asr.engines import ENGINES, engine_spec
from kb.database import Database, calibrations, machines, speeds
from kb.database.repeating import repeated
from kb.errors import LibraryError
from kb.jobs.queue import heartbeat
from kb.types import Transcript

log = logging.getLogger(__name__)

LIVE_S = 12.0  # a snapshot older than this is out of date
POINT_EVERY_S = 10.0
POINTS = 360  # an hour
HOUR_S = 3600.0
KEEP_SPEEDS_S = 90 * 86400.0


class TelemetryWriter:
    """Writes the telemetry of a worker's inference process to the database, every few seconds."""

    def __init__(self, database: Database, executor_id: str) -> None:
        self._database = database
        self._executor = executor_id
        self._points: deque[Sample] = deque(maxlen=POINTS)
        self._fresh: list[Sample] = []
        self._history_written_at = 0.0

    def write(
        self, snapshot: Snapshot | None, samples: Sequence[Sample], restarts: int, error: str
    ) -> None:
        """Write the newest state; `samples` are those since the last call.

        Raises LibraryError when the database cannot be written.
        """
        if snapshot is None and not error:
            return
        self._fresh += samples
        now = time.time()
        values: dict[str, object] = {
            "at": self._database.clock(),
            "now": {
                "snapshot": snapshot.as_dict() if snapshot else None,
                "restarts": restarts,
                "trouble": error,
            },
        }
        if now - self._history_written_at >= POINT_EVERY_S and self._fresh:
            self._points.append(downsample(self._fresh))
            self._fresh, self._history_written_at = [], now
            values["history"] = [point.as_row() for point in self._points]
        with self._database.begin() as connection:
            self._database.insert_if_missing(
                connection, machines, executor_id=self._executor, at=now, now={}, history=[]
            )
            own_row = machines.c.executor_id == self._executor
            connection.execute(sa.update(machines).where(own_row).values(**values))


@repeated
def record_throughput(
    database: Database, executor: str, item_id: str, run: int, transcript: Transcript
) -> None:
    """Record the speed of an item's transcription. Raises LibraryError."""
    timing, now = transcript.timing, database.time()
    if timing.media_s <= 0:
        return
    # With words of other items, the length of the sound says nothing about the model's time.
    taken = any(segment.taken_from is not None for segment in transcript.segments)
    asr_s = 0.0 if taken else timing.asr_s + timing.align_s
    values = {
        "ended_at": now,
        "executor_id": executor,
        "host": socket.gethostname(),
        "engine": transcript.engine,
        "model": transcript.model,
        "preset": transcript.preset,
        "media_s": timing.media_s,
        "asr_s": asr_s,
        "total_s": timing.total_s,
    }
    with database.begin() as connection:
        database.insert_if_missing(connection, speeds, item_id=item_id, run=run, **values)
        own_row = sa.and_(speeds.c.item_id == item_id, speeds.c.run == run)
        connection.execute(sa.update(speeds).where(own_row).values(**values))
        connection.execute(sa.delete(speeds).where(speeds.c.ended_at < now - KEEP_SPEEDS_S))


@repeated
def read_speeds(
    database: Database,
    *,
    since: float = 0.0,
    item_ids: Sequence[str] | None = None,
    executor: str | None = None,
    host: str | None = None,
    limit: int = 1000,
) -> list[Speed]:
    """Return the speeds of finished transcriptions, newest first; `item_ids` None: of all.

    Raises LibraryError.
    """
    query = sa.select(speeds).where(speeds.c.ended_at >= since)
    if item_ids is not None:
        query = query.where(speeds.c.item_id.in_(item_ids))
    if executor is not None:
        query = query.where(speeds.c.executor_id == executor)
    if host is not None:
        query = query.where(speeds.c.host == host)
    with database.begin() as connection:
        rows = connection.execute(query.order_by(speeds.c.ended_at.desc()).limit(limit)).all()
    return [
        Speed(
            row.item_id, row.executor_id, row.ended_at, row.engine, row.model, row.preset,
            row.media_s, row.asr_s, row.total_s,
        )
        for row in rows
    ]  # fmt: skip


@repeated
def read_machines(database: Database) -> list[Machine]:
    """Return every machine whose worker is alive, with the worker's name. Raises LibraryError."""
    alive = {w.executor_id: w for w in heartbeat.list_workers(database) if w.is_alive()}
    # The age of a snapshot is that of the database's clock: the clocks of machines differ.
    query = sa.select(machines, (database.clock() - machines.c.at).label("silent_s"))
    with database.begin() as connection:
        rows = {
            row.executor_id: row
            for row in connection.execute(query.where(machines.c.executor_id.in_(list(alive))))
        }
    now = database.time()
    hour: dict[str, list[Speed]] = {}
    for speed in read_speeds(database, since=now - HOUR_S, limit=100_000):
        hour.setdefault(speed.executor_id, []).append(speed)
    return [
        _with_hour(_machine(name, worker.host, rows.get(name), now), hour.get(name, []))
        for name, worker in sorted(alive.items())
    ]


def _machine(name: str, host: str, row: sa.Row[tuple[object, ...]] | None, now: float) -> Machine:
    nothing = Snapshot(NO_DEVICE)
    if row is None:
        return Machine(name, host, False, now, nothing, None)
    state: dict[str, object] = row.now if isinstance(row.now, dict) else {}
    snapshot = nothing
    history: tuple[Sample, ...] = ()
    with suppress(TypeError, KeyError, ValueError):  # written by another version
        raw = state.get("snapshot")
        snapshot = Snapshot.from_dict(raw) if isinstance(raw, dict) else nothing
        history = tuple(Sample.from_row(point) for point in row.history or ())
    restarts = state.get("restarts")
    return Machine(
        executor_id=name,
        host=host,
        live=abs(row.silent_s) <= LIVE_S,
        at=row.at,
        snapshot=snapshot,
        now=snapshot.sample,
        history=history,
        restarts=restarts if isinstance(restarts, int) else 0,
        trouble=str(state.get("trouble") or ""),
        memory_outside_torch=(
            snapshot.engine in ENGINES and engine_spec(snapshot.engine).memory_outside_torch
        ),
    )


def _with_hour(machine: Machine, finished: Sequence[Speed]) -> Machine:
    measured = [s for s in finished if s.asr_s > 0]
    asr_s = sum(s.asr_s for s in measured)
    return replace(
        machine,
        rtfx_hour=sum(s.media_s for s in measured) / asr_s if measured else None,
        items_hour=len(finished),
        media_hour_s=sum(s.media_s for s in finished),
    )


@repeated
def read_calibrations(database: Database) -> list[Calibration]:
    """Return the results of `kb calibrate`, newest first; none if they cannot be read."""
    found = []
    with suppress(LibraryError):
        with database.begin() as connection:
            rows = connection.execute(sa.select(calibrations.c.document)).scalars().all()
        for document in rows:
            with suppress(TypeError, KeyError, ValueError):  # written by another version
                found.append(Calibration.from_dict(document))
    return sorted(found, key=lambda each: -each.at)


def write_calibration(database: Database, calibration: Calibration) -> None:
    """Store a measurement, replacing the last one of the same kind. Raises LibraryError."""
    values = {"at": calibration.at, "document": calibration.as_dict()}
    with database.begin() as connection:
        database.insert_if_missing(connection, calibrations, key=calibration.key, **values)
        own_row = calibrations.c.key == calibration.key
        connection.execute(sa.update(calibrations).where(own_row).values(**values))


def this_machine(request: str) -> Machine:
    """Return this machine as this process detects it; `request` is KB_DEVICE. Loads no torch."""
    card = None if request == "cpu" else GpuCard.find(index=_index(request))
    sample = poll(card, cpu_over_s=0.1)
    device = Device("", "CUDA", card.name) if card else Device("cpu", "CPU", cpu_device().name)
    return Machine(
        "", socket.gethostname(), True, sample.at, Snapshot(device, sample=sample), sample
    )


def _index(request: str) -> int:
    """Return the driver's index of the card for a device request; 0 if the request has no index."""
    match = re.search(r":(\d+)$", request)
    index = int(match[1]) if match else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if re.fullmatch(r"\d+(,\d+)*", visible):
        numbers = [int(number) for number in visible.split(",")]
        return numbers[index] if index < len(numbers) else numbers[0]
    return index
