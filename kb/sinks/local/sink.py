"""The local knowledge base: a LanceDB index in the library folder, without server or account.

Its content can be rebuilt from the library folder at any time (`kb reindex`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from kb.errors import KnowledgeBaseError, UsageError
from kb.settings import Settings
from kb.sinks.base import SEARCH_MODES, Hits, SearchMode, check_query, content_sha256
from kb.sinks.local import ranking
from kb.sinks.local.centres import MOST_BEHIND, centres_of
from kb.sinks.local.embedding import Embedder, load_embedder
from kb.sinks.local.embedding_choice import chosen_model, identity_of, missing_part
from kb.sinks.local.errors import no_vectors_error
from kb.sinks.local.remote_tables import tables_of
from kb.sinks.local.tables import (
    FIRST_TABLE,
    HEAD,
    PASSAGE_COLUMNS,
    ItemsOnly,
    PassageTables,
    add_later_columns,
    columns_of,
    item_filter,
    passage_of,
    rows,
    schema,
)
from kb.sinks.local.terms import Term, expand, parse_query, suggestions
from kb.sinks.local.vector_columns import (
    add_vector_column,
    column_of,
    mean_vector,
    stored_vectors,
)
from kb.sinks.local.vectors import (
    LACKING,
    NO_TEXTS,
    TextVectors,
    meant_texts,
    model_in,
    state_of,
)
from kb.sinks.local.vocabulary import Vocabulary, VocabularyCache
from kb.types import DocumentFacts, MediaItem, Passage, Published, UnknownWord

log = logging.getLogger(__name__)

FOLDER_NAME = "index.lance"
REBUILD_BATCH = 2_000  # passages written at once: about 2 MB, and 3 MB of vectors
MOST_QUERY_CHARS = 2_000  # of a query are compared by meaning
# A cosine above that of the mean passage, for models without known centres. Of 25 paraphrases in
# two languages the right passage had 0.055 and more in 24; the best passage for a name that was
# nowhere had 0.03 to 0.06.
ABOVE_MEAN = 0.045


@dataclass(frozen=True, slots=True)
class VectorStates:
    """The items of the index by their vectors.

    `model` is that of this machine, empty if it has none; `lacking` are the ids of those of `items`
    that do not have all their vectors of it; `others` are the models that some of these have
    vectors of, made by another machine or before the setting was changed.
    """

    model: str
    items: int
    lacking: tuple[str, ...]
    others: tuple[str, ...] = ()


class LocalSink:
    """Passages under `<home>/index.lance`, for any number of processes at the same time.

    A publish is one commit, which is visible at once and stays atomic in a crash. Every method
    raises KnowledgeBaseError when the index is damaged, with `kb reindex` as its hint. An open
    sink must not be used after a fork.
    """

    name = "local"
    is_local = True

    def __init__(self, settings: Settings) -> None:
        self._setting = settings.embedding_model
        self._device = settings.device
        self._tables = tables_of(settings, settings.home / FOLDER_NAME)

    def publish(
        self,
        item: MediaItem,
        passages: Sequence[Passage],
        facts: DocumentFacts | None = None,
        extra_metadata: Mapping[str, str] | None = None,
        *,
        vectors: TextVectors | None = None,
    ) -> Published:
        """Replace the item's passages by these; unchanged passages cost one query.

        `facts` and `extra_metadata` are not stored, because searches do not use them. `vectors`
        are those of the item's texts, as far as they were made.
        """
        sha256 = content_sha256(passages)
        with self._tables.held() as tables:
            tables.write(
                lambda table: self._write_item(tables, table, item.id, passages, vectors), schema
            )
        return Published(self.name, item.id, sha256, "synced")

    def status(self, item_id: str) -> Published:
        """Return the state of the item: `synced` with its hash, or `missing`."""
        head = (self._tables.read(lambda table: _heads(table, item_id)) or {}).get(item_id)
        return Published(self.name, item_id, head[0] if head else "", _status(head))

    def list(self) -> Iterator[Published]:
        """Yield every stored item, in order of its id."""
        heads = self._tables.read(_heads) or {}
        for item_id, head in sorted(heads.items()):
            yield Published(self.name, item_id, head[0], _status(head))

    def delete(self, item_id: str) -> None:
        """Remove the item; a missing item is no error."""
        if self.status(item_id).status != "missing":
            with self._tables.held() as tables:
                tables.write(lambda table: table.delete(item_filter(item_id)), schema)

    def count(self) -> int:
        """Return the number of stored passages."""
        return self._tables.read(lambda table: int(table.count_rows(f"seq > {HEAD}"))) or 0

    def passages(self, item_id: str) -> Sequence[Passage]:
        """Return the item's passages in order, as they were published."""
        return self._tables.read(lambda table: _passages(table, item_id)) or ()

    def optimize(self) -> None:
        """Merge small files, finish the indices, delete old versions (also done by `publish`)."""
        with self._tables.held() as tables:
            tables.read(lambda table: tables.maintain(table, force=True))

    def search(
        self,
        query: str,
        mode: SearchMode = "keyword",
        limit: int = 20,
        only: Collection[str] | None = None,
    ) -> Hits:
        """Return at most `limit` passages, best first; equal scores in order of item and time.

        Passages with all words come first, in any order; text in quotation marks must occur
        literally. If they are too few, passages with some of the words follow, and
        `Hit.missing` names the others. Case and accents are ignored; `kb.sinks.local.terms`
        defines the other forms in which a word is found, `kb.sinks.local.ranking` the scores.
        `only` are the ids of the items whose passages are searched; None: all.

        Raises UsageError for an empty query, an unknown mode or a limit below 1;
        KnowledgeBaseError when the index is empty or damaged; in the other modes also what
        `require_meaning` raises.
        """
        check_query(query, limit)
        if mode not in SEARCH_MODES:
            raise UsageError(
                "search.mode_unknown",
                "Unknown search mode {mode!r}.",
                hint="Known: {known}.",
                mode=mode,
                known=", ".join(SEARCH_MODES),
            )
        terms = expand(parse_query(query), self._vocabulary())
        meaning = None if mode == "keyword" else self._query_vector(query)

        def ask(table: Any) -> list[ranking.Row]:
            if only is not None:
                table = ItemsOnly(table, only)
            if meaning is None:
                return ranking.keyword(table, terms, limit)
            if mode == "semantic":
                return ranking.semantic(table, meaning, limit)
            return ranking.hybrid(table, terms, meaning, limit)

        found = [] if only is not None and not only else self._tables.read(ask) or []
        if not found and self.count() == 0:
            raise KnowledgeBaseError(
                "index.empty",
                "The index in {folder} is empty.",
                hint="`kb ingest FILE` fills it; `kb reindex` rebuilds it from the library folder.",
                folder=self._tables.shown,
            )
        return [ranking.hit(row, terms, by_words=mode != "semantic") for row in found]

    def items_with(self, query: str) -> frozenset[str]:
        """Return the ids of the items with a passage that has all words of a query.

        As `search` by words; raises UsageError for an empty query and KnowledgeBaseError.
        """
        check_query(query, 1)
        terms = expand(parse_query(query), self._vocabulary())
        return frozenset(self._tables.read(lambda table: ranking.items_with(table, terms)) or ())

    def unknown_words(
        self, query: str, among: Collection[str] | None = None
    ) -> Sequence[UnknownWord]:
        """Return the words of a query that no passage has, each with similar words of the index.

        `among` are the words that are looked for, as they were typed; None: all of the query.
        """
        words = self._vocabulary()
        terms = expand(parse_query(query), words)
        if among is not None:
            terms = tuple(term for term in terms if term.text in among)

        def nowhere(table: Any) -> Sequence[Term]:
            return [term for term in terms if not ranking.keyword(table, (term,), 1)]

        return [
            UnknownWord(term.text, suggestions(term, words))
            for term in self._tables.read(nowhere) or ()
        ]

    def _vocabulary(self) -> Vocabulary:
        def read(table: Any) -> Vocabulary:
            return _vocabulary_cache(self._tables.words_file(table.name)).of(table, _hashes)

        return self._tables.read(read) or Vocabulary({})

    def rebuild(
        self,
        items: Iterable[tuple[MediaItem, Sequence[Passage]]],
        vectors: Callable[[str], TextVectors | None] = lambda item_id: None,
    ) -> int:
        """Replace the whole index by these items; return the number of passages.

        `vectors` returns those of an item's texts by its id.

        The new index is built in another table and becomes current in one step: searches use
        the old one until then, and after a crash the old one is current. Changes by other
        processes during the rebuild are repeated. A rebuild repairs a damaged index.
        """
        with self._tables.held() as tables:
            return self._rebuild(tables, items, vectors)

    def _rebuild(
        self,
        tables: PassageTables,
        items: Iterable[tuple[MediaItem, Sequence[Passage]]],
        vectors: Callable[[str], TextVectors | None],
    ) -> int:
        old = _old_table(tables)
        before = _heads(old) if old is not None else {}
        # The name contains the time, so that the age of a crashed rebuild's table is known.
        name = f"{FIRST_TABLE}-{os.getpid()}-{time.time_ns() // 1_000_000}"
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(tables.remove, name)
            with tables.wrap_errors("rebuild"):
                tables.make_folder()
                table = tables.create(name, schema(), with_indices=False)
            written = self._fill(tables, table, items, vectors)
            with tables.wrap_errors("rebuild"):
                tables.ensure_indices(table)
                tables.maintain(table, force=True)
                now = self._replay_changes(tables, old, before, table, written)
                replaced = tables.make_current(name)
            on_failure.pop_all()
        with tables.wrap_errors("rebuild"):
            # The second call repeats what was published during the replacement.
            self._replay_changes(tables, old, now, table, written)
            tables.remove_leftovers(replaced)
            return int(table.count_rows(f"seq > {HEAD}"))

    def clear(self) -> None:
        """Delete the whole content, damaged or not."""
        self.rebuild(())

    def _fill(
        self,
        tables: PassageTables,
        table: Any,
        items: Iterable[tuple[MediaItem, Sequence[Passage]]],
        vectors: Callable[[str], TextVectors | None],
    ) -> dict[str, str]:
        """Write all items into an empty table; return the hash of each."""
        written: dict[str, str] = {}
        for batch in _batches(items, written):
            found = [(item_id, passages, vectors(item_id)) for item_id, passages in batch]
            with tables.wrap_errors("rebuild"):
                for each in {own.model: own for _, _, own in found if own is not None}.values():
                    add_vector_column(table, each)
                chunks = [
                    rows(item_id, passages, written[item_id], table.schema, own)
                    for item_id, passages, own in found
                ]
                table.add(pa.concat_tables(chunks), on_bad_vectors="null")
        return written

    def _write_item(
        self,
        tables: PassageTables,
        table: Any,
        item_id: str,
        passages: Sequence[Passage],
        vectors: TextVectors | None,
    ) -> None:
        sha256 = content_sha256(passages)
        state = state_of(meant_texts(passages), vectors)
        if _heads(table, item_id).get(item_id) == (sha256, state):
            return
        add_later_columns(table, passages)
        if vectors is not None:
            add_vector_column(table, vectors)
        (
            table.merge_insert("id")
            .when_matched_update_all()
            .when_not_matched_insert_all()
            .when_not_matched_by_source_delete(item_filter(item_id))
            .execute(rows(item_id, passages, sha256, table.schema, vectors), on_bad_vectors="null")
        )
        tables.maintain(table)

    def vector_states(self) -> VectorStates:
        """Return how many items have vectors of this machine's model. Raises KnowledgeBaseError."""
        model = identity_of(self._setting)
        heads = self._tables.read(_heads) or {}
        states = {item_id: state for item_id, (_, state) in heads.items() if state != NO_TEXTS}
        return VectorStates(
            model,
            len(states),
            tuple(sorted(item_id for item_id, state in states.items() if state != model)),
            tuple(sorted({model_in(state) for state in states.values()} - {model, ""})),
        )

    def partial_ids(self) -> Sequence[str]:
        """Return the ids of the items that have vectors for some of their passages alone."""
        where = f"seq = {HEAD} AND embedding_model LIKE '%{LACKING}%'"

        def read(table: Any) -> Sequence[str]:
            found = table.search().where(where).select(["item_id"]).to_arrow()
            return sorted(found["item_id"].to_pylist())

        return self._tables.read(read) or ()

    def lacking_count(self) -> int:
        """Return the number of items without all their vectors of this machine's model."""
        model = identity_of(self._setting).replace("'", "''")
        where = f"seq = {HEAD} AND embedding_model NOT IN ('{model}', '{NO_TEXTS}')"
        return self._tables.read(lambda table: int(table.count_rows(where))) or 0

    def require_meaning(self) -> None:
        """Raise the error of what a search by meaning lacks.

        ModelUnavailable or UsageError for the model, KnowledgeBaseError for an index without its
        vectors.
        """
        if (problem := missing_part(self._setting)) is not None:
            raise problem
        model = identity_of(self._setting)
        if not (self._tables.read(lambda table: column_of(model) in table.schema.names)):
            raise no_vectors_error(model)

    def _query_vector(self, query: str) -> ranking.Meaning:
        """Return the vector of a query with what is needed to compare it."""
        self.require_meaning()
        embedder: Embedder = load_embedder(chosen_model(self._setting), self._device)
        vector = embedder.query(query[:MOST_QUERY_CHARS])
        model = identity_of(self._setting)
        column, centres = column_of(model), centres_of(model)
        if centres is not None:
            return ranking.Meaning(vector, column, -1.0, MOST_BEHIND, centres)
        mean = self._tables.read(lambda table: mean_vector(table, column, str(self._tables.shown)))
        # Without it, a name that is nowhere would have whichever passages as an answer.
        least = -1.0 if mean is None else float(mean @ vector) + ABOVE_MEAN
        return ranking.Meaning(vector, column, least, embedder.most_behind)

    def _replay_changes(
        self,
        tables: PassageTables,
        old: Any | None,
        before: _Heads,
        table: Any,
        written: dict[str, str],
    ) -> _Heads:
        """Repeat on the new table the changes of the old one since `before`.

        `written` has the hashes that this rebuild wrote into the new table. An item with another
        hash in the new table was published there by another process later, and is not changed.
        """
        if old is None:
            return before
        now, new_heads = _heads(old), _heads(table)
        for item_id in sorted(before.keys() | now.keys()):
            changed = now.get(item_id) != before.get(item_id)
            if not changed or new_heads.get(item_id, ("", ""))[0] != written.get(item_id, ""):
                continue
            if item_id in now:
                vectors = stored_vectors(old, item_filter(item_id))
                self._write_item(tables, table, item_id, _passages(old, item_id), vectors)
                written[item_id] = now[item_id][0]
            else:
                table.delete(item_filter(item_id))
                written.pop(item_id, None)
        return now


@cache
def _vocabulary_cache(file: Path) -> VocabularyCache:
    return VocabularyCache(file)


def _old_table(tables: PassageTables) -> Any | None:
    """Return the table that a rebuild replaces, or None if it is missing or damaged."""
    with contextlib.suppress(KnowledgeBaseError):
        return tables.read(lambda table: (_heads(table), table)[1])
    return None


# Item id -> the hash of its passages, and the model of its vectors or "".
_Heads = dict[str, tuple[str, str]]


def _heads(table: Any, item_id: str | None = None) -> _Heads:
    where = f"seq = {HEAD}" if item_id is None else f"seq = {HEAD} AND {item_filter(item_id)}"
    columns = ["item_id", "content_sha256", "embedding_model"]
    found = table.search().where(where).select(columns).to_arrow().to_pylist()
    return {row["item_id"]: (row["content_sha256"], row["embedding_model"] or "") for row in found}


def _hashes(table: Any) -> dict[str, str]:
    return {item_id: head[0] for item_id, head in _heads(table).items()}


def _passages(table: Any, item_id: str) -> list[Passage]:
    where = f"seq > {HEAD} AND {item_filter(item_id)}"
    columns = ["seq", *columns_of(table, PASSAGE_COLUMNS)]
    found = table.search().where(where).select(columns).to_arrow().to_pylist()
    return [passage_of(row) for row in sorted(found, key=lambda row: int(row["seq"]))]


def _status(head: tuple[str, str] | None) -> str:
    return "synced" if head else "missing"


def _batches(
    items: Iterable[tuple[MediaItem, Sequence[Passage]]], written: dict[str, str]
) -> Iterator[list[tuple[str, Sequence[Passage]]]]:
    """Yield items in groups of about `REBUILD_BATCH` passages; add their hashes to `written`."""
    batch: list[tuple[str, Sequence[Passage]]] = []
    size = 0
    for item, passages in items:
        if item.id in written:
            log.warning("%s is in the library twice; the first one is indexed.", item.id)
            continue
        written[item.id] = content_sha256(passages)
        batch.append((item.id, passages))
        size += len(passages) + 1
        if size >= REBUILD_BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
