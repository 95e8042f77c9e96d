"""A button that asks first: what it asks about may change under the hand."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest


def _page() -> None:
    import streamlit as st

    from kb.ui.widgets.asked_button import asked_button

    chosen = list(st.session_state.get("chosen", [1, 2]))
    asked_button(
        "Send", f"Send {len(chosen)}?", lambda: st.session_state.update(sent=chosen),
        key="send", yes="Yes", about=chosen,
    )  # fmt: skip


@pytest.fixture
def app() -> AppTest:
    return AppTest.from_function(_page).run()


def question(app: AppTest) -> list[str]:
    return [each.value for each in app.markdown]


def test_a_press_is_asked_about_and_acts_after_yes(app: AppTest) -> None:
    app.button(key="send").click().run()
    assert question(app) == ["Send 2?"] and "sent" not in app.session_state
    app.button(key="send-yes").click().run()
    assert app.session_state["sent"] == [1, 2]
    assert not question(app) and app.button(key="send")


def test_a_press_counts_though_the_choice_has_changed_since_it_was_drawn(app: AppTest) -> None:
    app.session_state["chosen"] = [1, 2, 3]
    app.button(key="send").click().run()
    assert question(app) == ["Send 3?"]
    app.button(key="send-yes").click().run()
    assert app.session_state["sent"] == [1, 2, 3]


def test_a_choice_that_changes_while_it_is_asked_about_is_asked_about_again(app: AppTest) -> None:
    app.button(key="send").click().run()
    app.session_state["chosen"] = [7]
    app.run()
    assert not question(app)
    assert app.button(key="send") and "sent" not in app.session_state


def test_no_takes_the_question_back(app: AppTest) -> None:
    app.button(key="send").click().run()
    app.button(key="send-no").click().run()
    assert not question(app) and "sent" not in app.session_state
