"""Output about followed references: their states, and the history of looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from kb.cli.output.console import out, print_note
from kb.cli.output.times import format_moment, format_past, format_span, with_next_try
from kb.errors import KBError
from kb.options import as_typed
from kb.types.safe_text import command_argument
from kb.types.sentences import counted, decimal_size, sentence, with_title

if TYPE_CHECKING:
    from kb.service.follows import Activity, FollowState, KnownEntry, LookUnderWay, QuotaUse
    from kb.service.views import Look, MissingItem

DAYS = 7  # of the line about activity
MISSING_SHOWN = 3
FAR_DAYS = 3650  # room for longer is not worth a word
NEAR_DAYS = 14
ENTRIES_SHOWN = 3  # entries of one class that are named
STYLES = {
    "error": "red",
    "waiting": "yellow",
    "missing": "yellow",
    "short": "yellow",
    "noted": "yellow",
    "overdue": "red",
    "coming": "cyan",
    "new": "dim",
    "well": "green",
}
# Classes of what is known whose names need more words.
_CLASSES = {
    "closed": "closed at the source", "filtered": "left out by the filters",
    "unread": "not read yet", "removed": "removed by hand",
    "files gone": "whose files were deleted",
}  # fmt: skip
_LOOKING = {"running": "running now", "queued": "queued", "paused": "paused"}
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
    from kb.service.follows import CONDITIONS, numbers_of

    text = Text(f"{len(follows)} followed: ")
    numbers = numbers_of(each.condition for each in follows)
    for place, (name, number) in enumerate(numbers.items()):
        words = CONDITIONS[name].words
        text.append(f"{', ' if place else ''}{number} {words}", style=STYLES[name])
    under_way = Counter(each.looking.state for each in follows if each.looking)
    looks = [f"{under_way[name]} {words}" for name, words in _LOOKING.items() if under_way[name]]
    if looks:
        text.append(f" · looks: {', '.join(looks)}", style="cyan")
    return text


def activity_lines(activity: Activity, quota: QuotaUse | None) -> list[Text]:
    """Return the activity of some days as one line, and the quota of today and the room as one."""
    new = f"{len(activity.new)} new" if activity.new else "nothing new"
    length = activity.new_length
    new += f" ({length})" if length else ""
    undated = " and ".join(
        counted(count, noun)
        for count, noun in ((activity.undated_items, "item"), (activity.undated_looks, "look"))
        if count
    )
    ends = [
        f"{count} {words}"
        for count, words in (
            (activity.failed, "failed"), (activity.waiting, "wait"),
            (activity.interrupted, "interrupted"), (activity.running, "running"),
        )
        if count
    ]  # fmt: skip
    looks = counted(activity.looks, "look") + (f" ({', '.join(ends)})" if ends else "")
    parts = [new]
    parts += [f"{len(activity.renewed)} transcribed again"] if activity.renewed else []
    parts += [looks, f"{counted(activity.units, 'unit')} of quota"]
    if activity.is_unknown:
        parts = [f"unknown, because a wrong clock dated {undated}"]
    elif undated:
        parts.append(f"and perhaps {undated} that a wrong clock dated")
    if activity.grown_bytes:
        parts.append(f"{decimal_size(activity.grown_bytes)} of media")
    now = [_quota(quota)] if quota is not None else []
    if activity.library_bytes is not None:
        now.append(f"library {decimal_size(activity.library_bytes)}")
    if activity.free_bytes is not None:
        now.append(f"{decimal_size(activity.free_bytes)} free")
    room = Text(f"now: {' · '.join(now)}")
    if activity.days_left is not None and activity.days_left < FAR_DAYS:
        style = "red" if activity.days_left < NEAR_DAYS else ""
        room.append(f", room for {counted(activity.days_left, 'day')} at this rate", style=style)
    lines = [Text(f"last {counted(activity.days, 'day')}: {' · '.join(parts)}")]
    return [*lines, room] if now else lines


def _quota(quota: QuotaUse) -> str:
    allowance = f" of {quota.allowance:,}" if quota.allowance is not None else ""
    said = f"{quota.units_today:,}{allowance} units of today's quota"
    if quota.allowance is None:
        said = f"{counted(quota.units_today, 'unit')} of today's quota"
    said += f" in {counted(quota.keys, 'key')}" if quota.keys > 1 else ""
    return said + (f" ({quota.spent} used up)" if quota.spent else "")


def print_follows(
    follows: Sequence[FollowState],
    activity: Activity,
    quota: QuotaUse | None,
    clock: KBError | None = None,
) -> None:
    """Print the followed references: those with an error first, the others in their order.

    `clock` is the error about stored times in the future.
    """
    from kb.service.follows import CONDITIONS

    if not follows:
        print_note("Nothing is followed. Begin with: kb follow SOURCE")
        return
    if clock is not None:
        out.print(clock_line(clock))
    out.print(summary(follows))
    for line in activity_lines(activity, quota):
        out.print(line)
    for each in follows:
        words, style = CONDITIONS[each.condition].words, STYLES[each.condition]
        out.print(
            Text.assemble(
                (each.subscription.reference, "bold"), _title(each), "  ", (words, style),
                f"  every {format_span(each.subscription.every_s)} · {_next(each)}",
            )
        )  # fmt: skip
        if each.looking:
            out.print(Text(f"  {_looking(each.looking)}", style="cyan"))
        terms = (each.subscription.filters.as_typed(), as_typed(each.subscription.options))
        if typed := " ".join(filter(None, terms)):
            out.print(Text(f"  {typed}", style="dim"))
        if each.known:
            out.print(Text(f"  {numbers_text(each)}", style="dim"))
        out.print(Text(f"  {_last_look(each)}", style="dim"))
        if each.error:
            out.print(Text(f"  {each.error}", style="yellow" if each.rank else "red"))
        if each.better_name:
            name = command_argument(each.better_name)
            out.print(Text(f"  → Follow it under a name that leads to it: kb follow {name}"))
        _print_missing(each.missing)
        for name, entries in each.entries.items():
            out.print(Text(f"  {entries_text(name, entries)}", style="dim"))


def clock_line(problem: KBError) -> Text:
    """Return the warning about stored times in the future as a line."""
    return Text(f"Clock: {problem.message} {problem.hint}", style="yellow")


def entries_text(name: str, entries: Sequence[KnownEntry]) -> str:
    """Return the first entries of a class by name: `closed at the source: Talk 4 (youtube:…)`."""
    shown = ", ".join(each.name for each in entries[:ENTRIES_SHOWN])
    more = len(entries) - ENTRIES_SHOWN
    return f"{_CLASSES.get(name, name)}: {shown}" + (
        f" … and {more} more (see --json)" if more > 0 else ""
    )


def closed_lines(follows: Sequence[FollowState]) -> list[Text]:
    """Return a line for each reference whose source does not show entries any more."""
    from kb.service.follows import CLOSED

    return [
        Text(f"  {each.subscription.reference}  {entries_text(CLOSED, closed)}", style="dim")
        for each in follows
        if (closed := each.entries.get(CLOSED))
    ]


def numbers_text(state: FollowState) -> str:
    """Return the numbers of what is known by class: `80 done · 1 failed, of 82 known`."""
    parts = [f"{count} {_CLASSES.get(name, name)}" for name, count in state.counts.items()]
    comma = "," if len(parts) > 1 else ""
    return f"{' · '.join(parts)}{comma} of {state.known} known"


def problem_text(state: FollowState) -> str:
    """Return why a followed reference is not well, in one line."""
    if state.condition in ("missing", "coming") or not state.error:
        parts = [
            f"{state.counts[name]} {name}"
            for name in ("failed", "waiting", "paused", "held", "queued", "running")
            if state.counts.get(name)
        ]
        tries = [each.next_at for each in state.missing if each.next_at]
        parts += [f"next try {format_moment(min(tries))}"] if tries else []
        return " · ".join(parts) if state.condition == "missing" else _next(state)
    if state.better_name:
        return f"{state.error} → kb follow {command_argument(state.better_name)}"
    return with_next_try(state.error, state.next_at if state.condition == "waiting" else None)


def _next(state: FollowState) -> str:
    said = f"next look {format_moment(state.next_at)}"
    return said + (", which finds nothing until the source is back" if state.is_gone else "")


def _title(state: FollowState) -> str:
    title = state.title
    return f"  {title}" if title else ""


def _print_missing(missing: Sequence[MissingItem]) -> None:
    for item in missing[:MISSING_SHOWN]:
        again = " again" if item.state in ("queued", "running") else ""
        line = f"{item.state}{again}: {with_title(item.title, item.error)}"
        if item.attempts > 1 and item.failing_since:
            line = f"{sentence(line)} First failure {format_past(item.failing_since)}, "
            line += f"{counted(item.attempts, 'try', 'tries')}."
        out.print(Text(f"  {with_next_try(line, item.next_at)}", style="yellow"))
        if item.hint:
            out.print(Text(f"    → {item.hint}"))
    if len(missing) > MISSING_SHOWN:
        out.print(Text(f"  … and {len(missing) - MISSING_SHOWN} more", style="yellow"))


def _looking(look: LookUnderWay) -> str:
    words = {"running": "looking now, since", "queued": "look queued since"}
    return f"{words.get(look.state, f'look {look.state} since')} {format_past(look.since)}"


def _last_look(state: FollowState) -> str:
    if state.last is not None:
        return _looked(state.last)
    asked_at = state.subscription.last_at
    if asked_at is None or state.looking:
        return "no look has ended yet"
    return f"no look is recorded; the last one was asked for {format_past(asked_at)}"


def _looked(look: Look) -> str:
    words = [f"{look.listed} read" + (f" of {look.reported}" if look.reported else "")]
    words += [f"{look.queued} new"] if look.queued else []
    words += [counted(look.units, "unit")] if look.units else []
    ended = "" if look.outcome == "succeeded" else f", {_OUTCOMES.get(look.outcome, ('?',))[0]}"
    return f"last look {format_past(look.started_at)} ({look.kind}{ended}): {', '.join(words)}"


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
            (look.queued, "new"), (look.retried, "tried again"),
        ):  # fmt: skip
            facts += [f"{number} {name}"] if number else []
        facts += [counted(look.units, "unit")] if look.units else []
        out.print(
            Text.assemble(
                f"{format_past(look.started_at)}  {look.kind:5}  ", (f"{words:11}", style),
                f"  {' · '.join(facts)}",
            )
        )  # fmt: skip
        if look.error:
            out.print(Text(f"  {with_next_try(look.error, look.next_at)}", style="red"))
