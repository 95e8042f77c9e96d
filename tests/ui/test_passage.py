"""The data of a passage: what the browser gets, and which of its answers are decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from kb.service import Service
from kb.service.review_inbox import Line, Passage
from kb.service.revisions import LineEdit
from kb.types import Segment, Word
from kb.ui.widgets.passage import PassageDecision, PassageState, as_data, parse_decision
from tests.support.library_pages import add_item, doubtful
from tests.support.page_library import home

__all__ = ["home"]

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
        ({**SENT, "rev": "7"}, PassageDecision("accept", "file:1", 1.0, 2.5, revision="7")),
        ({**SENT, "rev": 7}, PassageDecision("accept", "file:1", 1.0, 2.5)),
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


def delivered_twice(value: dict) -> None:  # type: ignore[type-arg]  # runs on its own
    """Call the page's callback twice with one decision, as Streamlit may do."""
    from types import SimpleNamespace

    import streamlit as st

    from kb.ui.tabs.review import tab
    from kb.ui.widgets import messages

    st.session_state["review_passage"] = SimpleNamespace(decide=value)
    tab._on_decide()
    tab._on_decide()
    messages.show_flash(tab.PLACE)


@pytest.mark.parametrize("kind", ["fix", "accept", "accept_all"])
def test_a_decision_that_comes_twice_is_carried_out_once(home: Path, kind: str) -> None:
    item = add_item(change=doubtful((4.0, 7.0)))
    service = Service()
    text = service.items.transcript(item).segments[0].text
    sent = {
        "kind": kind, "rev": f"{item}|4.0|0", "item": item, "start": 4.0, "end": 7.0,
        "lines": [{"line": 0, "was": text, "text": "Ahab was here"}] if kind == "fix" else [],
    }  # fmt: skip
    app = AppTest.from_function(delivered_twice, args=(sent,)).run()
    assert not app.exception
    assert [each.value for each in app.error] == []
    assert "counts as done" in app.success[0].value
    assert len(service.items.transcript(item).revisions) == (kind == "fix")
    # The same decision about another place is one of its own: it is refused, and says why.
    if kind == "fix":
        again = AppTest.from_function(delivered_twice, args=({**sent, "rev": "another"},)).run()
        assert again.error and not again.success
    service.close()
