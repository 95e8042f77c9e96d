"""Replies of a language model for the sample talks, as a server on loopback gives them.

`tests/data/sample_replies.json` has them by title. One statement and one sentence are invented, so
that pages show how many were dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kb.enrich import get_step
from kb.enrich.base import ItemText, StepInput
from kb.library.extras import Extras
from kb.service import Service
from kb.transcript.notes import KINDS
from tests.fakes.chat import KEY, Asked, ChatServer

REPLIES: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "sample_replies.json").read_text("utf-8")
)
QUESTION = str(REPLIES["answers"][0]["question"])
_LINE = re.compile(r"^\[(\d+)\??\] (.*)$", re.MULTILINE)
_STATEMENT = re.compile(r"^(\d+)\. (.*) \(“", re.MULTILINE)


def reply(asked: Asked) -> str:
    """Return the stored reply to a question about a sample."""
    text = asked.text
    if text.startswith("Question:"):
        return json.dumps(_answer(text))
    title = next(name for name in REPLIES if f"Title: {name}" in text)
    stored = REPLIES[title]
    if "Statements:" in text:
        return json.dumps(_summary(stored, dict(_statements(text))))
    lines = [(int(number), words) for number, words in _LINE.findall(text)]

    def segment(words: str) -> int:
        return next((number for number, line in lines if words in line), 0)

    return json.dumps({
        "points": [{**each, "segment": segment(each["quote"])} for each in stored["points"]],
        "topics": [
            {"title": each["title"], "segment": segment(each["at"])} for each in stored["topics"]
        ],
        "terms": [
            {"term": each["term"], "kind": each["kind"], "segment": segment(each["at"])}
            for each in stored["terms"]
        ],
        "questions": [
            {**each, "segment": segment(each["quote"])} for each in stored["questions"]
        ],
    })  # fmt: skip


def _statements(text: str) -> Iterator[tuple[str, int]]:
    for number, claim in _STATEMENT.findall(text):
        yield claim, int(number)


def _summary(stored: dict[str, Any], numbers: dict[str, int]) -> dict[str, Any]:
    """Return the summary with the numbers that the statements have in the question."""
    proven = [each["claim"] for each in stored["points"] if each["claim"] in numbers]
    return {
        length: [
            {"text": text, "points": [numbers[proven[n - 1]] for n in points if n <= len(proven)]}
            for text, points in rows
        ]
        for length, rows in stored["summary"].items()
    }


def _answer(text: str) -> dict[str, Any]:
    question = text.partition("\n")[0].removeprefix("Question:").strip()
    for stored in REPLIES["answers"]:
        if stored["question"] == question:
            return {
                "found": True,
                "sentences": [{**each, "passage": 1} for each in stored["sentences"]],
            }
    return {"found": False, "sentences": []}


@contextmanager
def sample_model() -> Iterator[dict[str, str]]:
    """Serve the stored replies; yield the settings that lead there."""
    with ChatServer(reply) as server:
        yield {"KB_LLM_URL": server.url, "KB_LLM_MODEL": "stored-replies", "KB_LLM_KEY": KEY}


def make_notes(service: Service, item_id: str) -> None:
    """Make all notes of an item by the real steps, in this process."""
    entry = service.items.entry(item_id)
    transcript = service.items.transcript(item_id)
    text = ItemText(entry.item, transcript, service.settings)
    given = StepInput(None, transcript.media.sha256 or entry.sha256, text=text)
    for kind in KINDS:
        step = get_step(kind)
        document = {"basis": step.basis(given), **step.run(given, lambda _: None)}
        Extras(service.library).write(entry, kind, document, lambda: service.library.guard(item_id))
