"""The step that finds the main statements of a recording, each in the words that were said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kb.enrich.base import ItemText
from kb.enrich.llm.step import TextStep

if TYPE_CHECKING:
    from kb.enrich.llm.client import LanguageModel, Scope
    from kb.enrich.llm.reading import Reading

FEWEST, MOST = 5, 30
EVERY_S = 300.0  # one more highlight for so many seconds


class Highlights(TextStep):
    """The statements of most weight, spread over the recording."""

    name = "highlights"

    def make(
        self, found: Reading, text: ItemText, model: LanguageModel, scope: Scope
    ) -> dict[str, Any]:
        from kb.enrich.llm.reading import stored_quote, weightiest

        segments = text.transcript.segments
        length_s = segments[-1].end_s if segments else 0.0
        count = min(MOST, max(FEWEST, int(length_s / EVERY_S)))
        return {
            "highlights": [
                {
                    "text": point.claim,
                    "weight": point.weight,
                    "quotes": [stored_quote(point.quote)],
                }
                for point in weightiest(found.points, count)
            ]
        }
