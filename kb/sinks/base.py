"""The interface of a knowledge base, and the hash by which its content is compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Literal, Protocol, get_args, runtime_checkable

from kb.errors import UsageError
from kb.types import DocumentFacts, Hit, MediaItem, Passage, Published, UnknownWord

SearchMode = Literal["keyword", "semantic", "hybrid"]
SEARCH_MODES: tuple[str, ...] = get_args(SearchMode)

# Inside the class bodies below, `Sink.list` would shadow the builtin.
Hits = list[Hit]


@runtime_checkable
class Sink(Protocol):
    """A knowledge base with one set of passages per item.

    Every method raises KnowledgeBaseError when the knowledge base refuses or is damaged.
    `is_local` is True for a sink that is a part of the library. The item's own work publishes to
    it, held items included. The outbox publishes to every other sink, without held items.
    """

    name: str
    is_local: bool

    def publish(
        self,
        item: MediaItem,
        passages: Sequence[Passage],
        facts: DocumentFacts | None = None,
        extra_metadata: Mapping[str, str] | None = None,
    ) -> Published:
        """Replace the item's passages by these; the same content again changes nothing.

        `facts` and the user's own `extra_metadata` are for sinks that store documents.

        The sink never has a mixture of old and new passages, even after a crash.
        An item without passages (silence) is stored too, so that its `status` is `synced`.
        """
        ...

    def status(self, item_id: str) -> Published:
        """Return the state of one item; `missing` (with an empty hash) if it is not stored."""
        ...

    def list(self) -> Iterator[Published]:
        """Return one record for each stored item, in order of the remote id."""
        ...

    def delete(self, item_id: str) -> None:
        """Remove the item; a missing item is no error."""
        ...


@runtime_checkable
class SearchableSink(Sink, Protocol):
    """A sink that can be searched."""

    def search(self, query: str, mode: SearchMode = "keyword", limit: int = 20) -> Hits:
        """Return at most `limit` passages, best first.

        Raises UsageError for an empty query, an unknown mode or a mode that is not set up.
        """
        ...

    def unknown_words(self, query: str) -> Sequence[UnknownWord]:
        """Return the words of a query that no passage has, each with similar words."""
        ...


def check_query(query: str, limit: int) -> None:
    """Raise UsageError for an empty query, and for a limit below 1."""
    if not query.strip():
        raise UsageError(
            "search.query_empty",
            "The query is empty.",
            hint='For example: kb search "open the door"',
        )
    if limit < 1:
        raise UsageError(
            "search.limit",
            "The limit must be at least 1, not {limit}.",
            hint="Give the largest number of results.",
            limit=limit,
        )


def content_sha256(passages: Sequence[Passage], speakers: str = "") -> str:
    """Return the hash of all visible fields of these passages, as 64 hex digits.

    `speakers` are the names that a document has beside them.
    """
    # Empty values of later fields are omitted: published passages without them keep their hash.
    later = ("tier", "unsure", "origin", "speakers")
    fields = [
        {name: value for name, value in asdict(passage).items() if name not in later or value}
        for passage in passages
    ]
    if speakers:
        fields.append({"speakers": speakers})
    exact = json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    # A lone surrogate (from a damaged file name) must not prevent the publishing of an item.
    return hashlib.sha256(exact.encode("utf-8", "surrogatepass")).hexdigest()
