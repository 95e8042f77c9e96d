"""Stretches that recur in a channel, as they are stored for an item; passages without them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kb.storage import Fields
from kb.types import Passage
from kb.types.passages import ON_SCREEN
from kb.types.recurring import RecurringStretch

_HINT = "Make it again: kb enrich ID --steps recurring"
_MOSTLY = 0.8  # of a passage without the times of its words


def read_recurring(document: Mapping[str, Any]) -> tuple[RecurringStretch, ...]:
    """Return the stretches of a stored result. Raises LibraryError for a damaged one."""
    fields = Fields(document, "recurring.json", hint=_HINT)
    return tuple(
        RecurringStretch(
            each.number("start"),
            each.number("end"),
            each.whole("items", 0),
            by_sound=each.flag("by_sound"),
            by_text=each.flag("by_text"),
        )
        for each in fields.objects("stretches", required=True)
    )


def recurs_at(stretches: Iterable[RecurringStretch], at_s: float) -> bool:
    """Return True if a second is in one of the stretches."""
    return any(each.start_s <= at_s < each.end_s for each in stretches)


def recurs(stretches: Sequence[RecurringStretch], start_s: float, end_s: float) -> bool:
    """Return True if a span is in these stretches for the most part."""
    inside = sum(
        max(0.0, min(each.end_s, end_s) - max(each.start_s, start_s)) for each in stretches
    )
    return inside >= _MOSTLY * (end_s - start_s) > 0


def without_recurring(
    passages: Iterable[Passage],
    stretches: Sequence[RecurringStretch],
    link: Callable[[float], str],
) -> tuple[Passage, ...]:
    """Return passages without the words that begin in one of the stretches.

    `link` returns the address of a second. A passage of which nothing is left is left out, and one
    that does not know when its words begin is left out if most of it recurs. Text on the screen
    stays.
    """
    found = []
    for passage in passages:
        if passage.origin == ON_SCREEN or not stretches:
            found.append(passage)
            continue
        words, starts = passage.text.split(" "), passage.word_starts_s
        if len(words) != len(starts):
            if not recurs(stretches, passage.start_s, passage.end_s):
                found.append(passage)
            continue
        kept = [at for at, start_s in enumerate(starts) if not recurs_at(stretches, start_s)]
        if len(kept) == len(words):
            found.append(passage)
        elif kept:
            start_s = passage.start_s if kept[0] == 0 else starts[kept[0]]
            found.append(
                replace(
                    passage,
                    start_s=start_s,
                    deep_link=passage.deep_link if kept[0] == 0 else link(start_s),
                    text=" ".join(words[at] for at in kept),
                    word_starts_s=tuple(starts[at] for at in kept),
                )
            )
    return tuple(found)
