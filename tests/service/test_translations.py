"""Translations in the library: made, kept, found, exported, shown, and of earlier words."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kb.cli import run
from kb.errors import MediaUnavailable, ModelUnavailable, UsageError
from kb.jobs.documents import build_sync_item
from kb.library.extras import Extras
from kb.pipeline import enrichment, stages
from kb.pipeline.language_model import translation_options
from kb.service import Service
from kb.service.export_request import ExportRequest
from kb.service.translations import side_by_side
from kb.settings import get_settings
from kb.sinks.odin.documents import make_documents
from kb.storage import write_json
from kb.types import Segment
from kb.ui.i18n import translation as texts
from kb.ui.tabs.library import exports
from tests.enrich.test_translation import SENTENCES, spoken_close
from tests.fakes import translator as fake
from tests.fakes.chat import KEY, ChatServer
from tests.support.library_pages import page, page_text, run_page
from tests.support.page_library import home as home
from tests.support.raising import raises
from tests.support.spoken_items import ITEM, panel, write

GERMAN = "Leuchtturmwärter"  # a word that the translation alone has


def _translate(service: Service, into: str) -> None:
    entry = service.items.entry(ITEM.id)
    options = translation_options(service.settings, into)
    enrichment.run_step(service.library, entry, "translate", options, settings=service.settings)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A library with one item and its translations, and the calls that they took."""
    folder = tmp_path_factory.mktemp("translated") / "library"

    def tagged(lines: fake.Lines, found: fake.Answers) -> fake.Answers:
        for number, text in lines.items():
            if "lighthouse" in text or "harbour" in text:
                found[number]["text"] += f" {GERMAN}"
        return fake.linked(lines, found) if len(lines) < 3 and "3" in lines else found

    with (
        pytest.MonkeyPatch.context() as patch,
        ChatServer(fake.translator(tagged, always=True)) as server,
    ):
        for name, value in {
            "KB_HOME": str(folder), "KB_MODEL": "demo", "KB_LLM_URL": server.url,
            "KB_LLM_MODEL": "tiny", "KB_LLM_KEY": KEY,
        }.items():  # fmt: skip
            patch.setenv(name, value)
        get_settings.cache_clear()
        service = Service()
        write(service, panel(*spoken_close(SENTENCES)))
        assert service.queue.database.is_sqlite  # made with the first use
        _translate(service, "de")
        _translate(service, "de")
        calls = len(server.asked)
        _translate(service, "fr")
        assert len(server.asked) == 2 * calls
        service.close()
    get_settings.cache_clear()
    yield folder, calls


@pytest.fixture
def service(made: tuple[Path, int], home: Path) -> Iterator[Service]:
    shutil.copytree(made[0], home)
    opened = Service()
    yield opened
    opened.close()


@pytest.mark.slow
def test_a_translation_is_found_and_says_that_it_is_one(
    made: tuple[Path, int], service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert made[1] == 1
    (entry,) = service.items.listing().entries
    assert service.translations.languages(entry) == ("de", "fr")
    service.search.reindex()
    hits = service.search.run(GERMAN).hits
    assert {hit.origin for hit in hits} == {"translation, de", "translation, fr"}
    assert all(hit.deep_link for hit in hits)
    assert run(["search", GERMAN]) == 0
    assert "translation, de" in capsys.readouterr().out
    assert not service.verification.run().findings


@pytest.mark.slow
def test_every_format_has_it_with_the_language_in_its_name(service: Service) -> None:
    problems: list[object] = []
    found = {
        each.format: each
        for each in service.exports.documents(
            ITEM.id, ExportRequest(("all",), language="de"), problems  # type: ignore[arg-type]
        )
    }  # fmt: skip
    assert not problems and {"txt", "srt", "vtt", "docx", "json", "csv", "ttml"} <= found.keys()
    for name, each in found.items():
        assert ".de." in each.file_name
        if isinstance(each.document, str) and name not in ("rttm", "textgrid"):
            assert "harbourig" in each.document, name
            assert "Welcome to" not in each.document, name
    lines = [
        line for line in str(found["srt"].document).splitlines()
        if line and not line.isdigit() and "-->" not in line
    ]  # fmt: skip
    assert max(map(len, lines)) <= 42
    times = re.findall(r"(\S+) --> (\S+)", str(found["srt"].document))
    assert [pair for each in times for pair in each] == sorted(p for each in times for p in each)


@pytest.mark.slow
def test_the_command_shows_and_exports(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["translate", ITEM.id, "--show", "--into", "de"]) == 0
    said = capsys.readouterr()
    assert "Yesig." in said.out and "de, 8 segments, by tiny" in " ".join(said.err.split())
    assert run(["translate", ITEM.id, "--show", "--json"]) == 0
    documents = json.loads(capsys.readouterr().out)["translations"]
    assert [each["language"] for each in documents] == ["de", "fr"]
    for arguments, languages in (
        (["--all"], ["de", "fr"]),
        (["--all", "--into", "German, es"], ["de"]),
        ([ITEM.id, "--into", "FR"], ["fr"]),
    ):
        assert run(["translate", "--show", "--json", *arguments]) == 0
        documents = json.loads(capsys.readouterr().out)["translations"]
        assert [each["language"] for each in documents] == languages
    assert run(["translate", ITEM.id, "--show", "--into", "klingon"]) == 2
    assert run(["export", ITEM.id, "--format", "srt", "--language", "de", "-o", str(tmp_path)]) == 0
    (written,) = tmp_path.glob("*.srt")
    assert written.name.endswith(".de.srt") and GERMAN in written.read_text("utf-8")
    for arguments, code in (
        (["export", ITEM.id, "--format", "srt", "--language", "es"], "es"),
        (["export", ITEM.id, "--format", "srt", "--language", "klingon"], "klingon"),
    ):
        capsys.readouterr()
        assert run(arguments) != 0
        assert code in capsys.readouterr().err


@pytest.mark.slow
def test_changed_words_make_it_one_of_earlier_words(service: Service) -> None:
    entry = service.items.entry(ITEM.id)
    transcript = stages.read_transcript(service.library, entry)
    first, *rest = transcript.segments
    changed = replace(transcript, segments=(Segment(first.start_s, first.end_s, "Good day.", ()),
                                            *rest))  # fmt: skip
    write(service, changed)
    service.search.reindex()
    entry = service.items.entry(ITEM.id)
    found = service.translations.read(entry, changed, "de")
    assert found is not None and not found.is_current
    assert service.search.run(GERMAN).hits == ()
    problems: list[object] = []
    request = ExportRequest(("srt",), language="de")
    assert not list(service.exports.documents(ITEM.id, request, problems))  # type: ignore[arg-type]
    assert problems[0].error.code == "translation.earlier_words"  # type: ignore[attr-defined]
    assert texts.EN["translation_old"] in page_text(page(tab="Library", item=ITEM.id))
    assert not enrichment.is_current(
        service.library, entry, "translate", translation_options(service.settings, "de")
    )


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["en", "de"])
def test_the_page_shows_both_side_by_side_as_plain_text(lang: str, service: Service) -> None:
    entry = service.items.entry(ITEM.id)
    path = Extras(service.library).path(entry.stem, "de.transcript")
    document = json.loads(path.read_text("utf-8"))
    document["segments"][0]["text"] = "[a](http://evil.example) <img src=x onerror=alert(1)>"
    document["segments"][1].update(text="", mark="failed")
    write_json(path, document)
    app = page(tab="Library", item=ITEM.id, lang=lang)
    shown = {"en": texts.EN, "de": texts.DE}[lang]
    said = page_text(app)
    assert shown["translation_title"] in said
    assert shown["translation_missing_one"].format(marks=f"{shown['mark_failed']} (1)") in said
    pairs = " ".join(str(each.proto.body) for each in app.get("html"))
    assert "&lt;img src=x onerror" in pairs and "<img" not in pairs
    assert SENTENCES[0] in pairs and shown["mark_failed"] in pairs
    assert not [each for each in app.markdown if "evil.example" in each.value]
    choice = next(each for each in app.selectbox if each.label == shown["translation_export"])
    assert choice.options == [
        shown["translation_as_said"], shown["language_de"], shown["language_fr"]
    ]  # fmt: skip
    choice.select("fr")
    run_page(app)
    assert not app.exception
    transcript = service.items.transcript(ITEM.id)
    request = ExportRequest(("plain",), language="fr")
    content = exports._content(service, entry, transcript, request, "").decode()
    assert content.startswith("Welcomeig") and "Welcome to" not in content


@pytest.mark.slow
def test_it_is_published_on_request_alone(service: Service) -> None:
    entry = service.items.entry(ITEM.id)
    plain = build_sync_item(service.library, entry)
    asked = build_sync_item(service.library, entry, languages=("de", "es"))
    texts_of = [
        b"".join(
            part.content for part in make_documents(each.item, each.passages, each.facts).documents
        ).decode()
        for each in (plain, asked)
    ]
    assert GERMAN not in texts_of[0] and "Translation" not in texts_of[0]
    assert "## Translation, de\n" in texts_of[1] and GERMAN in texts_of[1]
    assert "Translation, fr" not in texts_of[1]
    assert texts_of[1].startswith(texts_of[0][:200])


def test_whisper_needs_a_recognizer_and_the_medium(service: Service) -> None:
    entry = service.items.entry(ITEM.id)
    options = {"into": "es", "via": "whisper"}
    with raises(UsageError, "translation.only_english"):
        enrichment.run_step(service.library, entry, "translate", options, settings=service.settings)
    said = stages.read_transcript(service.library, entry)
    write(service, replace(said, language="fr"))
    entry, options = service.items.entry(ITEM.id), {"into": "en", "via": "whisper"}
    with raises(UsageError, "translation.no_recognizer"):
        enrichment.run_step(service.library, entry, "translate", options, settings=service.settings)
    heard: list[object] = []
    with raises(MediaUnavailable, "step.no_medium"):
        enrichment.run_step(
            service.library, entry, "translate", options, settings=service.settings,
            hear=lambda *given: heard.append(given) or said,  # type: ignore[func-returns-value]
        )  # fmt: skip
    assert not heard


def test_the_words_stand_beside_a_translation_with_times_of_its_own(service: Service) -> None:
    entry = service.items.entry(ITEM.id)
    transcript = service.items.transcript(ITEM.id)
    found = service.translations.read(entry, transcript, "de")
    assert found is not None
    own = replace(found, own_times=True, segments=found.segments[::2])
    rows = side_by_side(transcript, own)
    assert len(rows) == len(own.segments)
    assert " ".join(row.original for row in rows).split() == " ".join(SENTENCES).split()


def test_nothing_is_queued_without_a_model_or_a_language(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for into, via, error in (
        ("de", "llm", ModelUnavailable), ("de", "local", ModelUnavailable), ("", "", UsageError),
        ("klingon", "", UsageError), ("de", "by hand", UsageError),
    ):  # fmt: skip
        with pytest.raises(error):
            service.translations.request([ITEM.id], into, via)
    monkeypatch.setenv("KB_LLM_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("KB_LLM_MODEL", "tiny")
    get_settings.cache_clear()
    again = Service()
    entry = again.items.entry(ITEM.id)
    again.library.amend(ITEM.id, {"transcribed": {**entry.transcribed, "language": "en"}})
    report = again.translations.request([ITEM.id], "en")
    assert report.same == [ITEM.id] and not report.steps.queued
    report = again.translations.request([ITEM.id], "es,it")
    assert report.steps.queued and report.estimate is not None and report.estimate.tokens > 0
    # The same again is under way; another language is added to it.
    assert again.translations.request([ITEM.id], "it").steps.under_way
    assert again.translations.request([ITEM.id], "pt").steps.queued
    ((row,),) = again.queue.steps.for_items([ITEM.id]).values()
    assert row.options["into"] == "es,it,pt"
    with raises(UsageError, "translation.no_language"):
        again.enrichment.run([ITEM.id], ["translate"])
    again.close()
