"""The result of a search as programs get it, by the command line and over HTTP."""

from __future__ import annotations

from typing import Any

from kb.service.results import SearchResult


def search_document(result: SearchResult) -> dict[str, Any]:
    """Return the document that `kb search --json` prints: JSON values, times in seconds."""
    unknown = [{"word": one.word, "similar": list(one.similar)} for one in result.unknown]
    return {
        "query": result.query,
        "mode": result.mode,
        "took_ms": result.elapsed_ms,
        "hits": [
            {
                "item_id": hit.item_id,
                "title": hit.title,
                "start": hit.start_s,
                "end": hit.end_s,
                "at": hit.at_s,
                "text": hit.text,
                "snippet": hit.snippet,
                "score": round(hit.score, 4),
                "deep_link": hit.deep_link,
                "path": hit.path,
                **({"speaker": hit.speaker} if hit.speaker else {}),
                **({"tier": hit.tier} if hit.tier else {}),
                **({"origin": hit.origin} if hit.origin else {}),
                **({"by_meaning": True} if hit.by_meaning else {}),
                **({"recurring": True} if hit.recurring else {}),
                **(
                    {"expected_errors": hit.expected_errors}
                    if hit.expected_errors is not None
                    else {}
                ),
                "missing": list(hit.missing),
                "occurrences": [
                    {"at": one.at_s, "text": one.text, "deep_link": one.deep_link}
                    for one in hit.occurrences
                ],
            }
            for hit in result.hits
        ],
        **({"has_more": True} if result.has_more else {}),
        **({"unknown_words": unknown} if unknown else {}),
        **({"words_alone": result.words_alone.record()} if result.words_alone else {}),
        **({"without_meaning": result.without_meaning} if result.without_meaning else {}),
        **({"left_out": result.left_out} if result.left_out else {}),
    }
