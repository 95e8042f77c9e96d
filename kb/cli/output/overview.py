"""The short status: counts, the work that runs, the reasons of waits and failures, the follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from kb.cli.output.console import STATE_STYLES, out
from kb.cli.output.follows import (
    DAYS,
    STYLES,
    activity_lines,
    closed_lines,
    problem_text,
    summary,
)
from kb.cli.output.items import fetch_notes, print_named_error, status_head
from kb.cli.output.times import format_moment
from kb.types.sentences import counted

if TYPE_CHECKING:
    from kb.service import Service
    from kb.service.views import Reason

RUNNING_SHOWN = 5
REASONS_SHOWN = 8
FOLLOWS_SHOWN = 10
OVERDUE_SHOWN = 3
CLOSED_SHOWN = 3  # sources whose closed entries are named


def print_overview(service: Service) -> None:
    """Print the state of the library in a few lines, however many items there are."""
    for line in status_head(service):
        out.print(line)
    running = service.items.statuses(state="running", limit=RUNNING_SHOWN)
    several = service.queue.has_several_machines()
    for item in running:
        stage = f"{item.stage} {item.progress:.0%}" if item.stage else "running"
        stage += f" on {item.machine}" if several and item.machine else ""
        out.print(Text.assemble(("running: ", STATE_STYLES["running"]), f"{item.title}  {stage}"))
    _print_reasons([*service.follows.reasons(), *service.follows.publication_reasons()])
    print_unwell(service, FOLLOWS_SHOWN)
    for line in fetch_notes(service):
        out.print(line)


def print_unwell(service: Service, most: int | None = None) -> None:
    """Print how the followed references stand, and those that are not well, with the cause.

    At most `most` of them, those that need a person first; None: all.
    """
    from kb.service.follows import CONDITIONS

    follows = service.follows.states()
    if not follows:
        return
    out.print(summary(follows))
    for line in activity_lines(service.follows.activity(DAYS), service.follows.quota()):
        out.print(line)
    overdue = [each for each in follows if each.condition == "overdue"]
    if overdue:  # one cause for all of them
        named = ", ".join(each.subscription.reference for each in overdue[:OVERDUE_SHOWN])
        more = f" and {len(overdue) - OVERDUE_SHOWN} more" if len(overdue) > OVERDUE_SHOWN else ""
        words, style = CONDITIONS["overdue"].words, STYLES["overdue"]
        out.print(Text.assemble("  ", (named + more, "bold"), "  ", (words, style)))
    unwell = [each for each in follows if each.rank < 2]
    for each in unwell[:most]:
        words, style = CONDITIONS[each.condition].words, STYLES[each.condition]
        said = Text.assemble("  ", (each.subscription.reference, "bold"), "  ", (words, style))
        out.print(said.append(f": {problem_text(each)}"))
    if most is not None and len(unwell) > most:
        out.print(Text(f"  … and {len(unwell) - most} more: kb status --all, kb follow --list"))
    closed = closed_lines(follows)
    for line in closed[: most and CLOSED_SHOWN]:
        out.print(line)
    if most is not None and len(closed) > CLOSED_SHOWN:
        others = counted(len(closed) - CLOSED_SHOWN, "source")
        out.print(Text(f"  … and {others} more with closed entries: kb follow --list", style="dim"))


def _print_reasons(reasons: Sequence[Reason]) -> None:
    """Print each reason with its number of items, its next try and its next step."""
    for each in reasons[:REASONS_SHOWN]:
        others = f" and {each.count - 1} more" if each.count > 1 else ""
        print_named_error(each.state, each.example or "an item", each.error, others)
        if each.next_at:
            out.print(Text(f"  Next try {format_moment(each.next_at)}."))
        if each.hint:
            out.print(Text(f"  → {each.hint}"))
    if len(reasons) > REASONS_SHOWN:
        out.print(Text(f"… and {len(reasons) - REASONS_SHOWN} more reasons: kb status --all"))
