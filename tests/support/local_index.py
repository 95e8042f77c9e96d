"""Items for a local index, and the ids of its hits."""

from __future__ import annotations

from collections.abc import Sequence

from kb.sinks.base import Sink
from kb.types import Hit, MediaItem, Passage
from tests.support.sink_contract import make_item, make_passages


def put(sink: Sink, item_id: str, *texts: str) -> None:
    item = make_item(item_id)
    sink.publish(item, make_passages(item, texts))


def found(hits: Sequence[Hit]) -> list[str]:
    return [hit.text for hit in hits]


def source(item_id: str, *texts: str) -> tuple[MediaItem, list[Passage]]:
    item = make_item(item_id)
    return item, make_passages(item, texts)
