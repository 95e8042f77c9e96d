"""Ranking of the passages of a table for a query.

Keyword: BM25 over the folded words (see `kb.sinks.local.tokenizer`). All terms must occur. If
fewer such passages are found than requested, passages with some of the terms follow, with scores
scaled below that of the last full match. A term in quotation marks must always occur; words that
are adjacent in the query score higher where they are adjacent in the passage.
Semantic: cosine similarity of sentence embeddings. Hybrid: both lists merged by reciprocal rank
fusion (Cormack, Clarke, Büttcher 2009), which needs no common scale of scores.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from lancedb.query import (
    BooleanQuery,
    FullTextOperator,
    MatchQuery,
    Occur,
    PhraseQuery,
)

from kb.sinks.local.embedding import Vectors
from kb.sinks.local.tables import columns_of
from kb.sinks.local.tokenizer import Term, first_word, snippet
from kb.types import Hit

Row = dict[str, Any]

_COLUMNS = ["id", "item_id", "seq", "title", "start_s", "end_s", "text"]
_COLUMNS += ["deep_link", "path", "word_starts_s", "tier"]
_RRF_K = 60  # the constant in the paper of Cormack, Clarke and Büttcher
_FUSED_DEPTH = 50
# Rows with equal scores have no fixed order, so extra rows are read and sorted before the cut.
_SPARE = 32
# Factor between the score of the last full match and that of the best partial one.
_BELOW = 0.99


def keyword(table: Any, terms: Sequence[Term], limit: int) -> list[Row]:
    """Return the best passages by words; `score` is BM25."""
    if not terms:
        return []
    full = _full_text_search(table, _all_of(terms), limit + _SPARE)
    if len(full) >= limit or len(terms) == 1 or all(term.required for term in terms):
        return full[:limit]
    known = {row["id"] for row in full}
    wider = _full_text_search(table, _some_of(terms), limit + len(full) + _SPARE)
    partial = [row for row in wider if row["id"] not in known]
    if full and partial:
        scale = min(1.0, _BELOW * full[-1]["score"] / partial[0]["score"])
        for row in partial:
            row["score"] *= scale
    return (full + partial)[:limit]


def semantic(table: Any, vector: Vectors, limit: int) -> list[Row]:
    """Return the passages nearest in meaning; `score` is the cosine similarity."""
    found = (
        table.search(vector, vector_column_name="vector")
        .distance_type("cosine")
        .select(columns_of(table, [*_COLUMNS, "_distance"]))
        .limit(limit + _SPARE)
        .to_arrow()
        .to_pylist()
    )
    for row in found:
        row["score"] = 1.0 - row.pop("_distance")
    return _sorted_rows(found)[:limit]


def hybrid(table: Any, terms: Sequence[Term], vector: Vectors, limit: int) -> list[Row]:
    """Return both lists merged; `score` is the sum of 1 / (60 + rank) over the lists."""
    depth = max(limit, _FUSED_DEPTH)
    fused: dict[str, Row] = {}
    for ranking in (keyword(table, terms, depth), semantic(table, vector, depth)):
        for rank, row in enumerate(ranking, start=1):
            entry = fused.setdefault(row["id"], {**row, "score": 0.0})
            entry["score"] += 1.0 / (_RRF_K + rank)
    return _sorted_rows(fused.values())[:limit]


def hit(row: Row, terms: Sequence[Term]) -> Hit:
    """Return a row as a hit; its link has the time of the first word that was found."""
    at_s = _hit_time_s(row, terms)
    return Hit(
        item_id=row["item_id"],
        title=row["title"],
        start_s=row["start_s"],
        end_s=row["end_s"],
        text=row["text"],
        snippet=snippet(row["text"], terms),
        score=round(row["score"], 6),
        # Every kind of link ends in the second (see `kb.library.deep_link`).
        deep_link=re.sub(r"(?<=\bt=)\d+$", str(int(at_s)), row["deep_link"]),
        path=row["path"],
        at_s=at_s,
        tier=row.get("tier") or "",
    )


def _hit_time_s(row: Row, terms: Sequence[Term]) -> float:
    starts = row["word_starts_s"] or ()
    place = first_word(row["text"], terms)
    return float(starts[place]) if place < len(starts) else float(row["start_s"])


def _full_text_search(table: Any, query: Any, limit: int) -> list[Row]:
    found = (
        table.search(query, query_type="fts")
        .select(columns_of(table, [*_COLUMNS, "_score"]))
        .limit(limit)
        .to_arrow()
        .to_pylist()
    )
    for row in found:
        row["score"] = row.pop("_score")
    return _sorted_rows(found)


def _sorted_rows(rows: Iterable[Row]) -> list[Row]:
    # Scores are rounded, because their last bits depend on the division of the index into files.
    return sorted(rows, key=lambda row: (-round(row["score"], 5), row["item_id"], row["seq"]))


def _clause(term: Term) -> Any:
    if len(term.tokens) == 1:
        return MatchQuery(term.tokens[0], "tokens")
    return PhraseQuery(" ".join(term.tokens), "tokens")


def _all_of(terms: Sequence[Term]) -> Any:
    words = [term.tokens[0] for term in terms if len(term.tokens) == 1]
    clauses = [_clause(term) for term in terms if len(term.tokens) > 1]
    if words:
        together = MatchQuery(" ".join(words), "tokens", operator=FullTextOperator.AND)
        clauses.append(together)
    must = [(Occur.MUST, clause) for clause in clauses]
    if len(words) > 1:
        # Adjacent words of a query are usually a phrase: passages with the phrase come first.
        return BooleanQuery([*must, (Occur.SHOULD, PhraseQuery(" ".join(words), "tokens"))])
    return clauses[0] if len(clauses) == 1 else BooleanQuery(must)


def _some_of(terms: Sequence[Term]) -> Any:
    return BooleanQuery(
        [(Occur.MUST if term.required else Occur.SHOULD, _clause(term)) for term in terms]
    )
