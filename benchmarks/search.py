"""Search over 100,000 generated passages: the local knowledge base compared to SQLite FTS5.

    python benchmarks/search.py

The texts follow Zipf's law over 50,000 generated words, with about 60 words a passage and 50
passages an item. They are the same in every run. Both engines answer the same queries in the
same process, with snippets; ours through `open_search(...).search(...)`, as `kb search` does.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.support.common import figure, median, p95, timed_ms
from kb.settings import Settings
from kb.sinks import open_search
from kb.sinks.base import SearchMode
from kb.sinks.local import embedding
from kb.sinks.local.embedding import Vectors
from kb.sinks.local.sink import LocalSink
from kb.sinks.local.vectors import TextVectors, text_key
from kb.types import MediaItem, Passage

PASSAGES = 100_000
PASSAGES_PER_ITEM = 50
VOCABULARY = 50_000
MEAN_WORDS = 60
QUERIES_OF_A_KIND = 60
LIMIT = 20
TARGET_MS = 50.0

Queries = dict[str, list[str]]


def vocabulary(rng: np.random.Generator) -> list[str]:
    """Return different pronounceable words; frequent words are short."""
    onsets = ["", *"bdfghklmnprstvwz", "st", "tr", "sch", "pl"]
    syllables = [onset + vowel for onset in onsets for vowel in ("a", "e", "i", "o", "u", "ü")]
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        longest = 2 + len(words) * 3 // VOCABULARY
        count = rng.integers(1, longest + 1)
        words["".join(rng.choice(syllables, count)) + rng.choice(["", "n", "s", "t"])] = None
    return list(words)


def make_texts(rng: np.random.Generator, words: Sequence[str]) -> list[str]:
    weights = 1 / np.arange(1, VOCABULARY + 1)
    lengths = rng.integers(MEAN_WORDS - 20, MEAN_WORDS + 21, PASSAGES)
    drawn = rng.choice(VOCABULARY, int(lengths.sum()), p=weights / weights.sum())
    parts = np.split(drawn, np.cumsum(lengths)[:-1])
    return [" ".join(words[number] for number in part).capitalize() + "." for part in parts]


def make_queries(rng: np.random.Generator, words: Sequence[str], texts: Sequence[str]) -> Queries:
    def some(low: int, high: int) -> list[str]:
        return [words[number] for number in rng.integers(low, high, QUERIES_OF_A_KIND)]

    chosen = [texts[number].rstrip(".").split() for number in rng.integers(0, len(texts), 60)]
    starts = [int(rng.integers(0, len(found) - 3)) for found in chosen]
    return {
        "rare word": some(10_000, VOCABULARY),
        "frequent word": some(0, 100),
        "two words": [
            f"{first} {second}"
            for first, second in zip(some(20, 500), some(200, 5_000), strict=True)
        ],
        "phrase": [
            '"' + " ".join(found[at : at + 3]) + '"'
            for found, at in zip(chosen, starts, strict=True)
        ],
    }


def library(texts: Sequence[str]) -> Iterator[tuple[MediaItem, list[Passage]]]:
    for number in range(0, len(texts), PASSAGES_PER_ITEM):
        yield make_item(number // PASSAGES_PER_ITEM, texts[number : number + PASSAGES_PER_ITEM])


def make_item(number: int, texts: Sequence[str]) -> tuple[MediaItem, list[Passage]]:
    item = MediaItem(f"youtube:{number:011}", "youtube", "", f"Talk {number}", "2026-01-31")
    return item, [
        Passage(
            id=f"{item.id}#{at:04}",
            item_id=item.id,
            start_s=at * 30.0,
            end_s=at * 30.0 + 30.0,
            text=text,
            deep_link=f"https://youtu.be/{number:011}?t={at * 30}",
            title=item.title,
            channel="Channel",
            published=item.published,
            language="en",
            path=f"media/2026-01-31_Talk_{number:011}.mp4",
        )
        for at, text in enumerate(texts)
    ]


class SQLite:
    """An FTS5 table on disk with the same passages."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute(
            "CREATE VIRTUAL TABLE passages USING fts5("
            "text, item_id UNINDEXED, title UNINDEXED, start_s UNINDEXED, deep_link UNINDEXED, "
            "tokenize='unicode61 remove_diacritics 2')"
        )
        self.connection.execute("CREATE TABLE held (item_id TEXT, passage INTEGER)")
        self.connection.execute("CREATE INDEX held_item ON held (item_id)")

    def publish(self, entry: tuple[MediaItem, list[Passage]]) -> None:
        item, passages = entry
        with self.connection as db:
            db.execute(
                "DELETE FROM passages WHERE rowid IN (SELECT passage FROM held WHERE item_id = ?)",
                (item.id,),
            )
            db.execute("DELETE FROM held WHERE item_id = ?", (item.id,))
            for one in passages:
                row = (one.text, one.item_id, one.title, one.start_s, one.deep_link)
                cursor = db.execute("INSERT INTO passages VALUES (?, ?, ?, ?, ?)", row)
                db.execute("INSERT INTO held VALUES (?, ?)", (item.id, cursor.lastrowid))

    def search(self, query: str) -> list[tuple[str, ...]]:
        return self.connection.execute(
            "SELECT text, snippet(passages, 0, '**', '**', ' … ', 30), item_id, title, start_s, "
            "deep_link, rank FROM passages WHERE passages MATCH ? ORDER BY rank LIMIT ?",
            (query, LIMIT),
        ).fetchall()


class RandomEmbedder:
    """Random vectors of a small model's length: they show the time of a search, not its quality."""

    dimension = 384
    most_behind = 2.0

    def __init__(self, model: str, device: str) -> None:
        self._rng = np.random.default_rng(5)

    def passages(self, texts: Sequence[str]) -> Vectors:
        rows = self._rng.standard_normal((len(texts), self.dimension), dtype=np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)

    def query(self, text: str) -> Vectors:
        return self.passages([text])[0]


def seconds(action: object, *arguments: object) -> float:
    start = time.perf_counter()
    action(*arguments)  # type: ignore[operator]
    return time.perf_counter() - start


def size_mb(path: Path) -> float:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6


def main() -> int:
    rng = np.random.default_rng(20260131)
    words = vocabulary(rng)
    texts = make_texts(rng, words)
    queries = make_queries(rng, words, texts)
    mixed = [query for kind in zip(*queries.values(), strict=True) for query in kind]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        met = keyword(Path(folder), texts, queries, mixed)
        hybrid(Path(folder), texts, mixed)
    return 0 if met else 1


def keyword(folder: Path, texts: Sequence[str], queries: Queries, mixed: Sequence[str]) -> bool:
    settings = Settings(home=folder / "home")
    sink = LocalSink(settings)
    peer = SQLite(folder / "peer.sqlite")
    figure("passages", len(texts), "count")
    figure("rebuild, LanceDB", seconds(sink.rebuild, library(texts)), "s")
    figure("rebuild, SQLite FTS5", seconds(lambda: [*map(peer.publish, library(texts))]), "s")
    figure("size on disk, LanceDB", size_mb(folder / "home"), "MB")
    figure("size on disk, SQLite FTS5", size_mb(folder) - size_mb(folder / "home"), "MB")

    opened = open_search("local", settings)
    first = timed_ms(lambda query: opened.search(query, limit=LIMIT), mixed[:1])
    figure("first search after opening, LanceDB", first[0], "ms")

    def ours(query: str) -> object:
        return opened.search(query, "keyword", LIMIT)

    times = timed_ms(ours, mixed)
    met = figure("search median, LanceDB", median(times), "ms", at_most=TARGET_MS)
    met &= figure("search p95, LanceDB", p95(times), "ms")
    theirs = timed_ms(peer.search, mixed)
    figure("search median, SQLite FTS5", median(theirs), "ms")
    figure("search p95, SQLite FTS5", p95(theirs), "ms")
    for kind, asked in queries.items():
        figure(f"{kind} median, LanceDB", median(timed_ms(ours, asked)), "ms")
        figure(f"{kind} median, SQLite FTS5", median(timed_ms(peer.search, asked)), "ms")
    same = [
        {hit.text for hit in opened.search(query, limit=LIMIT)}
        == {row[0] for row in peer.search(query)}
        for query in queries["rare word"] + queries["phrase"]
        if len(peer.search(query)) < LIMIT  # not cut off, so both sets must be equal
    ]
    met &= figure("same answers as SQLite FTS5", sum(same) / len(same), "share", at_least=1.0)

    half = len(texts) // PASSAGES_PER_ITEM // 2
    changed = [
        make_item(number, texts[half + number : half + number + PASSAGES_PER_ITEM])
        for number in range(20)
    ]
    figure(
        "upsert of 50 passages, LanceDB",
        median(timed_ms(lambda e: sink.publish(*e), changed)),
        "ms",
    )
    figure("upsert of 50 passages, SQLite FTS5", median(timed_ms(peer.publish, changed)), "ms")
    figure(
        "upsert of the same again, LanceDB",
        median(timed_ms(lambda e: sink.publish(*e), changed)),
        "ms",
    )
    times = timed_ms(ours, mixed)
    met &= figure("search median after 20 upserts, LanceDB", median(times), "ms", at_most=TARGET_MS)
    figure("search p95 after 20 upserts, LanceDB", p95(times), "ms")
    figure("optimise after 20 upserts, LanceDB", seconds(sink.optimize), "s")
    return met


def hybrid(folder: Path, texts: Sequence[str], mixed: Sequence[str]) -> None:
    """Measure the latency with one random vector of 384 numbers a passage."""
    embedding.EMBEDDERS["made-up"] = f"{__name__}:RandomEmbedder"
    settings = Settings(home=folder / "vectors", embedding_model="made-up:384")
    rows = RandomEmbedder("", "").passages(texts)
    made = TextVectors("made-up:384", 384, dict(zip(map(text_key, texts), rows, strict=True)))
    sink = LocalSink(settings)
    took = seconds(sink.rebuild, library(texts), lambda item_id: made)
    figure("rebuild with vectors, LanceDB", took, "s")
    opened = open_search("local", settings)
    modes: tuple[SearchMode, ...] = ("semantic", "hybrid")
    for mode in modes:
        times = timed_ms(lambda query, mode=mode: opened.search(query, mode, LIMIT), mixed)
        figure(f"{mode} search median, LanceDB", median(times), "ms")
        figure(f"{mode} search p95, LanceDB", p95(times), "ms")


if __name__ == "__main__":
    sys.exit(main())
