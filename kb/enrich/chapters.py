"""The step that divides a recording into chapters, where its source has none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kb.enrich.base import ItemText
from kb.enrich.llm.step import TextStep

if TYPE_CHECKING:
    from kb.enrich.llm.client import LanguageModel, Scope
    from kb.enrich.llm.reading import Reading

MOST = 30
SHORTEST_S = 60.0


class Chapters(TextStep):
    """Chapters that begin with a segment, at least a minute apart and at most thirty."""

    name = "chapters"

    def without_questions(self, text: ItemText) -> dict[str, Any] | None:
        return {"from_source": True, "chapters": []} if text.item.chapters else None

    def make(
        self, found: Reading, text: ItemText, model: LanguageModel, scope: Scope
    ) -> dict[str, Any]:
        segments = text.transcript.segments
        length_s = segments[-1].end_s if segments else 0.0
        apart_s = max(SHORTEST_S, length_s / MOST)
        chapters: list[dict[str, Any]] = []
        for topic in found.topics:
            start_s = segments[topic.segment].start_s
            if not chapters or start_s >= chapters[-1]["start"] + apart_s:
                chapters.append({"title": topic.title, "start": round(start_s, 2)})
        return {"from_source": False, "chapters": chapters}
