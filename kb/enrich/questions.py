"""The step that finds questions which a recording answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kb.enrich.base import ItemText
from kb.enrich.llm.step import TextStep

if TYPE_CHECKING:
    from kb.enrich.llm.client import LanguageModel, Scope
    from kb.enrich.llm.reading import Reading

MOST = 100


class Questions(TextStep):
    """Questions and answers in order of time, each with the words that answer."""

    name = "questions"

    def make(
        self, found: Reading, text: ItemText, model: LanguageModel, scope: Scope
    ) -> dict[str, Any]:
        from kb.enrich.llm.reading import stored_quote

        return {
            "questions": [
                {
                    "question": each.question,
                    "text": each.answer,
                    "quotes": [stored_quote(each.quote)],
                }
                for each in found.questions[:MOST]
            ]
        }
