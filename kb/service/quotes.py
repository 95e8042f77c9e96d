"""A place of a recording as a quote with its source, and the hits of a search as a file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from kb.library import LibraryEntry
from kb.library.links import present_link
from kb.transcript.chunks import format_timestamp
from kb.transcript.formats.markup import markdown_text
from kb.types import Hit, Occurrence
from kb.types.safe_text import clean, web_address
from kb.types.spreadsheet_cells import exact_cell

Style = Literal["plain", "markdown", "footnote"]
STYLES: tuple[Style, ...] = get_args(Style)
HitFormat = Literal["csv", "md"]
MOST_WORDS = 60  # of a quote around the words that were found

_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’»)]*\s+")
_COLUMNS = (
    "title", "channel", "published", "language", "grade", "speaker", "at", "at_s", "found", "quote",
    "missing", "origin", "link", "item_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quote:
    """Words of a recording and their place; `link` opens them at `at_s`."""

    text: str
    title: str
    at_s: float
    link: str
    channel: str = ""
    published: str = ""
    speaker: str = ""
    item_id: str = ""

    @property
    def at(self) -> str:
        return format_timestamp(self.at_s)

    def render(self, style: Style) -> str:
        """Return the quote with its source, without power over the text around it."""
        if style == "plain":
            source = ", ".join(part for part in (*self._source(), self.at) if part)
            return f"“{self.text}” — {source}{f', {self.link}' if self.link else ''}"
        source = ", ".join(markdown_text(part) for part in self._source() if part)
        place = f"[{self.at}]({self.link})" if self.link else self.at
        if style == "markdown":
            return f"> {markdown_text(self.text)}\n>\n> — {source}, {place}"
        mark = re.sub(r"[^A-Za-z0-9]+", "-", f"{self.item_id}-{int(self.at_s)}").strip("-")
        return f"“{markdown_text(self.text)}”[^{mark}]\n\n[^{mark}]: {source}, {place}."

    def _source(self) -> tuple[str, ...]:
        return (self.speaker, self.title, self.channel, self.published)


def quote_of(hit: Hit, entry: LibraryEntry | None, at: Occurrence | None = None) -> Quote:
    """Return the quote of a hit, or of one of its occurrences: the sentence around it.

    The speaker of a hit is that of its own second.
    """
    at_s = hit.at_s if at is None else at.at_s
    link = hit.deep_link if at is None else at.deep_link
    item = entry.item if entry is not None else None
    return Quote(
        clean(_sentence(hit, at)),
        clean(hit.title),
        at_s,
        present_link(web_address(link)),
        clean(item.channel) if item else "",
        item.published if item else "",
        clean(hit.speaker) if at is None or int(at_s) == int(hit.at_s) else "",
        hit.item_id,
    )


def places(hit: Hit) -> tuple[Occurrence, ...]:
    """Return the places of a hit's words, one a second; its own second if there are none."""
    found = {int(one.at_s): one for one in reversed(hit.occurrences)}
    if not found:
        return (Occurrence(hit.at_s, "", hit.deep_link),)
    return tuple(found[second] for second in sorted(found))


def export_hits(
    hits: Sequence[Hit], entries: Mapping[str, LibraryEntry], format: HitFormat, query: str = ""
) -> str:
    """Return hits as CSV (a row for each occurrence) or as a Markdown document."""
    if format == "csv":
        return _table(hits, entries)
    lines = [f"# {markdown_text(clean(query))}"] if query else []
    for item_id, of_item in _by_item(hits):
        title = of_item[0].title
        lines.append(f"\n## {markdown_text(clean(title))}\n")
        for hit in of_item:
            for place in places(hit):
                quote = quote_of(hit, entries.get(item_id), place)
                lines.append(f"{quote.render('markdown')}\n")
    return "\n".join(lines).strip() + "\n"


def _table(hits: Sequence[Hit], entries: Mapping[str, LibraryEntry]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(_COLUMNS)
    for hit in hits:
        entry = entries.get(hit.item_id)
        for place in places(hit):
            quote = quote_of(hit, entry, place)
            language = str(entry.transcribed.get("language") or "") if entry else ""
            cells = (
                quote.title, quote.channel, quote.published, language, entry.grade if entry else "",
                quote.speaker, quote.at, f"{place.at_s:.3f}", clean(place.text), quote.text,
                " ".join(hit.missing), hit.origin, quote.link, hit.item_id,
            )  # fmt: skip
            writer.writerow([exact_cell(cell) for cell in cells])
    return file.getvalue()


def _by_item(hits: Iterable[Hit]) -> Iterator[tuple[str, list[Hit]]]:
    """Yield the hits of each item together, in the order of the best of each."""
    found: dict[str, list[Hit]] = {}
    for hit in hits:
        found.setdefault(hit.item_id, []).append(hit)
    yield from found.items()


def _sentence(hit: Hit, at: Occurrence | None) -> str:
    """Return the sentence of a passage around an occurrence, at most `MOST_WORDS` words of it."""
    text = " ".join(hit.text.split())
    place = _place(hit, text, at)
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    start = max((end for end in ends if end <= place), default=0)
    end = min((end for end in ends if end > place), default=len(text))
    words = text[start:end].split()
    if len(words) <= MOST_WORDS:
        return " ".join(words)
    before = len(text[start:place].split())
    first = max(0, min(before - MOST_WORDS // 3, len(words) - MOST_WORDS))
    last = first + MOST_WORDS
    cut = " ".join(words[first:last])
    return f"{'… ' if first else ''}{cut}{' …' if last < len(words) else ''}"


def _place(hit: Hit, text: str, at: Occurrence | None) -> int:
    """Return the character of a passage at which an occurrence begins.

    Occurrences are in the order of the text: the same word said twice has two of them.
    """
    position = 0
    for one in hit.occurrences:
        found = text.find(one.text, position)
        if found < 0:
            continue
        if one == at or (at is None and int(one.at_s) == int(hit.at_s)):
            return found
        position = found + 1
    return 0
