"""Notes of a language model: made in a process of their own, shown as plain text everywhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kb.cli import run
from kb.errors import ModelUnavailable, UsageError
from kb.library.extras import Extras
from kb.pipeline import enrichment
from kb.service import Service
from kb.service.answer_views import notes_view
from kb.service.export_request import ExportRequest
from kb.service.language_model import check_language_model
from kb.settings import Settings, get_settings
from kb.storage import write_json
from kb.transcript.notes import KINDS
from kb.ui.i18n import notes as texts
from tests.enrich.test_notes import SENTENCES, answer_to, spoken
from tests.fakes.chat import KEY, ChatServer
from tests.support.library_pages import page, page_text, run_page
from tests.support.page_library import home as home
from tests.support.raising import raises
from tests.support.spoken_items import ITEM, panel, write


@pytest.fixture(scope="module")
def noted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A library with one item and all notes of it, and the calls that they took."""
    folder = tmp_path_factory.mktemp("noted") / "library"
    with pytest.MonkeyPatch.context() as patch, ChatServer(answer_to) as server:
        for name, value in {
            "KB_HOME": str(folder), "KB_MODEL": "demo", "KB_LLM_URL": server.url,
            "KB_LLM_MODEL": "tiny", "KB_LLM_KEY": KEY,
        }.items():  # fmt: skip
            patch.setenv(name, value)
        get_settings.cache_clear()
        service = Service()
        write(service, panel(*spoken(SENTENCES)))
        assert service.queue.database.is_sqlite  # made with the first use
        entry = service.items.entry(ITEM.id)
        for _ in range(2):
            for kind in ("summary", "chapters", "terms"):
                enrichment.run_step(service.library, entry, kind, settings=service.settings)
            Extras(service.library).path(entry.stem, "terms").unlink()
        enrichment.run_step(service.library, entry, "terms", settings=service.settings)
        report = service.enrichment.run([ITEM.id], ["summary", "terms"])
        assert report.queued == [] and len(report.current) == 2
        calls = len(server.asked)
        service.close()
    get_settings.cache_clear()
    yield folder, calls


@pytest.fixture
def service(noted: tuple[Path, int], home: Path) -> Iterator[Service]:
    shutil.copytree(noted[0], home)
    made = Service()
    yield made
    made.close()


@pytest.mark.slow
def test_results_made_again_ask_nothing(noted: tuple[Path, int], service: Service) -> None:
    assert noted[1] == 2
    entry = service.items.entry(ITEM.id)
    kinds = [kind for kind in Extras(service.library).kinds(entry.stem) if kind in KINDS]
    assert kinds == ["chapters", "summary", "terms"]
    text = (service.library.home / "kb.sqlite").read_bytes()
    assert KEY.encode() not in text
    for path in (service.library.home / "extras").rglob("*.json"):
        assert KEY not in path.read_text("utf-8")


@pytest.mark.slow
def test_the_command_shows_statements_with_their_words(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["notes", ITEM.id]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Statement 1." in said and "“Welcome to the harbour talk of today.”" in said
    assert "Kiruna" in said
    assert run(["notes", ITEM.id, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["summary"]["short"][0]["quotes"][0]["start_s"] == 0.0
    assert found["dropped"] == 3
    assert run(["notes", ITEM.id, "--add-terms"]) == 0
    assert service.vocabulary.words(ITEM.channel) == ("Kiruna",)
    assert service.language_model.add_terms(ITEM.id) == ()


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["en", "de"])
def test_the_page_shows_them_and_plays_their_words(lang: str, service: Service) -> None:
    app = page(tab="Library", item=ITEM.id, lang=lang)
    said = page_text(app)
    shown = {"en": texts.EN, "de": texts.DE}[lang]
    assert shown["notes_title"] in said
    assert shown["notes_long"] in [each.label for each in app.expander]
    values = [each.value for each in app.text]
    assert (
        "Statement 1." in values and "“The ferry to Kiruna leaves at noon on weekdays.”" in values
    )
    app.button("notes-chapter-1").click()
    run_page(app)
    assert app.query_params["t"] == str(int(spoken(SENTENCES)[1].start_s))


@pytest.mark.slow
def test_a_text_that_came_into_the_file_otherwise_is_plain_too(service: Service) -> None:
    """Somebody may write a result by hand, or another program may."""
    entry = service.items.entry(ITEM.id)
    path = Extras(service.library).path(entry.stem, "summary")
    hostile = "[click](http://evil.example) <img src=x onerror=alert(1)> ![x](http://evil.example)"
    quote = {"text": "the ferry", "start": 1.0, "end": 2.0}
    document = json.loads(path.read_text("utf-8"))
    write_json(path, {**document, "short": [{"text": hostile, "quotes": [quote]}]})
    app = page(tab="Library", item=ITEM.id)
    assert hostile in [each.value for each in app.text]
    assert not [each for each in app.markdown if "evil.example" in each.value]


@pytest.mark.slow
def test_notes_of_earlier_words_say_so(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    for change, is_said in (("Kiruna", False), ("Narvik", True), ("Kiruna", False)):
        write(service, panel(*spoken([each.replace("Kiruna", change) for each in SENTENCES])))
        entry = service.items.entry(ITEM.id)
        assert service.language_model.notes(entry).of_earlier_words == is_said, change
        assert notes_view(service, ITEM.id).of_earlier_words == is_said
        (exported,) = service.exports.documents(ITEM.id, ExportRequest(("notes",)), [])
        assert ("earlier words" in str(exported.document)) == is_said
        assert run(["notes", ITEM.id]) == 0
        assert ("earlier words" in " ".join(capsys.readouterr().err.split())) == is_said
        warned = texts.EN["notes_old"] in page_text(page(tab="Library", item=ITEM.id))
        assert warned == is_said


def test_nothing_was_noted_of_other_words(service: Service) -> None:
    """Results of another medium under the same name are not shown."""
    entry = service.items.entry(ITEM.id)
    for kind in KINDS:
        path = Extras(service.library).path(entry.stem, kind)
        if path.exists():
            document = json.loads(path.read_text("utf-8"))
            write_json(path, {**document, "basis": {"sha256": "other"}})
    assert service.language_model.notes(entry).is_empty
    with raises(UsageError, "notes.no_names"):
        service.language_model.add_terms(ITEM.id)


def test_the_price_is_said_before(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelUnavailable):
        service.language_model.estimate([ITEM.id], ["summary"])
    ((state, found),) = check_language_model(service.settings)
    assert (state, found.code) == ("ok", "check.llm_absent")
    for url, model, state, words in (
        ("https://api.openai.com/v1", "gpt-4o-mini", "ok", "0.15 USD for a million tokens sent"),
        ("http://192.0.2.7:8000/v1", "big", "warn", "its price is not in the table"),
        ("http://127.0.0.1:8000/v1", "tiny", "ok", "which is this machine"),
    ):
        service.items.settings = service.settings.replace(llm_url=url, llm_model=model)
        ((found_state, found),) = check_language_model(service.items.settings)
        assert found_state == state and words in found.message
        estimate = service.language_model.estimate([ITEM.id], ["summary", "speakers"])
        assert estimate is not None and estimate.tokens > 10_000
        assert (estimate.price is None) == (state == "warn")
    # A translation asks about each language for itself, where the settings name them too.
    one, three = (
        _tokens(service, service.settings.replace(
            llm_url="http://127.0.0.1:8000/v1", llm_model="tiny", translate_into=into
        ))
        for into in ("de", "de,fr,es")
    )  # fmt: skip
    assert three == 3 * one > 0
    # What reads a text without sending it costs nothing.
    sent = {*KINDS, "translate"}
    others = [name for name in enrichment.step_names() if name not in sent]
    assert "meaning" in others and not enrichment.sends_text(others)
    assert set(enrichment.may_cost_money(enrichment.step_names())) == sent
    assert service.language_model.estimate([ITEM.id], others) is None


def _tokens(service: Service, settings: Settings) -> int:
    service.items.settings = settings
    found = service.language_model.estimate([ITEM.id], ["translate"])
    return 0 if found is None else found.tokens


def test_names_of_an_item_without_a_channel_go_nowhere(service: Service) -> None:
    item = replace(ITEM, id="youtube:bbbbbbbbbbb", channel="")
    write(service, panel(*spoken(SENTENCES)), item)
    with raises(UsageError, "notes.no_channel"):
        service.language_model.add_terms(item.id)
