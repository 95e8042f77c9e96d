"""The different words of the index: for words with `*`, parts of compounds, and suggestions.

LanceDB does not list the words of its full-text index, so they are collected from the column
`tokens`. They are kept for the process and in a file beside the table; an update reads only the
items whose hash has changed. Words of deleted passages stay until the next rebuild: they can cause
a search that finds nothing, never a wrong hit.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import feather

from kb import storage
from kb.errors import LibraryError
from kb.sinks.local.tables import HEAD, item_filter

# Languages that write compounds as one word (ISO 639-1); passages without a language are included.
COMPOUNDING = frozenset({"", "af", "da", "de", "et", "fi", "fy", "hu", "is", "lb", "nb"}
                        | {"nl", "nn", "no", "sv"})  # fmt: skip
_MANY_CHANGES = 100  # items; for more, one scan of the whole table is faster than a filter
_SAVE_AFTER = 50  # changed items since the file was written
_BATCH_ROWS = 8_192


class Vocabulary:
    """The folded words of an index."""

    def __init__(self, words: Mapping[str, bool]) -> None:
        self._words = words  # word -> it occurs in a language that writes compounds as one word

    def __contains__(self, word: object) -> bool:
        return word in self._words

    @cached_property
    def all(self) -> Sequence[str]:
        """All words, in no order."""
        return list(self._words)

    def fitting(self, pattern: str) -> list[str]:
        """Return the words that a regular expression fits from start to end."""
        return re.findall(f"^{pattern}$", self._lines, re.MULTILINE)

    def containing(self, part: str, *, compounding_only: bool) -> list[str]:
        """Return the words that contain a part and are longer."""
        found = re.findall(f"^.*{re.escape(part)}.*$", self._lines, re.MULTILINE)
        return [
            word for word in found if word != part and (self._words[word] or not compounding_only)
        ]

    @cached_property
    def _lines(self) -> str:
        # One search in one string is some fifty times faster than one for each word.
        return "\n".join(self._words)


class VocabularyCache:
    """The vocabulary of one table, kept up to date for all threads of a process."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._items: dict[str, str] = {}  # id -> hash of the passages that were read
        self._words: dict[str, bool] = {}
        self._saved: int | None = None  # changed items since the file was written; None: not read
        self._current = Vocabulary({})
        self._seen: tuple[Any, int] | None = None  # a table and the version that was read

    def of(self, table: Any, read_items: Callable[[Any], Mapping[str, str]]) -> Vocabulary:
        """Return the words of a table; `read_items` returns the hash of each of its items.

        It is asked only where the table was written since the last call.
        """
        version = table.version  # before the items: a later write is then seen next time
        with self._lock:
            if self._seen is not None and self._seen[0] is table and self._seen[1] == version:
                return self._current
            items = read_items(table)
            found = self._of(table, items)
            self._seen = (table, version)
            return found

    def _of(self, table: Any, items: Mapping[str, str]) -> Vocabulary:
        if self._saved is None:
            self._load()
        changed = [one for one, sha256 in items.items() if self._items.get(one) != sha256]
        if not changed:
            return self._current
        before = len(self._words)
        if len(changed) > _MANY_CHANGES:
            self._read(table, f"seq > {HEAD}")
        else:
            for item_id in changed:
                self._read(table, f"seq > {HEAD} AND {item_filter(item_id)}")
        self._items = dict(items)
        if len(self._words) != before or not before:
            self._current = Vocabulary(dict(self._words))
        self._saved = (self._saved or 0) + len(changed)
        if self._saved >= _SAVE_AFTER:
            self._save()
        return self._current

    def _read(self, table: Any, where: str) -> None:
        for batch in _batches(table, where):
            compounding = pc.is_in(
                pc.utf8_slice_codeunits(pc.fill_null(batch["language"], ""), 0, 2),
                value_set=pa.array(sorted(COMPOUNDING)),
            )
            for flag in (True, False):
                rows = batch.filter(pc.equal(compounding, flag))
                lists = pc.split_pattern(pc.fill_null(rows["tokens"], ""), " ")
                for word in pc.unique(pc.list_flatten(lists)).to_pylist():
                    if word:
                        self._words[word] = flag or self._words.get(word, False)

    def _load(self) -> None:
        self._saved = 0
        with contextlib.suppress(OSError, pa.ArrowException, KeyError, ValueError):
            stored = feather.read_table(self._file, memory_map=False)
            column = stored["word"].to_pylist()
            words = dict(zip(column, stored["compounding"].to_pylist(), strict=True))
            metadata = stored.schema.metadata or {}
            ids = pa.ipc.open_stream(metadata[b"items"]).read_all()
            self._items = dict(zip(ids["id"].to_pylist(), ids["hash"].to_pylist(), strict=True))
            self._words = words
            self._current = Vocabulary(dict(words))

    def _save(self) -> None:
        """Write the file; a library that is read only does without it."""
        items = pa.table({"id": list(self._items), "hash": list(self._items.values())})
        stream = pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, items.schema) as writer:
            writer.write_table(items)
        table = pa.table(
            {"word": list(self._words), "compounding": list(self._words.values())}
        ).replace_schema_metadata({b"items": stream.getvalue().to_pybytes()})
        with contextlib.suppress(LibraryError), storage.held(self._file) as real:
            beside = real.with_name(f"{real.name}.{os.getpid()}.tmp")
            try:
                feather.write_feather(table, beside)
                beside.replace(real)
                self._saved = 0
            except OSError:
                with contextlib.suppress(OSError):
                    beside.unlink()


def _batches(table: Any, where: str) -> Iterator[pa.RecordBatch]:
    yield from (
        table.search()
        .where(where)
        .select(["tokens", "language"])
        .to_batches(batch_size=_BATCH_ROWS)
    )
