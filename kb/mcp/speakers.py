"""Speakers of an item and its steps, as the tools of assistants return them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kb.errors import UsageError
from kb.service import Service
from kb.types.safe_text import clean

MOST_SPEAKERS = 50
_LONGEST_EXCERPT = 300  # characters


@dataclass(frozen=True, slots=True)
class SpeakerFacts:
    """One speaker by name, or by a label; `seconds` of speaking time, and what is said."""

    speaker: str
    is_named: bool
    suggested: str
    seconds: float
    excerpts: tuple[str, ...]
    url: str


@dataclass(frozen=True)  # the schema of an answer is made from a class without slots
class ItemSpeakers:
    """The speakers of an item, the one with the most speaking time first; at most 50."""

    id: str
    speakers: tuple[SpeakerFacts, ...]


@dataclass(frozen=True)  # the schema of an answer is made from a class without slots
class RequestedSteps:
    """The result of a request for steps: `lacking` names what no machine at work has."""

    id: str
    queued: tuple[str, ...]
    current: tuple[str, ...]
    under_way: tuple[str, ...]
    lacking: tuple[str, ...]


def speakers_of(service: Service, item_id: str) -> ItemSpeakers:
    """Return the speakers of an item. Raises UsageError and LibraryError."""
    found = service.speakers.of(item_id)
    return ItemSpeakers(
        service.items.entry(item_id).item.id,
        tuple(
            SpeakerFacts(
                clean(each.shown),
                each.is_named,
                clean(each.suggested),
                round(each.seconds, 1),
                tuple(clean(part.text)[:_LONGEST_EXCERPT] for part in each.excerpts),
                each.excerpts[0].deep_link if each.excerpts else "",
            )
            for each in found[:MOST_SPEAKERS]
        ),
    )


def name_speaker(service: Service, item_id: str, speaker: str, name: str) -> ItemSpeakers:
    """Name a speaker, or take the name away with an empty one; return all speakers."""
    known = service.items.entry(item_id).item.id
    if name:
        service.speakers.name(known, speaker, name)
    else:
        service.speakers.unname(known, speaker)
    return speakers_of(service, known)


def merge_speakers(service: Service, item_id: str, speaker: str, into: str) -> ItemSpeakers:
    """Make two speakers one; return all speakers."""
    known = service.items.entry(item_id).item.id
    service.speakers.merge(known, speaker, into)
    return speakers_of(service, known)


def request_steps(
    service: Service, item_id: str, steps: Sequence[str], *, paid: bool
) -> RequestedSteps:
    """Queue steps of an item; without `paid` none that may cost money.

    Raises UsageError and LibraryError.
    """
    if not paid and (costly := service.enrichment.may_cost_money(steps)):
        raise UsageError(
            "enrich.paid",
            "These steps may cost money, and assistants may not ask for them: {steps}.",
            hint="Ask for them with kb enrich, or allow it: KB_PAID_REQUESTS=true",
            steps=", ".join(costly),
        )
    known = service.items.entry(item_id).item.id
    report = service.enrichment.run([known], steps)
    return RequestedSteps(
        known,
        tuple(step for step, _ in report.queued),
        tuple(step for step, _ in report.current),
        tuple(step for step, _ in report.under_way),
        tuple(clean(f"{error.message} {error.hint}") for error in report.lacking.values()),
    )
