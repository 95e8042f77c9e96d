"""Texts about followed sources: the summary, the activity, and the lines of a card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from kb.errors import restored
from kb.service.follows import NO_ITEM, Activity, FollowState, QuotaUse
from kb.service.views import MissingItem
from kb.ui.i18n import error_messages, format_number, text
from kb.ui.widgets import messages

_FAR_DAYS = 3650  # room for longer is not worth a word
COLORS = {
    "well": "green",
    "missing": "orange",
    "short": "orange",
    "error": "red",
    "waiting": "orange",
    "new": "gray",
    "overdue": "red",
    "noted": "orange",
    "coming": "blue",
}
_LOOKING = ("running", "queued", "paused")


def summary(followed: Sequence[FollowState]) -> str:
    """Return the numbers of sources in each condition, and of looks under way."""
    numbers = Counter(each.condition for each in followed)
    parts = [
        f":{color}[{text(f'follow_are_{name}', count=numbers[name])}]"
        for name, color in COLORS.items()
        if numbers[name]
    ]
    under_way = Counter(each.looking.state for each in followed if each.looking)
    parts += [
        f":blue[{text(f'follow_looks_{name}', count=under_way[name])}]"
        for name in _LOOKING
        if under_way[name]
    ]
    return f"{text('follow_count', count=len(followed))}: " + " · ".join(parts)


def activity(activity: Activity, quota: QuotaUse | None) -> list[str]:
    """Return what the last days brought and cost, and the quota of today and the room left."""
    count = len(activity.new)
    length = messages.format_timedelta(activity.new_s) if activity.unmeasured < count else ""
    if length and activity.unmeasured:
        length += ", " + text("follow_unmeasured", count=format_number(activity.unmeasured))
    ends = [
        text(f"follow_looks_{name}", count=format_number(number))
        for name, number in (
            ("failed", activity.failed), ("waiting", activity.waiting),
            ("interrupted", activity.interrupted), ("running", activity.running),
        )
        if number
    ]  # fmt: skip
    lately = text(
        "follow_activity",
        days=f"{activity.days:.0f}",
        new=format_number(count) + (f" ({length})" if length else ""),
        looks=format_number(activity.looks) + (f" ({', '.join(ends)})" if ends else ""),
        units=format_number(activity.units),
        grown=messages.format_size(activity.grown_bytes),
    )
    parts = [_quota(quota)] if quota is not None else []
    if activity.library_bytes is not None:
        size = messages.format_size(activity.library_bytes)
        parts.append(text("follow_library", size=size))
    if activity.free_bytes is not None:
        parts.append(text("follow_room", free=messages.format_size(activity.free_bytes)))
    if activity.days_left is not None and activity.days_left < _FAR_DAYS:
        parts.append(text("follow_days_left", days=format_number(activity.days_left)))
    return [lately, " ".join(parts)]


def _quota(quota: QuotaUse) -> str:
    units, keys = format_number(quota.units_today), format_number(quota.keys)
    if quota.allowance is None:
        said = text("follow_quota_unknown", units=units)
    else:
        said = text("follow_quota", units=units, all=format_number(quota.allowance))
    if quota.keys > 1:
        said += " " + text("follow_quota_keys", count=keys)
    if quota.spent:
        said += " " + text("follow_quota_spent", count=format_number(quota.spent))
    return f"{said}."


def numbers(state: FollowState) -> str:
    """Return the numbers of what is known by class, and their sum."""
    parts = [
        f"{format_number(count)} "
        + (text(f"known_{name.replace(' ', '_')}") if name in NO_ITEM else messages.state(name))
        for name, count in state.counts.items()
    ]
    said = " · ".join(parts)
    return text("follow_of_known", numbers=said, count=format_number(state.known)) if said else ""


def last_look(state: FollowState) -> str:
    """Return the time, the end and the numbers of the last look that has ended."""
    look = state.last
    if look is None:
        asked_at = None if state.looking else state.subscription.last_at
        if asked_at is None:
            return text("follow_no_look")
        return text("follow_look_lost", when=messages.format_datetime(asked_at))
    read = str(look.listed)
    if look.reported:
        read = text("follow_read_of", read=look.listed, all=look.reported)
    when = messages.format_past(look.started_at)
    said = text("follow_last_look", when=when, read=read, new=look.queued, units=look.units)
    ended = text(f"look_{look.outcome}")
    return said if look.outcome == "succeeded" else f"{said} ({ended})"


def missing(item: MissingItem) -> str:
    """Return an item, the cause why it is missing, its next try and what may help."""
    said = hint = ""
    if item.error:
        problem = restored(item.error, item.hint, item.problem)
        said, hint = error_messages.translate_error(problem)
    # Many errors begin with the title.
    title = "" if said.startswith(item.title) else f"{item.title}: "
    state = messages.state(item.state)
    if item.state in ("queued", "running"):
        state = text("follow_again", state=state)
    sentences = [f"{state}: " + (f"{title}{said}" if said else item.title)]
    if item.next_at:
        sentences.append(text("follow_next_try", next=messages.format_datetime(item.next_at)))
    sentences += [hint] if hint else []
    return " ".join(each if each.endswith((".", "!", "?")) else f"{each}." for each in sentences)
