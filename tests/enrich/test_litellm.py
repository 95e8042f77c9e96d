"""The adapter of the package litellm against the same server; skipped where it is not installed."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kb.database import Database
from kb.enrich.llm import protocol
from kb.enrich.llm.client import LanguageModel
from kb.errors import KBError, UsageError
from tests.enrich.test_llm_client import OUTCOMES, ask, model_of
from tests.enrich.test_llm_client import database as database
from tests.fakes.chat import KEY, ChatServer
from tests.support.raising import raises

pytest.importorskip("litellm", reason="the package litellm is not installed: kb-ingest[litellm]")

# What differs: litellm reads answers itself, and gives one error for all that it cannot read.
OURS = {
    **OUTCOMES,
    **dict.fromkeys(("page", "number", "no_message", "odd_usage"), ("", 2, 1)),
}


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with ChatServer(lambda _: '{"words": ["tide", "noon"]}') as made:
        yield made


@pytest.fixture
def model(server: ChatServer, database: Database, tmp_path: Path) -> LanguageModel:
    server.faults.clear()
    server.asked.clear()
    server.counted.answers = server.counted.tokens = 0
    named = {"KB_LLM_MODEL": "openai/tiny", "KB_LLM_ADAPTER": "litellm"}
    return model_of(server, database, tmp_path, **named)


def test_a_good_answer_is_read_and_booked(
    model: LanguageModel, server: ChatServer, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("OPENAI_ORGANIZATION", "org-4711")
    assert ask(model).words == ["tide", "noon"]
    (asked,) = server.asked
    assert asked.body["model"] == "tiny" and asked.body["max_tokens"] == 4096
    assert asked.body["response_format"]["json_schema"]["strict"]
    assert "org-4711" not in str(asked.headers)
    assert model.ledger.booked().tokens == server.counted.tokens > 0
    assert ask(model).words and len(server.asked) == 1
    printed = capfd.readouterr()
    assert "litellm" not in f"{printed.out}{printed.err}".lower()


@pytest.mark.parametrize("fault", OURS)
def test_a_fault_is_reported_booked_and_passed(
    fault: str, model: LanguageModel, server: ChatServer, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    code, calls, unknown = OURS[fault]
    if fault in ("hang", "drip"):
        patient = model.endpoint
        model.endpoint = replace(patient, timeout_s=1.0)
        model._pause = lambda _: setattr(model, "endpoint", patient)
    monkeypatch.setattr(protocol, "MOST_BYTES", 1_000_000)
    server.faults.append(fault)
    error = None
    with caplog.at_level(logging.DEBUG):
        try:
            assert ask(model).words == ["tide", "noon"]
        except KBError as caught:
            error = caught
    assert (error.code if error else "") == code
    if error is not None:
        assert KEY not in f"{error.message}{error.hint}{error.values}{pickle.dumps(error)!r}"
    assert KEY not in caplog.text
    assert (len(server.asked), model.ledger.booked().unknown_calls) == (calls, unknown)
    booked = model.ledger.booked()
    assert booked.tokens <= server.counted.tokens <= booked.tokens + booked.unknown_tokens


def test_a_name_without_its_provider_says_what_to_write(
    server: ChatServer, database: Database, tmp_path: Path
) -> None:
    model = model_of(server, database, tmp_path, KB_LLM_ADAPTER="litellm")
    calls = len(server.asked)
    with raises(UsageError, "llm.no_provider"):
        ask(model)
    assert len(server.asked) == calls and model.ledger.booked().unknown_calls == 0
