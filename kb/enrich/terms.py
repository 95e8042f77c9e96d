"""The step that finds the names and terms of a recording, as the transcript writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kb.enrich.base import ItemText
from kb.enrich.llm.step import TextStep

if TYPE_CHECKING:
    from kb.enrich.llm.client import LanguageModel, Scope
    from kb.enrich.llm.reading import Reading

MOST = 200


class Terms(TextStep):
    """Names and terms, the most frequent first."""

    name = "terms"

    def make(
        self, found: Reading, text: ItemText, model: LanguageModel, scope: Scope
    ) -> dict[str, Any]:
        said = f" {' '.join(text.transcript.text.casefold().split())} "
        terms: dict[str, dict[str, Any]] = {}
        for each in found.terms:
            key = each.text.casefold()
            first = terms.get(key)
            if first is None or each.quote.start_s < first["start"]:
                terms[key] = {
                    "term": each.text,
                    "kind": each.kind,
                    "start": round(each.quote.start_s, 2),
                    "count": max(1, said.count(key)),
                }
        ordered = sorted(terms.values(), key=lambda term: (-term["count"], term["start"]))
        return {"terms": ordered[:MOST]}
