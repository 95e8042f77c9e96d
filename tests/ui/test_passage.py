"""The data of a passage: what the browser gets, and which of its answers are decisions."""

from __future__ import annotations

from typing import Any

import pytest

from kb.service.review_inbox import Line, Passage
from kb.service.revisions import LineEdit
from kb.types import Segment, Word
from kb.ui.widgets.passage import PassageDecision, PassageState, as_data, parse_decision

SENT: dict[str, Any] = {"kind": "accept", "item": "file:1", "start": 1, "end": 2.5}
EDIT = {"line": 3.0, "was": "one", "text": " two\n three "}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (SENT, PassageDecision("accept", "file:1", 1.0, 2.5)),
        (
            {**SENT, "kind": "fix", "lines": [EDIT], "inserted": " a  b "},
            PassageDecision("fix", "file:1", 1.0, 2.5, (LineEdit(3, "two three", "one"),), "a b"),
        ),
        (None, None),
        ({**SENT, "kind": "remove"}, None),
        ({**SENT, "item": 5}, None),
        ({**SENT, "start": True}, None),
        ({**SENT, "start": float("nan")}, None),
        ({**SENT, "end": "2"}, None),
        ({**SENT, "lines": ["x"]}, None),
        ({**SENT, "lines": [{**EDIT, "line": -1}]}, None),
        ({**SENT, "lines": [{**EDIT, "was": None}]}, None),
    ],
)
def test_only_whole_decisions_are_taken(sent: Any, expected: PassageDecision | None) -> None:
    assert parse_decision(sent) == expected


def test_words_of_the_passage_and_unsure_words_are_marked() -> None:
    words = [(1.0, "call", 0.9), (2.0, "me", 0.3), (3.0, "Ishmael", 0.6)]
    segment = Segment(1.0, 4.0, "call me Ishmael", tuple(
        Word(start, start + 1.0, word, chance) for start, word, chance in words
    ))  # fmt: skip
    before = Segment(0.0, 0.9, "so", ())
    lines = (Line(0, before, False), Line(1, segment, True))
    data = as_data(PassageState(
        "file:1", "1", "A talk", "", False, 60.0, 0.0, Passage(1.9, 3.1), lines, False
    ))  # fmt: skip
    first, second = data["lines"]
    assert first["before"] and not first["inside"] and first["within"] is None
    assert second["within"] == [5, 7]  # the middle of "me" alone is in the passage
    assert [each[:3] for each in second["tint"]] == [[5, 7, 2], [8, 15, 1]]
