"""Output about machines, their checks and measurements."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from kb.cli.output.console import STATE_STYLES, out
from kb.types.sentences import counted

if TYPE_CHECKING:
    from kb.service.views import Calibration, Estimate, Machine, Preset, Sample

GB = 2**30
BOUND = {
    "idle": "nothing to do",
    "loading": "the model is loading",
    "recognition": "at full speed",
    "preparation": "waits for sound to be prepared",
    "throttle": "rests in between",
}


def machine_lines(machines: Sequence[Machine], presets: Sequence[Preset] = ()) -> list[Text]:
    """Return one or two lines per machine; they may name a larger one of `presets`."""
    lines = []
    for machine in machines:
        words = [machine.device.name]
        snapshot, batch = machine.snapshot, machine.batch
        if snapshot.model:
            words.append(snapshot.model)
        if batch is not None:
            words.append(f"batch {batch.size} ({batch.reason})")
        if machine.live:
            words.append(BOUND[machine.bound])
            words.append(snapshot.preparation if snapshot.media else "")
        if machine.throttle.reason:
            words.append(machine.throttle.reason)
        if machine.now is not None:
            words.append(_figures(machine.now))
        if machine.rtfx_hour:
            words.append(f"{machine.rtfx_hour:.0f}× real time in the last hour")
        if machine.budget is not None:
            words.append(machine.budget.describe(presets))
        name = _machine_name(machine)
        figures = "  ·  ".join(word for word in words if word)
        if not figures and machine.executor_id:
            figures = "no model is loaded"
        if figures:
            lines.append(Text(f"{name}: {figures}", style="dim"))
        if machine.trouble:
            lines.append(Text(f"{name}: {machine.trouble}", style="yellow"))
    return lines


def _machine_name(machine: Machine) -> str:
    """Return the noun and the name of a machine; the name of its worker where it has one."""
    if machine.host != socket.gethostname():
        return f"Machine {machine.executor_id}"
    other = machine.executor_id not in ("", machine.host)
    return f"This machine ({machine.executor_id})" if other else "This machine"


def _figures(sample: Sample) -> str:
    words = []
    if sample.gpu is not None:
        words.append(f"GPU {sample.gpu:.0%}")
    if sample.memory_used is not None and sample.memory_total:
        words.append(f"{sample.memory_used / GB:.1f} of {sample.memory_total / GB:.0f} GB")
    if sample.temperature_c is not None:
        words.append(f"{sample.temperature_c:.0f} °C")
    if sample.power_w is not None:
        words.append(f"{sample.power_w:.0f} W")
    if not words:
        words.append(f"CPU {sample.cpu:.0%}")
        words.append(f"{sample.ram_used / GB:.1f} of {sample.ram_total / GB:.0f} GB")
    return ", ".join(words)


def calibration_table(measured: Calibration, forecasts: Sequence[Estimate]) -> list[Text | Table]:
    """Return the lines of a calibration and of its forecasts for the presets."""
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(measured.at))
    head = Text(
        f"{measured.model} ({measured.engine}) on {measured.device.name}, "
        f"{measured.device.dtype}, {day}; {measured.took_s:.0f} s"
    )
    prepare = Text(
        f"One core decodes {measured.decode_rtfx:.0f}× real time and detects speech at "
        f"{measured.detect_rtfx:.0f}×: {measured.prepare_rtfx:.0f}× together; "
        f"{measured.cores} cores.",
        style="dim",
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("batch", "encoder ms", "decoder ms", "words ms", "real time ×", "memory"):
        table.add_column(column, justify="right")
    best = measured.best
    for each in measured.batches:
        mark = " *" if each is best and measured.saturating_batch else ""
        table.add_row(
            str(each.batch),
            f"{each.hear_s * 1000:.0f}",
            f"{each.decode_s * 1000:.0f}",
            f"{each.align_s * 1000:.0f}",
            f"{each.rtfx:.1f}{mark}",
            f"{each.peak_bytes / GB:.2f} GB" if each.peak_bytes else "",
        )
    lines: list[Text | Table] = [head, prepare, table]
    if measured.saturating_batch:
        lines.append(Text("* larger batches gain nothing", style="dim"))
    if measured.refused:
        lines.append(
            Text(f"{counted(measured.refused, 'window')} did not fit into memory.", style="yellow")
        )
    lines.extend(Text(line) for line in forecast_lines(forecasts))
    return lines


def forecast_lines(forecasts: Sequence[Estimate]) -> list[str]:
    """Return one line for each preset: its forecast on this machine."""
    lines = []
    for forecast in forecasts:
        speed = f"about {forecast.rtfx:.0f}× real time" if forecast.rtfx else "not measured"
        words = [f"{forecast.preset}: {speed}", f"batch {forecast.batch}"]
        if forecast.batch_reason:
            words.append(forecast.batch_reason)
        if forecast.memory_bytes > GB / 10:
            words.append(f"{forecast.memory_bytes / GB:.1f} GB")
        lines.append("  ·  ".join(words))
    return lines


def print_checks(checks: Sequence[Any]) -> None:
    """Print the checks of `kb doctor`; each failed one with the command that repairs it."""
    for check in checks:
        out.print(
            Text.assemble(
                (f"{check.state:5}", STATE_STYLES.get(check.state, "")),
                (f"{check.name:22}", "bold"),
                check.detail,
            )
        )
        if check.fix:
            out.print(Text(f"{'':27}→ {check.fix}"))
