"""The contract of sinks as tests: subclass `SinkContract` and give it a `sink` fixture."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kb.sinks import is_local_sink
from kb.sinks.base import Sink
from kb.types import MediaItem, Passage

QUOTES_AND_MORE = 'web:it\'s:a "strange" ü% id;--'


def make_item(item_id: str, title: str = "") -> MediaItem:
    return MediaItem(
        id=item_id,
        source="test",
        url=f"http://127.0.0.1/{item_id}",
        title=title or f"Title of {item_id}",
        published="2026-01-31",
    )


def make_passages(item: MediaItem, texts: Sequence[str], seconds: float = 30.0) -> list[Passage]:
    return [
        Passage(
            id=f"{item.id}#{number:04d}",
            item_id=item.id,
            start_s=number * seconds,
            end_s=(number + 1) * seconds,
            text=text,
            deep_link=f"{item.url}?t={int(number * seconds)}",
            title=item.title,
            channel="Channel",
            published=item.published,
            language="en",
            path=f"media/{item.short_id}.mp4",
        )
        for number, text in enumerate(texts)
    ]


class SinkContract:
    """The contract; `texts` reads the texts of an item from the sink, in order."""

    @pytest.fixture
    def sink(self) -> Sink:
        raise NotImplementedError

    def texts(self, sink: Sink, item_id: str) -> list[str]:
        raise NotImplementedError

    def put(self, sink: Sink, item_id: str, texts: Sequence[str]) -> str:
        item = make_item(item_id)
        published = sink.publish(item, make_passages(item, texts))
        assert published.sink == sink.name
        return published.content_sha256

    def test_its_name_leads_to_its_place(self, sink: Sink) -> None:
        """Only the local index receives held items, in the item's workflow."""
        assert isinstance(sink, Sink)
        assert sink.is_local == is_local_sink(sink.name) == (sink.name == "local")

    def test_published_is_listed_with_its_hash(self, sink: Sink) -> None:
        digest = self.put(sink, "test:one", ["first words", "second words"])
        status = sink.status("test:one")
        assert status.status == "synced"
        assert status.content_sha256 == digest
        assert len(digest) == 64
        assert [held.content_sha256 for held in sink.list()] == [digest]
        assert self.texts(sink, "test:one") == ["first words", "second words"]

    def test_publishing_twice_changes_nothing(self, sink: Sink) -> None:
        first = self.put(sink, "test:one", ["first words", "second words"])
        again = self.put(sink, "test:one", ["first words", "second words"])
        assert first == again
        assert len(list(sink.list())) == 1
        assert self.texts(sink, "test:one") == ["first words", "second words"]

    @pytest.mark.parametrize("after", [["new"], ["new", "text"], ["new", "text", "longer", "now"]])
    def test_replaced_text_leaves_nothing_of_the_old(self, sink: Sink, after: list[str]) -> None:
        before = self.put(sink, "test:one", ["old words", "older words", "oldest words"])
        other = self.put(sink, "test:other", ["stays"])
        digest = self.put(sink, "test:one", after)
        assert digest != before
        assert self.texts(sink, "test:one") == after
        assert self.texts(sink, "test:other") == ["stays"]
        assert {held.content_sha256 for held in sink.list()} == {digest, other}

    def test_a_changed_title_is_a_change(self, sink: Sink) -> None:
        before = self.put(sink, "test:one", ["words"])
        item = make_item("test:one", "Another title")
        assert sink.publish(item, make_passages(item, ["words"])).content_sha256 != before

    def test_an_item_without_words_is_held_too(self, sink: Sink) -> None:
        self.put(sink, "test:silent", ["words that turned out to be noise"])
        self.put(sink, "test:silent", [])
        assert sink.status("test:silent").status == "synced"
        assert self.texts(sink, "test:silent") == []

    def test_delete(self, sink: Sink) -> None:
        self.put(sink, "test:one", ["words"])
        self.put(sink, "test:two", ["words"])
        sink.delete("test:one")
        sink.delete("test:one")
        sink.delete("test:never")
        assert sink.status("test:one").status == "missing"
        assert sink.status("test:one").content_sha256 == ""
        assert self.texts(sink, "test:one") == []
        assert len(list(sink.list())) == 1
        self.put(sink, "test:one", ["back again"])
        assert self.texts(sink, "test:one") == ["back again"]

    def test_an_unknown_item_is_missing(self, sink: Sink) -> None:
        assert sink.status("test:never").status == "missing"
        assert list(sink.list()) == []

    def test_strange_ids_and_texts_arrive_unharmed(self, sink: Sink) -> None:
        texts = ["quotes \"' and \\", "line\nbreak\ttab", "emoji 🎬 fünf 人工智能", "x" * 5000]
        self.put(sink, QUOTES_AND_MORE, texts)
        self.put(sink, "test:plain", ["words"])
        assert sink.status(QUOTES_AND_MORE).status == "synced"
        assert self.texts(sink, QUOTES_AND_MORE) == texts
        sink.delete(QUOTES_AND_MORE)
        assert [held.content_sha256 for held in sink.list()] == [
            sink.status("test:plain").content_sha256
        ]
