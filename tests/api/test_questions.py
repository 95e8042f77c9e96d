"""Questions to the library and notes of items, over HTTP and by the tools of assistants."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from kb.api.questions import AT_ONCE
from kb.library.extras import Extras
from kb.pipeline import stages
from kb.service import Service
from kb.service import access_keys as keys_module
from kb.settings import Settings, get_settings
from tests.fakes.chat import KEY, ChatServer
from tests.library.test_extras import RESULTS
from tests.service.test_answers import QUOTE, SEGMENTS, numbered, reply
from tests.support.api_server import Held, served
from tests.support.mcp_calls import call
from tests.support.spoken_items import ITEM, SHA, panel, write
from tests.support.waiting import WAIT_S, until

QUESTION = "When does the ferry leave?"
HIDDEN = "It leaves\u202e at\x1b[31m noon."
NOTES = ("summary", "chapters", "highlights", "terms", "questions")


@dataclass
class Site:
    """A served library with one item that has notes, and its language model."""

    address: str
    settings: Settings
    service: Service
    model: ChatServer

    def key(self, *scopes: str) -> str:
        secret = self.service.access.add("a program", scopes)[1]
        until(lambda: self.ask("GET", "/v1/models", secret).status_code == 200)
        return secret

    def ask(self, method: str, path: str, secret: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {secret}"}
        return httpx.request(
            method, f"{self.address}{path}", headers=headers, timeout=WAIT_S, **more
        )

    def question(self, secret: str, status: int = 200, **body: Any) -> dict[str, Any]:
        found = self.ask("POST", "/v1/answers", secret, json={"question": QUESTION, **body})
        assert found.status_code == status, found.text
        document: dict[str, Any] = found.json()
        return document


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("questions") / "home"
    with pytest.MonkeyPatch.context() as patch, ChatServer() as model:
        patch.setattr(keys_module, "FRESH_S", 0.0)
        asked = {"KB_LLM_URL": model.url, "KB_LLM_MODEL": "tiny", "KB_LLM_KEY": KEY}
        for name, value in {**asked, "KB_HOME": str(home)}.items():
            patch.setenv(name, value)
        get_settings.cache_clear()
        settings = Settings.model_validate({"KB_HOME": str(home), "KB_MODEL": "demo", **asked})
        service = Service(settings)
        service.queue.prepare()
        said = panel(*SEGMENTS)
        write(service, said)
        entry = service.items.entry(ITEM.id)
        stages.publish(service.library, settings, entry, said, "local")
        for kind in NOTES:
            document = {"basis": {"sha256": SHA}, **RESULTS[kind], "dropped": {"absent": 2}}
            Extras(service.library).write(
                entry, kind, document, lambda: service.library.guard(ITEM.id)
            )
        with served(home, Held(), **asked) as server:
            yield Site(server.address, settings, service, model)
        service.close()
    get_settings.cache_clear()


def test_notes_have_the_words_that_prove_them_and_their_links(site: Site) -> None:
    found = site.ask("GET", f"/v1/items/{ITEM.id}/notes", site.key("search")).json()
    (sentence,) = found["summary_short"]
    assert sentence["text"] == "It leaves." and sentence["quotes"][0]["url"].endswith("t=1")
    assert found["chapters"][0]["title"] == "Ferries" and found["terms"][0]["term"] == "ferry"
    assert found["questions"][0]["question"] == "When?" and found["dropped"] == 2
    assert found["summary_long"] == [] and found["highlights"][0]["quotes"]
    same = call(site.settings, "notes", item=ITEM.id)
    assert same == found
    assert "error" in call(site.settings, "notes", item="file:ffffffffffff")
    assert site.ask("GET", "/v1/items/file:ffffffffffff/notes", site.key("search")).is_error


@pytest.mark.slow
def test_an_answer_opens_at_the_second_of_its_words(site: Site) -> None:
    site.model.answer = lambda asked: reply(
        (HIDDEN, QUOTE, numbered(asked, "Kiruna")), ("Invented.", "a red and white ferry boat", 1)
    )
    secret = site.key("search", "paid")
    found = site.question(secret)
    (sentence,) = found["sentences"]
    assert found["outcome"] == "answered" and found["dropped"] == 1 and found["model"] == "tiny"
    assert "\u202e" not in sentence["text"] and "\x1b" not in sentence["text"]
    start = int(SEGMENTS[1].words[0].start_s)
    assert sentence["source"]["url"].endswith(f"t={start}")
    assert sentence["source"]["id"] == f"{ITEM.id}#{start}"
    assert sentence["source"]["text"] == f"{QUOTE}." and found["passages"]
    near = call(site.settings, "fetch", id=sentence["source"]["id"])
    assert QUOTE in near["text"]
    # The same question again is answered from what is kept: no call.
    calls = len(site.model.asked)
    paid = site.settings.replace(paid_requests=True)
    assert call(paid, "ask_library", question=QUESTION)["sentences"] == found["sentences"]
    assert len(site.model.asked) == calls

    site.model.answer = lambda _: reply(found=False)
    missing = site.question(secret, question="Which lighthouse is the tallest?")
    assert missing["outcome"] == "not_in_library" and missing["passages"]
    site.model.faults = ["wrong_key"]
    failed = site.question(secret, question="Who repairs the lighthouse?")
    assert failed["outcome"] == "passages" and failed["reason"] and failed["passages"]
    assert KEY not in str(failed)


def test_what_costs_money_needs_a_permission_of_its_own(site: Site) -> None:
    calls, steps = len(site.model.asked), f"/v1/items/{ITEM.id}/steps"
    cheap, plain = site.key("search", "jobs"), {"json": {"steps": ["meaning"]}}
    for body in (
        {"steps": ["summary"]}, {"steps": ["summary"], "again": True},
        {"steps": ["meaning", "questions"]},
    ):  # fmt: skip
        refused = site.ask("POST", steps, cheap, json=body)
        assert refused.status_code == 403 and "paid" in refused.json()["error"]["message"]
    assert site.ask("POST", steps, cheap, **plain).status_code == 202
    refused = site.question(cheap, status=403)
    assert refused["error"]["code"] == "insufficient_scope"
    assert site.question(cheap, model=False)["outcome"] == "passages"
    assert site.ask("POST", steps, site.key("search", "paid"), **plain).status_code == 403
    allowed = site.ask(
        "POST", steps, site.key("search", "jobs", "paid"), json={"steps": ["summary"]}
    )
    assert allowed.status_code == 202 and allowed.json()["queued"] == ["summary"]
    assert len(site.model.asked) == calls

    # Assistants have no key of their own: the setting decides.
    write_too = site.settings.replace(mcp_write=True)
    refused = call(write_too, "enrich", item=ITEM.id, steps=["highlights"])
    assert "KB_PAID_REQUESTS" in refused["error"]
    allowed_too = write_too.replace(paid_requests=True)
    assert call(allowed_too, "enrich", item=ITEM.id, steps=["highlights"])["queued"]
    passages = call(site.settings, "ask_library", question=QUESTION)
    assert passages["outcome"] == "passages" and not passages["sentences"] and passages["passages"]
    assert len(site.model.asked) == calls


def test_without_a_model_the_passages_are_the_answer(site: Site, tmp_path: Path) -> None:
    settings = site.settings.replace(llm_url="")
    found = call(settings, "ask_library", question=QUESTION)
    assert found["outcome"] == "passages" and QUOTE in str(found["passages"])
    none = call(settings, "ask_library", question="zebra crossing")
    assert none["outcome"] == "not_in_library" and none["passages"] == []
    for body in ({"question": ""}, {}, {"question": "x" * 2_001}, {"question": "a", "more": 1}):
        refused = site.ask("POST", "/v1/answers", site.key("search"), json=body)
        assert refused.status_code == 400 and refused.json()["error"]["param"]


@pytest.mark.slow
def test_questions_at_once_have_a_limit(site: Site) -> None:
    """The process of each takes memory: a further one is refused and may come again."""
    secret, go = site.key("search", "paid"), threading.Event()
    calls = len(site.model.asked)

    def held(_asked: Any) -> str:
        go.wait(60)
        return reply(found=False)

    site.model.answer = held
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = [
            pool.submit(site.question, secret, question=f"Where is the ferry {number}?")
            for number in range(AT_ONCE)
        ]
        until(lambda: len(site.model.asked) == calls + AT_ONCE)
        refused = site.ask("POST", "/v1/answers", secret, json={"question": QUESTION})
        go.set()
        assert [each.result()["outcome"] for each in running] == ["not_in_library"] * AT_ONCE
    assert refused.status_code == 429 and refused.headers["retry-after"]
