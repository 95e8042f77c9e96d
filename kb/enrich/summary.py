"""The step that summarizes a recording in three lengths, each sentence with the words for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kb.enrich.base import ItemText
from kb.enrich.llm.step import TextStep
from kb.types.notes import LENGTHS

if TYPE_CHECKING:
    from kb.enrich.llm.answers import SummaryAnswer
    from kb.enrich.llm.client import LanguageModel, Scope
    from kb.enrich.llm.reading import Point, Reading

MOST_POINTS = 160
FEWEST_POINTS = 5  # below which a question is not made smaller any more


class Summary(TextStep):
    """One sentence, a paragraph, a page. The model sees only statements that were proven."""

    name = "summary"
    prompts = ("window", "summary")

    def make(
        self, found: Reading, text: ItemText, model: LanguageModel, scope: Scope
    ) -> dict[str, Any]:
        from kb.enrich.llm.answers import plain
        from kb.enrich.llm.reading import MARKUP, UNCITED, stored_quote, weightiest

        points = weightiest(found.points, MOST_POINTS)
        answer, points = _asked(points, text, model, scope) if points else (None, points)
        result: dict[str, Any] = {"statements": len(found.points), "statements_used": len(points)}
        for length in LENGTHS:
            sentences = []
            for sentence in getattr(answer, length) if answer else ():
                cited = [points[n - 1] for n in dict.fromkeys(sentence.points)
                         if 1 <= n <= len(points)]  # fmt: skip
                shown = plain(sentence.text)
                if shown is None:
                    found.dropped[MARKUP] += 1
                elif not cited:
                    found.dropped[UNCITED] += 1
                else:
                    quotes = [stored_quote(point.quote) for point in cited]
                    sentences.append({"text": shown, "quotes": quotes})
            result[length] = sentences
        return result


def _asked(
    points: list[Point], text: ItemText, model: LanguageModel, scope: Scope
) -> tuple[SummaryAnswer, list[Point]]:
    """Return the answer and the points that were given; half of them where they are too many."""
    from kb.enrich.llm.answers import SummaryAnswer
    from kb.enrich.llm.errors import BadAnswer, Declined
    from kb.enrich.llm.prompts import read_prompt
    from kb.enrich.llm.reading import statements, weightiest

    prompt = read_prompt("summary", text.settings)
    while True:
        lines = statements(points)
        is_last = len(points) <= FEWEST_POINTS
        if is_last or model.fits(f"{prompt.instructions}{lines}"):
            values = {"title": text.item.title, "language": text.transcript.language}
            try:
                return model.ask(prompt, {**values, "points": lines}, SummaryAnswer, scope), points
            except Declined:
                raise
            except BadAnswer:
                if is_last:
                    raise
        points = weightiest(points, len(points) // 2)
