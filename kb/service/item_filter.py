"""The items that an answer for a program may come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kb.library import LibraryEntry
from kb.pipeline.days import check_day
from kb.pipeline.list_filter import kept_facets

LeastGrade = Literal["A", "B", "C"]


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """The items that an answer may come from; empty fields exclude nothing.

    `source` is the begin of an id (`youtube`, `file`) or a channel's name. `after` and `before` are
    ISO days; `after` is included, `before` is not. An item without a date or a grade is left out
    where one is asked for. `tag` is one of its tags, `speaker` a name of one who speaks in it; case
    does not matter.
    """

    source: str = ""
    after: str = ""
    before: str = ""
    language: str = ""
    grade_at_least: LeastGrade | None = None
    tag: str = ""
    speaker: str = ""

    def __post_init__(self) -> None:
        check_day("after", self.after)
        check_day("before", self.before)

    def allows(self, entry: LibraryEntry) -> bool:
        """Return True if an item may be in the answer."""
        item = entry.item
        wanted = self.source.casefold()
        if wanted and wanted not in (item.id.split(":")[0].casefold(), item.channel.casefold()):
            return False
        if (self.after or self.before) and not item.published:
            return False
        if self.after and item.published < self.after:
            return False
        if self.before and item.published >= self.before:
            return False
        if self.language and spoken_language(entry).casefold() != self.language.casefold():
            return False
        if self.grade_at_least and not "" < entry.grade <= self.grade_at_least:
            return False
        if self.tag and not _has(entry.user_tags, self.tag):
            return False
        return not self.speaker or _has(kept_facets(entry)["speaker"], self.speaker)


def _has(values: Sequence[str], wanted: str) -> bool:
    return wanted.casefold() in map(str.casefold, values)


def spoken_language(entry: LibraryEntry) -> str:
    """Return the language of an item's words, empty if it is not known."""
    return str(entry.transcribed.get("language") or entry.item.language or "")
