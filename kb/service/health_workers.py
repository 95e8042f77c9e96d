"""Checks of the workers that report to this library: one line each, and their crashes."""

from __future__ import annotations

from collections.abc import Sequence

from gpu.preset_figures import Preset
from gpu.status import Machine
from kb.errors import KBError
from kb.jobs.queue.hung_worker import CrashLoop
from kb.jobs.worker.spawn import worker_log_file
from kb.service.health_check import HealthCheck, with_commas
from kb.settings import Settings


def check_crash_loop(loop: CrashLoop, settings: Settings) -> HealthCheck:
    """Return the failed check of a worker that ends again and again without signing off."""
    problem = KBError(
        "check.worker_crashes",
        "ended {count:time|times} in {minutes} min without signing off; finished in this time: "
        "{finished:item|items}",
        hint="Find out what kills it: {log}, or run in the foreground: kb worker",
        count=loop.count,
        minutes=max(1, round(loop.lasts_s / 60)),
        finished=loop.finished,
        log=worker_log_file(settings),
    )
    return HealthCheck.of(f"Worker {loop.executor_id}", "fail", problem)


def check_worker(machine: Machine, presets: Sequence[Preset]) -> HealthCheck:
    """Return the check of a live worker: what it runs on, how fast, and its trouble."""
    snapshot, batch, throttle = machine.snapshot, machine.batch, machine.throttle
    parts: list[KBError | str] = [
        machine.device.name or KBError("clause.no_recognizer", "no recognizer loaded yet"),
        snapshot.model,
    ]
    if batch is not None:
        parts.append(
            KBError("clause.batch", "batch {size}: {reason}", size=batch.size, reason=batch.reason)
        )
    if machine.budget is not None:
        parts.append(machine.budget.describe(presets))
    if throttle.reason:
        parts.append(
            KBError(
                "clause.rests",
                "rests {share} of the time: {reason}",
                share=f"{throttle.rest:.0%}",
                reason=throttle.reason,
            )
        )
    if machine.rtfx_hour:
        parts.append(
            KBError(
                "clause.speed_hour",
                "{speed}× real time in the last hour",
                speed=f"{machine.rtfx_hour:.0f}",
            )
        )
    reason = machine.trouble or machine.device.reason
    if reason and machine.device.kind == "CPU":
        parts.append(KBError("clause.on_cpu", "on the CPU: {reason}", reason=reason))
    elif reason:
        parts.append(reason)
    facts = with_commas([part for part in parts if part])
    name = f"Worker {machine.executor_id}"
    if machine.trouble:
        trouble = KBError(
            "check.worker_trouble",
            "{facts}",
            hint="Look at the driver, then restart: kb worker --stop; kb worker --detach",
            facts=facts,
        )
        return HealthCheck.of(name, "warn", trouble)
    return HealthCheck.of(name, "ok", KBError("check.worker", "{facts}", facts=facts))
