"""Ranking of the passages of a table for a query.

Keyword: BM25 over the folded words (see `kb.sinks.local.tokenizer`). All terms must occur. If
fewer such passages are found than requested, passages with some of the terms follow, with scores
scaled below that of the last full match. A term in quotation marks must always occur; words that
are adjacent in the query score higher where they are adjacent in the passage.
Semantic: cosine similarity of sentence embeddings, without the mean vectors of the model where they
are known; passages that are not near enough are left out. Hybrid: passages with all terms in the
order of the words, so that a name is found as high as by words alone; behind them passages with
some of the terms and those near in meaning, merged by reciprocal rank fusion (Cormack, Clarke,
Büttcher 2009), which needs no common scale of scores.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from lancedb.query import (
    BooleanQuery,
    FullTextOperator,
    MatchQuery,
    Occur,
    PhraseQuery,
)

from kb.sinks.local.centres import Centres, least_cosine
from kb.sinks.local.marks import Mark, Marked, mark
from kb.sinks.local.tables import columns_of, unsure_of
from kb.sinks.local.terms import Term
from kb.types import LONGEST_MEDIUM_S, Hit, Occurrence

if TYPE_CHECKING:
    from kb.sinks.local.embedding import Vectors

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Meaning:
    """The vector of a query, the column to compare it with, and what counts as an answer.

    A passage answers if its cosine is at least `least`, and at most `most_behind` below the best.
    With `centres` it is the cosine without their means, and the least one depends on its length.
    """

    vector: Vectors
    column: str
    least: float
    most_behind: float
    centres: Centres | None = None


_COLUMNS = ["id", "item_id", "seq", "title", "start_s", "end_s", "text"]
_COLUMNS += ["deep_link", "path", "word_starts_s", "tier", "unsure", "origin"]
_RRF_K = 60  # the constant in the paper of Cormack, Clarke and Büttcher
_FUSED_DEPTH = 50
# Rows with equal scores have no fixed order, so extra rows are read and sorted before the cut.
_SPARE = 32
_UNCERTAIN_SPARE = 500
_MOST_MATCHES = 1_000_000  # passages whose items are counted
_COMPARED = 200  # nearest passages of which the cosine without means is computed
_AS_TYPED_BOOST = 2.0
# Factor between the score of the last full match and that of the best partial one.
_BELOW = 0.99
_NEAR_S = 0.5  # a word this close to an unsure part belongs to it


def keyword(table: Any, terms: Sequence[Term], limit: int) -> list[Row]:
    """Return the best passages by words; `score` is BM25."""
    full, partial = _by_words(table, terms, limit)
    return (full + partial)[:limit]


def _by_words(table: Any, terms: Sequence[Term], limit: int) -> tuple[list[Row], list[Row]]:
    """Return the passages with all terms, and if they are fewer than `limit` those with some."""
    if not terms:
        return [], []
    # Forms that only the text can confirm need more candidates.
    certain = all(term.is_certain for term in terms)
    spare = _SPARE if certain else _UNCERTAIN_SPARE
    query = _all_of(terms)
    full = _full_text_search(table, query, limit + spare) if query else []
    if not certain:
        full = [row for row in full if not _missing(_marked(row, terms), terms)]
    if len(full) >= limit or len(terms) == 1 or all(term.required for term in terms):
        return full[:limit], []
    known = {row["id"] for row in full}
    query = _some_of(terms)
    wider = _full_text_search(table, query, limit + len(full) + spare) if query else []
    partial = [row for row in wider if row["id"] not in known]
    if not certain:
        partial = [row for row in partial if _marked(row, terms).marks]
    if full and partial:
        scale = min(1.0, _BELOW * full[-1]["score"] / partial[0]["score"])
        for row in partial:
            row["score"] *= scale
    return full, partial


def items_with(table: Any, terms: Sequence[Term]) -> list[str]:
    """Return the ids of the items with a passage that has all terms, each once."""
    query = _all_of(terms) if terms else None
    if query is None:
        return []
    certain = all(term.is_certain for term in terms)
    columns = ["item_id", "_score"] if certain else ["item_id", "text", "_score"]
    search = table.search(query, query_type="fts").select(columns).limit(_MOST_MATCHES)
    found = search.to_arrow()
    if certain:
        return [str(each) for each in found.column("item_id").unique().to_pylist()]
    rows = found.to_pylist()
    return list({str(row["item_id"]) for row in rows if not _missing(_marked(row, terms), terms)})


def semantic(table: Any, meaning: Meaning, limit: int) -> list[Row]:
    """Return the passages near enough in meaning, best first; `score` is the cosine similarity."""
    centres = meaning.centres
    columns = [*_COLUMNS, "_distance", *([] if centres is None else [meaning.column])]
    found = (
        table.search(meaning.vector, vector_column_name=meaning.column)
        .distance_type("cosine")
        .select(columns_of(table, columns))
        .limit(limit + _SPARE if centres is None else max(2 * limit, _COMPARED))
        .to_arrow()
    )
    vectors = found.column(meaning.column) if centres is not None else None
    rows = (found if vectors is None else found.drop_columns([meaning.column])).to_pylist()
    if centres is not None and vectors is not None and rows:
        flat = np.stack([np.asarray(each.as_py(), np.float32) for each in vectors])
        cosines = centres.cosines(meaning.vector, flat)
        for row, cosine in zip(rows, cosines.tolist(), strict=True):
            row["_distance"] = 1.0 - cosine
    for row in rows:
        row["score"] = 1.0 - row.pop("_distance")
        row["by_meaning"] = True
    behind = max((row["score"] for row in rows), default=0.0) - meaning.most_behind

    def answers(row: Row) -> bool:
        least = meaning.least if centres is None else least_cosine(len(row["text"].split()))
        return bool(row["score"] >= max(least, behind))

    return _sorted_rows(filter(answers, rows))[:limit]


def hybrid(table: Any, terms: Sequence[Term], meaning: Meaning, limit: int) -> list[Row]:
    """Return the passages with all terms, then those with some and those near in meaning, merged.

    `score` is 1 / (60 + rank) in each list, plus 1 for all terms. Terms in quotation marks must
    occur; a query with `*` asks for words alone.
    """
    depth = max(limit, _FUSED_DEPTH)
    full, partial = _by_words(table, terms, depth)
    fused: dict[str, Row] = {}
    for rank, row in enumerate(full, start=1):
        fused[row["id"]] = {**row, "score": 1.0 + 1.0 / (_RRF_K + rank)}
    first = frozenset(fused)
    if len(full) < limit and not any(term.pattern for term in terms):
        near = _near(table, terms, meaning, depth)
        for ranking in (partial, near):
            behind = [row for row in ranking if row["id"] not in first]
            for rank, row in enumerate(behind, start=1):
                entry = fused.setdefault(row["id"], {**row, "score": 0.0})
                entry["score"] += 1.0 / (_RRF_K + rank)
    else:
        for rank, row in enumerate(partial, start=1):
            fused[row["id"]] = {**row, "score": 1.0 / (_RRF_K + rank)}
    return _sorted_rows(fused.values())[:limit]


def _near(table: Any, terms: Sequence[Term], meaning: Meaning, limit: int) -> list[Row]:
    """Return the passages near enough in meaning that have the words in quotation marks."""
    near = semantic(table, meaning, limit)
    required = [term.text for term in terms if term.required]
    if required:
        lacking = [_missing(_marked(row, terms), terms) for row in near]
        near = [
            row
            for row, missing in zip(near, lacking, strict=True)
            if not set(required).intersection(missing)
        ]
    return near


def hit(row: Row, terms: Sequence[Term], *, by_words: bool = True) -> Hit:
    """Return a row as a hit; its link has the second of the first word that the snippet quotes.

    A quoted phrase goes before other words. `by_words` is False for a search by meaning, in which
    no word is missing. A passage without any of the words was found by its meaning alone.
    """
    marked = _marked(row, terms)
    by_words = by_words and not (row.get("by_meaning") and not marked.marks)
    shown = marked.shown
    phrases = [one for one in shown if terms[one.term].required]
    quoted = (phrases or shown)[:1]
    at_s = _second(row, marked, quoted[0]) if quoted else float(row["start_s"])
    occurrences = _occurrences(row, marked)
    return Hit(
        item_id=row["item_id"],
        title=row["title"],
        start_s=row["start_s"],
        end_s=row["end_s"],
        text=row["text"],
        snippet=marked.snippet(),
        score=round(row["score"], 6),
        deep_link=_link(row, at_s),
        path=row["path"],
        at_s=at_s,
        tier=row.get("tier") or "",
        missing=_missing(marked, terms) if by_words else (),
        occurrences=occurrences,
        expected_errors=_expected_errors(row, occurrences if by_words else ()),
        origin=row.get("origin") or "",
        by_meaning=not by_words,
    )


def _expected_errors(row: Row, occurrences: Sequence[Occurrence]) -> float | None:
    """Return the share of likely wrong words around the words found, None if they are sure.

    Without words that were found, that of the passage's most unsure part.
    """
    shares = [
        part.share
        for part in unsure_of(row)
        if not occurrences
        or any(part.start_s - _NEAR_S <= one.at_s <= part.end_s + _NEAR_S for one in occurrences)
    ]
    return max(shares, default=None)


def _marked(row: Row, terms: Sequence[Term]) -> Marked:
    if "marked" not in row:
        row["marked"] = mark(row["text"], terms)
    marked: Marked = row["marked"]
    return marked


def _missing(marked: Marked, terms: Sequence[Term]) -> tuple[str, ...]:
    there = {one.term for one in marked.marks}
    return tuple(term.text for number, term in enumerate(terms) if number not in there)


def _occurrences(row: Row, marked: Marked) -> tuple[Occurrence, ...]:
    """Return each place of the passage at which a term begins, once, in order."""
    places: dict[int, Mark] = {}
    for one in marked.marks:  # the longest first, so a phrase goes before its first word
        places.setdefault(one.start, one)
    found = []
    for one in places.values():
        at_s = _second(row, marked, one)
        found.append(Occurrence(at_s, marked.text[one.start : one.end], _link(row, at_s)))
    return tuple(found)


def _second(row: Row, marked: Marked, one: Mark) -> float:
    starts = row["word_starts_s"] or ()
    place = marked.word_number(one)
    return float(starts[place]) if place < len(starts) else float(row["start_s"])


def _link(row: Row, at_s: float) -> str:
    # Every kind of link ends in the second (see `kb.library.deep_link`).
    return re.sub(r"(?<=\bt=)\d+$", str(int(at_s)), row["deep_link"])


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
    """Return rows by score, without those at a time that no medium has.

    An index of an earlier version may have such a row; `kb reindex` names its file.
    """
    possible = [
        row
        for row in rows
        if 0 <= row["start_s"] <= LONGEST_MEDIUM_S and row["end_s"] <= LONGEST_MEDIUM_S
    ]
    # Scores are rounded, because their last bits depend on the division of the index into files.
    return sorted(possible, key=lambda row: (-round(row["score"], 5), row["item_id"], row["seq"]))


def _clause(term: Term) -> Any | None:
    """Return the query for all forms of a term; None for a `*` that no word fits."""
    words = [form.tokens[0] for form in term.forms if len(form.tokens) == 1]
    queries: list[Any] = [MatchQuery(" ".join(words), "tokens")] if words else []
    queries += [
        PhraseQuery(" ".join(form.tokens), "tokens") for form in term.forms if len(form.tokens) > 1
    ]
    if len(queries) < 2:
        return queries[0] if queries else None
    return BooleanQuery([(Occur.SHOULD, query) for query in queries])


def _all_of(terms: Sequence[Term]) -> Any | None:
    plain = [term.tokens[0] for term in terms if len(term.tokens) == 1 and not term.pattern]
    alone = [term.tokens[0] for term in terms if _is_one_word(term)]
    clauses = [_clause(term) for term in terms if not _is_one_word(term)]
    if None in clauses:
        return None
    if alone:
        together = MatchQuery(" ".join(alone), "tokens", operator=FullTextOperator.AND)
        clauses.append(together)
    must = [(Occur.MUST, clause) for clause in clauses]
    # The word as it was typed goes before its other forms.
    better = [
        (Occur.SHOULD, MatchQuery(term.tokens[0], "tokens", boost=_AS_TYPED_BOOST))
        for term in terms
        if term.others and len(term.tokens) == 1 and not term.pattern
    ]
    if len(plain) > 1:
        # Adjacent words of a query are usually a phrase: passages with the phrase come first.
        better.append((Occur.SHOULD, PhraseQuery(" ".join(plain), "tokens")))
    return clauses[0] if len(clauses) == 1 and not better else BooleanQuery([*must, *better])


def _is_one_word(term: Term) -> bool:
    return len(term.tokens) == 1 and not term.others and not term.pattern


def _some_of(terms: Sequence[Term]) -> Any | None:
    alone = [term.tokens[0] for term in terms if _is_one_word(term) and not term.required]
    others = [term for term in terms if not _is_one_word(term) or term.required]
    clauses = [(term.required, clause) for term in others if (clause := _clause(term)) is not None]
    if alone:
        # One clause for all such words: the index then passes over passages that cannot be among
        # the best, where a clause for each word reads every passage that has one of them.
        clauses.append((False, MatchQuery(" ".join(alone), "tokens")))
    if not clauses:
        return None
    if len(clauses) == 1:
        return clauses[0][1]
    return BooleanQuery(
        [(Occur.MUST if required else Occur.SHOULD, clause) for required, clause in clauses]
    )
