"""Prints where the sound of an item is heard, too, and what of it recurs in its channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kb.cli.output import console
from kb.service.notation import format_length, format_timestamp
from kb.types.recurring import RecurringStretch
from kb.types.sentences import counted

if TYPE_CHECKING:
    from kb.service.enrichment import SoundLinks

_WORDS = {
    "from": "From {title} ({id})",
    "again": "Heard again in {title} ({id})",
    "contains": "Contains parts of {title} ({id})",
    "doubtful": "Perhaps the sound of {title} ({id}) at another speed or changed",
}
MOST_STRETCHES = 3


def print_sound_links(found: SoundLinks) -> None:
    """Print one line for each link, and one if there may be more."""
    for link in found.links:
        words = _WORDS[link.kind].format(title=link.title or "an item", id=link.item_id)
        if link.gone:
            words += ", which is gone from the library"
        places = [
            f"{format_timestamp(each.start_s)}-{format_timestamp(each.end_s)} is there at "
            f"{format_timestamp(max(0.0, each.other_s))}"
            for each in link.stretches[:MOST_STRETCHES]
        ]
        if (more := len(link.stretches) - MOST_STRETCHES) > 0:
            places.append(f"{more} more")
        if link.taken_s:
            places.append(f"words of {format_length(link.taken_s)} are from there")
        console.print_note(": ".join(filter(None, (words, "; ".join(places)))))
    if found.left:
        console.print_note(
            f"The index of fingerprints is being made: {counted(found.left, 'item')} not compared "
            "yet. Ask again, or make it at once: kb reindex"
        )


def print_recurring(found: Sequence[RecurringStretch]) -> None:
    """Print one line with the stretches that recur; nothing without any."""
    places = [
        f"{format_timestamp(each.start_s)}-{format_timestamp(each.end_s)} "
        f"(in {counted(each.items, 'item')}, by {found_by(each)})"
        for each in found
    ]
    if places:
        console.print_note(f"Recurs in the channel: {'; '.join(places)}")


def found_by(stretch: RecurringStretch) -> str:
    """Return how a stretch was found."""
    if stretch.by_sound and stretch.by_text:
        return "sound and words"
    return "sound" if stretch.by_sound else "words"
