"""Output about items: their status, the report of an ingest, and problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from rich.text import Text

from kb.cli.output.console import STATE_STYLES, err, out, print_note
from kb.cli.output.follows import clock_line
from kb.cli.output.machine import machine_lines
from kb.cli.output.progress import fetch_line
from kb.cli.output.times import format_moment
from kb.cli.output.tries import tries_text
from kb.service import IngestReport, ItemStatus, Service
from kb.types.sentences import counted

if TYPE_CHECKING:
    from pathlib import Path

    from kb.service.views import CrashLoop, LaneState, UnmetNeed


_FIELDS = tuple(f.name for f in fields(ItemStatus) if f.name != "publications")
_QUIET = ("done", "cancelled", "dismissed")  # states of listings that are not worth a line


def status_document(status: ItemStatus) -> dict[str, Any]:
    """Return an item's status as `kb status --json` shows it."""
    # `asdict` of the whole takes 0.1 ms, which is seconds for a large library.
    document = {name: getattr(status, name) for name in _FIELDS}
    document["progress"] = round(status.progress, 4)
    document["share"] = round(status.share, 4)
    document["steps"] = [asdict(each) for each in status.steps]
    document["publish"] = {
        (publication := asdict(each)).pop("sink"): publication for each in status.publications
    }
    return document


def report_document(report: IngestReport) -> dict[str, Any]:
    """Return the document that `kb ingest --json` prints.

    Counts of 0 and an empty list of notes are left out.
    """
    counts = {"rejected": report.rejected, "unavailable": report.unavailable}
    notes = {"notes": list(report.notes)} if report.notes else {}
    return {
        "enqueued": list(report.enqueued),
        "skipped": [asdict(skipped) for skipped in report.skipped],
        "items": [status_document(item) for item in report.items],
        "refused": [e.record() for e in report.refused],
        **{key: count for key, count in counts.items() if count},
        **notes,
    }


def status_head(service: Service) -> list[Text]:
    """Return the lines about the whole: totals, machines, fetches, and paused lanes.

    Items are recordings; listings that have not ended well have their own line.
    """
    counts = {name: count for name, count in service.queue.counts().items() if count}
    alive = service.queue.workers()
    head = Text("  ".join(f"{count} {name}" for name, count in counts.items()) or "no items")
    head.append(f"  ·  {counted(len(alive), 'worker')}", style="dim")
    lines = [head]
    # Looks at followed sources have their own line: one number has one meaning.
    listings = service.queue.listing_counts(followed=False)
    others = [f"{n} {name}" for name, n in listings.items() if n and name not in _QUIET]
    if others:
        lines.append(Text(f"listings: {'  '.join(others)}", style="dim"))
    if problem := service.queue.library_problem():
        lines.append(Text(f"{problem.message} {problem.hint}", style="red"))
    if clock := service.clock_problem():
        lines.append(clock_line(clock))
    if alive:
        lines += machine_lines(service.machines.with_workers(), service.presets.readable())
    for sink, found in service.queue.outbox.counts().items():
        if sink != "local":
            words = "  ".join(f"{count} {status}" for status, count in found.items())
            lines.append(Text(f"Knowledge base {sink}: {words}", style="dim"))
    steps = service.queue.steps.counts()
    for step, found in steps.items():
        words = "  ".join(f"{count} {status}" for status, count in found.items())
        lines.append(Text(f"Step {step}: {words}", style="dim"))
    for kind, found in service.queue.steps.product_counts().items():
        words = "  ".join(f"{count} {status}" for status, count in found.items())
        lines.append(Text(f"Product {kind}: {words}", style="dim"))
    if count := service.items.without_step("meaning", counts, steps):
        lines.append(
            Text(
                f"Not found by meaning yet: {counted(count, 'item')}; for all: "
                "kb enrich --all --steps meaning",
                style="dim",
            )
        )
    for loop in service.queue.crash_loops():
        lines.append(Text(crash_loop_text(loop, service.workers.log_file), style="red"))
    fetches = service.models.fetches()
    unneeded = service.models.unneeded(fetches)
    for fetch in fetches:
        if fetch.name not in unneeded:
            lines.append(Text(fetch_line(fetch), style="yellow"))
            if fetch.problem:
                lines.append(Text(str(fetch.problem.get("error", "")), style="dim"))
    lines += [Text(lane_text(lane), style="yellow") for lane in service.queue.lanes()]
    lines += [Text(need_line(need), style="yellow") for need in service.unmet_needs()]
    return lines


def lane_text(lane: LaneState) -> str:
    """Return the sentence about a paused lane: until when, why, and the next step."""
    what = f"The {lane.name} lane is paused"
    if lane.machine:
        what = f"Machine {lane.machine} takes no items"
    until = "" if lane.paused_by_hand else f" until {format_moment(lane.until)}"
    otherwise = "Go on with: kb resume" if lane.paused_by_hand else "It goes on by itself."
    return f"{what}{until}: {lane.reason.rstrip('.')}. {lane.hint or otherwise}"


def print_pause(lane: LaneState) -> None:
    """Say that a command waits because a lane is paused, and the next step."""
    err.print(Text(lane_text(lane), style="yellow"), soft_wrap=True)


def need_line(unmet: UnmetNeed) -> str:
    """Return the sentence about items that wait for a machine with an engine or a model."""
    need = unmet.need
    what = [f"{name} {value}" for name, value in (("engine", need.engine), ("model", need.model))
            if value]  # fmt: skip
    said = f"Waiting for a machine with {', '.join(what) or 'the default model'}: {unmet.count}."
    if unmet.lacking:
        said += f" Missing on {', '.join(unmet.lacking)}."
    if unmet.having:
        return f"{said} Present on {', '.join(unmet.having)}."
    return f"{said} No machine at work is known to have it."


def fetch_notes(service: Service) -> list[Text]:
    """Return the lines about failed fetches that this library does not need, with their next step.

    Other libraries of this user share the fetches; what they need is not known here.
    """
    return [
        Text(
            f"Not fetched, and nothing in this library waits for it: the model {name}. Try again: "
            f"kb models pull {name}; or forget it: kb models cancel {name}",
            style="dim",
        )
        for name in sorted(service.models.unneeded(service.models.fetches()))
    ]


def fetch_documents(service: Service) -> list[dict[str, Any]]:
    """Return the fetches as `kb status --json` shows them."""
    states = service.models.fetches()
    unneeded = service.models.unneeded(states)
    return [{**state.as_dict(), "needed": state.name not in unneeded} for state in states]


def print_listings(service: Service, state: str | None) -> None:
    """Print the looks and other listings in a state, which are no items; None: that have failed,
    wait or run."""
    for each in service.items.statuses(state=state, listings=True):
        if state is None and each.state in _QUIET:
            continue
        style = STATE_STYLES.get(each.state, "bold")
        next_at = f", next try {format_moment(each.wait_until)}" if each.wait_until else ""
        out.print(
            Text.assemble("listing ", (each.state, style), f": {each.title}{next_at}  {each.id}")
        )
        if each.error:
            out.print(Text(f"  {each.error}"))


def crash_loop_text(loop: CrashLoop, log_file: Path) -> str:
    """Return the sentence for a worker that ends again and again."""
    minutes = max(1, round(loop.lasts_s / 60))
    verb = "was" if loop.finished <= 1 else "were"
    done = f"{counted(loop.finished, 'item') if loop.finished else 'no item'} {verb} finished"
    return (
        f"Worker {loop.executor_id} ended {counted(loop.count, 'time')} in {minutes} min "
        f"without signing "
        f"off, and {done}: something kills it, or it crashes. See {log_file}"
    )


def print_report(report: IngestReport, *, waited: bool) -> None:
    """Print the items queued, the items skipped and, after waiting, how each ended."""
    for skipped in report.skipped:
        print_note(f"{skipped.id}: {skipped.reason}")
    for note in report.notes:
        print_note(note)
    if not report.enqueued and not report.refused and not report.items:
        if not waited:
            print_note("0 queued.")
        print_note(_nothing_to_do(report))
        return
    if not waited:
        print_note(f"{len(report.enqueued)} queued.")
        return
    print_problems(report.items)
    state_counts: dict[str, int] = {}
    for item in report.items:
        state_counts[item.state] = state_counts.get(item.state, 0) + 1
    words = ", ".join(f"{count} {state}" for state, count in state_counts.items())
    if words:
        print_note(words)


def _nothing_to_do(report: IngestReport) -> str:
    """Return the reason why an ingest queued nothing."""
    if report.skipped or report.known:
        if report.rejected or report.has_filters:
            return "Nothing to do: everything that passes the filters is already in the library."
        return "Nothing to do: everything is already in the library."
    if report.rejected:
        return f"Nothing to do: none of the {report.rejected:,} listed media passes the filters."
    if report.unavailable:
        return "Nothing to do: everything that is listed is private or removed."
    return "Nothing to do: nothing is listed there."


def print_problems(items: Sequence[ItemStatus]) -> None:
    """Print why items failed or are held, the errors of publications, and the next steps."""
    for item in items:
        if item.state == "dismissed":
            continue
        _print_problem(item.state, item.title, item.error, item.hint, tries=tries_text(item))
        for publication in item.publications:
            if publication.status != "held":  # the error of the item gives the reason
                state = f"{publication.sink} {publication.status}"
                _print_problem(
                    state,
                    item.title,
                    publication.error,
                    publication.hint,
                )
    print_step_problems(items)


def print_step_problems(items: Sequence[ItemStatus]) -> None:
    """Print why steps after the words failed, wait or were skipped, and the next steps."""
    for item in items:
        for step in item.steps:
            _print_problem(f"{step.shown} {step.status}", item.title, step.error, step.hint)


def print_named_error(state: str, title: str, error: str, others: str = "") -> None:
    """Print a state with the title, and the error below; the title once where both have it.

    `others` is added to the title.
    """
    style = STATE_STYLES.get(state.split()[-1], "bold")
    if not others and error.startswith(title):
        rest = error.removeprefix(title)
        out.print(Text.assemble((f"{state}: ", style), (title, "bold"), rest))
        return
    out.print(Text.assemble((f"{state}: ", style), (title, "bold"), others))
    if error:
        out.print(Text(f"  {error}"))


def _print_problem(state: str, title: str, error: str, hint: str, *, tries: str = "") -> None:
    if error:
        print_named_error(state, title, error)
        if tries:
            out.print(Text(f"  {tries}"))
        if hint:
            out.print(Text(f"  → {hint}"))


def expected_share(share: float | None) -> str:
    """Return expected errors for a table: `24 %`, `< 1 %`, empty if they were not measured."""
    if share is None:
        return ""
    return "< 1 %" if share < 0.01 else f"{share:.0%}".replace("%", " %")
