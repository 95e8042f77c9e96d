"""Output about followed references: their states, and the history of looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from kb.cli.output.console import out, print_note
from kb.cli.output.progress import format_size
from kb.cli.output.times import format_moment, format_span, with_next_try
from kb.options import as_typed

if TYPE_CHECKING:
    from kb.service.follows import Activity, FollowState
    from kb.service.views import Look, MissingItem

DAYS = 7  # of the line about activity
MISSING_SHOWN = 3
FAR_DAYS = 3650  # room for longer is not worth a word
NEAR_DAYS = 14
CONDITIONS = {
    "well": ("well", "green"),
    "missing": ("with missing items", "yellow"),
    "short": ("with a list that is shorter than its count", "yellow"),
    "error": ("with an error", "red"),
    "waiting": ("waiting", "yellow"),
    "new": ("without a look yet", "dim"),
    "overdue": ("overdue, because no worker runs", "red"),
}
_OUTCOMES = {
    "": ("running", "cyan"),
    "succeeded": ("succeeded", "green"),
    "failed": ("failed", "red"),
    "waiting": ("waits", "yellow"),
    "cancelled": ("cancelled", "dim"),
    "interrupted": ("interrupted", "yellow"),
}


def summary(follows: Sequence[FollowState]) -> Text:
    """Return the numbers of followed references in each condition as one line."""
    numbers = Counter(each.condition for each in follows)
    text = Text(f"{len(follows)} followed: ")
    for place, (name, (words, style)) in enumerate(
        (name, value) for name, value in CONDITIONS.items() if numbers[name]
    ):
        text.append(f"{', ' if place else ''}{numbers[name]} {words}", style=style)
    return text


def activity_line(activity: Activity) -> Text:
    """Return the activity of some days, and the room left, as one line."""
    new = f"{len(activity.new)} new" if activity.new else "nothing new"
    new += f" ({activity.new_s / 3600:.1f} h)" if activity.new_s >= 180 else ""
    looks = _counted(activity.looks, "look")
    looks += f" ({activity.failed} failed)" if activity.failed else ""
    parts = [new, looks, _counted(activity.units, "unit")]
    if activity.grown_bytes:
        parts.append(f"{format_size(activity.grown_bytes)} of media")
    text = Text(f"last {activity.days:.0f} days: {' · '.join(parts)}")
    if activity.free_bytes is not None:
        text.append(f" · {format_size(activity.free_bytes)} free")
    if activity.days_left is not None and activity.days_left < FAR_DAYS:
        style = "red" if activity.days_left < NEAR_DAYS else ""
        text.append(f", room for {activity.days_left:,.0f} days at this rate", style=style)
    return text


def _counted(count: int, name: str) -> str:
    return f"{count} {name}{'s' * (count != 1)}"


def print_follows(follows: Sequence[FollowState], activity: Activity) -> None:
    """Print the followed references: those with an error first, the others in their order."""
    if not follows:
        print_note("Nothing is followed. Begin with: kb follow SOURCE")
        return
    out.print(summary(follows))
    out.print(activity_line(activity))
    for each in sorted(follows, key=lambda state: state.rank):
        words, style = CONDITIONS[each.condition]
        last = format_moment(each.last_at) if each.last_at else "never"
        out.print(
            Text.assemble(
                (each.subscription.reference, "bold"), _title(each), "  ", (words, style),
                f"  every {format_span(each.subscription.every_s)} · last {last}"
                f" · next {format_moment(each.next_at)}",
            )
        )  # fmt: skip
        facts = [
            *(f"{count} {state}" for state, count in sorted(each.counts.items())),
            *([_looked(each.last)] if each.last else []),
        ]
        terms = (each.subscription.filters.as_typed(), as_typed(each.subscription.options))
        if typed := " ".join(filter(None, terms)):
            out.print(Text(f"  {typed}", style="dim"))
        if facts:
            out.print(Text("  " + " · ".join(facts), style="dim"))
        if each.error:
            out.print(Text(f"  {each.error}", style="red"))
        _print_missing(each.missing)


def _title(state: FollowState) -> str:
    title = state.title
    return f"  {title}" if title else ""


def _print_missing(missing: Sequence[MissingItem]) -> None:
    for item in missing[:MISSING_SHOWN]:
        # Many errors begin with the title.
        said = item.error if item.error.startswith(item.title) else f"{item.title}: {item.error}"
        line = f"{item.state}: {said if item.error else item.title}"
        out.print(Text(f"  {with_next_try(line, item.next_at)}", style="yellow"))
    if len(missing) > MISSING_SHOWN:
        out.print(Text(f"  … and {len(missing) - MISSING_SHOWN} more", style="yellow"))


def _looked(look: Look) -> str:
    words = [f"{look.listed} read" + (f" of {look.reported}" if look.reported else "")]
    words += [f"{look.queued} new"] if look.queued else []
    words += [_counted(look.units, "unit")] if look.units else []
    return f"last look ({look.kind}): {', '.join(words)}"


def print_history(reference: str, looks: Sequence[Look]) -> None:
    """Print the looks at a reference, the newest first, each with its cause if it failed."""
    if not looks:
        print_note(f"No look at {reference} is recorded yet.")
        return
    for look in looks:
        words, style = _OUTCOMES.get(look.outcome, (look.outcome, ""))
        facts = [f"{look.listed} read" + (f" of {look.reported}" if look.reported else "")]
        for number, name in (
            (look.known, "known"), (look.filtered, "filtered"), (look.unavailable, "closed"),
            (look.queued, "new"), (look.retried, "tried again"), (look.units, "units"),
        ):  # fmt: skip
            facts += [f"{number} {name}"] if number else []
        out.print(
            Text.assemble(
                f"{format_moment(look.started_at)}  {look.kind:5}  ", (f"{words:11}", style),
                f"  {' · '.join(facts)}",
            )
        )  # fmt: skip
        if look.error:
            out.print(Text(f"  {with_next_try(look.error, look.next_at)}", style="red"))
