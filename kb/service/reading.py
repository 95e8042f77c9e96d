"""The library for programs that read it: passages with filters, stretches of text, pages of items.

All answers are bounded, and text of strangers is cleaned of controls and hidden characters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kb.errors import UsageError
from kb.jobs.queue.item_states import HELD
from kb.library import LibraryEntry, deep_link
from kb.service.item_filter import ItemFilter, spoken_language
from kb.service.items import Items
from kb.service.results import SearchResult
from kb.service.search import Search
from kb.transcript.chunks import chunks, format_timestamp
from kb.types import Hit, Transcript
from kb.types.safe_text import clean
from kb.types.screen import ScreenText
from kb.types.sentences import counted

MOST_CHARACTERS = 20_000  # of the text in one answer
MOST_SCREEN_CHARACTERS = 10_000  # of text on the screen in one answer
LONGEST_QUERY = 1_000  # characters
_MOST_CANDIDATES = 1_000  # hits that filters choose from
_LINE_S = 15.0  # of text behind one mark of time

Order = Literal["newest", "longest", "doubtful"]
TextFormat = Literal["txt", "srt", "vtt", "md"]


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """A passage that matches a query; `id` is the item's id, `#` and the second of `url`.

    `doubtful` is the reason to check the text against the sound; empty without one. `speaker` is
    who speaks at that second, empty if it is not known. `origin` is `screen` for text on the
    screen, empty for words that are spoken. `by_meaning`: it has none of the query's words.
    `recurring`: what was found recurs in the channel, as an intro or an advertisement does.
    """

    id: str
    title: str
    url: str
    start_s: float
    end_s: float
    text: str
    channel: str
    published: str
    language: str
    grade: str
    doubtful: str
    speaker: str = ""
    origin: str = ""
    by_meaning: bool = False
    recurring: bool = False


@dataclass(frozen=True)  # the schema of an answer is made from a class without slots
class Stretch:
    """A part of a transcript, with a mark of time before each line.

    `on_screen` is the text that was shown meanwhile, with the times of its showings.
    """

    id: str
    title: str
    url: str
    text: str
    channel: str
    published: str
    language: str
    grade: str
    doubtful: str
    on_screen: str = ""


@dataclass(frozen=True, slots=True)
class ListedItem:
    """One item of a list; `duration_s` is None if unknown."""

    id: str
    title: str
    url: str
    channel: str
    published: str
    duration_s: float | None
    language: str
    state: str
    grade: str
    doubtful: str


@dataclass(frozen=True)  # the schema of an answer is made from a class without slots
class ItemPage:
    """A part of a list; `cursor` asks for the next part, and is empty at the end."""

    items: tuple[ListedItem, ...]
    cursor: str = ""


@dataclass(frozen=True)  # the schema of an answer is made from a class without slots
class TextPart:
    """A part of a rendered transcript; `cursor` asks for the next part, and is empty at the end."""

    id: str
    title: str
    text: str
    doubtful: str
    cursor: str = ""


@dataclass
class Reading:
    """The texts of one library. Every method raises LibraryError, and UsageError for bad input."""

    items: Items
    finder: Search
    screen: Callable[[LibraryEntry, Transcript], ScreenText | None]

    def search(
        self,
        query: str,
        chosen: ItemFilter,
        limit: int = 10,
        leave_out_recurring: bool | None = None,
    ) -> tuple[tuple[FoundPassage, ...], bool, str, int]:
        """Return at most `limit` passages, best first, True if more match, a note, a number.

        The note says why the library was searched by words alone; it is empty otherwise. The number
        is that of passages left out because they recur (None takes the setting).

        With a filter the best 1,000 passages are looked through. Raises KnowledgeBaseError too.
        """
        if len(query) > LONGEST_QUERY:
            raise UsageError(
                "search.query_long",
                "The query has {length} characters; at most {most} are searched for.",
                hint="Search for the few words that matter.",
                length=len(query),
                most=LONGEST_QUERY,
            )
        entries = {entry.item.id: entry for entry in self.items.listing().entries}
        candidates = limit if chosen == ItemFilter() else _MOST_CANDIDATES
        result = self.finder.run(
            query, limit=candidates, speakers=False, leave_out_recurring=leave_out_recurring
        )
        hits = [
            hit
            for hit in result.hits
            if (entry := entries.get(hit.item_id)) is not None and chosen.allows(entry)
        ]
        has_more = len(hits) > limit or result.has_more
        found = self._passages(hits[:limit], entries)
        return found, has_more, _words_alone(result), result.left_out

    def shown(self, result: SearchResult) -> tuple[tuple[FoundPassage, ...], bool, str, int]:
        """Return the passages of a search that was made, as `search` returns them."""
        entries = {entry.item.id: entry for entry in self.items.listing().entries}
        hits = [hit for hit in result.hits if hit.item_id in entries]
        found = self._passages(hits, entries)
        return found, result.has_more, _words_alone(result), result.left_out

    def _passages(
        self, hits: Sequence[Hit], entries: Mapping[str, LibraryEntry]
    ) -> tuple[FoundPassage, ...]:
        return tuple(
            FoundPassage(
                f"{hit.item_id}#{max(0, int(hit.at_s))}",
                clean(hit.title),
                hit.deep_link,
                hit.start_s,
                hit.end_s,
                clean(hit.text),
                clean(entry.item.channel),
                entry.item.published,
                spoken_language(entry),
                entry.grade,
                "" if hit.origin else doubt(entry, unsure=_is_unsure(hit), tier=hit.tier),
                clean(hit.speaker),
                hit.origin,
                hit.by_meaning,
                hit.recurring,
            )
            for hit in self.finder.with_speakers(hits)
            for entry in (entries[hit.item_id],)
        )

    def stretch(self, place: str, around_s: float = 60.0) -> Stretch:
        """Return the text around a place: an item's id, `#` and a second.

        Without a second it is the beginning of the text. At most 20,000 characters.
        """
        item_id, _, mark = place.partition("#")
        second = _second(place, mark) if mark else None
        entry = self.items.entry(item_id)
        transcript, tier = self._text(entry)
        if second is not None:
            transcript = _between(transcript, second - around_s, second + around_s)
        shown = self._on_screen(entry, second, around_s)
        parts = chunks(transcript, _LINE_S)
        lines = "\n".join(f"[{format_timestamp(each.start_s)}] {each.text}" for each in parts)
        return Stretch(
            f"{entry.item.id}#{second}" if second is not None else entry.item.id,
            clean(entry.item.title),
            deep_link(entry.item, second or 0),
            clean(lines)[:MOST_CHARACTERS],
            clean(entry.item.channel),
            entry.item.published,
            spoken_language(entry),
            entry.grade,
            doubt(entry, tier=tier),
            shown,
        )

    def _on_screen(self, entry: LibraryEntry, second: int | None, around_s: float) -> str:
        """Return the pages of the screen that were shown around a second, or at the beginning."""
        if entry.transcript_path is None:
            return ""
        found = self.screen(entry, self.items.transcript(entry.item.id))
        at_s = float(second or 0)
        pages = []
        for page in found.pages if found is not None else ():
            shown = [
                f"{format_timestamp(start)} - {format_timestamp(end)}"
                for start, end in page.showings
                if start <= at_s + around_s and end >= at_s - around_s
            ]
            if shown:
                pages.append(f"[{', '.join(shown)}]\n" + "\n".join(page.rows()))
        return clean("\n\n".join(pages))[:MOST_SCREEN_CHARACTERS]

    def page(self, order: Order, chosen: ItemFilter, limit: int = 20, cursor: str = "") -> ItemPage:
        """Return items of the library in an order, those after `cursor`.

        `doubtful` has only the items with a reason to check their text.
        """
        entries = [entry for entry in self.items.listing().entries if chosen.allows(entry)]
        if order == "doubtful":
            entries = [entry for entry in entries if doubt(entry)]
        ordered = _ordered(entries, order)
        start = 0
        if cursor:
            places = [n for n, entry in enumerate(ordered) if entry.item.id == cursor]
            if not places:
                raise _cursor_error(cursor)
            start = places[0] + 1
        shown = ordered[start : start + limit]
        more = len(ordered) > start + limit
        return ItemPage(tuple(_listed(entry) for entry in shown), shown[-1].item.id if more else "")

    def part(
        self,
        item_id: str,
        format: TextFormat = "txt",
        start_s: float = 0.0,
        end_s: float | None = None,
        cursor: str = "",
    ) -> TextPart:
        """Return a transcript between two seconds as text: at most 20,000 characters of it."""
        start = 0
        if cursor:
            if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 12):
                raise _cursor_error(cursor)
            start = int(cursor)
        entry = self.items.entry(item_id)
        transcript, tier = self._text(entry)
        if start_s > 0 or end_s is not None:
            transcript = _between(transcript, start_s, float("inf") if end_s is None else end_s)
        text = clean(self.items.render(transcript, format, item=entry.item))
        if start and start >= len(text):
            raise _cursor_error(cursor)
        end = start + MOST_CHARACTERS
        following = str(end) if len(text) > end else ""
        return TextPart(
            entry.item.id, clean(entry.item.title), text[start:end], doubt(entry, tier=tier),
            following,
        )  # fmt: skip

    def _text(self, entry: LibraryEntry) -> tuple[Transcript, str]:
        """Return the transcript, else captions that replace it, and the name of the captions."""
        if entry.transcript_path is None:
            captions = self.items.captions(entry.item.id)
            if captions is not None:
                return captions, captions.model
        return self.items.transcript(entry.item.id), ""


def _second(place: str, mark: str) -> int:
    if mark.isascii() and mark.isdecimal() and len(mark) < 9:
        return int(mark)
    raise UsageError(
        "reading.place",
        "{place!r} is no place in an item.",
        hint="Give an id of a search result, such as youtube:VIDEO#83.",
        place=place[:80],
    )


def _cursor_error(cursor: str) -> UsageError:
    return UsageError(
        "reading.cursor",
        "The cursor {cursor!r} is not one of this list.",
        hint="Begin again without a cursor.",
        cursor=cursor[:80],
    )


def _between(transcript: Transcript, start_s: float, end_s: float) -> Transcript:
    """Return the transcript with the segments that overlap a span."""
    found = tuple(s for s in transcript.segments if s.end_s >= start_s and s.start_s <= end_s)
    return replace(transcript, segments=found)


def doubt(entry: LibraryEntry, *, unsure: bool = False, tier: str = "") -> str:
    """Return the reason to check a text of the item against its sound; empty without one."""
    if tier:
        return f"{tier}, not a transcript"
    if entry.state == HELD:
        return "held: too much of the speech is missing or doubtful"
    if entry.grade == "C":
        return "grade C: much of the text is missing or likely wrong"
    return "many words here are likely wrong" if unsure else ""


def _words_alone(result: SearchResult) -> str:
    if result.words_alone is not None:
        return clean(f"{result.words_alone.message} {result.words_alone.hint}")
    if result.without_meaning:
        return f"{counted(result.without_meaning, 'recording')} were searched by words alone."
    return ""


def _is_unsure(hit: Hit) -> bool:
    return hit.expected_errors is not None


def _ordered(entries: Sequence[LibraryEntry], order: Order) -> list[LibraryEntry]:
    by_id = sorted(entries, key=lambda entry: entry.item.id)
    if order == "longest":
        return sorted(by_id, key=lambda entry: entry.duration_s or 0.0, reverse=True)
    return sorted(by_id, key=lambda entry: entry.item.published, reverse=True)


def _listed(entry: LibraryEntry) -> ListedItem:
    item = entry.item
    return ListedItem(
        item.id, clean(item.title), deep_link(item, 0), clean(item.channel), item.published,
        entry.duration_s, spoken_language(entry), entry.state, entry.grade, doubt(entry),
    )  # fmt: skip
