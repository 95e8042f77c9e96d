"""What a knowledge base must do to be fed by us, and the hash that tells whether it is in step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Literal, Protocol, get_args, runtime_checkable

from kb.types import DocumentFacts, Hit, MediaItem, Passage, Published

SearchMode = Literal["keyword", "semantic", "hybrid"]
SEARCH_MODES: tuple[str, ...] = get_args(SearchMode)

# `Sink.list` would shadow the builtin inside the class bodies below.
Hits = list[Hit]


@runtime_checkable
class Sink(Protocol):
    """A knowledge base that holds passages, one set of them per item.

    Every method raises KnowledgeBaseError when the knowledge base refuses or is damaged.
    `is_local`: it is a part of the library. An item is published to it within the item's own
    work, held items included; to every other sink the outbox publishes, and no held item.
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
        """Make the item's passages exactly these; the same content again changes nothing.

        `facts` and the user's own `extra_metadata` are for sinks that make documents of it.

        At no moment, a crash included, does the sink hold a mixture of old and new.
        An item without passages (silence) is held too, so that `status` says `synced`.
        """
        ...

    def status(self, item_id: str) -> Published:
        """What is held of one item; `missing` (with an empty hash) when nothing is."""
        ...

    def list(self) -> Iterator[Published]:
        """Everything that is held, one record per item, in order of the remote id."""
        ...

    def delete(self, item_id: str) -> None:
        """Remove the item; removing what is not there is no error."""
        ...


@runtime_checkable
class SearchableSink(Sink, Protocol):
    """A sink that can also answer."""

    def search(self, query: str, mode: SearchMode = "keyword", limit: int = 20) -> Hits:
        """At most `limit` passages, best first.

        Raises UsageError for an empty query, an unknown mode or a mode that is not set up.
        """
        ...


def content_sha256(passages: Sequence[Passage]) -> str:
    """The hash of everything a reader could see of these passages, as 64 hex digits."""
    # An empty tier is left out: it came later, and must not make what is published look changed.
    fields = [
        {name: value for name, value in asdict(passage).items() if name != "tier" or value}
        for passage in passages
    ]
    exact = json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    # A lone surrogate (a damaged file name) must not stop an item from being published.
    return hashlib.sha256(exact.encode("utf-8", "surrogatepass")).hexdigest()
