"""Questions to the library on the page: asked in a process of its own, sources play from there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from kb.pipeline import stages
from kb.service import Service, tasks
from kb.settings import get_settings
from kb.ui.i18n import knowledge as texts
from tests.fakes.chat import KEY, ChatServer
from tests.service.test_answers import QUOTE, SEGMENTS, numbered, reply
from tests.support.library_pages import page, page_text, run_page
from tests.support.page_library import home as home
from tests.support.spoken_items import ITEM, panel, write
from tests.support.waiting import until

QUESTION = "When does the ferry leave?"
HOSTILE = "It leaves at noon, **really**."


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with ChatServer() as made:
        yield made


@pytest.fixture
def service(home: Path) -> Iterator[Service]:
    made = Service()
    said = panel(*SEGMENTS)
    write(made, said)
    stages.publish(made.library, made.settings, made.items.entry(ITEM.id), said, "local")
    yield made
    made.close()


def ask(app: AppTest, service: Service, question: str) -> AppTest:
    """Ask as a visitor does, and wait for the end of the task."""
    app.text_input("library_question").input(question)
    app.button("ask-library").click()
    run_page(app)
    until(lambda: (task := tasks.read(service.settings, "ask_library")) and not task.running)
    return run_page(app)


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["en", "de"])
def test_an_answer_plays_from_its_words(
    lang: str, service: Service, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = {"en": texts.EN, "de": texts.DE}[lang]
    if lang == "de":  # without a model the passages are the answer
        app = page(tab="Publish", lang=lang)
        assert shown["ask_library_no_model"] in page_text(app)
        ask(app, service, QUESTION)
        assert QUOTE in page_text(app)
        assert not [each for each in app.warning if "Sprachmodell" in each.value]
        app.button("library-open-passage-0").click()
    else:
        for name, value in {
            "KB_LLM_URL": server.url, "KB_LLM_MODEL": "tiny", "KB_LLM_KEY": KEY,
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        server.answer = lambda asked: reply((HOSTILE, QUOTE, numbered(asked, "Kiruna")))
        app = page(tab="Publish", lang=lang)
        terms = page_text(app)
        assert f"tiny ({server.url.split('/')[2]})" in terms and "0.00 USD" in terms
        ask(app, service, QUESTION)
        # Plain text: nothing of the model's is Markdown.
        assert HOSTILE in [each.value for each in app.text]
        assert f"“{QUOTE}.”" in page_text(app) and KEY not in page_text(app)
        app.button("library-open-sentence-0").click()
    run_page(app)
    assert app.query_params["item"] == ITEM.id
    assert app.query_params["t"] == str(int(SEGMENTS[1].words[0].start_s))


@pytest.mark.slow
def test_answers_belong_to_who_asked_and_earlier_ones_stay(service: Service) -> None:
    """Without a language model: the passages are the answer."""
    mine = ask(page(tab="Publish"), service, QUESTION)
    assert QUOTE in page_text(mine)
    other = page(tab="Publish")
    assert QUESTION not in page_text(other) and QUOTE not in page_text(other)
    ask(mine, service, "Kiruna")
    assert [QUESTION in each.label for each in mine.expander].count(True) == 1
    asked = texts.EN["knowledge_asked"].format(question="Kiruna")
    assert asked in page_text(mine)
    assert asked not in page_text(run_page(other))


@pytest.mark.slow
def test_a_refusal_is_shown_with_its_reason(
    service: Service, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit refuses before the call: the passages are shown, and nothing is sent."""
    for name, value in {
        "KB_LLM_URL": server.url, "KB_LLM_MODEL": "tiny", "KB_LLM_KEY": KEY,
        "KB_LLM_TOKEN_CAPS": "call=100",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    calls = len(server.asked)
    app = ask(page(tab="Publish"), service, QUESTION)
    said = page_text(app)
    assert "limit of a call (100 tokens)" in said and QUOTE in said
    assert len(server.asked) == calls
