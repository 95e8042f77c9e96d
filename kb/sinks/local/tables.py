"""The table of passages on disk: one LanceDB table, its indices, and its replacement.

Every passage is a row. Each item also has one *head* row (`seq` -1, no words) with the hash of
its passages. All rows of an item are written in one commit, so an item is either old or new, and
its state is read from one row. `id` is the table's primary key: with it, LanceDB refuses (and
repeats) the slower of two commits to the same item. Without it, two processes that publish one
item at the same time would leave both sets of rows.

The file `current` contains the name of the table in use; without that file it is `passages`. A
rebuild fills a table of another name and then replaces the file, so that after a crash at any
point either the old table or the new one is in use.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import lancedb
import pyarrow as pa
from lancedb.index import FTS, BTree

from kb import storage
from kb.errors import KnowledgeBaseError
from kb.sinks.local.errors import STORE_ERRORS, Action, index_error, is_lost_race
from kb.sinks.local.tokenizer import tokens
from kb.sinks.local.vector_columns import column_of, column_values, index_vectors
from kb.sinks.local.vectors import TextVectors, meant_texts, state_of
from kb.types import Passage, UnsurePassage

log = logging.getLogger(__name__)

FIRST_TABLE = "passages"
POINTER = "current"
WORDS_SUFFIX = ".words.feather"
HEAD = -1

# Full-text search reads rows outside the index one by one: 2,000 cost about 5 ms per query.
MAX_UNINDEXED_ROWS = 2_000
MAX_FRAGMENTS = 64
MAX_OLD_VERSIONS = 64
# A reader uses a version during one query; files of older versions can be deleted.
KEEP_VERSIONS = timedelta(minutes=2)
LEFTOVER_AGE_S = 24 * 3600.0
WRITE_ATTEMPTS = 8

Result = TypeVar("Result")


class ItemsOnly:
    """A table for searches in the passages of some items alone."""

    def __init__(self, table: Any, ids: Collection[str]) -> None:
        self._table = table
        self.schema = table.schema
        quoted = ", ".join("'" + _utf8(each).replace("'", "''") + "'" for each in sorted(ids))
        self._where = f"item_id IN ({quoted})"

    def search(self, *what: Any, **options: Any) -> Any:
        """Begin a search, as the table does."""
        return self._table.search(*what, **options).where(self._where, prefilter=True)


def schema() -> pa.Schema:
    """Return the columns of a new table; those of vectors are added with the first vectors.

    A table of an earlier version may have a column `vector`, which is not used any more.
    """
    primary_key = {"lance-schema:unenforced-primary-key": "true"}
    return pa.schema([
        pa.field("id", pa.string(), nullable=False, metadata=primary_key),
        pa.field("item_id", pa.string()),
        pa.field("seq", pa.int32()),
        pa.field("start_s", pa.float64()),
        pa.field("end_s", pa.float64()),
        pa.field("text", pa.string()),
        pa.field("tokens", pa.string()),
        pa.field("deep_link", pa.string()),
        pa.field("title", pa.string()),
        pa.field("channel", pa.string()),
        pa.field("published", pa.string()),
        pa.field("language", pa.string()),
        pa.field("path", pa.string()),
        pa.field("word_starts_s", pa.list_(pa.float64())),
        pa.field("tier", pa.string()),
        pa.field("unsure", pa.string()),
        pa.field("origin", pa.string()),
        pa.field("content_sha256", pa.string()),
        pa.field("embedding_model", pa.string()),
    ])  # fmt: skip


def rows(
    item_id: str,
    passages: Sequence[Passage],
    sha256: str,
    into: pa.Schema,
    vectors: TextVectors | None = None,
) -> pa.Table:
    """Return the head row and one row per passage, in the schema `into`."""
    count = len(passages) + 1
    columns: dict[str, Any] = {
        "id": [_utf8(f"{item_id}#"), *(_utf8(passage.id) for passage in passages)],
        "item_id": [_utf8(item_id)] * count,
        "seq": list(range(HEAD, count - 1)),
        "tokens": [None, *(" ".join(tokens(passage.text)) for passage in passages)],
        "content_sha256": [sha256] * count,
        "embedding_model": [state_of(meant_texts(passages), vectors)] * count,
    }
    for name in ("start_s", "end_s"):
        columns[name] = [None, *(getattr(passage, name) for passage in passages)]
    for name in (
        "text",
        "deep_link",
        "title",
        "channel",
        "published",
        "language",
        "path",
        "tier",
        "origin",
    ):
        columns[name] = [None, *(_utf8(getattr(passage, name)) for passage in passages)]
    columns["unsure"] = [None, *(_unsure_text(passage) for passage in passages)]
    columns["word_starts_s"] = [None, *(list(passage.word_starts_s) for passage in passages)]
    if vectors is not None:
        name = column_of(vectors.model)
        columns[name] = column_values(passages, vectors, into.field(name).type)
    return pa.Table.from_arrays(
        [
            pa.array(columns[field.name], field.type)
            if isinstance(columns.get(field.name), list)
            else columns.get(field.name, pa.nulls(count, field.type))
            for field in into
        ],
        schema=into,
    )


def passage_of(row: dict[str, Any]) -> Passage:
    """Return the passage of a row."""
    return Passage(
        id=row["id"],
        item_id=row["item_id"],
        start_s=row["start_s"],
        end_s=row["end_s"],
        text=row["text"],
        deep_link=row["deep_link"],
        title=row["title"],
        channel=row["channel"],
        published=row["published"],
        language=row["language"],
        path=row["path"],
        word_starts_s=tuple(row["word_starts_s"] or ()),
        tier=row.get("tier") or "",
        unsure=unsure_of(row),
        origin=row.get("origin") or "",
    )


def unsure_of(row: dict[str, Any]) -> tuple[UnsurePassage, ...]:
    """Return the unsure parts of a row's passage."""
    return tuple(UnsurePassage(*part) for part in json.loads(row.get("unsure") or "[]"))


def _unsure_text(passage: Passage) -> str:
    parts = [[part.start_s, part.end_s, part.share] for part in passage.unsure]
    return json.dumps(parts) if parts else ""


PASSAGE_COLUMNS = [
    *("id", "item_id", "start_s", "end_s", "text", "deep_link"),
    *("title", "channel", "published", "language", "path", "word_starts_s", "tier"),
    *("unsure", "origin"),
]


def columns_of(table: Any, requested: Sequence[str]) -> list[str]:
    """Return the requested columns that the table has; a table of an older version lacks some."""
    existing = frozenset(table.schema.names)
    return [name for name in requested if name in existing or name.startswith("_")]


def add_later_columns(table: Any, passages: Sequence[Passage]) -> None:
    """Add the columns that these passages need to a table of an older version."""
    for name in ("tier", "unsure", "origin"):
        needed = any(getattr(passage, name) for passage in passages)
        if needed and name not in table.schema.names:
            table.add_columns({name: "cast(NULL as string)"})


def item_filter(item_id: str) -> str:
    """Return the filter that selects an item's rows."""
    quoted = _utf8(item_id).replace("'", "''")
    return f"item_id = '{quoted}'"


def _utf8(text: str) -> str:
    # A name from a file system may contain lone surrogates, which a table cannot store.
    return text.encode("utf-8", "replace").decode("utf-8")


class PassageTables:
    """The folder of the index, with its current table, the creation of tables and safe writing.

    Several processes and threads can use it at the same time, without a lock.
    """

    def __init__(self, folder: Path, shown: Path | None = None) -> None:
        """`shown` is the path in messages where `folder` leads through a descriptor."""
        self.folder = folder
        self.shown: Path | str = shown or folder
        self._opened: tuple[str, int, Any] | None = None

    @contextlib.contextmanager
    def held(self) -> Iterator[PassageTables]:
        """Yield these tables for writing, in a folder that stays the library's during the block.

        They are opened for the block alone: a path through a descriptor ends with it. Raises
        LibraryError if the library's folder is missing or is another one.
        """
        with storage.held(self.folder) as real:
            yield self if real == self.folder else PassageTables(real, self.folder)

    def read(self, query: Callable[[Any], Result]) -> Result | None:
        """Return the query's result on the current table, or None if there is no table yet.

        Raises KnowledgeBaseError when the table is damaged.
        """
        try:
            with self.wrap_errors("read"):
                return self._query(query)
        except KnowledgeBaseError:
            # A rebuild may have removed the table during the query.
            self._opened = None
        with self.wrap_errors("read"):
            return self._query(query)

    def _query(self, query: Callable[[Any], Result]) -> Result | None:
        table = self._open(self.current())
        return None if table is None else query(table)

    def write(self, action: Callable[[Any], None], make: Callable[[], pa.Schema]) -> None:
        """Run `action` on the current table, created with the schema `make()` if missing.

        `action` must be idempotent: it is repeated when another process commits first, and on
        the new table when a rebuild replaced the old one during the action.
        Raises KnowledgeBaseError.
        """
        for attempt in range(1, WRITE_ATTEMPTS + 1):
            with self.wrap_errors("write"):
                name = self.current()
                try:
                    table = self._open(name)  # an empty table is false, so compare with None
                    action(self.create(name, make()) if table is None else table)
                except STORE_ERRORS as error:
                    lost_a_race = is_lost_race(str(error)) or self.current() != name
                    if not lost_a_race or attempt == WRITE_ATTEMPTS:
                        raise
                    self._opened = None
                    time.sleep(random.uniform(0.02, 0.1) * attempt)
                    continue
                if self.current() == name:
                    return
        raise KnowledgeBaseError(
            "index.replaced",
            "The index {folder} is being replaced by another process over and over.",
            hint="Wait for `kb reindex` to end, then try again.",
            retryable=True,
            folder=self.shown,
        )

    def create(self, name: str, columns: pa.Schema, *, with_indices: bool = True) -> Any:
        """Return the table, created if missing."""
        table = self._connect().create_table(name, schema=columns, exist_ok=True)
        if with_indices:
            self.ensure_indices(table)
        return table

    def words_file(self, name: str) -> Path:
        """Return the file of a table's list of words."""
        return self.folder / f"{name}{WORDS_SUFFIX}"

    def make_folder(self) -> None:
        """Create the folder; a file of that name is removed."""
        if self.folder.is_file():
            self.folder.unlink()
        self.folder.mkdir(parents=True, exist_ok=True)

    def current(self) -> str:
        """Return the name of the table in use."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            name = _retry_on_permission_error((self.folder / POINTER).read_text, "utf-8").strip()
            # An incomplete name or any other text is damage.
            if not name.startswith(FIRST_TABLE) or not name.replace("-", "").isalnum():
                raise ValueError(f"{self.folder / POINTER} does not name a table")
            return name
        return FIRST_TABLE

    def make_current(self, name: str) -> str:
        """Replace the current table by another in one step; return the name of the old one."""
        try:
            replaced = self.current()
        except ValueError:  # the damaged file named no table
            replaced = FIRST_TABLE
        beside = self.folder / f"{POINTER}.{os.getpid()}.tmp"
        with beside.open("w", encoding="utf-8") as file:
            file.write(name + "\n")
            file.flush()
            os.fsync(file.fileno())
        _retry_on_permission_error(beside.replace, self.folder / POINTER)
        return replaced

    def remove_leftovers(self, replaced: str) -> None:
        """Delete the replaced table, and tables of crashed rebuilds older than a day."""
        keep = self.current()
        for path in self.folder.glob(f"{FIRST_TABLE}*.lance"):
            name = path.stem
            made = name.rpartition("-")[2]
            stale = made.isdigit() and time.time() - int(made) / 1000 > LEFTOVER_AGE_S
            if name != keep and (name == replaced or stale):
                self.remove(name)

    def remove(self, name: str) -> None:
        """Delete a table's files and its list of words, or a file of its name."""
        with contextlib.suppress(OSError):
            self.words_file(name).unlink()
        path = self.folder / f"{name}.lance"
        # On Windows a reader may have files open: `remove_leftovers` deletes them later.
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            path.unlink()

    def ensure_indices(self, table: Any) -> None:
        """Create the missing indices."""
        existing = {column for index in table.list_indices() for column in index.columns}
        if "item_id" not in existing:
            table.create_index("item_id", config=BTree())
        if "tokens" not in existing:
            table.create_index(
                "tokens",
                config=FTS(
                    with_position=True,  # without positions a phrase query fails
                    base_tokenizer="whitespace",
                    max_token_length=None,
                    lower_case=False,
                    ascii_folding=False,
                    stem=False,
                    remove_stop_words=False,
                ),
            )

    def maintain(self, table: Any, *, force: bool = False) -> None:
        """Update the indices, merge small files and delete old versions, if due.

        A failure is only logged: searches stay correct, and the next publish tries again.
        """
        try:
            statistics = table.index_stats("tokens_idx")
            if statistics is None:
                # The process that made the table died, or lost a race, before it made the indices.
                self.ensure_indices(table)
                statistics = table.index_stats("tokens_idx")
            unindexed = statistics.num_unindexed_rows if statistics else 0
            fragments = table.stats()["fragment_stats"]["num_small_fragments"]
            due = unindexed >= MAX_UNINDEXED_ROWS or fragments >= MAX_FRAGMENTS
            if not (force or due or self._old_versions(table) >= MAX_OLD_VERSIONS):
                return
            index_vectors(table)
            table.optimize(cleanup_older_than=KEEP_VERSIONS)
        except STORE_ERRORS as error:
            log.info("Index upkeep was put off: %s", _first_line(error))

    def _old_versions(self, table: Any) -> int:
        """Return the number of versions that no reader can still need."""
        now = time.time()
        with os.scandir(self.folder / f"{table.name}.lance" / "_versions") as files:
            ages = [now - file.stat().st_mtime for file in files]
        return sum(age >= KEEP_VERSIONS.total_seconds() for age in ages)

    def _connect(self) -> Any:
        # With an interval of zero, every query first checks for commits of other processes.
        return lancedb.connect(str(self.folder), read_consistency_interval=timedelta(0))

    def _open(self, name: str) -> Any | None:
        """Return the table, None if it is missing; it stays open while its folder is the same."""
        path = self.folder / f"{name}.lance"
        try:
            found = path.stat()
        except FileNotFoundError:
            if (self.folder / POINTER).exists():
                raise
            return None
        if not stat.S_ISDIR(found.st_mode):  # LanceDB would fail only after seconds
            raise NotADirectoryError(f"{path.name} is not a folder")
        if self._opened and self._opened[:2] == (name, found.st_ino):
            return self._opened[2]
        try:
            table = self._connect().open_table(name)
        except ValueError as error:
            # The folder of a table whose creation was interrupted has no version yet.
            if "was not found" in str(error) and name == FIRST_TABLE:
                return None
            raise
        self._opened = (name, found.st_ino, table)
        return table

    @contextlib.contextmanager
    def wrap_errors(self, action: Action) -> Iterator[None]:
        """Raise the errors of LanceDB during an action as KnowledgeBaseError."""
        try:
            yield
        except STORE_ERRORS as error:
            reason = _first_line(error).replace(str(self.folder), str(self.shown))
            raise index_error(self.shown, action, reason) from error


def _first_line(error: Exception) -> str:
    """Return the cause without positions in LanceDB's source code."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return first.split(", /")[0][:300]


def _retry_on_permission_error(call: Callable[..., Result], *arguments: Any) -> Result:
    """Call the function; repeat the call while Windows denies access to a file in use."""
    for _ in range(20):
        try:
            return call(*arguments)
        except PermissionError:
            time.sleep(0.05)
    return call(*arguments)
