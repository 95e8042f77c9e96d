"""The client of language models against a server that behaves as badly as real ones do."""

from __future__ import annotations

import json
import logging
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from kb.database import Database
from kb.enrich.llm import protocol
from kb.enrich.llm.client import LanguageModel, Scope, strict_schema, upper_bound
from kb.enrich.llm.endpoint import Endpoint, find_endpoint, missing
from kb.enrich.llm.errors import BadAnswer
from kb.enrich.llm.ledger import Booked, Ledger, Plan
from kb.enrich.llm.prompts import Prompt, read_prompt
from kb.errors import KBError, ModelUnavailable, RetryLater, SettingsError, UsageError
from kb.settings import Settings
from kb.settings.language_models import read_caps
from tests.fakes.chat import FAULTS, KEY, ChatServer
from tests.support.raising import raises

GOOD = '{"words": ["tide", "noon"]}'
PROMPT = Prompt("test", "1", "Answer with JSON.", "Text: $text", "d1")
TOKEN_CAPS = {"call": 1e6, "item": 1e7, "run": 1e7, "month": 1e8}


class Words(BaseModel):
    model_config = ConfigDict(extra="forbid")

    words: list[str]


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with ChatServer(lambda _: GOOD) as made:
        yield made


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    (tmp_path / "home").mkdir()
    made = Database.open(settings(tmp_path))
    yield made
    made.close()


OURS = Scope("file:a", "run1")


def settings(folder: Path, **values: object) -> Settings:
    return Settings.model_validate({"KB_HOME": str(folder / "home"), **values})


def model_of(
    server: ChatServer, database: Database, folder: Path, **values: object
) -> LanguageModel:
    known = {"KB_LLM_URL": server.url, "KB_LLM_MODEL": "tiny", "KB_LLM_KEY": KEY}
    made = LanguageModel.open(settings(folder, **{**known, **values}), database)
    made._pause = lambda _: None
    return made


@pytest.fixture
def model(server: ChatServer, database: Database, tmp_path: Path) -> LanguageModel:
    server.faults.clear()
    server.asked.clear()
    server.counted.answers = server.counted.tokens = 0
    return model_of(server, database, tmp_path)


def ask(model: LanguageModel, text: str = "noon", scope: Scope = OURS) -> Words:
    return model.ask(PROMPT, {"text": text}, Words, scope)


# fault: (code of the error or "" for a good answer, calls made, booked as unknown)
OUTCOMES = {
    "busy": ("", 2, 0),
    "busy_wait": ("", 2, 0),
    "busy_long": ("llm.busy", 1, 0),
    "busy_for_ever": ("llm.busy", 1, 0),
    "busy_nan": ("", 2, 0),
    "error": ("", 2, 1),
    "error_page": ("", 2, 1),
    "page": ("llm.page", 1, 1),
    "half": ("", 2, 1),
    "number": ("", 2, 1),
    "empty_choice": ("", 2, 0),
    "no_message": ("", 2, 0),
    "no_content": ("", 2, 0),
    "foreign": ("", 2, 0),
    "prose": ("", 2, 0),
    "fenced": ("", 1, 0),
    "length": ("llm.cut", 1, 0),
    "declined": ("llm.declined", 1, 0),
    "tool": ("", 2, 0),
    "no_usage": ("", 1, 1),
    "odd_usage": ("", 1, 1),
    "hang": ("", 2, 1),
    "close": ("", 2, 1),
    "drip": ("", 2, 1),
    "endless": ("", 2, 1),
    "redirect": ("llm.refused", 1, 0),
    "bad_request": ("llm.refused", 1, 0),
    "wrong_key": ("llm.key", 1, 0),
    "no_model": ("llm.refused", 1, 0),
}


def test_each_fault_has_its_outcome_here() -> None:
    assert OUTCOMES.keys() == FAULTS.keys()


@pytest.mark.parametrize("fault", OUTCOMES)
def test_a_fault_is_reported_booked_and_passed(
    fault: str, model: LanguageModel, server: ChatServer, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    code, calls, unknown = OUTCOMES[fault]
    if fault in ("hang", "drip"):
        patient = model.endpoint
        model.endpoint = replace(patient, timeout_s=1.0)
        # Only the first call is given up so soon: this machine may be slow.
        model._pause = lambda _: setattr(model, "endpoint", patient)
    monkeypatch.setattr(protocol, "MOST_BYTES", 1_000_000)
    server.faults.append(fault)
    with caplog.at_level(logging.DEBUG):
        try:
            found = ask(model)
            error = None
        except KBError as caught:
            error = caught
    assert (error.code if error else "") == code
    if error is None:
        assert found.words == ["tide", "noon"]
    else:
        assert KEY not in f"{error.message}{error.hint}{error.values}{pickle.dumps(error)!r}"
        assert "\x1b" not in error.message
        assert pickle.loads(pickle.dumps(error)).code == code
    assert KEY not in caplog.text
    assert len(server.asked) == calls
    booked = model.ledger.booked()
    assert booked.unknown_calls == unknown
    # What the service has billed lies between what is known and what was reserved.
    assert booked.tokens <= server.counted.tokens <= booked.tokens + booked.unknown_tokens


@pytest.mark.parametrize("fault", ["busy", "error", "close", "half"])
def test_a_fault_that_stays_ends_after_three_calls(
    fault: str, model: LanguageModel, server: ChatServer
) -> None:
    server.faults += [fault] * 3
    with pytest.raises(KBError) as caught:
        ask(model)
    assert caught.value.retryable and len(server.asked) == 3
    assert model.ledger.booked().unknown_calls == (0 if fault == "busy" else 3)


@pytest.mark.parametrize(("fault", "wait_s"), [("busy_long", 3600), ("busy_for_ever", 86_400)])
def test_a_long_wait_is_left_to_the_queue(
    fault: str, wait_s: float, model: LanguageModel, server: ChatServer
) -> None:
    server.faults.append(fault)
    with pytest.raises(RetryLater) as caught:
        ask(model)
    assert caught.value.until is not None
    assert 0 <= model.ledger.now() + wait_s - caught.value.until < 300


@pytest.mark.parametrize("fault", ["prose", "foreign", "tool", "length", "declined"])
def test_bad_answers_are_kept_so_that_a_second_run_makes_no_call(
    fault: str, model: LanguageModel, server: ChatServer
) -> None:
    server.faults += [fault] * 2
    for _ in range(2):
        with pytest.raises(KBError):
            ask(model)
    assert len(server.asked) == (1 if fault in ("length", "declined") else 2)
    assert not [each for each in server.asked if each.body.get("tools")]


def test_the_same_question_is_asked_once(
    model: LanguageModel, server: ChatServer, database: Database, tmp_path: Path
) -> None:
    assert ask(model) == ask(model)
    assert ask(model_of(server, database, tmp_path), scope=Scope("file:b", "run2")) == ask(model)
    assert len(server.asked) == 1 and model.tally.kept == 2
    ask(model, scope=Scope(fresh=True))
    ask(model, "midnight")
    assert len(server.asked) == 3
    # Each part of the key makes it another question.
    other = replace(PROMPT, digest="d2")
    model.ask(other, {"text": "noon"}, Words, Scope())
    model.endpoint = replace(model.endpoint, model="large")
    ask(model)
    assert len(server.asked) == 5


def test_a_run_that_asks_again_asks_each_question_once(
    server: ChatServer, database: Database, tmp_path: Path
) -> None:
    """Its steps share their questions, also after a kill; a later run asks anew."""
    ask(model_of(server, database, tmp_path))
    server.asked.clear()
    for run, calls in [("run2", 1), ("run2", 1), ("run3", 2), ("run2", 2)]:
        asking = model_of(server, database, tmp_path)
        ask(asking, scope=Scope("file:a", run, fresh=True))
        assert len(server.asked) == calls, run
    ask(model_of(server, database, tmp_path))
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "name",
    [
        "[click](http://evil.example)",
        "<img src=x>",
        "www.evil.example",
        "\x1b]0;title\x07",
        "x" * 900,
    ],
)
def test_names_of_fields_that_a_model_made_up_are_no_markup_in_an_error(
    name: str, model: LanguageModel, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "answer", lambda _: json.dumps({name: 1, "words": []}))
    with raises(BadAnswer, "llm.form") as caught:
        ask(model)
    said = str(caught.value)
    assert "evil" not in said and "<" not in said and said.isprintable() and len(said) < 300


def test_kept_answers_have_a_limit_of_size_and_age(
    model: LanguageModel, server: ChatServer
) -> None:
    for text in "abcdef":
        ask(model, text)
    model.ledger.prune(3 * len(GOOD), 10)
    server.asked.clear()
    for text in "fed":
        ask(model, text)
    assert not server.asked
    ask(model, "a")
    assert len(server.asked) == 1
    model.ledger.prune(10**9, -1)
    ask(model, "f")
    assert len(server.asked) == 2


# Limits


@pytest.mark.parametrize("scope", ["call", "item", "run", "month"])
@pytest.mark.parametrize("unit", ["tokens", "price"])
def test_a_call_beyond_a_limit_is_not_made(
    scope: str, unit: str, model: LanguageModel, server: ChatServer
) -> None:
    used = upper_bound(PROMPT.messages(text="noon"), strict_schema(Words))
    row = model.endpoint.row.model_copy(update={"input": 1e6, "output": 1e6, "answer": 256})
    model.endpoint = replace(model.endpoint, row=row)
    caps = {scope: float(used + 256 - 1)}
    database = model.ledger._database
    model.ledger = Ledger(database, *((caps, {}) if unit == "tokens" else ({}, caps)))
    with raises(UsageError, "llm.cap"):
        ask(model)
    assert not server.asked and model.ledger.booked() == Booked()
    caps[scope] += 1
    ask(model)
    assert len(server.asked) == 1
    assert model.ledger.booked().price == pytest.approx(model.ledger.booked().tokens)


def test_what_was_used_counts_and_not_what_was_reserved(
    model: LanguageModel, server: ChatServer
) -> None:
    bound = upper_bound(PROMPT.messages(text="noon"), strict_schema(Words)) + 4096
    model.ledger = Ledger(model.ledger._database, {"item": bound + 2000}, {})
    for text in ("noon", "dawn", "dusk"):
        ask(model, text)
    assert len(server.asked) == 3
    assert server.counted.tokens == model.ledger.booked(item_id="file:a").tokens
    # An answer that never came keeps its reservation, and leaves no room.
    server.faults.append("page")
    with raises(KBError, "llm.page"):
        ask(model, "tide")
    with raises(UsageError, "llm.cap"):
        ask(model, "ebb")
    ask(model, "ebb", Scope("file:other"))


def test_a_price_that_is_not_known_is_not_taken_for_free(
    model: LanguageModel, server: ChatServer
) -> None:
    row = model.endpoint.row.model_copy(update={"input": None})
    model.endpoint = replace(model.endpoint, row=row)
    model.ledger = Ledger(model.ledger._database, {}, {"month": 100.0})
    with raises(UsageError, "llm.no_price"):
        ask(model)
    assert not server.asked


def test_workers_together_stay_below_a_limit(database: Database, tmp_path: Path) -> None:
    assert booked_at_once(settings(tmp_path)) == 10


def booked_at_once(known: Settings) -> int:
    """Return the calls that six workers book at the same moment where ten have room.

    Each has connections of its own.
    """
    ledgers = [Ledger(Database.open(known), {"month": 1000.0}, {}) for _ in range(6)]
    start = threading.Barrier(6)

    def book(ledger: Ledger) -> int:
        start.wait()
        booked = 0
        for _ in range(5):
            try:
                ledger.reserve(Plan("m", "test", "", "", 100, 0.0))
                booked += 1
            except UsageError:
                continue
        return booked

    with ThreadPoolExecutor(6) as threads:
        total = sum(threads.map(book, ledgers))
    for ledger in ledgers:
        ledger._database.close()
    return total


# What leaves, and to where


def test_without_an_address_nothing_is_asked(tmp_path: Path, database: Database) -> None:
    for values in ({}, {"KB_LLM_MODEL": "tiny"}, {"KB_LLM_URL": "http://127.0.0.1:9/v1"}):
        with raises(ModelUnavailable, "llm.no_address"):
            LanguageModel.open(settings(tmp_path, **values), database)


def endpoint(folder: Path, url: str) -> Endpoint:
    return find_endpoint(settings(folder, KB_LLM_URL=url, KB_LLM_MODEL="gpt-4o-mini"))


def test_a_provider_s_key_is_for_that_provider_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai-9")
    monkeypatch.setenv("GEMINI_API_KEY", "gemini-9")
    google = "https://generativelanguage.googleapis.com/v1beta/openai"
    for url, key in (
        ("https://api.openai.com/v1", "sk-openai-9"),
        (google, "gemini-9"),
        ("http://api.openai.com/v1", ""),
        ("https://api.openai.com.example.org/v1", ""),
        ("https://example.org/api.openai.com/v1", ""),
        ("http://127.0.0.1:9/v1", ""),
    ):
        assert endpoint(tmp_path, url).key == key
        assert key not in repr(endpoint(tmp_path, url)) or not key


@pytest.mark.parametrize("key", ["sk-1 2", "sk-1\n2", "sk-schlüssel", "sk-1\u200b"])
def test_a_key_that_cannot_be_sent_is_named_and_not_shown(key: str, tmp_path: Path) -> None:
    with raises(ModelUnavailable, "llm.key_form") as caught:
        find_endpoint(
            settings(tmp_path, KB_LLM_URL="http://127.0.0.1:9/v1", KB_LLM_MODEL="a", KB_LLM_KEY=key)
        )
    assert "sk-" not in f"{caught.value} {caught.value.hint} {caught.value.values}"


@pytest.mark.parametrize("text", ["a\ud800b", "a\0b", "\udcff"])
def test_half_characters_and_zeros_neither_end_a_question_nor_an_answer(
    text: str, database: Database, tmp_path: Path
) -> None:
    with ChatServer(lambda _: f'{{"words": ["{text}"]}}') as made:
        model = model_of(made, database, tmp_path, KB_LLM_KEY=f" {KEY}\n")
        (word,) = ask(model, text).words
        assert ask(model, text).words == [word] and len(made.asked) == 1  # it is kept
    assert word and word.isprintable()
    assert model.ledger.booked().unknown_calls == 0


def test_only_the_question_leaves(
    model: LanguageModel, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "sk-of-another-service")
    ask(model, "der Text")
    (asked,) = server.asked
    assert "sk-of-another-service" not in str(asked.headers)
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert set(asked.body) == {
        "model", "messages", "temperature", "response_format", "max_tokens",
    }  # fmt: skip
    assert asked.text == "Text: der Text"


def test_no_redirect_is_followed(
    model: LanguageModel, server: ChatServer, database: Database
) -> None:
    with ChatServer(lambda _: GOOD) as other:
        server.elsewhere = other.url
        server.faults.append("redirect")
        with raises(UsageError, "llm.refused"):
            ask(model)
        assert not other.asked


@pytest.mark.parametrize(
    "url", ["localhost:11434", "ftp://a/v1", "http://user:key@a/v1", "http://a/v1?key=1", "http://"]
)
def test_an_address_with_a_key_or_without_a_host_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        settings(tmp_path, KB_LLM_URL=url)


@pytest.mark.slow
def test_the_clients_are_not_imported_with_the_program() -> None:
    import subprocess
    import sys

    code = (
        "import sys, kb.service, kb.ui.page, kb.enrich.llm.client\n"
        "print([n for n in ('openai', 'litellm', 'httpx2') if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    known = settings(tmp_path, KB_LLM_URL="http://127.0.0.1:9/v1", KB_LLM_MODEL="tiny")
    problem = missing(known)
    assert problem is not None and problem.code == "llm.no_package"


# The files of the user


def test_a_table_of_one_s_own_comes_first(tmp_path: Path) -> None:
    table = tmp_path / "prices.yaml"
    table.write_text(
        "date: 2027-01-02\nmodels:\n"
        "  - {host: 'api.openai.com', model: 'gpt-4o*', input: 9, output: 9, temperature: none}\n",
        "utf-8",
    )
    known = {"KB_LLM_URL": "https://api.openai.com/v1", "KB_LLM_TABLE": str(table)}
    found = find_endpoint(settings(tmp_path, **known, KB_LLM_MODEL="gpt-4o-mini"))
    assert found.row.price(1_000_000, 0) == 9 and str(found.priced_at) == "2027-01-02"
    assert found.row.temperature is None
    other = find_endpoint(settings(tmp_path, **known, KB_LLM_MODEL="gpt-4.1-mini"))
    assert other.row.price(1_000_000, 0) == 0.40
    unknown = find_endpoint(settings(tmp_path, **known, KB_LLM_MODEL="gpt-9"))
    assert unknown.row.price(1, 1) is None
    for text in ("[", "- 1", "models: []", "date: 2027-01-02\nmodels: [{host: a, model: b, x: 1}]"):
        table.write_text(text, "utf-8")
        with raises(SettingsError, "llm.table"):
            find_endpoint(settings(tmp_path, **known, KB_LLM_MODEL="gpt-9"))


def test_a_prompt_of_one_s_own_replaces_that_of_the_program(tmp_path: Path) -> None:
    shipped = read_prompt("window", settings(tmp_path))
    own = settings(tmp_path, KB_LLM_PROMPTS=str(tmp_path))
    assert read_prompt("window", own) == shipped
    (tmp_path / "window.md").write_text("version: 7\r\n---\r\nDo.\r\n---\r\n$lines\r\n", "utf-8")
    found = read_prompt("window", own)
    assert (found.version, found.instructions, found.question) == ("7", "Do.", "$lines")
    assert found.digest != shipped.digest
    # A `$` of a transcript is no name of a value.
    assert found.messages(lines="costs $5 or ${x}")[1]["content"] == "costs $5 or ${x}"
    for text in ("", "Do.", "version: 7\n---\nDo.", "version: 7\n---\nDo.\n---\n$nothing"):
        (tmp_path / "window.md").write_text(text, "utf-8")
        with raises(SettingsError, "llm.prompt"):
            read_prompt("window", own).messages(lines="")


@pytest.mark.parametrize("text", ["month", "week=5", "month=-1", "month=nan", "month=1;item=2"])
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_caps(text)


def test_the_upper_bound_of_tokens_is_that_of_bytes() -> None:
    """No tokenizer makes more than one token of a byte; "ü" and "語" have two and three."""
    assert upper_bound([{"content": "aü語"}], {}) == 6 + 64
    assert read_caps("call=1, month=2.5") == {"call": 1.0, "month": 2.5}
