"""Columns of vectors in the table of passages: one for each model, added with its first vectors.

So vectors of two models are never compared, and a table of an earlier version gets the column
without being rebuilt.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from lancedb.index import IvfFlat
from numpy.typing import NDArray

from kb.sinks.local.errors import STORE_ERRORS
from kb.sinks.local.vectors import TextVectors, has_meaning, model_in, text_key
from kb.types import Passage

COLUMN = "vector_"
# The comparison of a query with every vector takes 2 to 3 s per million; fewer need no index.
VECTOR_INDEX_FROM = 50_000
_SAMPLE, _LEAST_SAMPLE = 400, 20  # vectors of which a mean is taken
_KEPT_S = 300.0
# (index, table, column) -> time, mean
_MEANS: dict[tuple[str, str, str], tuple[float, NDArray[np.float32]]] = {}


def column_of(model: str) -> str:
    """Return the name of a model's column."""
    return COLUMN + hashlib.sha256(model.encode()).hexdigest()[:12]


def column_field(found: TextVectors) -> pa.Field:
    """Return the column of vectors in the table of passages."""
    return pa.field(column_of(found.model), pa.list_(pa.float32(), found.dimension))


def column_values(passages: Sequence[Passage], found: TextVectors, kind: pa.DataType) -> pa.Array:
    """Return the column of a head row and these passages; null where there is no vector."""
    zero = np.zeros(found.dimension, np.float32)
    own = (
        found.by_text.get(text_key(each.text)) if has_meaning(each) else None for each in passages
    )
    rows = [None, *own]
    flat = np.concatenate([zero if row is None else row for row in rows])
    mask = pa.array([row is None for row in rows])  # True means null
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), type=kind, mask=mask)


def add_vector_column(table: Any, found: TextVectors) -> None:
    """Add the column of these vectors to a table that lacks it; another process may do the same."""
    field = column_field(found)
    if field.name in table.schema.names:
        return
    try:
        table.add_columns(field)
    except STORE_ERRORS:
        table.checkout_latest()
        if field.name not in table.schema.names:
            raise


def stored_vectors(table: Any, where_item: str) -> TextVectors | None:
    """Return the vectors that the index has of the item that a filter selects, None without any."""
    head = table.search().where(f"seq < 0 AND {where_item}")
    states = head.select(["embedding_model"]).to_arrow().to_pylist()
    model = model_in(states[0]["embedding_model"]) if states else ""
    name = column_of(model)
    if not model or name not in table.schema.names:
        return None
    where = f"{name} IS NOT NULL AND {where_item}"
    found = table.search().where(where).select(["text", name]).to_arrow()
    dimension = table.schema.field(name).type.list_size
    by_text = {
        text_key(text): np.asarray(vector.as_py(), np.float32)
        for text, vector in zip(found["text"].to_pylist(), found[name], strict=True)
    }
    return TextVectors(model, dimension, by_text)


def mean_vector(table: Any, column: str, place: str) -> NDArray[np.float32] | None:
    """Return the mean of some vectors of a column, kept for a while; None if there are too few."""
    key = (place, table.name, column)
    made_at, mean = _MEANS.get(key, (-_KEPT_S, None))
    if mean is None or time.monotonic() - made_at > _KEPT_S:
        where = f"{column} IS NOT NULL"
        found = table.search().where(where).select([column]).limit(_SAMPLE).to_arrow()[column]
        if len(found) < _LEAST_SAMPLE:
            return None
        rows = np.stack([np.asarray(each.as_py(), np.float32) for each in found])
        mean = rows.mean(axis=0)
        _MEANS[key] = (time.monotonic(), mean)
    return mean


def index_vectors(table: Any) -> None:
    """Make the index of each column that has enough vectors."""
    indexed = {column for index in table.list_indices() for column in index.columns}
    for name in table.schema.names:
        if not name.startswith(COLUMN) or name in indexed:
            continue
        if table.count_rows(f"{name} IS NOT NULL") >= VECTOR_INDEX_FROM:
            table.create_index(name, config=IvfFlat(distance_type="cosine"))
