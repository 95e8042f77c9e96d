"""The filter of a list of items, and the values that an item's own files have for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from kb.errors import LibraryError, UsageError
from kb.library import LibraryEntry
from kb.pipeline.days import check_day
from kb.pipeline.hold import waits_for_review
from kb.transcript.speaker_names import read_names

TO_REVIEW, ACCEPTED, CLEAR = "to_review", "accepted", "clear"
REVIEW_STATES = (TO_REVIEW, ACCEPTED, CLEAR)
SENT, ON_ITS_WAY, NOT_SENT, SEND_FAILED = "sent", "sending", "not_sent", "failed"
SENT_STATES = (SENT, ON_ITS_WAY, NOT_SENT, SEND_FAILED)
_OF_QUEUE = ("state", "sent")  # known to the queue, not to the item's files


@dataclass(frozen=True, slots=True)
class ListFilter:
    """The items of a list. Each field allows its values; an empty field excludes nothing.

    `year` has years (`2026`), `sent` and `review` the words of this module, `state` those of the
    queue. `after` and `before` are ISO days; `after` is included, `before` is not.
    """

    channel: tuple[str, ...] = ()
    year: tuple[str, ...] = ()
    language: tuple[str, ...] = ()
    grade: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    sent: tuple[str, ...] = ()
    review: tuple[str, ...] = ()
    speaker: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    after: str = ""
    before: str = ""

    def __post_init__(self) -> None:
        check_day("after", self.after)
        check_day("before", self.before)

    def as_dict(self) -> dict[str, Any]:
        """Return what is chosen, as JSON values."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if value
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ListFilter:
        """Return the filter that `as_dict` wrote. Raises UsageError for an unknown field."""
        known = {each.name for each in fields(cls)}
        for name in values:
            if name not in known:
                raise UsageError(
                    "list.facet_unknown",
                    "{name!r} is nothing that a list can be filtered by.",
                    hint="Known: {known}.",
                    name=name,
                    known=", ".join(sorted(known)),
                )
        chosen: dict[str, Any] = {
            name: str(value) if name in ("after", "before") else tuple(map(str, value))
            for name, value in values.items()
        }
        return cls(**chosen)

    def __bool__(self) -> bool:
        return bool(self.as_dict())


FACETS = tuple(each.name for each in fields(ListFilter) if each.name not in ("after", "before"))


def is_of_day(published: str, chosen: ListFilter) -> bool:
    """Return True if a filter's days allow a day of publication, empty if it is not known."""
    if not (chosen.after or chosen.before):
        return True
    return bool(published) and chosen.after <= published < (chosen.before or "~")


def kept_facets(entry: LibraryEntry) -> dict[str, tuple[str, ...]]:
    """Return the values of all facets that an item's files have; those of the queue are not."""
    item = entry.item
    if waits_for_review(entry):
        review = TO_REVIEW
    elif entry.accepted:
        review = ACCEPTED
    else:
        review = CLEAR if entry.transcript_path else ""
    try:
        speakers = read_names(entry.record, entry.sha256, entry.stem).spoken
    except LibraryError:  # shown with the item; its other facts are good
        speakers = ()
    return {
        "channel": _values(item.channel),
        "year": _values(item.published[:4]),
        "language": _values(str(entry.transcribed.get("language") or item.language or "")),
        "grade": _values(entry.grade),
        "review": _values(review),
        "speaker": speakers,
        "tag": entry.user_tags,
    }


def allows_new(chosen: ListFilter, entry: LibraryEntry) -> bool:
    """Return True if a filter allows an item that has just ended.

    Its state and where it was sent change afterwards, so that these two are not asked for.
    """
    if not is_of_day(entry.item.published, chosen):
        return False
    facets = kept_facets(entry)
    return all(
        not (values := getattr(chosen, name)) or not frozenset(values).isdisjoint(facets[name])
        for name in FACETS
        if name not in _OF_QUEUE
    )


def _values(value: str) -> tuple[str, ...]:
    return (value,) if value else ()
