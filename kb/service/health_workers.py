"""Checks of the workers that report to this library: one line each, and their crashes."""

from __future__ import annotations

from collections.abc import Sequence

from gpu.preset_figures import Preset
from gpu.status import BudgetUse, Machine
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
        parts.append(_budget(machine.budget, presets))
    if throttle.reason:
        parts.append(
            KBError(
                "clause.rests",
                "rests {percent:.0f}% of the time: {reason}",
                percent=100 * throttle.rest,
                reason=throttle.reason,
            )
        )
    if machine.rtfx_hour:
        parts.append(
            KBError(
                "clause.speed_hour",
                "{speed:,.0f}× real time in the last hour",
                speed=machine.rtfx_hour,
            )
        )
    reason = machine.trouble or machine.device.reason
    if reason and machine.device.kind == "CPU":
        parts.append(KBError("clause.on_cpu", "on the CPU: {reason}", reason=reason))
    elif reason:
        parts.append(KBError("clause.reason", "{reason}", reason=reason))
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


def _budget(use: BudgetUse, presets: Sequence[Preset]) -> KBError:
    """Return the sentence of `BudgetUse.describe` with its code."""
    gb = 2**30
    figures = KBError(
        "clause.budget",
        "at most {used:.1f} of the budget of {budget:.0f} GB in use ({percent:.0f}%)",
        used=use.used_bytes / gb,
        budget=use.budget_bytes / gb,
        percent=100 * use.share,
    )
    if use.limit == "full":
        return figures
    if use.limit == "work":
        return KBError(
            "clause.budget_work", "{figures}: too few windows wait to fill a batch", figures=figures
        )
    if use.limit == "device":
        return KBError(
            "clause.budget_device", "{figures}: {reason}", figures=figures, reason=use.reason
        )
    return KBError(
        "clause.budget_preset",
        "{figures}: the preset ends at {ceiling} windows a batch{more}",
        figures=figures,
        ceiling=use.ceiling,
        more=_more_memory(use, presets),
    )


def _more_memory(use: BudgetUse, presets: Sequence[Preset]) -> KBError | str:
    """Return the options that would use more memory than a preset does; empty without one."""
    name = use.next_larger_preset(presets)
    if name and use.filling:
        return KBError(
            "clause.more_either",
            " (more: --preset {name} or --batch-size {count})",
            name=name,
            count=use.filling,
        )
    if name:
        return KBError("clause.more_preset", " (more: --preset {name})", name=name)
    if use.filling:
        return KBError("clause.more_batch", " (more: --batch-size {count})", count=use.filling)
    return ""
