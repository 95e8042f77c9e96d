"""The machines at work, as the catalogue knows them: told by workers, read by faces."""

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

from gpu.devices import cpu_device
from gpu.monitor import Card, Sample, look, thinned
from gpu.status import Device, Machine, Snapshot
from gpu.throughput import Calibration, Speed
from kb.database import Catalogue, calibrations, machines, speeds
from kb.errors import LibraryError
from kb.jobs.queue import heartbeat
from kb.types import Transcript

log = logging.getLogger(__name__)

LIVE_S = 12.0  # a snapshot older than this is no longer the present
POINT_EVERY_S = 10.0
POINTS = 360  # an hour
HOUR_S = 3600.0
KEEP_SPEEDS_S = 90 * 86400.0


class Teller:
    """A worker's side: takes what its model host tells, and writes it down now and then."""

    def __init__(self, catalogue: Catalogue, executor_id: str) -> None:
        self._catalogue = catalogue
        self._executor = executor_id
        self._points: deque[Sample] = deque(maxlen=POINTS)
        self._fresh: list[Sample] = []
        self._written = 0.0

    def tell(
        self, snapshot: Snapshot | None, samples: Sequence[Sample], restarts: int, trouble: str
    ) -> None:
        """Writes the newest state; `samples` came since the last call.

        Raises LibraryError when the database cannot be written.
        """
        if snapshot is None and not trouble:
            return
        self._fresh += samples
        now = time.time()
        values: dict[str, object] = {
            "at": now,
            "now": {
                "snapshot": snapshot.as_dict() if snapshot else None,
                "restarts": restarts,
                "trouble": trouble,
            },
        }
        if now - self._written >= POINT_EVERY_S and self._fresh:
            self._points.append(thinned(self._fresh))
            self._fresh, self._written = [], now
            values["history"] = [point.as_row() for point in self._points]
        with self._catalogue.begin() as connection:
            self._catalogue.ensure_row(
                connection, machines, executor_id=self._executor, at=now, now={}, history=[]
            )
            mine = machines.c.executor_id == self._executor
            connection.execute(sa.update(machines).where(mine).values(**values))


def note_speed(
    catalogue: Catalogue, executor: str, item_id: str, run: int, transcript: Transcript
) -> None:
    """Writes down how fast an item was transcribed. Raises LibraryError."""
    timing, now = transcript.timing, time.time()
    if timing.media_s <= 0:
        return
    values = {
        "ended_at": now,
        "executor_id": executor,
        "host": socket.gethostname(),
        "engine": transcript.engine,
        "model": transcript.model,
        "preset": transcript.preset,
        "media_s": timing.media_s,
        "asr_s": timing.asr_s + timing.align_s,
        "total_s": timing.total_s,
    }
    with catalogue.begin() as connection:
        catalogue.ensure_row(connection, speeds, item_id=item_id, run=run, **values)
        mine = sa.and_(speeds.c.item_id == item_id, speeds.c.run == run)
        connection.execute(sa.update(speeds).where(mine).values(**values))
        connection.execute(sa.delete(speeds).where(speeds.c.ended_at < now - KEEP_SPEEDS_S))


def read_speeds(
    catalogue: Catalogue,
    *,
    since: float = 0.0,
    item_ids: Sequence[str] = (),
    executor: str | None = None,
    host: str | None = None,
    limit: int = 1000,
) -> list[Speed]:
    """How fast items were transcribed, newest first. Raises LibraryError."""
    query = sa.select(speeds).where(speeds.c.ended_at >= since)
    if item_ids:
        query = query.where(speeds.c.item_id.in_(item_ids))
    if executor is not None:
        query = query.where(speeds.c.executor_id == executor)
    if host is not None:
        query = query.where(speeds.c.host == host)
    with catalogue.begin() as connection:
        rows = connection.execute(query.order_by(speeds.c.ended_at.desc()).limit(limit)).all()
    return [
        Speed(
            row.item_id, row.executor_id, row.ended_at, row.engine, row.model, row.preset,
            row.media_s, row.asr_s, row.total_s,
        )
        for row in rows
    ]  # fmt: skip


def read_machines(catalogue: Catalogue) -> list[Machine]:
    """Every machine whose worker is alive, by its worker's name. Raises LibraryError."""
    now = time.time()
    alive = {w.executor_id: w for w in heartbeat.list_workers(catalogue) if w.alive(now)}
    with catalogue.begin() as connection:
        rows = {
            row.executor_id: row
            for row in connection.execute(
                sa.select(machines).where(machines.c.executor_id.in_(list(alive)))
            )
        }
    hour: dict[str, list[Speed]] = {}
    for speed in read_speeds(catalogue, since=now - HOUR_S, limit=100_000):
        hour.setdefault(speed.executor_id, []).append(speed)
    return [
        _with_hour(_machine(name, worker.host, rows.get(name), now), hour.get(name, []))
        for name, worker in sorted(alive.items())
    ]


def _machine(name: str, host: str, row: sa.Row[tuple[object, ...]] | None, now: float) -> Machine:
    nothing = Snapshot(Device("", "", ""))
    if row is None:
        return Machine(name, host, False, now, nothing, None)
    told: dict[str, object] = row.now if isinstance(row.now, dict) else {}
    snapshot = nothing
    history: tuple[Sample, ...] = ()
    with suppress(TypeError, KeyError, ValueError):  # written by another version
        raw = told.get("snapshot")
        snapshot = Snapshot.from_dict(raw) if isinstance(raw, dict) else nothing
        history = tuple(Sample.from_row(point) for point in row.history or ())
    restarts = told.get("restarts")
    return Machine(
        executor_id=name,
        host=host,
        live=abs(now - row.at) <= LIVE_S,
        at=row.at,
        snapshot=snapshot,
        now=snapshot.sample,
        history=history,
        restarts=restarts if isinstance(restarts, int) else 0,
        trouble=str(told.get("trouble") or ""),
    )


def _with_hour(machine: Machine, ended: Sequence[Speed]) -> Machine:
    media_s, asr_s = sum(s.media_s for s in ended), sum(s.asr_s for s in ended)
    return replace(
        machine,
        rtfx_hour=media_s / asr_s if asr_s > 0 else None,
        items_hour=len(ended),
        media_hour_s=media_s,
    )


def read_calibrations(catalogue: Catalogue) -> list[Calibration]:
    """What `kb calibrate` measured, newest first. Never raises: it is not needed."""
    found = []
    with suppress(LibraryError):
        with catalogue.begin() as connection:
            rows = connection.execute(sa.select(calibrations.c.document)).scalars().all()
        for document in rows:
            with suppress(TypeError, KeyError, ValueError):  # written by another version
                found.append(Calibration.from_dict(document))
    return sorted(found, key=lambda each: -each.at)


def write_calibration(catalogue: Catalogue, measured: Calibration) -> None:
    """Keeps a measurement in the place of the last one of the same kind. Raises LibraryError."""
    values = {"at": measured.at, "document": measured.as_dict()}
    with catalogue.begin() as connection:
        catalogue.ensure_row(connection, calibrations, key=measured.key, **values)
        mine = calibrations.c.key == measured.key
        connection.execute(sa.update(calibrations).where(mine).values(**values))


def this_machine(request: str) -> Machine:
    """This machine, looked at by this program; `request` is KB_DEVICE. Loads no torch."""
    card = None if request == "cpu" else Card.find(index=_index(request))
    sample = look(card, cpu_over_s=0.1)
    device = Device("", "CUDA", card.name) if card else Device("cpu", "CPU", cpu_device().name)
    return Machine(
        "", socket.gethostname(), True, sample.at, Snapshot(device, sample=sample), sample
    )


def _index(request: str) -> int:
    """The card that a request for a device means, as the driver counts; 0 where it says none."""
    match = re.search(r":(\d+)$", request)
    wanted = int(match[1]) if match else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if re.fullmatch(r"\d+(,\d+)*", visible):
        numbers = [int(number) for number in visible.split(",")]
        return numbers[wanted] if wanted < len(numbers) else numbers[0]
    return wanted
