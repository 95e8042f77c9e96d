"""Texts about followed sources: the summary, the activity, and the lines of a card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from kb.errors import restored
from kb.options import OPTIONS, SOURCE_OPTIONS
from kb.service.follows import NO_ITEM, Activity, FollowState, QuotaUse, numbers_of
from kb.service.notation import VideoFilters
from kb.service.views import MissingItem, Subscription
from kb.types.sentences import sentence, with_title
from kb.ui.i18n import error_messages, format_number, has_text, plural_text, text
from kb.ui.widgets import messages

_FAR_DAYS = 3650  # room for longer is not worth a word
COLORS = {
    "error": "red",
    "waiting": "orange",
    "missing": "orange",
    "short": "orange",
    "noted": "orange",
    "overdue": "red",
    "coming": "blue",
    "new": "gray",
    "well": "green",
}
_ENTRIES_SHOWN = 3  # entries of one class that are named
_LOOKING = ("running", "queued", "paused")


def summary(followed: Sequence[FollowState]) -> str:
    """Return the numbers of sources in each condition, and of looks under way."""
    parts = [
        f":{COLORS[name]}[{text(f'follow_are_{name}', count=format_number(number))}]"
        for name, number in numbers_of(each.condition for each in followed).items()
    ]
    under_way = Counter(each.looking.state for each in followed if each.looking)
    parts += [
        f":blue[{text(f'follow_looks_{name}', count=under_way[name])}]"
        for name in _LOOKING
        if under_way[name]
    ]
    return f"{text('follow_count', count=len(followed))}: " + " · ".join(parts)


def calm(followed: Sequence[FollowState]) -> str:
    """Return the numbers of sources that need no attention, in each condition."""
    numbers = numbers_of(each.condition for each in followed)
    return " · ".join(
        text(f"follow_are_{name}", count=format_number(number)) for name, number in numbers.items()
    )


def is_named(state: FollowState, words: str) -> bool:
    """Return True if a source has all these words in its name, title or condition."""
    each = state.subscription
    said = f"{each.reference} {state.title} {text(f'follow_is_{state.condition}')}".casefold()
    return all(word in said for word in words.casefold().split())


def on_card(translation: error_messages.Translation) -> str:
    """Return an error as the card of its source shows it: its buttons are beside it."""
    said = " ".join(filter(None, translation))
    return said.replace(f" ({text('follow_place')})", "")


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
    undated = _undated(activity)
    if activity.is_unknown:
        lately = text("follow_unknown", days=f"{activity.days:.0f}", undated=undated)
    else:
        lately = text(
            "follow_activity",
            days=f"{activity.days:.0f}",
            new=format_number(count) + (f" ({length})" if length else ""),
            looks=format_number(activity.looks) + (f" ({', '.join(ends)})" if ends else ""),
            units=plural_text("follow_units", activity.units),
            grown=messages.format_size(activity.grown_bytes),
        )
        if activity.renewed:
            lately += " " + plural_text("follow_renewed", len(activity.renewed))
        if undated:
            lately += " " + text("follow_undated", undated=undated)
    parts = [_quota(quota)] if quota is not None else []
    if activity.library_bytes is not None:
        size = messages.format_size(activity.library_bytes)
        parts.append(text("follow_library", size=size))
    if activity.free_bytes is not None:
        parts.append(text("follow_room", free=messages.format_size(activity.free_bytes)))
    if activity.days_left is not None and activity.days_left < _FAR_DAYS:
        parts.append(plural_text("follow_days_left", round(activity.days_left)))
    return [lately, " ".join(parts)]


def _undated(activity: Activity) -> str:
    """Return how many items and looks a wrong clock dated, empty if there are none."""
    numbers = (("item", activity.undated_items), ("look", activity.undated_looks))
    parts = [plural_text(f"follow_undated_{name}", count) for name, count in numbers if count]
    return text("and").join(parts)


def _quota(quota: QuotaUse) -> str:
    keys = format_number(quota.keys)
    if quota.allowance is None:
        said = text("follow_quota_unknown", units=plural_text("follow_units", quota.units_today))
    else:
        units = format_number(quota.units_today)
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
        return text("follow_look_lost", when=messages.format_past(asked_at))
    read = str(look.listed)
    if look.reported:
        read = text("follow_read_of", read=look.listed, all=look.reported)
    when = messages.format_past(look.started_at)
    units = plural_text("follow_units", look.units)
    said = text("follow_last_look", when=when, read=read, new=look.queued, units=units)
    ended = text(f"look_{look.outcome}")
    return said if look.outcome == "succeeded" else f"{said} ({ended})"


def missing(item: MissingItem) -> str:
    """Return an item, the cause why it is missing, its next try and what may help."""
    said = hint = ""
    if item.error:
        problem = restored(item.error, item.hint, item.problem)
        said, hint = error_messages.translate_error(problem)
    state = messages.state(item.state)
    if item.state in ("queued", "running"):
        state = text("follow_again", state=state)
    sentences = [f"{state}: {with_title(item.title, said)}"]
    if item.attempts > 1 and item.failing_since:
        since = messages.format_past(item.failing_since)
        sentences.append(plural_text("follow_tries", item.attempts, since=since))
    if item.next_at:
        sentences.append(text("follow_next_try", next=messages.format_datetime(item.next_at)))
    elif item.state == "failed":
        sentences.append(text("follow_no_next_try"))
    sentences += [hint] if hint else []
    return " ".join(map(sentence, sentences))


def entries(state: FollowState) -> list[str]:
    """Return the first entries of each class that have no item, by name."""
    said = []
    for name, found in state.entries.items():
        names = ", ".join(each.name for each in found[:_ENTRIES_SHOWN])
        more = len(found) - _ENTRIES_SHOWN
        rest = f" {text('follow_more', count=more)}" if more > 0 else ""
        said.append(f"{_class(name)}: {names}{rest}")
    return said


def terms(each: Subscription) -> str:
    """Return the filters and options of a source, with the labels of their fields."""
    declared = {**OPTIONS, **SOURCE_OPTIONS}
    options = {
        name: each.options.get(name, option.default)
        for name, option in declared.items()
        if each.options.get(name, option.default) not in (None, option.default)
    }
    said = [(text(f"filter_{name}"), value) for name, value in _filters(each.filters)]
    said += [(text(f"option_{name}"), _value(name, value)) for name, value in options.items()]
    return " · ".join(f"{label}: {value}" for label, value in said)


def _filters(filters: VideoFilters) -> list[tuple[str, str]]:
    captions = {True: "with", False: "without", None: ""}[filters.captions]
    found = [
        ("after", filters.after),
        ("before", filters.before),
        ("playlist", filters.playlist),
        ("newest", format_number(filters.limit) if filters.limit else ""),
        ("min", _length(filters.min_duration_s)),
        ("max", _length(filters.max_duration_s)),
        ("title", filters.title),
        ("captions", text(f"filter_captions_{captions}") if captions else ""),
        ("no_shorts", text("option_yes") if filters.no_shorts else ""),
    ]
    return [(name, value) for name, value in found if value]


def _length(seconds: float | None) -> str:
    return "" if seconds is None else messages.format_timedelta(seconds)


def _value(name: str, value: Any) -> str:
    """Return the value of an option in the words of its field."""
    if isinstance(value, bool):
        return text("option_yes" if value else "option_no")
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={each}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_value(name, each) for each in value)
    key = f"option_{name}_{value}"
    return text(key) if has_text(key) else str(value)


def _class(name: str) -> str:
    key = f"known_{name.replace(' ', '_')}" if name in NO_ITEM else f"state_{name}"
    words = text(key)
    return words[0].upper() + words[1:]
