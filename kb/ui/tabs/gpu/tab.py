"""This machine: the active machines, their batch, their speed, and the presets."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import psutil
import streamlit as st

from kb.service.views import BudgetUse, Machine, Preset, Sample
from kb.ui import session
from kb.ui.i18n import Count, format_number, plural_text, text
from kb.ui.i18n.error_messages import machine_reason
from kb.ui.tabs.gpu import presets as gpu_presets
from kb.ui.tabs.gpu import speed
from kb.ui.widgets import charts, messages, metric_cards

GB = 2**30
REFRESH_S = 2.0
POINTS = 450  # a quarter of an hour
_MACHINE, _SEEN = "gpu_machine", "gpu_seen"


def render() -> None:
    """Draw the tab."""
    st.fragment(_live, run_every=REFRESH_S)()
    speed.render()
    gpu_presets.render()


def _live() -> None:
    """Draw the parts that are updated at intervals."""
    machine = _with_page_samples(_select_machine(session.service().machines.list()))
    _device(machine)
    _figures(machine)
    _history(machine)
    _batch(machine)


def _select_machine(machines: Sequence[Machine]) -> Machine:
    if len(machines) == 1:
        return machines[0]
    names = [m.executor_id or m.host for m in machines]
    this_machine = text("gpu_here", host=names[0])
    chosen = st.segmented_control(
        text("gpu_machine"),
        range(len(machines)),
        default=0,
        required=True,
        format_func=lambda place: names[place] if place else this_machine,
        key=_MACHINE,
        persist_state="session",
    )
    return machines[min(int(chosen or 0), len(machines) - 1)]


def _with_page_samples(machine: Machine) -> Machine:
    """Return the machine with the samples that this page has seen since its recorded history."""
    name = machine.executor_id or machine.host
    seen: deque[Sample] = st.session_state.setdefault(f"{_SEEN}-{name}", deque(maxlen=POINTS))
    if machine.now is not None and (not seen or seen[-1].at < machine.now.at):
        seen.append(machine.now)
    last = machine.history[-1].at if machine.history else 0.0
    own = [sample for sample in seen if last < sample.at < (machine.now or sample).at]
    return replace(machine, history=(*machine.history, *own))


def _device(machine: Machine) -> None:
    device = machine.device
    parts = [device.name or machine.host, device.kind, device.dtype, machine.snapshot.model]
    st.markdown(f"#### {text('gpu_device')}")
    st.markdown(" · ".join(messages.escape_markdown(part) for part in parts if part))
    if device.reason and device.reason not in machine.trouble:
        st.info(text("gpu_on_cpu", reason=messages.escape_markdown(machine_reason(device.reason))))
    if machine.now is not None and machine.now.slowed:
        st.warning(text("gpu_slowed", reason=messages.escape_markdown(machine.now.slowed)))
    if machine.restarts:
        error_text = messages.escape_markdown(machine.trouble)
        st.warning(plural_text("gpu_restarts", machine.restarts, trouble=error_text))
    elif machine.trouble:
        messages.show_error(machine.trouble)
    if not machine.executor_id:
        st.caption(text("gpu_no_worker"))
    elif not machine.live:
        st.caption(text("gpu_silent", when=messages.format_datetime(machine.at)))


# Figures of the last hour


@dataclass(frozen=True, slots=True)
class Figure:
    """One live figure: key of its label, its value in a sample, unit, digits and help text."""

    key: str
    value_of: Callable[[Sample], float | None]
    unit: str
    digits: int = 0
    help: str = ""

    def formatted(self, sample: Sample) -> str:
        """Return the value with its unit; a dash if it is unknown."""
        value = self.value_of(sample)
        return "–" if value is None else f"{format_number(value, self.digits)} {self.unit}"


def figures_of(machine: Machine) -> list[Figure]:
    """Return the figures that this machine's samples have, in the order of the page."""
    now = machine.now
    if now is None:
        return []
    budget = machine.device.budget_bytes
    peak = max((s.own_peak or 0 for s in (*machine.history, now)), default=0)
    found = [
        Figure("gpu_busy", lambda s: _scaled(s.gpu, 100), "%"),
        Figure(
            "gpu_memory",
            lambda s: _scaled(s.memory_used, 1 / GB),
            "GB",
            1,
            text("gpu_memory_help", total=_gb(now.memory_total)),
        ),
        Figure(
            "gpu_own",
            lambda s: _scaled(s.own_used, 1 / GB),
            "GB",
            1,
            text("gpu_own_help", peak=_gb(peak), budget=_gb(budget)),
        ),
        Figure("gpu_temperature", lambda s: s.temperature_c, "°C"),
        Figure(
            "gpu_power",
            lambda s: s.power_w,
            "W",
            0,
            text("gpu_power_help", limit=format_number(now.power_limit_w))
            if now.power_limit_w
            else "",
        ),
        Figure(
            "gpu_cpu",
            lambda s: 100 * s.cpu,
            "%",
            0,
            text("gpu_cores", cores=Count(psutil.cpu_count() or 1)),
        ),
        Figure(
            "gpu_ram",
            lambda s: s.ram_used / GB,
            "GB",
            1,
            text("gpu_ram_help", total=_gb(now.ram_total)),
        ),
    ]
    if now.memory_used is None:  # a processor: this process uses a part of the main memory
        found.append(found.pop(2))
    # Figures that this machine does not have (without a card) are omitted, not shown as dashes.
    return [figure for figure in found if figure.value_of(now) is not None]


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _gb(octets: float | None) -> str:
    return format_number((octets or 0) / GB, 1)


def _figures(machine: Machine) -> None:
    now = machine.now
    if now is None:
        return
    cards = []
    for figure in figures_of(machine):
        values = [figure.value_of(sample) or 0.0 for sample in (*machine.history, now)]
        name, shown = text(figure.key), figure.formatted(now)
        low, high = (format_number(limit, figure.digits) for limit in (min(values), max(values)))
        alt = text("gpu_spark_alt", what=name, now=shown, low=low, high=high, unit=figure.unit)
        cards.append(metric_cards.MetricCard(name, shown, figure.help, tuple(values), alt))
    metric_cards.cards(cards)


def _history(machine: Machine) -> None:
    """Draw the figures as charts with axes, one chart for each unit."""
    with st.expander(text("gpu_history"), key="gpu-history"):
        if len(machine.history) < 2:
            st.caption(text("gpu_history_none"))
            return
        samples = machine.history
        minutes = [(sample.at - samples[-1].at) / 60 for sample in samples]
        by_unit: dict[str, list[Figure]] = {}
        for figure in figures_of(machine):
            by_unit.setdefault(figure.unit, []).append(figure)
        for unit, figures in by_unit.items():
            names = [text(figure.key) for figure in figures]
            charts.lines(
                minutes,
                {
                    name: [figure.value_of(sample) for sample in samples]
                    for name, figure in zip(names, figures, strict=True)
                },
                x_label="min",
                y_label=unit,
                alt=text("gpu_history_alt", what=", ".join(names)),
            )


# Batch


def budget_text(use: BudgetUse, presets: Sequence[Preset]) -> str:
    """Return the used share of the memory budget, and the next larger of `presets`."""
    sentence = text(
        "gpu_budget",
        used=_gb(use.used_bytes),
        budget=_gb(use.budget_bytes),
        share=format_number(100 * use.share),
    )
    if use.limit != "preset":
        return f"{sentence} {text(f'gpu_budget_{use.limit}')}"
    sentence += " " + text("gpu_budget_preset", ceiling=format_number(use.ceiling))
    if name := use.next_larger_preset(presets):
        sentence += " " + text("gpu_budget_larger", preset=messages.escape_markdown(name))
    if use.filling:
        sentence += " " + text("gpu_budget_filling", count=format_number(use.filling))
    return sentence


def _batch(machine: Machine) -> None:
    st.markdown(f"#### {text('gpu_batch')}")
    batch = machine.batch
    if batch is None:
        st.caption(text("gpu_batch_idle"))
    else:
        with st.container(horizontal=True, key="figures-batch"):
            st.metric(
                text("gpu_batch_size"),
                format_number(batch.size),
                delta=text("gpu_batch_of", ceiling=format_number(batch.ceiling)),
                delta_color="off",
                delta_arrow="off",
                border=True,
                width="content",
            )
            st.metric(
                text("gpu_batch_last"), format_number(batch.last), border=True, width="content"
            )
            st.metric(
                text("gpu_batch_waiting"),
                format_number(batch.waiting),
                border=True,
                width="content",
                help=text("gpu_batch_waiting_help", items=Count(batch.items)),
            )
            st.metric(
                text("gpu_batch_halved"),
                format_number(batch.halved),
                border=True,
                width="content",
                help=text("gpu_batch_halved_help", repeated=Count(batch.repeated)),
            )
            if machine.rtfx_hour is not None:
                st.metric(
                    text("gpu_batch_speed"),
                    text("gpu_speed_value", speed=format_number(machine.rtfx_hour, 1)),
                    border=True,
                    width="content",
                    help=text(
                        "gpu_batch_speed_help",
                        items=Count(machine.items_hour),
                        length=messages.format_length(machine.media_hour_s),
                    ),
                )
        st.markdown(
            text("gpu_batch_why", reason=messages.escape_markdown(machine_reason(batch.reason)))
        )
        if machine.budget is not None:
            st.markdown(budget_text(machine.budget, session.service().presets.readable()))
    if why := bound_text(machine):
        st.markdown(f"**{text('gpu_bound')}:** {why}")


def bound_text(machine: Machine) -> str:
    """Return what keeps a machine from being faster; "" where that is not known."""
    if not machine.executor_id:
        return text("bound_no_worker")
    if not machine.live:
        return ""  # the device's lines say since when nothing is known
    reason = messages.escape_markdown(machine_reason(machine.throttle.reason))
    throttled = machine.bound == "throttle"
    return text("bound_throttle", reason=reason) if throttled else text(f"bound_{machine.bound}")
