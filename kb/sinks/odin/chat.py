"""Questions to the project: answers and search results with their medium and time.

The time of an excerpt is that of the deep link at the start of its passage, if the excerpt has
the link; else that of the item's passage that shares the most words with the excerpt. An excerpt
that begins with the head of its document shows the words of its passage instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from kb.errors import UsageError
from kb.sinks.base import check_query
from kb.sinks.odin.documents import escape, is_name_of
from kb.sinks.odin.excerpts import (
    TIME_LINK,
    begins_with_head,
    named_passage,
    time_links,
    without_head,
    words_of,
)
from kb.sinks.odin.sink import OdinSink
from kb.types import Passage

# Keys of an excerpt's text, document and score in the answers of services.
_TEXT_KEYS = ("text", "content", "chunk", "page_content", "snippet", "excerpt")
_NAME_KEYS = (
    *("document_key", "content_key", "file_name", "filename", "document_name", "name", "key"),
    *("source", "title", "url"),
)
_SCORE_KEYS = ("score", "similarity", "relevance", "rerank_score")

_NAME = re.compile(r"[A-Za-z0-9_.-]+_[0-9a-f]{8}(?:_p\d{2,})?\.md")
_TIMED_URL = re.compile(r"https?://[^\s)>\"']+[?&#]t=(\d+)")

Passages = Callable[[str], Sequence[Passage]]


@dataclass(frozen=True, slots=True)
class Reference:
    """One source of an answer or one search result.

    `start_s` is None and `deep_link` is empty if no passage matched; `item_id` is empty for a
    document of another producer. `score` is the service's own value. `end_s` and `path` (of the
    medium, in the library folder) are set if the library has the passage.
    """

    document: str
    text: str
    item_id: str = ""
    title: str = ""
    start_s: float | None = None
    deep_link: str = ""
    score: float | None = None
    end_s: float | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The assistant's answer and the sources that it names."""

    text: str
    sources: tuple[Reference, ...]
    chat_id: str


def ask(
    sink: OdinSink, question: str, *, chat_id: str = "", passages: Passages | None = None
) -> Answer:
    """Ask the project's assistant, which answers from the documents.

    `passages` returns an item's passages by id; they give the time if the service shows only
    text. Without it only links in the excerpts give the time. `chat_id` continues a
    conversation. Raises UsageError for an empty question and the errors of the sink.
    """
    if not question.strip():
        raise UsageError(
            "odin.question_empty",
            "The question is empty.",
            hint='For example: kb ask "What was decided?"',
        )
    reply = sink.client.chat(question, chat_id)
    excerpts = [row for key, part in reply.raw.items() if key != "message" for row in _rows(part)]
    # Assistants that list no sources quote links or names in their text.
    excerpts.extend(Reference("", text) for text in _paragraphs_with_links(reply.message))
    excerpts.extend(Reference(name, "") for name in _NAME.findall(reply.message))
    return Answer(reply.message, _resolve_references(sink, excerpts, passages), reply.chat_id)


def search(
    sink: OdinSink, query: str, limit: int = 10, *, passages: Passages | None = None
) -> tuple[Reference, ...]:
    """Search the project; return at most `limit` results in the service's order.

    The arguments and errors are those of `ask`.
    """
    check_query(query, limit)
    found = [row for result in sink.client.search(query, limit) for row in _rows(result)]
    return _resolve_references(sink, found, passages)[:limit]


def _resolve_references(
    sink: OdinSink, excerpts: Sequence[Reference], passages: Passages | None
) -> tuple[Reference, ...]:
    """Return the excerpts with item and time if they are known, each item and time once."""
    owners = _DocumentOwners(sink)
    found: dict[tuple[str, object], Reference] = {}
    for excerpt in excerpts:
        reference = _resolve_reference(excerpt, owners, passages)
        place = reference.start_s if reference.start_s is not None else reference.text
        found.setdefault((reference.item_id or reference.document, place), reference)
    # A document without text is redundant if another reference has the same item and a time.
    led = {reference.item_id for reference in found.values() if reference.start_s is not None}
    return tuple(
        reference
        for reference in found.values()
        if reference.text or reference.start_s is not None or reference.item_id not in led
    )


def _resolve_reference(
    excerpt: Reference, owners: _DocumentOwners, passages: Passages | None
) -> Reference:
    links = time_links(excerpt.text)
    item_id, title = owners.of_document(excerpt.document)
    if not item_id and links:
        item_id, title = owners.of_link(links[0].deep_link)
    known = passages(item_id) if passages and item_id else ()
    if not title and known:  # the list of documents is older than this one
        title = known[0].title
    excerpt = replace(excerpt, item_id=item_id, title=title)
    at = named_passage(excerpt.text, known) if known else None
    # A colleague's own document may begin with a heading that belongs to its text.
    if item_id and begins_with_head(excerpt.text):
        words = without_head(excerpt.text)
        if not words_of(words):
            words = ""  # the excerpt ends within the link of its first passage
        # Markdown, as all excerpts are.
        excerpt = replace(excerpt, text=escape(at.text) if at is not None else words)
    if at is not None:
        return replace(
            excerpt, start_s=at.start_s, end_s=at.end_s, deep_link=at.deep_link, path=at.path,
            title=at.title or title,
        )  # fmt: skip
    if links:
        return replace(excerpt, start_s=float(links[0].start_s), deep_link=links[0].deep_link)
    if timed := _TIMED_URL.search(excerpt.text):
        return replace(excerpt, start_s=float(timed[1]), deep_link=timed[0])
    return excerpt


class _DocumentOwners:
    """A map of documents to items, from the stored publish states, else the project's list."""

    def __init__(self, sink: OdinSink) -> None:
        self._sink = sink
        states = sink.publish_states.all()
        self._by_name = {name: note.item_id for note in states.values() for name in note.names}
        self._titles: dict[str, str] | None = None

    def of_document(self, name: str) -> tuple[str, str]:
        name = name.rsplit("/", 1)[-1]
        if not name:
            return "", ""
        item_id = self._by_name.get(name, "")
        if not item_id:
            self._load_titles()
            item_id = self._by_name.get(name, "")
        return item_id, self._title(item_id)

    def of_link(self, link: str) -> tuple[str, str]:
        """Return the item whose documents' names contain the id in the link."""
        self._load_titles()
        for part in re.findall(r"[A-Za-z0-9_-]{11,}", link):
            for name, item_id in self._by_name.items():
                if is_name_of(name, part):
                    return item_id, self._title(item_id)
        return "", ""

    def _title(self, item_id: str) -> str:
        return self._load_titles().get(item_id, "") if item_id else ""

    def _load_titles(self) -> Mapping[str, str]:
        if self._titles is None:
            self._titles = {}
            for item_id, documents in self._sink.inventory(reuse=True).items.items():
                for document in documents:
                    self._by_name.setdefault(document.name, item_id)
                    title = document.metadata.get("title")
                    self._titles.setdefault(item_id, str(title or ""))
        return self._titles


def _rows(part: Any) -> Iterator[Reference]:
    """Yield every part of an answer, at any depth, that has the form of a document's excerpt."""
    if isinstance(part, list):
        for row in part:
            if isinstance(row, str) and _NAME.fullmatch(row):
                yield Reference(row, "")
            else:
                yield from _rows(row)
    elif isinstance(part, dict):
        about = part.get("metadata")
        name = _first(part, _NAME_KEYS)
        if isinstance(about, dict):
            name = name or _first(about, _NAME_KEYS)
        text = _first(part, _TEXT_KEYS)
        if name or text:
            score = next((part[key] for key in _SCORE_KEYS if _is_number(part.get(key))), None)
            yield Reference(name, text, score=None if score is None else float(score))
            return
        for row in part.values():
            if isinstance(row, (list, dict)):
                yield from _rows(row)


def _first(row: Mapping[str, Any], keys: Sequence[str]) -> str:
    return next((row[key] for key in keys if isinstance(row.get(key), str) and row[key]), "")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _paragraphs_with_links(message: str) -> Iterator[str]:
    """Yield the parts of an answer, each from one time link to the next."""
    starts = [match.start() for match in TIME_LINK.finditer(message)]
    for start, end in pairwise([*starts, len(message)]):
        yield message[start:end].strip()
    if not starts:
        for match in _TIMED_URL.finditer(message):
            yield match[0]
