"""Runs as cards: one bar, the time left as a range, what failed and why, a summary at the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import streamlit as st

from kb.service import Service
from kb.service.views import ACTIVE, Run
from kb.ui.i18n import error_messages, format_number, plural_text, text
from kb.ui.tabs.queue.toolbar import act_with_undo
from kb.ui.widgets import messages
from kb.ui.widgets.asked_button import asked_button

CARDS_SHOWN = 4  # of runs that have ended, the newest ones are cards as long as there is room
EARLIER = 16
CAUSES = 3
RUN = "queue_run"  # key of the session: the run whose items are listed, "" for all
# Seconds, name, and the numbers of it that are shown.
_UNITS = ((86_400.0, "d", 1), (3600.0, "h", 1), (60.0, "min", 1), (1.0, "s", 5))
_STATES = ("running", "queued", "waiting", "paused", "done", "held", "failed", "cancelled")

Act = Callable[[str, Callable[[], Sequence[str]]], None]


def show_runs(
    service: Service, runs: Sequence[Run], *, working: bool, paused: bool, act: Act
) -> None:
    """Draw the runs; `act` runs an action and shows its result (`kb.ui.tabs.queue.tab`)."""
    going = [run for run in runs if not run.ended]
    ended = [run for run in runs if run.ended]
    cards = [*going, *ended[: max(1, CARDS_SHOWN - len(going))]]
    for run in cards:
        _card(service, run, working=working, paused=paused, act=act)
    earlier = [run for run in ended if run not in cards][:EARLIER]
    if earlier:
        with st.expander(text("run_earlier"), key="runs-earlier"):
            for run in earlier:
                _card(service, run, working=working, paused=paused, act=act)


def run_name(run: Run) -> str:
    """Return the name of a run: what it is of, and when it was asked for."""
    asked = text("run_of", time=messages.format_datetime(run.created_at))
    if run.followed:
        asked = text("run_look", source=run.followed.rpartition(":")[2])
    return f"{asked} · {run.title}" if run.title else asked


def shown_run() -> str:
    """Return the id of the run whose items are listed; "" for all items."""
    return str(st.session_state.get(RUN, ""))


def show_only(run_id: str) -> None:
    """List the items of one run; "" lists all. For callbacks."""
    st.session_state[RUN] = run_id


def range_text(low_s: float, high_s: float) -> str:
    """Return a range of time in one unit: `40–60 s`, `1–2 min`, `2–3 h`; at the end `under 5 s`."""
    unit_s, unit, step = next(
        each for each in _UNITS if high_s >= 1.5 * each[0] or each is _UNITS[-1]
    )
    low = step * max(int(unit != "s"), int(low_s / unit_s / step))
    high = step * max(1, math.ceil(high_s / unit_s / step))
    unit_text = text(f"unit_{unit}")
    if low >= high:
        return f"{format_number(high)} {unit_text}"
    if not low:
        return f"{text('run_under', high=format_number(high))} {unit_text}"
    return f"{text('run_range', low=format_number(low), high=format_number(high))} {unit_text}"


def _card(service: Service, run: Run, *, working: bool, paused: bool, act: Act) -> None:
    with st.container(border=True, key=f"run-{run.id}", gap="xsmall"):
        name = messages.escape_markdown(run_name(run))
        st.markdown(f"**{name}**  \n{' · '.join(_facts(run, working=working, paused=paused))}")
        if not run.ended:
            st.progress(run.share)
        st.markdown(f":small[{' · '.join(_counts(run))}]")
        if run.counts["failed"] + run.counts["held"]:
            _causes(service, run)
        _buttons(service, run, act)


def _facts(run: Run, *, working: bool, paused: bool) -> list[str]:
    """Return what the first line says: how far it is, and how long it takes or took."""
    done = text("run_finished", done=format_number(run.finished), total=format_number(run.total))
    if run.ended:
        facts = [plural_text("run_count", run.total)]
        if run.took_s is not None:
            facts.insert(0, text("run_ended", took=messages.format_timedelta(run.took_s)))
        if run.sound_s:
            facts.append(text("run_sound", length=messages.format_timedelta(run.sound_s)))
        return [*facts, *_speed(run)]
    facts = [done]
    if run.listing:
        facts.append(text("run_listing"))
    if paused or run.counts["paused"] == run.total - run.finished > 0:
        return [*facts, text("run_paused")]
    if not working:
        return [*facts, text("run_waits")]
    if run.loading:
        facts.append(text("run_starting"))
    if run.left is not None and run.left.expected_s:
        left = range_text(run.left.low_s, run.left.high_s)
        facts.append(f"**{messages.escape_markdown(text('run_left', range=left))}**")
    return [*facts, *_speed(run)]


def _speed(run: Run) -> list[str]:
    if not run.speed:
        return []
    return [text("run_speed", speed=format_number(run.speed, 0 if run.speed >= 20 else 1))]


def _counts(run: Run) -> list[str]:
    """Return the numbers of items by state; those that need a person have their colour."""
    parts = []
    for state in _STATES:
        count = run.counts[state]
        if state == "running" and run.waiting_turn:
            parts.append(text("run_state_turn", count=format_number(run.waiting_turn)))
            count -= run.waiting_turn
        if count:
            parts.append(f"{format_number(count)} {messages.colored_state(state)}")
    return parts


def _causes(service: Service, run: Run) -> None:
    causes = service.queue.runs.failures(run.id)
    for each in causes[:CAUSES]:
        shown = error_messages.translate_stored(each)
        color = "red" if each.state == "failed" else "orange"
        words = text(
            "run_cause", count=format_number(each.count), state=messages.state(each.state),
            cause=shown.message,
        )  # fmt: skip
        st.markdown(f":small[:{color}[{messages.escape_markdown(words)}]]")
    if len(causes) > CAUSES:
        st.caption(plural_text("run_more_causes", len(causes) - CAUSES))


def _buttons(service: Service, run: Run, act: Act) -> None:
    jobs = service.queue
    with st.container(horizontal=True, key=f"run-buttons-{run.id}", vertical_alignment="center"):
        if shown_run() != run.id:
            st.button(
                text("run_show"), key=f"run-show-{run.id}", type="tertiary",
                on_click=show_only, args=(run.id,),
            )  # fmt: skip
        if failed := run.counts["failed"]:
            st.button(
                plural_text("run_retry", failed), key=f"run-retry-{run.id}", on_click=act,
                args=("queue_did_retry",
                      lambda: jobs.retry(jobs.runs.item_ids(run.id, ["failed"]))),
            )  # fmt: skip
        if run.ended:
            return
        rest = sum(run.counts[state] for state in ACTIVE)
        if rest:
            asked_button(
                text("run_cancel"), plural_text("run_cancel_sure", rest), act_with_undo,
                ("cancel", lambda: jobs.cancel(jobs.runs.item_ids(run.id, ACTIVE))),
                key=f"run-cancel-{run.id}", kind="tertiary",
            )  # fmt: skip
